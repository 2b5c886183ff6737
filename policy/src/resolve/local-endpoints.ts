/**
 * The chains of the pods of this node: one per local endpoint and direction that some policy holds, and the dispatch maps that lead
 * to them. Marked dirty by events, settled at flush.
 */
import { compileEndpointChain } from '../compile/endpoint-chain.js';
import { endpointChainName, FROM_MAP, TO_MAP } from '../compile/names.js';
import { DIRECTIONS, policyKeyText, type Direction, type Policy } from '../model/policy.js';
import { matchesSelection } from '../model/selection.js';
import { interfacesOf } from '../objects.js';
import type { Chain, DispatchMap } from '../ruleset.js';
import type { NamedStore } from './chain-store.js';
import { type Cluster, isOtherPod, type PodEntry } from './cluster.js';
import type { OpenEndpoints } from './open-endpoints.js';
import type { PolicyChains } from './policy-chains.js';
import { inDirection, withoutHostPolicies, type PolicyIndex, type TierPolicies } from './policy-index.js';

export class LocalEndpoints {
  /** By interface. BOUNDED by the node's pods. */
  private readonly endpoints = new Map<string, PodEntry>();
  private readonly dirty = new Set<PodEntry>();
  /** Interfaces that have a chain, by direction; the others are open. */
  private readonly guarded: Readonly<Record<Direction, Set<string>>> = { ingress: new Set(), egress: new Set() };
  private dispatchIsDirty = true;

  constructor(
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly policyChains: PolicyChains,
    private readonly open: OpenEndpoints,
    private readonly chains: NamedStore<Chain>,
    private readonly maps: NamedStore<DispatchMap>,
  ) {}

  /** What the kernel has for an endpoint's labels and policies may no longer hold. */
  touchEndpoint(entry: PodEntry): void {
    if (entry.endpoint !== undefined) this.dirty.add(entry);
  }

  touchAllEndpoints(): void {
    for (const entry of this.endpoints.values()) this.dirty.add(entry);
  }

  /** Interfaces change hands: `before` and `after` are the endpoint's, of the same entry. */
  endpointChanged(entry: PodEntry, before: readonly string[], after: readonly string[]): void {
    for (const name of before)
      if (!after.includes(name) && this.endpoints.get(name) === entry) {
        this.endpoints.delete(name);
        for (const direction of DIRECTIONS) this.unguard(direction, name);
      }
    for (const name of after) this.endpoints.set(name, entry);
    if (after.length === 0) this.forget(entry);
    this.dirty.add(entry);
  }

  /** `after` is the policy as it is now, undefined when it is gone. Endpoints that used it and those that will are dirty. */
  policyChanged(keyText: string, after: Policy | undefined): void {
    const users = new Set(this.policyChains.usersOf(keyText, 'filter'));
    for (const entry of this.endpoints.values()) {
      if (this.dirty.has(entry)) continue;
      if (users.has(entry) || (after !== undefined && this.isSubject(after, entry))) this.dirty.add(entry);
    }
  }

  settle(): void {
    for (const entry of this.dirty) this.settleEndpoint(entry);
    this.dirty.clear();
    if (this.dispatchIsDirty) this.settleDispatch();
    this.dispatchIsDirty = false;
  }

  private isSubject(policy: Policy, entry: PodEntry): boolean {
    return (
      entry.pod !== undefined &&
      matchesSelection(policy.subject, entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace))
    );
  }

  /** Why an endpoint is shut, or undefined when its policy is in force. */
  private closedBecause(entry: PodEntry): string | undefined {
    if (entry.pod === undefined) return 'pod not known yet';
    if (isOtherPod(entry)) return 'pod of this name is another';
    if (entry.pod.finished) return 'pod has finished';
    if (entry.pod.hostNetwork) return 'pod uses the host network';
    return this.cluster.hasNamespace(entry.namespace) ? undefined : 'namespace not known yet';
  }

  private settleEndpoint(entry: PodEntry): void {
    // Two entries may name one interface while a pod is replaced: it belongs to the last.
    const interfaces = interfacesOf(entry.endpoint).filter((name) => this.endpoints.get(name) === entry);
    if (interfaces.length === 0) return this.forget(entry);
    const closed = this.closedBecause(entry);
    const groups =
      closed !== undefined || entry.pod === undefined
        ? []
        : withoutHostPolicies(
            this.policies.applying(entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace)),
          );
    this.policyChains.use(
      entry,
      groups.flatMap(({ policies }) =>
        policies.map((policy) => ({ key: policyKeyText(policy.key), table: 'filter' as const })),
      ),
    );
    for (const direction of DIRECTIONS)
      this.settleDirection(entry, interfaces, direction, inDirection(groups, direction), closed);
  }

  private settleDirection(
    entry: PodEntry,
    interfaces: readonly string[],
    direction: Direction,
    groups: readonly TierPolicies[],
    closed: string | undefined,
  ): void {
    const isOpen = closed === undefined && groups.length === 0;
    this.open.put(entry, direction, entry.endpoint?.addresses ?? [], isOpen);
    for (const name of interfaces) {
      if (isOpen) this.unguard(direction, name);
      else this.guard(name, direction, groups, closed);
    }
  }

  private guard(
    interfaceName: string,
    direction: Direction,
    groups: readonly TierPolicies[],
    closed: string | undefined,
  ): void {
    this.chains.put(compileEndpointChain(direction, interfaceName, groups, closed));
    if (this.guarded[direction].has(interfaceName)) return;
    this.guarded[direction].add(interfaceName);
    this.dispatchIsDirty = true;
  }

  private unguard(direction: Direction, interfaceName: string): void {
    if (!this.guarded[direction].delete(interfaceName)) return;
    this.chains.delete({ table: 'filter', name: endpointChainName(direction, interfaceName) });
    this.dispatchIsDirty = true;
  }

  private forget(entry: PodEntry): void {
    this.policyChains.use(entry, []);
    for (const direction of DIRECTIONS) this.open.put(entry, direction, [], false);
  }

  private settleDispatch(): void {
    for (const direction of DIRECTIONS) {
      const entries = new Map(
        [...this.guarded[direction]].sort().map((name) => [name, endpointChainName(direction, name)]),
      );
      const [name, key] =
        direction === 'egress' ? ([FROM_MAP, 'in-interface'] as const) : ([TO_MAP, 'out-interface'] as const);
      this.maps.put({ table: 'filter', name, key, entries, otherwise: 'drop' });
    }
  }
}
