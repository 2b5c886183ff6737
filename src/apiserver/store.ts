/**
 * The objects, in memory: one bucket per resource, one revision counter for all, and a bounded history of events per
 * bucket from which watches resume.
 *
 * A commit is synchronous and tells its listeners before it returns, so a watcher's line is on its socket within the
 * request that caused it. Objects are never changed in place; each version is serialised at most once, and lists and
 * watches share that text.
 */
import type { JsonObject } from './json.js';
import { nameOf, namespaceOf, withVersion, type ApiObject } from './object.js';

/** One version of one object. */
export class Entry {
  #text: string | undefined;

  constructor(
    readonly key: string,
    readonly object: ApiObject,
    readonly revision: number,
    text?: string,
  ) {
    this.#text = text;
  }

  /** The object as JSON. */
  get text(): string {
    return (this.#text ??= JSON.stringify(this.object));
  }
}

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly revision: number;
  /** The new version; of a deletion the last one, with the deletion's revision. */
  readonly entry: Entry;
  readonly previous: Entry | undefined;
}

export type StoreListener = (event: StoreEvent) => void;

/** How many events a bucket remembers by default. A client that is further behind lists again (410). */
const HISTORY_LENGTH = 10_000;

interface Bucket {
  readonly entries: Map<string, Entry>;
  /** Keys in order; undefined after a key came or went. */
  order: string[] | undefined;
  /** BOUNDED by the store's history length; the oldest leave first. */
  readonly history: StoreEvent[];
  /** Events up to this revision are no longer all in `history`. */
  forgottenUpTo: number;
  readonly listeners: Set<StoreListener>;
}

export class Store {
  readonly #buckets = new Map<string, Bucket>();
  readonly #everywhere = new Set<(bucket: string, event: StoreEvent) => void>();
  readonly #historyLength: number;
  readonly #firstRevision: number;
  #revision: number;

  /**
   * @param options.firstRevision above zero, which has a meaning of its own. A server that starts from the clock is ahead of
   * every revision its predecessor gave out, so clients of that one are told 410 and list again.
   */
  constructor(options: { readonly historyLength?: number; readonly firstRevision?: number } = {}) {
    this.#historyLength = options.historyLength ?? HISTORY_LENGTH;
    this.#firstRevision = options.firstRevision ?? 1;
    this.#revision = this.#firstRevision;
  }

  get revision(): number {
    return this.#revision;
  }

  get(bucket: string, key: string): Entry | undefined {
    return this.#buckets.get(bucket)?.entries.get(key);
  }

  size(bucket: string): number {
    return this.#buckets.get(bucket)?.entries.size ?? 0;
  }

  /** Entries in the order of their keys, of one namespace or all. */
  list(bucket: string, namespace?: string): readonly Entry[] {
    const found = this.#buckets.get(bucket);
    if (found === undefined) return [];
    found.order ??= [...found.entries.keys()].sort();
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    const entries: Entry[] = [];
    for (const key of found.order) {
      const entry = key.startsWith(prefix) ? found.entries.get(key) : undefined;
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** As `list`, but as things stood at an earlier revision: what came since is undone. 'expired' when that is forgotten. */
  listAt(bucket: string, revision: number, namespace?: string): readonly Entry[] | 'expired' {
    const events = this.since(bucket, revision);
    if (events === 'expired') return 'expired';
    if (events.length === 0) return this.list(bucket, namespace);
    const byKey = new Map(this.list(bucket).map((entry) => [entry.key, entry]));
    for (const event of events.toReversed()) {
      if (event.previous === undefined) byKey.delete(event.entry.key);
      else byKey.set(event.entry.key, event.previous);
    }
    const prefix = namespace === undefined ? '' : `${namespace}/`;
    return [...byKey]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, entry]) => entry);
  }

  /** Names of all buckets that hold something. */
  buckets(): readonly string[] {
    return [...this.#buckets].filter(([, bucket]) => bucket.entries.size > 0).map(([name]) => name);
  }

  /** Stores a new version under the next revision. The caller has checked that the old one is what it saw. */
  write(bucketName: string, key: string, object: ApiObject): Entry {
    const bucket = this.#bucket(bucketName);
    const previous = bucket.entries.get(key);
    const entry = this.#nextEntry(key, object);
    bucket.entries.set(key, entry);
    if (previous === undefined) bucket.order = undefined;
    this.#publish(bucketName, bucket, {
      type: previous === undefined ? 'ADDED' : 'MODIFIED',
      revision: entry.revision,
      entry,
      previous,
    });
    return entry;
  }

  /** An object that is kept elsewhere, as it is there: its revision stays, and nobody is told. */
  place(bucketName: string, entry: Entry): void {
    const bucket = this.#bucket(bucketName);
    bucket.entries.set(entry.key, entry);
    bucket.order = undefined;
  }

  remove(bucketName: string, key: string): Entry | undefined {
    const bucket = this.#bucket(bucketName);
    const previous = bucket.entries.get(key);
    if (previous === undefined) return undefined;
    bucket.entries.delete(key);
    bucket.order = undefined;
    const entry = this.#nextEntry(key, previous.object);
    this.#publish(bucketName, bucket, { type: 'DELETED', revision: entry.revision, entry, previous });
    return entry;
  }

  /** Events after `revision`, oldest first; 'expired' when some of them are forgotten. */
  since(bucketName: string, revision: number): readonly StoreEvent[] | 'expired' {
    const bucket = this.#bucket(bucketName);
    if (revision < bucket.forgottenUpTo) return 'expired';
    const start = bucket.history.findIndex((event) => event.revision > revision);
    return start < 0 ? [] : bucket.history.slice(start);
  }

  /** As `listen`, for all buckets; after the bucket's own listeners. */
  listenToAll(listener: (bucket: string, event: StoreEvent) => void): () => void {
    this.#everywhere.add(listener);
    return () => void this.#everywhere.delete(listener);
  }

  /** Calls `listener` for every later event until the returned function is called. */
  listen(bucketName: string, listener: StoreListener): () => void {
    const { listeners } = this.#bucket(bucketName);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  #nextEntry(key: string, object: JsonObject): Entry {
    this.#revision += 1;
    // Objects made by JSON.parse share their shapes: a third of the memory of those that requests are put together from.
    const text = JSON.stringify(withVersion(object, this.#revision));
    return new Entry(key, JSON.parse(text) as ApiObject, this.#revision, text);
  }

  #publish(name: string, bucket: Bucket, event: StoreEvent): void {
    bucket.history.push(event);
    // Cut in one go when a quarter too long: shift() per event would move the whole array each time.
    if (bucket.history.length > this.#historyLength * 1.25) {
      const dropped = bucket.history.splice(0, bucket.history.length - this.#historyLength);
      bucket.forgottenUpTo = dropped.at(-1)?.revision ?? bucket.forgottenUpTo;
    }
    for (const listener of [...bucket.listeners]) listener(event);
    for (const listener of [...this.#everywhere]) listener(name, event);
  }

  #bucket(name: string): Bucket {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = {
        entries: new Map(),
        order: undefined,
        history: [],
        forgottenUpTo: this.#firstRevision,
        listeners: new Set(),
      };
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }
}

/** "namespace/name", or "name" of a cluster-scoped object. */
export const keyOf = (namespace: string | undefined, name: string): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

export const keyOfObject = (object: ApiObject, namespaced: boolean): string =>
  keyOf(namespaced ? namespaceOf(object) : undefined, nameOf(object));
