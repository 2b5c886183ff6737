/**
 * Objects on a server or a disk that knows nothing of Kubernetes: they are read, swapped one at a time by the revision that they had,
 * and watched. Which objects may be written is said above it (table-datastore.ts); that no two blocks of addresses overlap is said
 * here, for only here can it be seen in the moment of the write.
 *
 * Implementations: Redis and Valkey (redis/), a directory (directory/).
 */
import type { IpPrefix } from 'node-bgp/address';
import type { JsonObject } from '../apiserver/json.js';

/** Where blocks of addresses are. */
export const BLOCKS = 'ipamblocks.tortie.dev';

/** An object and its revision, a whole number that grows with every write of the table and is never 0. */
export interface StoredObject {
  /** "namespace/name", or "name". */
  readonly key: string;
  readonly object: JsonObject;
  readonly revision: number;
}

export interface Commit {
  /** "pods", "ippools.projectcalico.org". */
  readonly bucket: string;
  readonly key: string;
  /** The revision that it has; 0: there is none. */
  readonly before: number;
  /** Undefined: it goes. */
  readonly object: JsonObject | undefined;
  /** The addresses of a block that is written; of two that share one the second is refused. */
  readonly block?: IpPrefix;
  /** Its node has had the block all the time: it need not wait until others have said so of theirs. */
  readonly isReassertion?: boolean;
}

export type CommitOutcome =
  | { readonly type: 'done'; readonly revision: number }
  /** It has another revision. */
  | { readonly type: 'changed' }
  /** Names the block that is there. */
  | { readonly type: 'overlaps'; readonly block: string };

/** A free block of a range is looked for, from `start` once around, and written in the same moment. */
export interface FreeBlockClaim {
  readonly bucket: string;
  readonly range: IpPrefix;
  readonly blockLength: number;
  readonly start: IpPrefix;
  /** Not these, whatever the table says. */
  readonly held: readonly IpPrefix[];
  /** The object that is written for a block; only name and CIDR may differ from one to another. */
  readonly objectOf: (block: IpPrefix) => JsonObject;
}

export interface TableListener {
  /** All there is. `isOtherHistory`: what had a revision before may be something else now. */
  readonly listed: (objects: readonly StoredObject[], isOtherHistory: boolean) => void;
  readonly changed: (type: 'written' | 'removed', object: StoredObject) => void;
  /** Undefined: it is well. */
  readonly health: (problem: string | undefined) => void;
}

export interface ObjectTable {
  get(bucket: string, key: string): Promise<StoredObject | undefined>;
  list(bucket: string): Promise<readonly StoredObject[]>;
  commit(commit: Commit): Promise<CommitOutcome>;
  /** Undefined: no block of the range is free. */
  claimFreeBlock(claim: FreeBlockClaim): Promise<IpPrefix | undefined>;
  /** Calls the listener until the returned function is called; after `listed` with every change in order. */
  watch(bucket: string, listener: TableListener): () => void;
  close(): Promise<void>;
}
