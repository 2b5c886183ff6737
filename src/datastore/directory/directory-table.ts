/**
 * A table of objects in a directory of one host: a file for each, so that `ls` and `cat` show what there is.
 *
 *   DIRECTORY/objects/BUCKET/[NAMESPACE/]NAME.json    {"revision": N, "object": {...}}
 *   DIRECTORY/revision                                the last that was given out, on the disk before the object that has it
 *   DIRECTORY/lock                                    flock(2): one writer at a time
 *
 * Every file is written aside, flushed and renamed: a reader sees the one or the other, a crash leaves one of both. Not for a directory
 * that several hosts mount: their locks and their caches do not know of each other.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, watch, type FSWatcher } from 'node:fs';
import { dirname, join } from 'node:path';
import { TakenBlocks } from '@tortie/ipam';
import { addressAt, prefixOf, prefixesOverlap, sizeOf, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { isObject, textAt, type Json, type JsonObject } from '../../apiserver/json.js';
import { nameOf } from '../../apiserver/object.js';
import { messageOf, UserError } from '../../errors.js';
import { withFileLock } from '../../file-lock.js';
import { replaceFile, syncDirectory } from '../../replace-file.js';
import {
  BLOCKS,
  type Commit,
  type CommitOutcome,
  type FreeBlockClaim,
  type ObjectTable,
  type StoredObject,
  type TableListener,
} from '../object-table.js';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Whoever holds the lock writes two files. */
const LOCK_PATIENCE = 10_000;
/** Should the kernel's notice be lost. */
const LOOK_AGAIN = 5_000;
const EXTENSION = '.json';

export class DirectoryTable implements ObjectTable {
  /** BOUNDED by the kinds there are. */
  private readonly watches = new Set<() => void>();
  private watcher: FSWatcher | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isLookDue = false;

  private constructor(private readonly root: string) {}

  /** Makes the directory if need be. @throws UserError */
  static open(root: string): DirectoryTable {
    try {
      mkdirSync(join(root, 'objects'), { recursive: true, mode: FOLDER_MODE });
      if ((statSync(root).mode & 0o022) !== 0) throw new Error('others may write to it; expected mode 0700');
      return new DirectoryTable(root);
    } catch (error) {
      throw new UserError(`Cannot use the directory "${root}" as a datastore: ${messageOf(error)}`, 1, {
        cause: error,
      });
    }
  }

  async get(bucket: string, key: string): Promise<StoredObject | undefined> {
    return this.read(bucket, key);
  }

  async list(bucket: string): Promise<readonly StoredObject[]> {
    return this.readAll(bucket);
  }

  commit(commit: Commit): Promise<CommitOutcome> {
    return this.locked(() => this.swap(commit));
  }

  claimFreeBlock(claim: FreeBlockClaim): Promise<IpPrefix | undefined> {
    const { bucket, range, blockLength, start, held, objectOf } = claim;
    return this.locked(() => {
      const taken = new TakenBlocks([...held, ...this.blocks().map(({ block }) => block)]);
      const size = sizeOf({ ...range, length: blockLength });
      const count = 1n << BigInt(blockLength - range.length);
      const first = (start.value - range.value) / size;
      for (let index = 0n; index < count; index++) {
        const block = prefixOf(addressAt(range, ((first + index) % count) * size), blockLength);
        if (taken.overlaps(block)) continue;
        const object = objectOf(block);
        this.put(bucket, nameOf(object), object);
        return block;
      }
      return undefined;
    });
  }

  watch(bucket: string, listener: TableListener): () => void {
    let last = '';
    const look = (): void => {
      if (!this.watches.has(look)) return;
      try {
        const objects = this.readAll(bucket);
        const versions = objects.map(({ key, revision }) => `${key} ${revision}`).join();
        if (last !== `:${versions}`) listener.listed(objects, false);
        last = `:${versions}`;
        listener.health(undefined);
      } catch (error) {
        listener.health(`Cannot read "${this.root}": ${messageOf(error)}`);
      }
    };
    this.watches.add(look);
    this.startWatching();
    setImmediate(look);
    return () => {
      this.watches.delete(look);
      if (this.watches.size === 0) this.stopWatching();
    };
  }

  async close(): Promise<void> {
    this.watches.clear();
    this.stopWatching();
  }

  private startWatching(): void {
    if (this.timer !== undefined) return;
    // Every write renames a new revision into place.
    this.watcher = watch(this.root, () => this.lookSoon());
    this.watcher.on('error', () => this.lookSoon());
    this.timer = setInterval(() => this.lookSoon(), LOOK_AGAIN);
  }

  private stopWatching(): void {
    this.watcher?.close();
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private lookSoon(): void {
    if (this.isLookDue) return;
    this.isLookDue = true;
    // The object follows its revision.
    setTimeout(() => {
      this.isLookDue = false;
      for (const look of this.watches) look();
    }, 20).unref();
  }

  private locked<T>(work: () => T): Promise<T> {
    return withFileLock(join(this.root, 'lock'), LOCK_PATIENCE, work);
  }

  private swap({ bucket, key, before, object, block }: Commit): CommitOutcome {
    if ((this.read(bucket, key)?.revision ?? 0) !== before) return { type: 'changed' };
    const other =
      block && this.blocks().find(({ key: name, block: each }) => name !== key && prefixesOverlap(each, block));
    if (other !== undefined) return { type: 'overlaps', block: other.key };
    return { type: 'done', revision: object === undefined ? this.remove(bucket, key) : this.put(bucket, key, object) };
  }

  private put(bucket: string, key: string, object: JsonObject): number {
    const revision = this.nextRevision();
    const path = this.pathOf(bucket, key);
    replaceFile(path, Buffer.from(`${JSON.stringify({ revision, object })}\n`), FILE_MODE, FOLDER_MODE);
    return revision;
  }

  private remove(bucket: string, key: string): number {
    const revision = this.nextRevision();
    const path = this.pathOf(bucket, key);
    rmSync(path, { force: true });
    syncDirectory(dirname(path));
    return revision;
  }

  /** Never one that was given out before, even to an object that was never written. */
  private nextRevision(): number {
    const path = join(this.root, 'revision');
    const revision = Number(textOf(path) ?? '0') + 1;
    if (!Number.isSafeInteger(revision)) throw new Error(`"${path}" holds no whole number`);
    replaceFile(path, Buffer.from(`${revision}\n`), FILE_MODE);
    return revision;
  }

  private blocks(): readonly { readonly key: string; readonly block: IpPrefix }[] {
    return this.readAll(BLOCKS).flatMap(({ key, object }) => {
      const block = tryParsePrefix(textAt(object, 'spec', 'cidr') ?? '');
      return block === undefined ? [] : [{ key, block }];
    });
  }

  private readAll(bucket: string): readonly StoredObject[] {
    const folder = join(this.root, 'objects', bucket);
    const names = statSync(folder, { throwIfNoEntry: false })
      ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
      : [];
    return names
      .filter((name) => name.endsWith(EXTENSION) && !/(^|\/)\./.test(name))
      .sort()
      .map((name) => this.read(bucket, name.slice(0, -EXTENSION.length)))
      .filter((stored) => stored !== undefined);
  }

  private read(bucket: string, key: string): StoredObject | undefined {
    const path = this.pathOf(bucket, key);
    const text = textOf(path);
    if (text === undefined) return undefined;
    try {
      const value = JSON.parse(text) as Json;
      const { revision, object } = isObject(value) ? value : {};
      if (typeof revision !== 'number' || object === undefined || !isObject(object))
        throw new Error('expected an object and its revision');
      return { key, object, revision };
    } catch (error) {
      throw new Error(`Cannot read "${path}": ${messageOf(error)}`, { cause: error });
    }
  }

  /** Names are the API's: no dots at their ends, no slashes; a namespace is one folder. */
  private pathOf(bucket: string, key: string): string {
    if (!/^[a-z0-9][a-z0-9.:-]*(\/[a-z0-9][a-z0-9.:-]*)?$/i.test(key))
      throw new Error(`"${key}" is no name of an object`);
    return join(this.root, 'objects', bucket, `${key}${EXTENSION}`);
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
