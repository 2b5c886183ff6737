/**
 * An update group: peers that get the same octets, their common Adj-RIB-Out of one family, and the way from Loc-RIB to it.
 *
 * The group either follows the change log or walks the whole table (a newcomer, a refresh, a group that fell too far behind). Both are the
 * same step for a prefix: compare what should be advertised with what is, and put the difference into a batch. Batches are written out
 * chain by chain (export-batch.ts) into the queue that all members read.
 *
 * A walk that is `forced` announces also what has not changed: after a ROUTE-REFRESH, or when the encoding has changed.
 */
import type { Family } from '../address.js';
import type { EncodeParameters } from '../codec/negotiated.js';
import { UpdateWriter } from '../codec/update-writer.js';
import type { AttributeSets, SetId } from './attribute-sets.js';
import type { LogReader } from './change-log.js';
import type { PeerId } from './rib-peer.js';
import type { AdjRibOut } from './adj-rib-out.js';
import type { ExportRules } from './export-rules.js';
import type { ExportBatch } from './export-batch.js';
import type { FamilyTable } from './family-table.js';
import { OutputQueue, type OutputReader } from './output-queue.js';
import { LOCAL_PEER } from './peers.js';
import type { PrefixId } from './prefix-table.js';

/** A peer's place in a group of one family. */
export interface GroupMember {
  readonly peer: PeerId;
  readonly reader: OutputReader;
  group: UpdateGroup;
  /** The owner knows that there is output; once told, it is not told again until it came and found none. */
  isTold: boolean;
}

/** A walk over all prefixes in progress. */
interface Walk {
  at: PrefixId;
  /** Announce what has not changed, too. */
  readonly isForced: boolean;
  /** Messages to send when it is done: End-of-RIB, EoRR. */
  readonly after: readonly Uint8Array[];
  /** The group lost its place in the log meanwhile: go over everything once more. */
  again: boolean;
}

/** What all groups share. */
export interface GroupContext {
  readonly table: FamilyTable;
  readonly sets: AttributeSets;
  readonly batch: ExportBatch;
}

/** Prefixes looked at per step: enough for whole chains, few enough to answer others in between. */
const BATCH = 4096;

export class UpdateGroup {
  readonly key: string;
  readonly rules: ExportRules;
  readonly members = new Map<PeerId, GroupMember>();
  readonly queue: OutputQueue;
  readonly out: AdjRibOut;
  readonly parameters: EncodeParameters;
  readonly #context: GroupContext;
  readonly #family: Family;
  readonly #log: LogReader;
  readonly #writer: UpdateWriter;
  #walk: Walk | undefined;
  /** Version of our own routes that `tellOwn` has told. */
  #ownVersion = -1;
  #wire = new Uint8Array(4096);

  constructor(key: string, rules: ExportRules, parameters: EncodeParameters, out: AdjRibOut, context: GroupContext) {
    this.key = key;
    this.rules = rules;
    this.parameters = parameters;
    this.out = out;
    this.queue = new OutputQueue(parameters.maxMessageLength);
    this.#context = context;
    this.#family = context.table.family;
    this.#log = context.table.log.subscribe();
    this.#writer = new UpdateWriter(parameters);
  }

  /** Walks the table from the start; `before` and `after` are messages to frame it. */
  startWalk(isForced: boolean, before: readonly Uint8Array[] = [], after: readonly Uint8Array[] = []): void {
    const pending = this.#walk;
    for (const message of before) this.#append(message);
    this.#context.table.log.advance(this.#log, this.#context.table.log.end);
    this.#walk = {
      at: 0,
      isForced: isForced || pending?.isForced === true,
      after: [...(pending?.after ?? []), ...after],
      again: false,
    };
  }

  /** Takes another group's place in the log: for a copy of it. */
  startFrom(other: UpdateGroup): void {
    this.#log.position = other.#log.position;
    this.#walk = other.#walk === undefined ? undefined : { ...other.#walk };
  }

  get isWalking(): boolean {
    return this.#walk !== undefined;
  }

  /** Nothing left to look at. */
  get isCurrent(): boolean {
    return this.#walk === undefined && this.#log.position === this.#context.table.log.end;
  }

  /** Its members have been told nothing that stands: a newcomer is where they are, whatever went through the queue before. */
  get hasNothing(): boolean {
    if (this.out.count > 0) return false;
    return this.#walk === undefined ? this.isCurrent : this.#walk.at === 0 && this.queue.isFresh;
  }

  /** May it still have to take back a prefix that is gone from the log? */
  remembers(prefix: PrefixId): boolean {
    return this.#walk !== undefined && this.out.has(prefix);
  }

  /** The group is empty: gives everything back. */
  dissolve(): void {
    const { table } = this.#context;
    table.log.unsubscribe(this.#log);
    const wasWalking = this.#walk !== undefined;
    this.#walk = undefined;
    this.out.clear(wasWalking ? (prefix) => this.#forget(prefix) : undefined);
  }

  /** Looks at up to `budget` prefixes; returns at how many it has. */
  step(budget: number): number {
    const limit = Math.min(budget, BATCH);
    const seen = this.#walk === undefined ? this.#follow(limit) : this.#stepWalk(this.#walk, limit);
    if (this.#context.batch.count > 0) this.#flush();
    if (this.#walk !== undefined && this.#walk.at >= this.#context.table.prefixes.end) this.#endWalk(this.#walk);
    return seen;
  }

  /**
   * Tells those of these prefixes whose best path is ours, ahead of the walk that is held: it comes to them again and finds nothing new.
   * Once for each version. BOUNDED by BATCH: the rest waits for the walk.
   */
  tellOwn(prefixes: Iterable<PrefixId>, version: number): void {
    const { table, sets, batch } = this.#context;
    this.#ownVersion = version;
    let told = 0;
    for (const prefix of prefixes) {
      const best = table.best[prefix] as number;
      if (best === 0 || sets.peer[table.paths.set[best] as SetId] !== LOCAL_PEER) continue;
      if (told++ >= BATCH) break;
      this.out.compare(prefix, this.#walk?.isForced === true, batch);
    }
    if (batch.count > 0) this.#flush();
  }

  owesOwn(version: number): boolean {
    return this.#ownVersion !== version;
  }

  /** Its place in the log is too far back to be kept: walk the table instead. */
  loseLongLog(): void {
    const { table } = this.#context;
    // Not the numbers given out: the log keeps those of prefixes that are gone, so they grow with it.
    if (!table.log.isLong(this.#log.position, table.bestCount)) return;
    if (this.#walk === undefined) this.startWalk(false);
    else {
      this.#walk.again = true;
      table.log.advance(this.#log, table.log.end);
    }
  }

  #follow(limit: number): number {
    const { table, batch } = this.#context;
    const { log } = table;
    const from = this.#log.position;
    const until = Math.min(log.end, from + limit);
    for (let position = from; position < until; position++) this.out.compare(log.at(position), false, batch);
    log.advance(this.#log, until);
    return until - from;
  }

  #stepWalk(walk: Walk, limit: number): number {
    const { table, batch } = this.#context;
    const from = walk.at;
    const until = Math.min(table.prefixes.end, from + limit);
    for (let prefix = from; prefix < until; prefix++) this.out.compare(prefix, walk.isForced, batch);
    walk.at = until;
    // The batch still needs the words of prefixes it withdraws.
    if (batch.count > 0) this.#flush();
    for (let prefix = from; prefix < until; prefix++) this.#forget(prefix);
    return until - from + 1;
  }

  #forget(prefix: PrefixId): void {
    const { table } = this.#context;
    if (table.head[prefix] === 0 && table.prefixes.isLive(prefix) && !table.log.has(prefix)) table.forget(prefix);
  }

  #endWalk(walk: Walk): void {
    this.#walk = undefined;
    for (const message of walk.after) this.#append(message);
    if (walk.again) this.startWalk(false);
  }

  #append(message: Uint8Array): void {
    this.queue.reserve();
    this.queue.slab.set(message, this.queue.at);
    this.queue.commit(this.queue.at + message.length, undefined);
  }

  /** Writes the batch out and empties it. */
  #flush(): void {
    const { batch, sets } = this.#context;
    const { chains } = batch;
    // Withdrawals last: a chain whose attributes turn out too long for a message adds to them.
    for (let i = 0; i < chains.length; i++) if (chains[i] !== 0) this.#announce(chains[i] as SetId);
    const withdrawn = batch.head(0);
    if (withdrawn !== 0) this.#withdraw(withdrawn);
    for (let i = 0; i < batch.count; i++) if (batch.old[i] !== 0) sets.release(batch.old[i] as SetId);
    batch.clear();
  }

  #announce(set: SetId): void {
    const { batch, sets } = this.#context;
    const { queue } = this;
    const source = sets.peer[set] as number;
    const hiddenFrom = this.members.has(source) ? source : undefined;
    const nextHop = this.rules.nextHop(set);
    const length = this.#encode(set);
    if (nextHop === undefined) throw new Error('A set without a next hop for this group has got past the export rules');
    let isOpen = false;
    let takenBack: PrefixId[] | undefined;
    for (let i = batch.head(set); i !== 0; i = batch.next[i - 1] as number) {
      const old = batch.old[i - 1] as SetId;
      if (old !== 0 && !this.#isNews(old, set, length)) continue;
      if (old !== 0 && hiddenFrom !== undefined && sets.peer[old] !== hiddenFrom)
        (takenBack ??= []).push(batch.prefix[i - 1] as PrefixId);
      if (isOpen && this.#add(i - 1)) continue;
      if (isOpen) this.queue.commit(this.#writer.finish(), hiddenFrom);
      queue.reserve();
      this.#writer.into(queue.slab, queue.at);
      isOpen = this.#writer.beginReach(this.#family, nextHop, this.#wire, 0, length);
      if (!isOpen) return this.#refuse(set, i);
      this.#add(i - 1);
    }
    if (isOpen)
      queue.commit(
        this.#writer.finish(),
        hiddenFrom,
        takenBack === undefined ? undefined : this.#withdrawals(takenBack),
      );
  }

  /** Attributes too long for any message to this group (RFC 4271 section 9.2): as if policy had refused the rest of the chain. */
  #refuse(set: SetId, from: number): void {
    const { batch } = this.#context;
    for (let i = from; i !== 0; ) {
      const next = batch.next[i - 1] as number;
      this.out.refuse(batch.prefix[i - 1] as PrefixId, batch.pathId[i - 1] as number, set);
      batch.withdrawInstead(i - 1);
      i = next;
    }
  }

  #withdraw(first: number): void {
    const { batch } = this.#context;
    let isOpen = false;
    for (let i = first; i !== 0; i = batch.next[i - 1] as number) {
      if (batch.old[i - 1] === 0) continue;
      if (isOpen && this.#add(i - 1)) continue;
      if (isOpen) this.queue.commit(this.#writer.finish(), undefined);
      this.queue.reserve();
      this.#writer.into(this.queue.slab, this.queue.at);
      this.#writer.beginWithdraw(this.#family);
      isOpen = true;
      this.#add(i - 1);
    }
    if (isOpen) this.queue.commit(this.#writer.finish(), undefined);
  }

  #add(entry: number): boolean {
    const { batch, table } = this.#context;
    const prefix = batch.prefix[entry] as PrefixId;
    const pathId = batch.pathId[entry] as number;
    const { words, lengths } = table.prefixes;
    if (this.#family === 4) return this.#writer.addIpv4(words[prefix] as number, lengths[prefix] as number, pathId);
    return this.#writer.addIpv6(words, prefix * 4, lengths[prefix] as number, pathId);
  }

  /** Withdrawals of some prefixes as octets of their own. */
  #withdrawals(prefixes: readonly PrefixId[]): Uint8Array {
    const { words, lengths } = this.#context.table.prefixes;
    const out = new Uint8Array(prefixes.length * 22 + 64 + 64 * Math.ceil((prefixes.length * 22) / 2048));
    const writer = new UpdateWriter({ ...this.parameters, maxMessageLength: 4096 });
    writer.into(out, 0);
    let isOpen = false;
    for (const prefix of prefixes) {
      const add = (): boolean =>
        this.#family === 4
          ? writer.addIpv4(words[prefix] as number, lengths[prefix] as number, 0)
          : writer.addIpv6(words, prefix * 4, lengths[prefix] as number, 0);
      if (isOpen && add()) continue;
      if (isOpen) writer.finish();
      writer.beginWithdraw(this.#family);
      isOpen = true;
      add();
    }
    return out.subarray(0, writer.finish());
  }

  #encode(set: SetId): number {
    const room = this.rules.room(set);
    if (room > this.#wire.length) this.#wire = new Uint8Array(room * 2);
    return this.rules.encode(set, this.#wire, 0);
  }

  /** Would the peers see a difference between two sets? `length` octets of the new one stand in #wire. */
  #isNews(old: SetId, set: SetId, length: number): boolean {
    const { sets } = this.#context;
    if (this.#walk?.isForced === true) return true;
    const looksAlike =
      sets.pathLength[old] === sets.pathLength[set] &&
      sets.neighborAs[old] === sets.neighborAs[set] &&
      sets.origin[old] === sets.origin[set];
    if (
      !looksAlike ||
      (sets.peer[old] !== sets.peer[set] &&
        (this.members.has(sets.peer[old] as number) || this.members.has(sets.peer[set] as number)))
    )
      return true;
    const [before, after] = [this.rules.nextHop(old), this.rules.nextHop(set)];
    if (before === undefined || after === undefined || Buffer.compare(before, after) !== 0) return true;
    const other = new Uint8Array(this.rules.room(old));
    const otherLength = this.rules.encode(old, other, 0);
    return otherLength !== length || Buffer.compare(other.subarray(0, length), this.#wire.subarray(0, length)) !== 0;
  }
}
