/**
 * Chains of the pods' interfaces that have limits, and the maps that lead to them: a chain for each interface and direction, so that a
 * limit which comes or goes resets no other's count. Who has which limits comes from outside.
 */
import { compileLimitChain } from '../compile/limit-chain.js';
import { LIMIT_FROM_MAP, LIMIT_TO_MAP } from '../compile/names.js';
import { DIRECTIONS, type Direction } from '../model/policy.js';
import type { InterfaceLimits } from '../objects.js';
import { chainKey, type Chain, type DispatchMap } from '../ruleset.js';
import type { NamedStore } from './chain-store.js';

export class InterfaceLimitChains {
  /** By chainKey, as in the store. BOUNDED by the node's pods. */
  private chains = new Map<string, Chain>();

  constructor(
    private readonly store: NamedStore<Chain>,
    private readonly maps: NamedStore<DispatchMap>,
  ) {}

  get isEmpty(): boolean {
    return this.chains.size === 0;
  }

  /** All of them. */
  set(limits: ReadonlyMap<string, InterfaceLimits>): void {
    const after = new Map<string, Chain>();
    const entries = { ingress: new Map<string, string>(), egress: new Map<string, string>() };
    for (const [interfaceName, flows] of limits)
      for (const direction of DIRECTIONS) {
        const flow = flows[direction];
        const chain = flow && compileLimitChain(direction, interfaceName, flow);
        if (chain === undefined) continue;
        entries[direction].set(interfaceName, chain.name);
        after.set(chainKey(chain), chain);
      }
    for (const direction of DIRECTIONS) this.putMap(direction, entries[direction], after.size > 0);
    for (const [key, chain] of this.chains) if (!after.has(key)) this.store.delete(chain);
    for (const chain of after.values()) this.store.put(chain);
    this.chains = after;
  }

  /** The base chains lead to both maps as long as there is any limit. */
  private putMap(direction: Direction, entries: ReadonlyMap<string, string>, isNeeded: boolean): void {
    const name = direction === 'egress' ? LIMIT_FROM_MAP : LIMIT_TO_MAP;
    const key = direction === 'egress' ? 'in-interface' : 'out-interface';
    if (isNeeded) this.maps.put({ table: 'mangle', name, key, entries, otherwise: 'return' });
    else this.maps.delete({ table: 'mangle', name });
  }
}
