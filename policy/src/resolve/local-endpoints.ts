/**
 * The chains of the pods of this node: one per local endpoint and direction that some policy holds, and the dispatch maps that lead
 * to them. Marked dirty by events, settled at flush.
 */
import type { DenyActions } from '../compile/denied-chain.js';
import { compileClosedChain, compileEndpointChain } from '../compile/endpoint-chain.js';
import { endpointChainName, FROM_MAP, TO_MAP } from '../compile/names.js';
import { DIRECTIONS, type Direction, type Policy } from '../model/policy.js';
import { matchesSelection } from '../model/selection.js';
import { interfacesOf } from '../objects.js';
import type { Chain, DispatchMap } from '../ruleset.js';
import { PolicyAppliers } from './applied-policies.js';
import type { NamedStore } from './chain-store.js';
import { type Cluster, isOtherPod, type PodEntry } from './cluster.js';
import type { OpenEndpoints } from './open-endpoints.js';
import { NO_USES, type PolicyChains } from './policy-chains.js';
import type { PolicyIndex } from './policy-index.js';

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
    private readonly deny: DenyActions,
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
    const appliers = new PolicyAppliers(this.cluster, this.policies, this.deny);
    for (const entry of this.dirty) this.settleEndpoint(entry, appliers);
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

  private settleEndpoint(entry: PodEntry, appliers: PolicyAppliers): void {
    // Two entries may name one interface while a pod is replaced: it belongs to the last.
    const interfaces = interfacesOf(entry.endpoint).filter((name) => this.endpoints.get(name) === entry);
    if (interfaces.length === 0) return this.forget(entry);
    const closed = this.closedBecause(entry);
    const applied =
      closed !== undefined || entry.pod === undefined ? undefined : appliers.to(entry.namespace, entry.pod.labels);
    this.policyChains.use(entry, applied?.uses ?? NO_USES);
    for (const direction of DIRECTIONS) {
      const tiers = applied?.tiers[direction];
      const isOpen = closed === undefined && tiers === undefined;
      this.open.put(entry, direction, entry.endpoint?.addresses ?? [], isOpen);
      for (const name of interfaces)
        if (closed !== undefined) this.guard(direction, name, compileClosedChain(direction, name, closed, this.deny));
        else if (tiers !== undefined) this.guard(direction, name, compileEndpointChain(direction, name, tiers));
        else this.unguard(direction, name);
    }
  }

  private guard(direction: Direction, interfaceName: string, chain: Chain): void {
    this.chains.put(chain);
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
    this.policyChains.use(entry, NO_USES);
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
