/**
 * All policies, and which of them apply to an endpoint, in the order in which they are asked.
 */
import { comparePolicies, concerns, policyKeyText, type Direction, type Policy } from '../model/policy.js';
import { matchesSelection, selectionIndexKey } from '../model/selection.js';
import { BUILTIN_TIERS, compareTiers, type Tier } from '../model/tier.js';
import type { Labels } from '../selector/selector.js';
import { SelectorIndex } from '../selector/selector-index.js';

/** Policies of one tier that apply to an endpoint, first asked first. */
export interface TierPolicies {
  readonly tier: Tier;
  readonly policies: readonly Policy[];
}

export class PolicyIndex {
  /** BOUNDED by the cluster's policies. */
  private readonly policies = new Map<string, Policy>();
  private readonly index = new SelectorIndex<Policy>();
  private readonly tiers = new Map<string, Tier>(BUILTIN_TIERS.map((tier) => [tier.name, tier]));

  get(keyText: string): Policy | undefined {
    return this.policies.get(keyText);
  }

  all(): Iterable<Policy> {
    return this.policies.values();
  }

  put(policy: Policy): void {
    this.delete(policyKeyText(policy.key));
    this.policies.set(policyKeyText(policy.key), policy);
    this.index.add(selectionIndexKey(policy.subject), policy);
  }

  delete(keyText: string): void {
    const policy = this.policies.get(keyText);
    if (policy === undefined) return;
    this.policies.delete(keyText);
    this.index.remove(selectionIndexKey(policy.subject), policy);
  }

  /** Policies of tiers that do not exist. */
  waiting(): readonly Policy[] {
    return [...this.policies.values()].filter((policy) => !this.tiers.has(policy.tier));
  }

  tier(name: string): Tier | undefined {
    return this.tiers.get(name);
  }

  /**
   * undefined takes the tier away. A built-in tier keeps its place, whatever a resource of its name says about it. Answers whether what
   * endpoints ask may be another.
   */
  setTier(name: string, tier: Tier | undefined): boolean {
    const known = this.tiers.get(name);
    if (BUILTIN_TIERS.some((one) => one.name === name)) return false;
    if (tier === undefined) return this.tiers.delete(name);
    this.tiers.set(name, tier);
    return known?.order !== tier.order || known.defaultAction !== tier.defaultAction;
  }

  /** Policies that apply to an endpoint with these labels, by tier. A policy of a tier that does not exist waits for it. */
  applying(namespace: string | undefined, labels: Labels, namespaceLabels: Labels): readonly TierPolicies[] {
    const byTier = new Map<string, Policy[]>();
    for (const policy of this.index.candidates(namespace, labels, namespaceLabels)) {
      if (!matchesSelection(policy.subject, namespace, labels, namespaceLabels)) continue;
      const known = byTier.get(policy.tier);
      if (known === undefined) byTier.set(policy.tier, [policy]);
      else known.push(policy);
    }
    const groups: TierPolicies[] = [];
    for (const [name, policies] of byTier) {
      const tier = this.tiers.get(name);
      if (tier !== undefined) groups.push({ tier, policies: policies.sort(comparePolicies) });
    }
    return groups.sort((a, b) => compareTiers(a.tier, b.tier));
  }
}

/** The groups of one direction: policies that have something to do with it. */
export const inDirection = (groups: readonly TierPolicies[], direction: Direction): readonly TierPolicies[] =>
  selectPolicies(groups, (policy) => concerns(policy, direction));

/** What is for host endpoints alone, before DNAT or connection tracking, is no policy of a pod. */
export const withoutHostPolicies = (groups: readonly TierPolicies[]): readonly TierPolicies[] =>
  selectPolicies(groups, (policy) => policy.preDnat !== true && policy.doNotTrack !== true);

/** The policies that `isWanted`, empty tiers left out. */
export function selectPolicies(
  groups: readonly TierPolicies[],
  isWanted: (policy: Policy) => boolean,
): readonly TierPolicies[] {
  return groups
    .map(({ tier, policies }) => ({ tier, policies: policies.filter(isWanted) }))
    .filter(({ policies }) => policies.length > 0);
}

/** Where on a packet's way a host endpoint's policies are asked. */
export type HostPointType = 'untracked' | 'before-dnat' | 'local' | 'forward';

/** The policies of one direction that a host endpoint asks there. */
export function atHostPoint(
  groups: readonly TierPolicies[],
  direction: Direction,
  type: HostPointType,
): readonly TierPolicies[] {
  const own = inDirection(groups, direction);
  switch (type) {
    case 'untracked':
      return selectPolicies(own, (policy) => policy.doNotTrack === true);
    case 'before-dnat':
      return direction === 'egress'
        ? []
        : selectPolicies(own, (policy) => policy.preDnat === true && policy.doNotTrack !== true);
    case 'local':
      return withoutHostPolicies(own);
    case 'forward':
      return selectPolicies(withoutHostPolicies(own), (policy) => policy.applyOnForward === true);
  }
}
