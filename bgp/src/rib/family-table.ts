/**
 * Everything the RIB knows about the prefixes of one family: the paths of each, which of them is best (Loc-RIB), and the log of
 * changes that the readers (update groups, forwarding) follow.
 *
 * A prefix keeps its number as long as it has a path, stands in the log, or a reader that lost its place in the log may still have to
 * take it back (`mayForget`).
 */
import type { Family } from '../address.js';
import { ChangeLog } from './change-log.js';
import type { PeerId } from './rib-peer.js';
import { PathTable, type PathId } from './path-table.js';
import { grown, PrefixTable, type PrefixId } from './prefix-table.js';

/** Small, so that the rehearsal at start (speaker/warm-up.ts) meets the growth too; fourfold steps make the way up short. */
const FIRST_CAPACITY = 1 << 9;

export class FamilyTable {
  readonly family: Family;
  readonly prefixes: PrefixTable;
  readonly paths = new PathTable();
  readonly log: ChangeLog;
  /** First path of the chain; 0: none. */
  head: Uint32Array;
  /** Best path; 0: none. */
  best: Uint32Array;
  /** Tags of prefixes of our own. BOUNDED by what we originate. */
  readonly tags = new Map<PrefixId, readonly string[]>();
  /** Prefixes of our own that an aggregate stands for. BOUNDED by what we originate. */
  readonly suppressed = new Set<PrefixId>();
  /** Prefixes with a best path. */
  bestCount = 0;
  /** Set while some reader walks the table instead of following the log. */
  mayForget: (prefix: PrefixId) => boolean = () => true;

  constructor(family: Family, patience?: number) {
    this.family = family;
    this.log = new ChangeLog(patience);
    this.prefixes = new PrefixTable(family, FIRST_CAPACITY);
    this.head = new Uint32Array(this.prefixes.capacity);
    this.best = new Uint32Array(this.prefixes.capacity);
  }

  /** Number of a prefix, new or known. */
  intern(key: Uint32Array, at: number, length: number): PrefixId {
    const id = this.prefixes.intern(key, at, length);
    if (id >= this.head.length) {
      this.head = grown(this.head, this.prefixes.capacity);
      this.best = grown(this.best, this.prefixes.capacity);
    }
    return id;
  }

  /** The peer's path to a prefix with this identifier; 0: none. */
  findPath(prefix: PrefixId, peer: PeerId, identifier: number): PathId {
    const paths = this.paths;
    for (let path = this.head[prefix] as number; path !== 0; path = paths.next[path] as number)
      if (paths.peer[path] === peer && paths.identifier[path] === identifier) return path;
    return 0;
  }

  addPath(prefix: PrefixId, peer: PeerId, identifier: number): PathId {
    const path = this.paths.add(prefix, peer, identifier, this.head[prefix] as number);
    this.head[prefix] = path;
    return path;
  }

  removePath(path: PathId): void {
    const paths = this.paths;
    const prefix = paths.prefix[path] as number;
    const next = paths.next[path] as number;
    let at = this.head[prefix] as number;
    if (at === path) this.head[prefix] = next;
    else {
      while (paths.next[at] !== path) at = paths.next[at] as number;
      paths.next[at] = next;
    }
    paths.remove(path);
  }

  setBest(prefix: PrefixId, path: PathId): void {
    const old = this.best[prefix] as number;
    if (old === 0 && path !== 0) this.bestCount++;
    else if (old !== 0 && path === 0) this.bestCount--;
    this.best[prefix] = path;
  }

  /** Forgets a prefix that nothing refers to any more. */
  forget(prefix: PrefixId): void {
    if (this.head[prefix] === 0 && this.mayForget(prefix)) this.prefixes.remove(prefix);
  }

  trimLog(limit: number): void {
    this.log.trim(limit, (prefix) => this.forget(prefix));
  }
}
