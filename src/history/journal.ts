/**
 * The file in which a daemon notes what happens: one JSON object a line, in `DIRECTORY/NAME.jsonl`, older ones in NAME.1.jsonl and so on.
 *
 * For people: nothing depends on it. Entries are written in batches, behind the daemon's back; a disk that does not take them is told of
 * once, and costs entries, never more. BOUNDED: MOST_BYTES a file, MOST_FILES of them, MOST_WAITING entries that wait; files that are
 * older than MOST_AGE go at a start and whenever a new one begins.
 */
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { HistoryEntry } from './entry.js';

export const HISTORY_DIRECTORY = 'history';
export const MOST_BYTES = 2 * 1024 * 1024;
export const MOST_FILES = 5;
const MOST_WAITING = 5_000;
/** In milliseconds: two weeks. */
export const MOST_AGE = 14 * 24 * 3_600_000;
/** Between an entry and its file. */
const FLUSH_AFTER = 300;

export interface JournalOptions {
  readonly stateDir: string;
  /** "agent", "bgpd" */
  readonly name: string;
  readonly log: Logger;
  readonly mostBytes?: number;
}

export class Journal {
  private readonly directory: string;
  private readonly mostBytes: number;
  private waiting: string[] = [];
  private lost = 0;
  private size = 0;
  /** Is there a file of a former process, to which nothing has been added yet? */
  private isContinued = false;
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private problem: string | undefined;

  constructor(private readonly options: JournalOptions) {
    this.directory = join(options.stateDir, HISTORY_DIRECTORY);
    this.mostBytes = options.mostBytes ?? MOST_BYTES;
    this.attempt(() => {
      mkdirSync(this.directory, { recursive: true, mode: 0o700 });
      this.size = statSync(this.pathOf(0), { throwIfNoEntry: false })?.size ?? 0;
      this.isContinued = this.size > 0;
      this.dropOld();
    });
  }

  add(entry: HistoryEntry): void {
    if (this.waiting.length >= MOST_WAITING) {
      this.lost++;
      return;
    }
    this.waiting.push(JSON.stringify(entry));
    this.timer ??= setTimeout(() => void this.flush(), FLUSH_AFTER).unref();
  }

  /** Resolves when all that was added is on disk, or is lost; never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.writing = this.writing.then(() => this.write());
    return this.writing;
  }

  private async write(): Promise<void> {
    const { waiting, lost } = this;
    if (waiting.length === 0) return;
    [this.waiting, this.lost] = [[], 0];
    const note = `${lost} happenings came too fast to be noted`;
    const process = { at: new Date().toISOString(), type: 'process', process: this.options.name, message: note };
    // A line that a crash cut off must not swallow the next one; empty lines are none.
    const first = this.isContinued ? [''] : [];
    this.isContinued = false;
    const text = [...first, ...waiting, ...(lost === 0 ? [] : [JSON.stringify(process)]), ''].join('\n');
    try {
      if (this.size > this.mostBytes) this.rotate();
      await appendFile(this.pathOf(0), text, { mode: 0o600 });
      this.size += Buffer.byteLength(text);
      this.problem = undefined;
    } catch (error) {
      this.tell(error);
    }
  }

  private rotate(): void {
    for (let index = MOST_FILES - 2; index >= 0; index--)
      if (statSync(this.pathOf(index), { throwIfNoEntry: false }) !== undefined)
        renameSync(this.pathOf(index), this.pathOf(index + 1));
    this.size = 0;
    this.dropOld();
  }

  private dropOld(): void {
    for (const file of readdirSync(this.directory)) {
      const path = join(this.directory, file);
      if (file.startsWith(`${this.options.name}.`) && Date.now() - statSync(path).mtimeMs > MOST_AGE) rmSync(path);
    }
    if (statSync(this.pathOf(0), { throwIfNoEntry: false }) !== undefined) chmodSync(this.pathOf(0), 0o600);
  }

  private pathOf(index: number): string {
    return join(this.directory, `${this.options.name}${index === 0 ? '' : `.${index}`}.jsonl`);
  }

  private attempt(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.tell(error);
    }
  }

  private tell(error: unknown): void {
    const problem = messageOf(error);
    if (problem !== this.problem)
      this.options.log.warn({ problem }, `Cannot note what happens in ${this.directory}: ${problem}`);
    this.problem = problem;
  }
}
