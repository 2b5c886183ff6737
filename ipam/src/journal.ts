/**
 * The node's own record of which address belongs to whom: an append-only file of JSON lines, on disk before any answer.
 *
 * The file is open with O_DSYNC: a write is on disk when it returns, one turn of a pool thread instead of two.
 * Concurrent callers share a write (group commit): lines that arrive while one is under way go out together with the next.
 * After a crash the file may end in half a line; that line was never acknowledged, so it is cut off. Damage anywhere else is
 * not ours to guess about: opening fails and names the line. Once the dead lines outnumber the living by far the file is
 * written anew beside the old one and renamed over it.
 *
 * Line forms: {"op":"block",...} owns a block, {"op":"unblock"}, {"op":"lend",...} what of it is for others, {"op":"assign",...} an
 * address, {"op":"release"}.
 */
import { constants } from 'node:fs';
import { mkdir, open, readFile, rename, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tryParseAddress } from 'node-bgp/address';
import type { Loan } from './block-store.js';
import { isKeep, isKept, type Keep, type Kept } from './kept.js';

/** One interface of one sandbox in one network: what the CNI specification calls an attachment. */
export interface Attachment {
  /** The `name` of the network configuration. */
  readonly network: string;
  readonly containerId: string;
  /** The name inside the sandbox. */
  readonly interfaceName: string;
}

/** Who holds an address. */
export interface Owner extends Attachment {
  readonly namespace: string;
  readonly pod: string;
  /** The pod object's `metadata.uid`: which of the pods that have had this name. Absent in journals of before. */
  readonly uid?: string;
  /** Host side of its veth, where that is not the name which follows from pod and interface. */
  readonly hostInterface?: string;
  /** Path of the sandbox's network namespace. Absent in journals of before. */
  readonly netns?: string;
  /** Bytes; absent where the kernel's default was taken. */
  readonly mtu?: number;
  /** Ports of the node that lead to it, as the runtime asked. */
  readonly hostPorts?: readonly OwnerHostPort[];
  /** Its addresses stay for its successor. */
  readonly keep?: Keep;
}

export interface OwnerHostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly hostPort: number;
  readonly containerPort: number;
  /** Absent: every address of the node. */
  readonly hostIP?: string;
}

/** Journals of before there were several networks do not name theirs. */
const FIRST_NETWORK = 'tortie';

export type JournalEntry =
  | { readonly op: 'block'; readonly cidr: string; readonly pool: string }
  | { readonly op: 'unblock'; readonly cidr: string }
  /** All that is for others of a block of ours. */
  | {
      readonly op: 'lend';
      readonly cidr: string;
      readonly offers: readonly string[];
      readonly loans: readonly Loan[];
      readonly vacant: boolean;
      /** Absent where nothing is, and in journals of before. */
      readonly kept?: readonly Kept[];
    }
  | { readonly op: 'assign'; readonly address: string; readonly owner: Owner }
  /** `at`: milliseconds since the epoch; an address rests for a while from then on. */
  | { readonly op: 'release'; readonly address: string; readonly at: number };

export interface JournalOptions {
  /** Called for every entry of the file, oldest first. Replaying an entry twice must change nothing. */
  readonly replay: (entry: JournalEntry) => void;
  /** All entries that a fresh file would need. */
  readonly living: () => readonly JournalEntry[];
  /** A rewrite failed and the old file stays in use. */
  readonly onCompactionFailed?: (error: unknown) => void;
}

/** The file says something that no crash of ours can have written. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

/** Rewrite when this many lines are there and at most a quarter of them live. */
const COMPACT_AT_LINES = 4096;

/** A write is on disk when it has returned (open(2)). */
const APPEND = constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC;

export class Journal {
  private queue: {
    readonly text: string;
    readonly count: number;
    readonly resolve: () => void;
    readonly reject: (error: unknown) => void;
  }[] = [];
  private writing: Promise<void> | undefined;
  private failure: Error | undefined;

  private constructor(
    private readonly path: string,
    private file: FileHandle,
    private lines: number,
    private readonly options: JournalOptions,
  ) {}

  /**
   * Opens or creates the file (mode 0600).
   * @throws JournalError for damage before the last line
   */
  static async open(path: string, options: JournalOptions): Promise<Journal> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const file = await open(path, constants.O_RDWR | APPEND, 0o600);
    try {
      const bytes = await readFile(file);
      const end = bytes.lastIndexOf(0x0a) + 1;
      const texts = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1);
      for (const [index, text] of texts.entries()) options.replay(parseEntry(text, path, index + 1));
      await file.truncate(end);
      await file.datasync();
      await syncDirectory(dirname(path));
      const journal = new Journal(path, file, texts.length, options);
      if (journal.isMostlyDead()) await journal.compactOrKeep();
      return journal;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Resolves once the entries are on disk. After a failed write every later append fails: what is on disk is unknown. */
  append(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) return reject(this.failure);
      this.queue.push({
        text: entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''),
        count: entries.length,
        resolve,
        reject,
      });
      this.writing ??= this.drain();
    });
  }

  async close(): Promise<void> {
    await this.writing;
    await this.file.close();
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0) {
      const batch = this.queue;
      this.queue = [];
      try {
        await writeWhole(this.file, batch.map((item) => item.text).join(''));
      } catch (error) {
        this.failure = new JournalError(
          `Cannot write journal "${this.path}": ${error instanceof Error ? error.message : String(error)}`,
          { cause: error },
        );
        for (const item of [...batch, ...this.queue]) item.reject(this.failure);
        this.queue = [];
        break;
      }
      for (const item of batch) item.resolve();
      this.lines += batch.reduce((sum, item) => sum + item.count, 0);
      if (this.queue.length === 0 && this.isMostlyDead()) await this.compactOrKeep();
    }
    this.writing = undefined;
  }

  /** A compaction that fails costs nothing but space: the old file is still whole. */
  private async compactOrKeep(): Promise<void> {
    try {
      await this.compact();
    } catch (error) {
      this.lines = 0; // Try again only after as many new lines.
      this.options.onCompactionFailed?.(error);
    }
  }

  private isMostlyDead(): boolean {
    return this.lines >= COMPACT_AT_LINES && this.options.living().length * 4 <= this.lines;
  }

  private async compact(): Promise<void> {
    const entries = this.options.living();
    const fresh = `${this.path}.new`;
    const file = await open(fresh, constants.O_WRONLY | constants.O_TRUNC | APPEND, 0o600);
    try {
      await writeWhole(file, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      await rename(fresh, this.path);
      await syncDirectory(dirname(this.path));
    } catch (error) {
      await file.close();
      throw error;
    }
    await this.file.close();
    this.file = file;
    this.lines = entries.length;
  }
}

/** A full disk takes a part of a write, and says so only at the next. */
async function writeWhole(file: FileHandle, text: string): Promise<void> {
  const bytes = Buffer.from(text, 'utf8');
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function parseEntry(text: string, path: string, line: number): JournalEntry {
  const damaged = (why: string): JournalError => new JournalError(`Cannot read journal "${path}": line ${line} ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged('is not JSON');
  }
  if (!isEntry(value)) throw damaged('is not a block, unblock, lend, assign or release entry');
  return value.op === 'assign'
    ? { ...value, owner: { ...value.owner, network: value.owner.network ?? FIRST_NETWORK } }
    : value;
}

type WrittenOwner = Omit<Owner, 'network'> & { readonly network?: string };
type WrittenEntry =
  | Exclude<JournalEntry, { readonly op: 'assign' }>
  | { readonly op: 'assign'; readonly address: string; readonly owner: WrittenOwner };

function isEntry(value: unknown): value is WrittenEntry {
  if (typeof value !== 'object' || value === null) return false;
  const entry = value as Record<string, unknown>;
  switch (entry['op']) {
    case 'block':
      return typeof entry['cidr'] === 'string' && typeof entry['pool'] === 'string';
    case 'unblock':
      return typeof entry['cidr'] === 'string';
    case 'lend':
      return (
        typeof entry['cidr'] === 'string' &&
        typeof entry['vacant'] === 'boolean' &&
        isListOf(entry['offers'], (each) => tryParseAddress(String(each)) !== undefined) &&
        isListOf(entry['loans'], isLoan) &&
        (entry['kept'] === undefined || isListOf(entry['kept'], isKept))
      );
    case 'assign':
      return typeof entry['address'] === 'string' && isOwner(entry['owner']);
    case 'release':
      return typeof entry['address'] === 'string' && typeof entry['at'] === 'number';
    default:
      return false;
  }
}

const isListOf = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isItem);

function isLoan(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { address, node } = value as Record<string, unknown>;
  return typeof node === 'string' && tryParseAddress(String(address)) !== undefined;
}

function isOwner(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const owner = value as Record<string, unknown>;
  const isOptionalText = (key: string): boolean => owner[key] === undefined || typeof owner[key] === 'string';
  return (
    ['containerId', 'interfaceName', 'namespace', 'pod'].every((key) => typeof owner[key] === 'string') &&
    ['network', 'uid', 'hostInterface', 'netns'].every(isOptionalText) &&
    (owner['mtu'] === undefined || typeof owner['mtu'] === 'number') &&
    (owner['keep'] === undefined || isKeep(owner['keep'])) &&
    (owner['hostPorts'] === undefined || isListOf(owner['hostPorts'], isHostPort))
  );
}

function isHostPort(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { protocol, hostPort, containerPort, hostIP } = value as Record<string, unknown>;
  return (
    ['tcp', 'udp', 'sctp'].includes(String(protocol)) &&
    typeof hostPort === 'number' &&
    typeof containerPort === 'number' &&
    (hostIP === undefined || tryParseAddress(String(hostIP)) !== undefined)
  );
}
