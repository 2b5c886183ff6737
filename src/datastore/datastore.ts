/**
 * Where resources live, as the rest of Tortie sees it: watch a kind, and a handful of writes.
 *
 * Adapters: Kubernetes (kubernetes-datastore.ts); tables without a server that knows Kubernetes (table-datastore.ts): Redis and
 * directories. open-datastore.ts picks one by its URL. All speak in the types of ../api; a sink hears of every object once, then of
 * every change, and after `firstListDone` has the whole. Adapters survive the loss of their server by themselves and never send
 * a sink half a list.
 */
import type { KindName, ObjectOf, ResourceKind } from '../api/kinds.js';
import type { IPAMBlock } from '../api/ipam.js';
import type { Condition, KubeObject } from '../api/meta.js';
import type { IpPrefix } from 'node-bgp/address';

export interface WatchSink<K extends KindName> {
  upsert(kind: K, object: ObjectOf[K]): void;
  delete(kind: K, object: ObjectOf[K]): void;
  /** All objects of the first list have been delivered. Called once. */
  firstListDone(kind: K): void;
  /** The connection to this kind's source changed; `problem` is absent when it is well. */
  health(kind: K, problem: string | undefined): void;
}

export interface WatchOptions {
  readonly namespace?: string;
  /** "spec.nodeName=node1". */
  readonly fieldSelector?: string;
  /** What to keep of an object: asked once for each version of it, before anybody sees it. */
  readonly keep?: (object: KubeObject) => KubeObject;
  /** Looks on, for people who ask afterwards. */
  readonly observer?: WatchObserver;
}

/** Hears of objects as they are served, whatever becomes of them behind the sink. */
export interface WatchObserver {
  /** Each version as the server has it, before anything is cut off and before `changed` tells of it. */
  seen(object: KubeObject): void;
  /** As it is kept, just before the sink hears of it. `before`: the one that it replaces; `isFirstList`: it may be years old. */
  changed(change: {
    readonly type: 'upsert' | 'delete';
    readonly object: KubeObject;
    readonly before?: KubeObject;
    readonly isFirstList: boolean;
  }): void;
}

export interface Watch {
  stop(): void;
}

/** The server understood and said no. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  /** @param status HTTP status; @param reason Kubernetes' machine-readable word, "AlreadyExists". */
  constructor(
    message: string,
    readonly status: number,
    readonly reason: string,
  ) {
    super(message);
  }
}

export interface Datastore {
  watch<K extends KindName>(kind: K, sink: WatchSink<K>, options?: WatchOptions): Watch;
  list<K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]>;
  /** Undefined when there is none. */
  get<K extends KindName>(kind: K, name: string, namespace?: string): Promise<ObjectOf[K] | undefined>;
  /**
   * `isReassertion`: it was there all the time, and only the datastore has forgotten; see object-table.ts.
   * @throws ApiError 409 AlreadyExists
   */
  create<K extends KindName>(
    kind: K,
    object: ObjectOf[K],
    options?: { readonly isReassertion?: boolean },
  ): Promise<ObjectOf[K]>;
  /** Replaces the status of an object that is at its resourceVersion still. @throws ApiError 409 Conflict */
  replaceStatus<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]>;
  /** Replaces an object that is at its resourceVersion still. @throws ApiError 409 Conflict */
  replace<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]>;
  /**
   * Server-side apply of a status: `status` is all that `manager` says of it; what it said before and no longer does goes. Undefined:
   * it says nothing any more.
   * @throws ApiError 404 when there is no such object, or its kind has no status
   */
  applyStatus<K extends KindName>(
    kind: K,
    object: { readonly name: string; readonly namespace?: string },
    status: { readonly conditions: readonly Condition[] } | undefined,
    manager: string,
  ): Promise<ObjectOf[K]>;
  /**
   * No error when it is gone already. `uid`: only that incarnation; `resourceVersion`: only as it is now.
   * @throws ApiError 409 Conflict
   */
  delete<K extends KindName>(
    kind: K,
    name: string,
    options?: { readonly namespace?: string; readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<void>;
  /**
   * An object of a kind that is none of ours, where such are kept; undefined when there is none, or no such kind.
   * @throws ApiError
   */
  readonly getForeign?: (kind: ResourceKind, name: string, namespace: string) => Promise<KubeObject | undefined>;
  /** Makes a connection of its own to the server, and ends it: one that stands may go on where no other can be made. @throws Error */
  readonly dial?: () => Promise<void>;
  /** Where the datastore sees to it that no two blocks overlap: finds a free one and claims it, in one step. */
  readonly claimFreeBlock?: (request: FreeBlockRequest) => Promise<IpPrefix | undefined>;
}

export interface FreeBlockRequest {
  /** The pool's. */
  readonly range: IpPrefix;
  readonly blockLength: number;
  /** Which block to try first; then the next ones, once around. */
  readonly start: IpPrefix;
  /** Not these, whatever the datastore says. */
  readonly held: readonly IpPrefix[];
  /** The object that claims a block. */
  readonly blockOf: (block: IpPrefix) => IPAMBlock;
}

/** One that `tortie apply` can write to as well. */
export interface ObjectStore extends Datastore {
  /** Server-side apply, by force: `object` is all that `manager` says of it. @throws ApiError with every faulty field */
  apply<K extends KindName>(
    kind: K,
    object: ObjectOf[K],
    manager: string,
    /** `isDryRun`: answers what would stand, and writes nothing. */
    options?: { readonly isDryRun?: boolean },
  ): Promise<ObjectOf[K]>;
  close(): Promise<void>;
}
