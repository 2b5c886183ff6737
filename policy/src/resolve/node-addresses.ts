/**
 * The addresses of all nodes as one set: where pods may not send tunnelled packets (base-chains.ts). An address counts as long as one Node
 * object has it; two may for a while, when a machine is replaced.
 */
import { NODE_SET } from '../compile/names.js';
import type { Node } from './cluster.js';
import { familyOf } from './set-need.js';
import type { SetStore } from './set-store.js';

export class NodeAddresses {
  /** How many nodes have it. BOUNDED by the addresses of the cluster's nodes. */
  private readonly counts = new Map<string, number>();

  constructor(private readonly store: SetStore) {
    store.create(NODE_SET, 'address', 'addresses of nodes');
  }

  nodeChanged(before: Node | undefined, after: Node | undefined): void {
    // First the new ones: an address that stays does not leave the set for a moment.
    for (const address of new Set(after?.addresses)) this.count(address, 1);
    for (const address of new Set(before?.addresses)) this.count(address, -1);
  }

  private count(address: string, change: 1 | -1): void {
    const before = this.counts.get(address) ?? 0;
    const after = before + change;
    if (after === 0) this.counts.delete(address);
    else this.counts.set(address, after);
    if (before === 0) this.store.add(NODE_SET, familyOf(address), address);
    if (after === 0) this.store.remove(NODE_SET, familyOf(address), address);
  }
}
