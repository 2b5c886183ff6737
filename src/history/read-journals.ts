/** What the daemons of this machine have noted (journal.ts), read back. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UserError } from '../errors.js';
import { parseEntry, type HistoryEntry } from './entry.js';
import { HISTORY_DIRECTORY } from './journal.js';

export interface ReadJournals {
  readonly entries: readonly HistoryEntry[];
  /** Lines that are no entry: a crash cuts one off. */
  readonly broken: number;
}

/** BOUNDED by what journals are. @throws UserError */
export function readJournals(stateDir: string): ReadJournals {
  const directory = join(stateDir, HISTORY_DIRECTORY);
  try {
    const files = readdirSync(directory).filter((name) => /^[a-z]+(?:\.\d+)?\.jsonl$/.test(name));
    const lines = files.flatMap((name) =>
      readFileSync(join(directory, name), 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    );
    const entries = lines.map(parseEntry).filter((entry) => entry !== undefined);
    return { entries, broken: lines.length - entries.length };
  } catch (error) {
    throw new UserError(
      `Cannot read what this node has noted in "${directory}": ${messageOf(error)} (--state-dir names another place)`,
      1,
      { cause: error },
    );
  }
}

/** When the last entry of a journal was noted; undefined: there is none that can be read. A journal that is full begins anew. */
export function lastNoted(stateDir: string, name: string): string | undefined {
  for (const file of [`${name}.jsonl`, `${name}.1.jsonl`]) {
    const lines = linesOf(join(stateDir, HISTORY_DIRECTORY, file));
    const last = lines.reduceRight<string | undefined>((found, line) => found ?? parseEntry(line)?.at, undefined);
    if (last !== undefined) return last;
  }
  return undefined;
}

function linesOf(path: string): readonly string[] {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n');
  } catch (error) {
    // Nobody's start depends on it; whoever writes the journal tells what is wrong with the disk.
    if ((error as NodeJS.ErrnoException).code !== undefined) return [];
    throw error;
  }
}
