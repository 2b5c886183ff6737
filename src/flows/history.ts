/**
 * Flows of past days in an SQLite file: subjects once, and per interval a short row with what their connections did. Whoever asks for
 * a policy of last week looks at subjects first, which are few.
 *
 * BOUNDED: by days and by octets; the oldest rows go first. A file that is no database of ours any more is put aside, once: what is in it
 * is history, and no reason not to go on.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, renameSync, rmSync } from 'node:fs';
import Database from 'libsql';
import { messageOf } from '../errors.js';
import type { Flow, FlowSubject, LabelSet } from './flow.js';
import type { ParsedQuery } from './query.js';

export interface HistoryOptions {
  readonly path: string;
  readonly days: number;
  readonly bytes: number;
  readonly labels: (id: string) => LabelSet | undefined;
  /** Says what could not be written or read. */
  readonly onProblem: (sentence: string) => void;
}

const SCHEMA_VERSION = 1;
const SCHEMA = `
CREATE TABLE labels (id TEXT PRIMARY KEY, labels TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE subjects (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, subject TEXT NOT NULL);
CREATE TABLE flows (
  id INTEGER PRIMARY KEY, subject INTEGER NOT NULL, start INTEGER NOT NULL, last INTEGER NOT NULL, begun INTEGER NOT NULL,
  ended INTEGER NOT NULL, sent_packets INTEGER NOT NULL, sent_bytes INTEGER NOT NULL, answered_packets INTEGER NOT NULL,
  answered_bytes INTEGER NOT NULL
);
CREATE INDEX flows_last ON flows (last);
PRAGMA user_version = ${SCHEMA_VERSION};
`;

interface FlowRow {
  readonly id: number;
  readonly subject: number;
  readonly start: number;
  readonly last: number;
  readonly begun: number;
  readonly ended: number;
  readonly sent_packets: number;
  readonly sent_bytes: number;
  readonly answered_packets: number;
  readonly answered_bytes: number;
}

const DAY = 86_400_000;
/** BOUNDED: subjects whose number is known without asking; begun anew when full. */
const MOST_KNOWN = 16_384;
/** Rows read or deleted before somebody else gets a turn. */
const ROWS_A_TURN = 2_000;
/** More than the recorder has subjects. */
const MOST_AN_INTERVAL = 20_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class FlowHistory {
  /** By hash. */
  private numbers = new Map<string, number>();
  private failing = false;

  private constructor(
    private readonly database: Database.Database,
    private readonly options: HistoryOptions,
  ) {}

  /** @throws Error when there can be no such file */
  static open(options: HistoryOptions): FlowHistory {
    try {
      return new FlowHistory(openDatabase(options.path), options);
    } catch (error) {
      if (!existsSync(options.path)) throw error;
      const aside = `${options.path}.unreadable`;
      options.onProblem(
        `Cannot read the history of flows, begun anew; the old one is in "${aside}": ${messageOf(error)}`,
      );
      renameSync(options.path, aside);
      for (const suffix of ['-wal', '-shm']) rmSync(`${options.path}${suffix}`, { force: true });
      return new FlowHistory(openDatabase(options.path), options);
    }
  }

  /** All or none of an interval. What cannot be written is said, and gone. */
  append(flows: readonly Flow[]): void {
    if (flows.length === 0) return;
    try {
      this.write(flows);
      this.failing = false;
    } catch (error) {
      this.numbers = new Map();
      if (this.database.inTransaction) this.database.exec('ROLLBACK');
      // Once: a full disk stays full.
      if (!this.failing)
        this.options.onProblem(`Cannot write ${flows.length} flows to "${this.options.path}": ${messageOf(error)}`);
      this.failing = true;
    }
  }

  /** The newest that are asked for, the oldest of them first, a page at a time: nobody holds a day of flows in memory. */
  async *query(query: ParsedQuery): AsyncGenerator<readonly Flow[]> {
    const subjects = this.subjectsThat(query);
    const until = Math.min(query.until, Number.MAX_SAFE_INTEGER);
    const low = this.lowestSince(query.since);
    // What is written meanwhile is the asker's running interval, which it has already.
    const high = this.newest();
    const first = await this.firstOfNewest(query.limit, { low, high, since: query.since, until }, subjects);
    const page = this.database.prepare(
      `SELECT * FROM flows WHERE id > ? AND id <= ? AND last >= ? AND start <= ? ORDER BY id LIMIT ${ROWS_A_TURN}`,
    );
    for (let after = first - 1; ; ) {
      const rows = page.all(after, high, query.since, until) as FlowRow[];
      const flows: Flow[] = [];
      for (const row of rows) {
        const subject = subjects.get(row.subject);
        if (subject !== undefined) flows.push(flowOf(subject, row));
      }
      if (flows.length > 0) yield flows;
      const last = rows[rows.length - 1];
      if (last === undefined || rows.length < ROWS_A_TURN) return;
      after = last.id;
      await turn();
    }
  }

  private newest(): number {
    const row = this.database.prepare('SELECT id FROM flows ORDER BY id DESC LIMIT 1').get() as
      | { readonly id: number }
      | undefined;
    return row?.id ?? 0;
  }

  /** No row before it is of the time asked for: rows are written interval by interval. */
  private lowestSince(since: number): number {
    const row = this.database.prepare('SELECT id FROM flows WHERE last >= ? ORDER BY last LIMIT 1').get(since) as
      | { readonly id: number }
      | undefined;
    return row === undefined ? Number.MAX_SAFE_INTEGER : row.id - MOST_AN_INTERVAL;
  }

  private async firstOfNewest(
    limit: number,
    { low, high, since, until }: Readonly<Record<'low' | 'high' | 'since' | 'until', number>>,
    subjects: ReadonlyMap<number, FlowSubject>,
  ): Promise<number> {
    const page = this.database.prepare(
      'SELECT id, subject FROM flows WHERE id < ? AND id >= ? AND last >= ? AND start <= ? ' +
        `ORDER BY id DESC LIMIT ${ROWS_A_TURN}`,
    );
    let found = 0;
    for (let before = high + 1; ; ) {
      const rows = page.all(before, low, since, until) as Pick<FlowRow, 'id' | 'subject'>[];
      for (const { id, subject } of rows) if (subjects.has(subject) && ++found === limit) return id;
      const last = rows[rows.length - 1];
      if (last === undefined || rows.length < ROWS_A_TURN) return low;
      before = last.id;
      await turn();
    }
  }

  labels(id: string): LabelSet | undefined {
    const row = this.database.prepare('SELECT labels FROM labels WHERE id = ?').get(id) as
      | { readonly labels: string }
      | undefined;
    return row === undefined ? undefined : { id, labels: JSON.parse(row.labels) as LabelSet['labels'] };
  }

  /** Takes away what is too old, and then what is too much. A little a call. @param now milliseconds since 1970 */
  prune(now: number): void {
    try {
      const { database } = this;
      const oldest = `DELETE FROM flows WHERE id IN (SELECT id FROM flows WHERE last < ? ORDER BY last LIMIT ${ROWS_A_TURN})`;
      database.prepare(oldest).run(now - this.options.days * DAY);
      for (let time = 0; time < 10 && this.size() > this.options.bytes; time++) {
        // A twentieth: subjects go only when the last of their rows has gone.
        const few = 'SELECT id FROM flows ORDER BY id LIMIT MAX(100, (SELECT COUNT(*) FROM flows) / 20)';
        database.prepare(`DELETE FROM flows WHERE id IN (${few})`).run();
        this.forgetSubjects();
        database.exec('PRAGMA incremental_vacuum');
      }
      this.forgetSubjects();
      database.exec('PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)');
    } catch (error) {
      if (!this.failing) this.options.onProblem(`Cannot prune "${this.options.path}": ${messageOf(error)}`);
      this.failing = true;
    }
  }

  /** Octets. */
  size(): number {
    const one = (name: string): number => {
      const [row] = this.database.prepare(`PRAGMA ${name}`).all() as Record<string, number>[];
      return row?.[name] ?? 0;
    };
    return (one('page_count') - one('freelist_count')) * one('page_size');
  }

  close(): void {
    this.database.close();
  }

  private forgetSubjects(): void {
    const { changes } = this.database
      .prepare('DELETE FROM subjects WHERE id NOT IN (SELECT DISTINCT subject FROM flows)')
      .run();
    if (changes > 0) this.numbers = new Map();
  }

  private write(flows: readonly Flow[]): void {
    const { database } = this;
    const insert = database.prepare(
      'INSERT INTO flows (subject, start, last, begun, ended, sent_packets, sent_bytes, answered_packets, answered_bytes) ' +
        'VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    database.exec('BEGIN');
    for (const { type, start, last, begun, ended, sent, answered, ...subject } of flows)
      insert.run(
        this.numberOf(subject),
        start,
        last,
        begun,
        ended,
        sent.packets,
        sent.bytes,
        answered.packets,
        answered.bytes,
      );
    database.exec('COMMIT');
  }

  private numberOf(subject: FlowSubject): number {
    const text = JSON.stringify(subject);
    const hash = createHash('sha256').update(text).digest('base64url');
    const known = this.numbers.get(hash) ?? this.findOrInsert(hash, text, subject);
    if (this.numbers.size >= MOST_KNOWN) this.numbers = new Map();
    this.numbers.set(hash, known);
    return known;
  }

  private findOrInsert(hash: string, text: string, subject: FlowSubject): number {
    const { database } = this;
    const found = database.prepare('SELECT id FROM subjects WHERE hash = ?').get(hash) as
      | { readonly id: number }
      | undefined;
    if (found !== undefined) return found.id;
    for (const id of [subject.from.labels, subject.to.labels]) this.writeLabels(id);
    const { lastInsertRowid } = database.prepare('INSERT INTO subjects (hash, subject) VALUES (?, ?)').run(hash, text);
    return Number(lastInsertRowid);
  }

  private writeLabels(id: string | undefined): void {
    const set = id === undefined ? undefined : this.options.labels(id);
    if (set === undefined) return;
    this.database
      .prepare('INSERT OR IGNORE INTO labels (id, labels) VALUES (?, ?)')
      .run(set.id, JSON.stringify(set.labels));
  }

  private subjectsThat({ matches }: ParsedQuery): ReadonlyMap<number, FlowSubject> {
    const subjects = new Map<number, FlowSubject>();
    const rows = this.database.prepare('SELECT id, subject FROM subjects').iterate() as IterableIterator<{
      readonly id: number;
      readonly subject: string;
    }>;
    for (const { id, subject: text } of rows) {
      const subject = JSON.parse(text) as FlowSubject;
      if (matches(subject)) subjects.set(id, subject);
    }
    return subjects;
  }
}

function openDatabase(path: string): Database.Database {
  const database = new Database(path);
  try {
    chmodSync(path, 0o600);
    const [{ user_version: version } = { user_version: 0 }] = database.prepare('PRAGMA user_version').all() as {
      readonly user_version: number;
    }[];
    if (version === 0) database.exec(`PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; ${SCHEMA}`);
    else if (version !== SCHEMA_VERSION)
      throw new Error(`its tables are of version ${version}; expected ${SCHEMA_VERSION}`);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2000');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

const flowOf = (subject: FlowSubject, row: FlowRow): Flow => ({
  type: 'flow',
  ...subject,
  start: row.start,
  last: row.last,
  begun: row.begun,
  ended: row.ended,
  sent: { packets: row.sent_packets, bytes: row.sent_bytes },
  answered: { packets: row.answered_packets, bytes: row.answered_bytes },
});
