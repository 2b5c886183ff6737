/**
 * The chains of policies: one per direction of every policy that some endpoint of this node uses, in each table where it is used.
 *
 * A policy that nobody here uses costs nothing: it has no chain, and the sets its rules would need are not kept.
 */
import type { DenyActions } from '../compile/denied-chain.js';
import { hasChain } from '../compile/endpoint-chain.js';
import { policyChainName } from '../compile/names.js';
import { compilePolicyChain } from '../compile/policy-chain.js';
import {
  DIRECTIONS,
  policyKeyText,
  type Direction,
  type Policy,
  type PolicyKey,
  type PolicyRule,
} from '../model/policy.js';
import type { Chain, Table } from '../ruleset.js';
import type { AddressSets } from './address-sets.js';
import type { NamedStore } from './chain-store.js';
import type { Cluster } from './cluster.js';
import type { PolicyIndex } from './policy-index.js';
import type { SetNeed } from './set-need.js';

export interface PolicyUse {
  /** policyKeyText. */
  readonly key: string;
  readonly table: Table;
}

/** All that a user uses, each once. Users with the same policies may share one. */
export type PolicyUses = ReadonlyMap<string, PolicyUse>;

/** Whoever uses policies: an endpoint, or all host endpoints together. Compared by identity. */
export type PolicyUser = object;

interface UsedPolicy extends PolicyUse {
  readonly users: Set<PolicyUser>;
  /** As last compiled; replaced when the policy changes. */
  policy?: Policy;
  /** Its rules, which a large policy keeps only as long as somebody holds them. */
  rules?: readonly (readonly PolicyRule[] | undefined)[];
  /** Sets that its chains name, each held once per mention. */
  sets: readonly string[];
  isStale: boolean;
}

const TABLES: readonly Table[] = ['filter', 'mangle', 'raw'];
const idOf = (use: PolicyUse): string => `${use.table} ${use.key}`;

export function usesIn(policies: Iterable<{ readonly policy: Policy; readonly table: Table }>): PolicyUses {
  const uses = new Map<string, PolicyUse>();
  for (const { policy, table } of policies) {
    const use: PolicyUse = { key: policyKeyText(policy.key), table };
    uses.set(idOf(use), use);
  }
  return uses;
}

export const NO_USES: PolicyUses = new Map();

export class PolicyChains {
  private readonly used = new Map<string, UsedPolicy>();
  private readonly usesOf = new Map<PolicyUser, PolicyUses>();
  private readonly dirty = new Set<string>();

  constructor(
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly sets: AddressSets,
    private readonly chains: NamedStore<Chain>,
    private readonly deny: DenyActions,
    private readonly onFault: (key: PolicyKey, error: unknown) => void,
  ) {}

  /** States all that a user uses; policies that gained their first or lost their last user are dirty. */
  use(user: PolicyUser, uses: PolicyUses): void {
    for (const id of (this.usesOf.get(user) ?? NO_USES).keys()) {
      if (uses.has(id)) continue;
      const known = this.used.get(id);
      known?.users.delete(user);
      if (known?.users.size === 0) this.dirty.add(id);
    }
    for (const [id, use] of uses) {
      const known = this.used.get(id) ?? { ...use, users: new Set<PolicyUser>(), sets: [], isStale: false };
      if (known.users.size === 0) this.dirty.add(id);
      known.users.add(user);
      this.used.set(id, known);
    }
    if (uses.size > 0) this.usesOf.set(user, uses);
    else this.usesOf.delete(user);
  }

  /** Those who use a policy in a table. */
  usersOf(key: string, table: Table): Iterable<PolicyUser> {
    return this.used.get(idOf({ key, table }))?.users ?? [];
  }

  policyChanged(key: string): void {
    for (const table of TABLES) if (this.used.has(idOf({ key, table }))) this.dirty.add(idOf({ key, table }));
  }

  /** What policies compile to has changed for a reason outside them. */
  touchAll(): void {
    for (const [id, used] of this.used) {
      used.isStale = true;
      this.dirty.add(id);
    }
  }

  /** Sets are acquired before they are released, so that none is lost between two forms of a policy. */
  settle(): void {
    while (this.settleNext());
  }

  /** One of them; false: there is none. */
  settleNext(): boolean {
    const [id] = this.dirty;
    if (id === undefined) return false;
    this.dirty.delete(id);
    this.settleOne(id);
    return true;
  }

  private settleOne(id: string): void {
    const used = this.used.get(id);
    if (used === undefined) return;
    const policy = used.users.size === 0 ? undefined : this.policies.get(used.key);
    if (policy === used.policy && policy !== undefined && !used.isStale) return;
    used.isStale = false;
    const held: string[] = [];
    for (const direction of DIRECTIONS) this.settleChain(used, policy, direction, held);
    for (const set of used.sets) this.sets.release(set);
    used.sets = held;
    used.policy = policy;
    used.rules = DIRECTIONS.map((direction) => policy?.[direction]);
    if (policy === undefined) this.used.delete(id);
  }

  /** A direction without rules has no chain: the endpoint's chain goes straight to the tier's end. */
  private settleChain(used: UsedPolicy, after: Policy | undefined, direction: Direction, held: string[]): void {
    const { table, policy: before } = used;
    const idOfSet = (need: SetNeed): string => {
      const id = this.sets.acquire(need);
      held.push(id);
      return id;
    };
    if (after !== undefined && hasChain(after, direction)) {
      try {
        const sets = { idOf: idOfSet, hasNetworkSets: this.cluster.hasNetworkSets() };
        this.chains.put(compilePolicyChain(after, direction, table, sets, this.deny));
      } catch (error) {
        // Whatever one policy does to the compiler closes what it selects, and nothing else.
        this.onFault(after.key, error);
        this.chains.put({
          table,
          name: policyChainName(direction, after.key),
          rules:
            after.staged === true ? [] : [{ matches: [], action: { type: 'drop' }, note: 'policy cannot be compiled' }],
        });
      }
    } else if (before !== undefined && hasChain(before, direction))
      this.chains.delete({ table, name: policyChainName(direction, before.key) });
  }
}
