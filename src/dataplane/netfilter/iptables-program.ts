/**
 * The iptables programs of one backend and one family: which files they are, and what their exit statuses and error texts
 * mean. Both backends speak the same input; they differ in name, in the lock, and in how they blame a line.
 *
 * Error texts (iptables 1.8): "Error occurred at line: 12" while parsing (the nft program may be one line late), "line 30 failed" from
 * the legacy program (COMMIT's line when the kernel refused the table, without its reason) and from the nft one for a command
 * that found nothing, "line 4: RULE_APPEND failed (Invalid argument): rule in chain X" from the nft one's commit.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { Family, Table } from '@tortie/policy/ruleset';
import { ChildError, runChild, type ChildOutcome, type Within } from './child.js';
import { RestoreSession } from './restore-session.js';
import type { Backend } from './status.js';

export interface IptablesProgram {
  readonly backend: Backend;
  readonly family: Family;
  /** "1.8.9"; undefined when it does not say. */
  readonly version: string | undefined;
  /** iptables-save of one table; throws ChildError. */
  save(table: Table | 'nat'): Promise<string>;
  /** iptables-restore --noflush, one input at a time. `onPid` is told which process writes, before it does. */
  restore(input: string, onPid?: (pid: number) => void): Promise<RestoreOutcome>;
  /** Ends what stays running between inputs. */
  close(): void;
}

export type RestoreOutcome =
  | { readonly type: 'done' }
  /** Something in the input was refused and nothing of that table was changed; `lines` are the blamed ones, possibly none. */
  | { readonly type: 'refused'; readonly lines: readonly number[]; readonly text: string }
  /** Somebody else holds /run/xtables.lock longer than we wait. */
  | { readonly type: 'locked'; readonly text: string };

/** iptables' exit status for "resource problem": the lock, or with the nft backend a kernel that refused. */
const RESOURCE_PROBLEM = 4;
const SEARCH_PATH = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

/** undefined when the machine has no program of this backend and family. */
export async function findIptables(
  backend: Backend,
  family: Family,
  within: Within,
): Promise<IptablesProgram | undefined> {
  const restore = await locate(backend, family, 'restore');
  const save = await locate(backend, family, 'save');
  if (restore === undefined || save === undefined) return undefined;
  // "-w" without seconds: with them iptables sets an alarm that it never cancels, which ends an idle session. The session bounds the wait.
  const session = new RestoreSession(restore, ['--noflush', '--verbose', '-w'], within);
  return {
    backend,
    family,
    version: versionIn((await runChild(save, ['--version'])).stdout),
    close: () => session.close(),
    save: async (table) => {
      const outcome = await runChild(save, ['-t', table], { within });
      if (outcome.status !== 0)
        throw new ChildError(`Cannot read table "${table}" with ${save}: ${firstWords(outcome)}`);
      if (/is incompatible, use 'nft' tool/.test(outcome.stdout))
        throw new ChildError(`Cannot read table "${table}" with ${save}: it holds rules that only nft understands`);
      return outcome.stdout;
    },
    restore: async (input, onPid) => {
      const pid = session.open();
      if (pid !== undefined) onPid?.(pid);
      const { outcome, linesBefore } = await session.restore(input);
      return outcome === 'done' ? { type: 'done' } : outcomeOf(outcome, linesBefore);
    },
  };
}

/** "iptables-legacy-restore", or plain "iptables-restore" if its version says that it is of this backend. */
async function locate(backend: Backend, family: Family, tool: 'save' | 'restore'): Promise<string | undefined> {
  const stem = family === 4 ? 'iptables' : 'ip6tables';
  const named = inPath(`${stem}-${backend}-${tool}`);
  if (named !== undefined) return named;
  const plain = inPath(`${stem}-${tool}`);
  if (plain === undefined) return undefined;
  return (await backendOfProgram(plain)) === backend ? plain : undefined;
}

/** What the machine's plain iptables writes to; undefined when there is none. Before 1.8 there was only legacy, and no word for it. */
export async function defaultBackend(family: Family): Promise<Backend | undefined> {
  const plain = inPath(`${family === 4 ? 'iptables' : 'ip6tables'}-restore`);
  return plain === undefined ? undefined : backendOfProgram(plain);
}

/** Is there any iptables of any backend? */
export const hasAnyIptables = (): boolean =>
  ['iptables-save', 'iptables-nft-save', 'iptables-legacy-save'].some((name) => inPath(name) !== undefined);

/** From "iptables-save v1.8.9 (nf_tables)". */
const versionIn = (text: string): string | undefined => / v(\d+(?:\.\d+)+)/.exec(text)?.[1];

async function backendOfProgram(file: string): Promise<Backend> {
  const { stdout } = await runChild(file, ['--version']);
  return stdout.includes('nf_tables') ? 'nft' : 'legacy';
}

function inPath(name: string): string | undefined {
  const folders = [
    ...(process.env['PATH'] ?? '').split(':').filter((folder) => folder.startsWith('/')),
    ...SEARCH_PATH,
  ];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** `linesBefore`: what the program had read before the input in question. Exported for its test: the error texts are the only contract. */
export function outcomeOf(outcome: ChildOutcome, linesBefore = 0): RestoreOutcome {
  if (outcome.status === 0) return { type: 'done' };
  const lines = [...outcome.stderr.matchAll(/(?:^|\n|: )(?:Error occurred at )?line:? (\d+)(?=:| failed|\n|$)/g)].map(
    (match) => Number(match[1]) - linesBefore,
  );
  const text = firstWords(outcome);
  if (outcome.status === RESOURCE_PROBLEM && lines.length === 0 && /xtables lock/.test(outcome.stderr))
    return { type: 'locked', text };
  return { type: 'refused', lines, text };
}

/** The error without program name, advice and blank lines. */
function firstWords(outcome: ChildOutcome): string {
  const lines = outcome.stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('Try `'));
  const text = lines
    .map((line) => line.replace(/^ip6?tables(-nft|-legacy)?(-restore|-save)?( v[0-9.]+ \([a-z_]+\))?: ?/, ''))
    .filter((line) => line !== '');
  if (text.length > 0) return text.join('; ').slice(0, 500);
  return outcome.status === undefined ? 'a signal ended it' : `it ended with status ${outcome.status}`;
}
