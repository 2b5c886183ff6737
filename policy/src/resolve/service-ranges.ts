/**
 * Ranges of Services that this node has told routers to send it, as one set: what is left of them when everybody has translated what is
 * his goes nowhere (base-chains.ts). Whoever feeds them keeps them disjoint, and free of what is routed for other reasons.
 */
import { tryParsePrefix } from 'node-bgp/address';
import { SERVICE_RANGE_SET } from '../compile/names.js';
import type { Family } from '../ruleset.js';
import type { SetStore } from './set-store.js';

export class ServiceRanges {
  /** By text. BOUNDED by what the node announces. */
  private ranges = new Map<string, Family>();

  constructor(private readonly store: SetStore) {
    store.create(SERVICE_RANGE_SET, 'network', 'ranges of Services that this node announces');
  }

  get isEmpty(): boolean {
    return this.ranges.size === 0;
  }

  /** All of them; what overlaps what goes cannot be in the set beside it, so that goes first. */
  set(prefixes: readonly string[]): void {
    const after = new Map(
      prefixes.flatMap((text) => {
        const prefix = tryParsePrefix(text);
        return prefix === undefined || prefix.length === 0 ? [] : [[text, prefix.family] as const];
      }),
    );
    for (const [text, family] of this.ranges) if (!after.has(text)) this.store.remove(SERVICE_RANGE_SET, family, text);
    for (const [text, family] of after) if (!this.ranges.has(text)) this.store.add(SERVICE_RANGE_SET, family, text);
    this.ranges = after;
  }
}
