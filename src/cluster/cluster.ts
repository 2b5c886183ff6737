/**
 * The node's copy of the cluster: the last known objects of every watched kind, and whether the first lists are complete.
 *
 * A reducer of watch events with listeners, nothing more: no I/O, no clock. When the API server is away the copy stays as it was;
 * `problems` says which kinds are cut off. Kinds that not every node needs (`laterKinds`, on-demand-watch.ts) are empty until somebody
 * watches them, and nobody waits for them.
 */
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { WatchSink } from '../datastore/datastore.js';

export type ClusterChange = {
  [K in KindName]: {
    readonly type: 'upsert' | 'delete';
    readonly kind: K;
    readonly object: ObjectOf[K];
    /** Nothing but the status (and the version) is new: somebody wrote conditions. */
    readonly isStatusOnly?: boolean;
  };
}[KindName];

export const objectKey = (namespace: string | undefined, name: string): string =>
  namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;
const keyOf = (object: KubeObject): string => objectKey(object.metadata.namespace, object.metadata.name);

export class Cluster implements WatchSink<KindName> {
  private readonly objects = new Map<KindName, Map<string, ObjectOf[KindName]>>();
  private readonly waiting: Set<KindName>;
  private readonly ailing = new Map<KindName, string>();
  private readonly listeners: ((change: ClusterChange) => void)[] = [];
  private readonly healthListeners: (() => void)[] = [];
  /** Callers of nextChange. BOUNDED by the CNI calls under way; emptied by every change. */
  private awaiting: (() => void)[] = [];
  private resolveSynced: () => void = () => {};
  /** Resolves once every kind has delivered its first list. */
  readonly synced: Promise<void>;

  private readonly listedListeners: ((kind: KindName) => void)[] = [];
  private readonly listed = new Set<KindName>();

  constructor(
    readonly kinds: readonly KindName[],
    laterKinds: readonly KindName[] = [],
  ) {
    this.waiting = new Set(kinds);
    for (const kind of [...kinds, ...laterKinds]) this.objects.set(kind, new Map());
    this.synced = new Promise((resolve) => (this.resolveSynced = resolve));
  }

  /** Objects of a kind by "namespace/name" or "name". */
  all<K extends KindName>(kind: K): ReadonlyMap<string, ObjectOf[K]> {
    const objects = this.objects.get(kind);
    if (objects === undefined) throw new Error(`Kind ${kind} is not watched`);
    return objects as Map<string, ObjectOf[K]>;
  }

  get<K extends KindName>(kind: K, name: string, namespace?: string): ObjectOf[K] | undefined {
    return this.all(kind).get(objectKey(namespace, name));
  }

  /** Called in order, after the copy has changed. */
  onChange(listener: (change: ClusterChange) => void): void {
    this.listeners.push(listener);
  }

  onHealth(listener: () => void): void {
    this.healthListeners.push(listener);
  }

  /** Resolves at the next change, or after so many milliseconds. */
  nextChange(timeout: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeout);
      this.awaiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Kinds whose source cannot be read now, and why. */
  problems(): ReadonlyMap<KindName, string> {
    return this.ailing;
  }

  /** Kinds whose first list is still missing. */
  missing(): readonly KindName[] {
    return [...this.waiting];
  }

  upsert<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    const key = keyOf(object);
    const before = this.objects.get(kind)?.get(key);
    this.objects.get(kind)?.set(key, object);
    const isStatusOnly = before !== undefined && isSameButStatus(before, object);
    this.tell({ type: 'upsert', kind, object, ...(isStatusOnly ? { isStatusOnly } : {}) } as ClusterChange);
  }

  delete<K extends KindName>(kind: K, object: ObjectOf[K]): void {
    this.objects.get(kind)?.delete(keyOf(object));
    this.tell({ type: 'delete', kind, object } as ClusterChange);
  }

  /** Is all of this kind here? */
  isListed(kind: KindName): boolean {
    return this.listed.has(kind);
  }

  /** Called once for each kind, when its first list is complete. */
  onListed(listener: (kind: KindName) => void): void {
    this.listedListeners.push(listener);
  }

  firstListDone(kind: KindName): void {
    this.listed.add(kind);
    for (const listener of this.listedListeners) listener(kind);
    if (this.waiting.delete(kind) && this.waiting.size === 0) this.resolveSynced();
  }

  health(kind: KindName, problem: string | undefined): void {
    if (this.ailing.get(kind) === problem) return;
    if (problem === undefined) this.ailing.delete(kind);
    else this.ailing.set(kind, problem);
    for (const listener of this.healthListeners) listener();
  }

  private tell(change: ClusterChange): void {
    for (const listener of this.listeners) listener(change);
    const awaiting = this.awaiting;
    this.awaiting = [];
    for (const wake of awaiting) wake();
  }
}

/** Where the server counts generations, an equal one means an equal spec; labels and annotations are not counted. */
const isSameButStatus = ({ metadata: before }: KubeObject, { metadata: after }: KubeObject): boolean =>
  after.generation !== undefined &&
  before.generation === after.generation &&
  before.uid === after.uid &&
  before.deletionTimestamp === after.deletionTimestamp &&
  JSON.stringify([before.labels, before.annotations]) === JSON.stringify([after.labels, after.annotations]);
