/**
 * Changes of the RIB as messages to the kernel: what a prefix has there now, by our own tables, against what it shall have. Nothing is
 * sent here.
 *
 * In: one prefix and its entry at a time, or a correction of an audit. Out: messages in the batch of the moment, the table of what is
 * wanted, and the order in which the messages are best sent (write-order.ts).
 */
import type { Family, IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import { wordsOf } from 'node-bgp/rib/prefix-table';
import { writeFromTemplate, writeRouteChange, type NetlinkBatch } from '../dataplane/netlink/index.js';
import type { Correction } from './fib-audit.js';
import type { FibLeftovers } from './fib-leftovers.js';
import type { FibRefusals } from './fib-refusals.js';
import type { FibTable, RouteShape } from './fib-table.js';
import { isSameRoute, type KernelRouteContext } from './kernel-route.js';
import { WriteOrder } from './write-order.js';

/** What the changes are made against; asked for each, because some of it is replaced. */
export interface FibChangesOwner {
  /** What should be in the kernel. */
  readonly wanted: FibTable;
  readonly refusals: FibRefusals;
  readonly leftovers: () => FibLeftovers;
  /** Where messages go now. */
  readonly batch: () => NetlinkBatch;
  /** Somebody compares the table meanwhile: this prefix is not as it was read. */
  touched(family: Family, words: Uint32Array, at: number, length: number): void;
}

export class FibChanges {
  /** Of what is in the batch. */
  readonly order = new WriteOrder();

  constructor(private readonly owner: FibChangesOwner) {}

  /** The prefix leads as `entry` says, or nowhere. */
  change(
    family: Family,
    words: Uint32Array,
    at: number,
    length: number,
    entry: ForwardingEntry | undefined,
    context: KernelRouteContext,
  ): void {
    const shape = entry === undefined ? undefined : this.owner.wanted.shapeOf(family, entry, context);
    const { count } = this.owner.batch();
    this.owner.touched(family, words, at, length);
    const old = this.owner.wanted.get(family, words, at, length);
    const isHeld = old !== undefined && !this.isRefused(family, words, at, length, old.metric);
    // A route under another metric is another route to the kernel.
    if (old !== undefined && old.metric !== shape?.metric) {
      if (isHeld) writeFromTemplate(this.owner.batch(), old.template('delete'), words, at, length);
      else this.owner.refusals.forget(prefixAt(family, words, at, length), old.metric);
    }
    const left =
      this.owner.leftovers().size === 0 ? undefined : this.takeLeftover(prefixAt(family, words, at, length), shape);
    const replaces = left !== undefined || (isHeld && old.metric === shape?.metric);
    const isThere = left === 'same' || (isHeld && shape === old);
    if (shape !== undefined && !isThere)
      writeFromTemplate(this.owner.batch(), shape.template(replaces ? 'replace' : 'add'), words, at, length);
    if (shape !== old) this.owner.wanted.set(family, words, at, length, shape);
    if (this.owner.batch().count > count) this.order.note(family, words, at, length, count);
  }

  /** What a former process has for the prefix: other metrics go, the wanted one is adopted as it is or replaced. */
  private takeLeftover(prefix: IpPrefix, shape: RouteShape | undefined): 'same' | 'other' | undefined {
    let found: 'same' | 'other' | undefined;
    for (const route of this.owner.leftovers().take(prefix))
      if (route.metric === shape?.metric) found = isSameRoute(route, shape.route) ? 'same' : 'other';
      else writeRouteChange(this.owner.batch(), { type: 'delete', route });
    return found;
  }

  private isRefused(family: Family, words: Uint32Array, at: number, length: number, metric: number): boolean {
    return this.owner.refusals.size > 0 && this.owner.refusals.has(prefixAt(family, words, at, length), metric);
  }

  /** With the shape of now: its nexthop object may be another than when the table was read. False: nothing is left to be done. */
  correct(correction: Correction): boolean {
    const start = this.owner.batch().count;
    if (!this.writeCorrection(correction)) return false;
    const { prefix } = correction;
    this.order.note(prefix.family, wordsOf(prefix), 0, prefix.length, start);
    return true;
  }

  private writeCorrection(correction: Correction): boolean {
    const { prefix } = correction;
    if (correction.type === 'delete') {
      writeRouteChange(this.owner.batch(), { type: 'delete', route: correction.route });
      return true;
    }
    const shape = this.owner.wanted.shapeAt(prefix.family, correction.id);
    if (shape === undefined) return false;
    writeFromTemplate(this.owner.batch(), shape.template(correction.type), wordsOf(prefix), 0, prefix.length);
    return true;
  }
}

function prefixAt(family: Family, words: Uint32Array, offset: number, length: number): IpPrefix {
  if (family === 4) return { family, value: BigInt(words[offset] ?? 0), length };
  let value = 0n;
  for (let i = 0; i < 4; i++) value = (value << 32n) | BigInt(words[offset + i] ?? 0);
  return { family, value, length };
}
