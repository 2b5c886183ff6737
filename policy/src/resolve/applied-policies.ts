/**
 * Which policies hold an endpoint, and the rules that ask them: the same for all endpoints with the same labels in the same namespace, so
 * made once for all of them that are settled together. Lives as long as one settling; nothing may change meanwhile.
 */
import type { DenyActions } from '../compile/denied-chain.js';
import { compileEndpointTiers, type EndpointTiers } from '../compile/endpoint-chain.js';
import type { Direction } from '../model/policy.js';
import type { Labels } from '../selector/selector.js';
import type { Cluster } from './cluster.js';
import { usesIn, type PolicyUses } from './policy-chains.js';
import { inDirection, withoutHostPolicies, type PolicyIndex, type TierPolicies } from './policy-index.js';

export interface AppliedPolicies {
  readonly uses: PolicyUses;
  /** undefined: no policy holds the endpoint in this direction. */
  readonly tiers: Readonly<Record<Direction, EndpointTiers | undefined>>;
}

export class PolicyAppliers {
  /** By namespace and labels, which pods share where they are the same. BOUNDED by the node's pods. */
  private readonly known = new Map<string, Map<Labels, AppliedPolicies>>();

  constructor(
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly deny: DenyActions,
  ) {}

  to(namespace: string, labels: Labels): AppliedPolicies {
    const inNamespace = this.known.get(namespace) ?? new Map<Labels, AppliedPolicies>();
    this.known.set(namespace, inNamespace);
    const known = inNamespace.get(labels);
    if (known !== undefined) return known;
    const groups = withoutHostPolicies(
      this.policies.applying(namespace, labels, this.cluster.namespaceLabels(namespace)),
    );
    const applied: AppliedPolicies = {
      uses: usesIn(groups.flatMap(({ policies }) => policies.map((policy) => ({ policy, table: 'filter' })))),
      tiers: { ingress: tiersOf('ingress', groups, this.deny), egress: tiersOf('egress', groups, this.deny) },
    };
    inNamespace.set(labels, applied);
    return applied;
  }
}

function tiersOf(direction: Direction, groups: readonly TierPolicies[], deny: DenyActions): EndpointTiers | undefined {
  const own = inDirection(groups, direction);
  return own.length === 0 ? undefined : compileEndpointTiers(direction, own, deny);
}
