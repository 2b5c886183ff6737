/**
 * Tiers: the order in which groups of policies are asked, and what a tier does to a packet that its policies select but
 * do not decide.
 *
 * Three tiers are always there, at the orders Calico gives them: Admin (ClusterNetworkPolicy and AdminNetworkPolicy), default
 * (NetworkPolicy and Calico policies that name no tier) and Baseline. After the last tier everything is allowed.
 */

export interface Tier {
  readonly name: string;
  readonly order: number;
  /** What happens when policies of the tier apply to the endpoint and none of their rules matched. */
  readonly defaultAction: 'deny' | 'pass';
}

export const ADMIN_TIER: Tier = { name: 'kube-admin', order: 1_000, defaultAction: 'pass' };
export const DEFAULT_TIER: Tier = { name: 'default', order: 1_000_000, defaultAction: 'deny' };
export const BASELINE_TIER: Tier = { name: 'kube-baseline', order: 10_000_000, defaultAction: 'pass' };

export const BUILTIN_TIERS: readonly Tier[] = [ADMIN_TIER, DEFAULT_TIER, BASELINE_TIER];

export function compareTiers(a: Tier, b: Tier): number {
  if (a.order !== b.order) return a.order < b.order ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
