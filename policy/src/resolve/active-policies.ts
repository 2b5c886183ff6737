/**
 * The chains of this node: one per local endpoint and direction that some policy holds, one per direction of every policy that some local endpoint
 * needs, and the dispatch maps. Marked dirty by events, settled at flush.
 *
 * A policy that selects no endpoint of this node costs nothing here: it has no chain, and the sets its rules would need are not kept.
 */
import { baseChains, HOOKS, type BaseSettings } from '../compile/base-chains.js';
import { compileEndpointChain, hasChain } from '../compile/endpoint-chain.js';
import { endpointChainName, FROM_MAP, policyChainName, TO_MAP } from '../compile/names.js';
import { compilePolicyChain } from '../compile/policy-chain.js';
import { DIRECTIONS, policyKeyText, type Direction, type Policy } from '../model/policy.js';
import { matchesSelection } from '../model/selection.js';
import type { Chain, DispatchMap, Hook } from '../ruleset.js';
import type { AddressSets } from './address-sets.js';
import { NamedStore, sameChain, sameMap, type NamedDelta } from './chain-store.js';
import type { Cluster, PodEntry } from './cluster.js';
import type { OpenEndpoints } from './open-endpoints.js';
import { inDirection, type PolicyIndex, type TierPolicies } from './policy-index.js';
import type { SetNeed } from './set-need.js';

/** A policy that endpoints of this node use. */
interface ActivePolicy {
  /** As last compiled; replaced when the policy changes. */
  policy?: Policy;
  readonly endpoints: Set<PodEntry>;
  /** Sets that its chains name, each held once per mention. */
  sets: readonly string[];
  isStale: boolean;
}

export class ActivePolicies {
  private readonly chains = new NamedStore<Chain>(sameChain);
  private readonly maps = new NamedStore<DispatchMap>(sameMap);
  /** Local endpoints by interface. */
  private readonly endpoints = new Map<string, PodEntry>();
  private readonly active = new Map<string, ActivePolicy>();
  private readonly policiesOf = new Map<PodEntry, readonly string[]>();
  private readonly dirtyEndpoints = new Set<PodEntry>();
  private readonly dirtyPolicies = new Set<string>();
  /** Interfaces that have a chain, by direction; the others are open. */
  private readonly guarded: Readonly<Record<Direction, Set<string>>> = { ingress: new Set(), egress: new Set() };
  private dispatchIsDirty = true;

  constructor(
    private readonly cluster: Cluster,
    private readonly policies: PolicyIndex,
    private readonly sets: AddressSets,
    private readonly open: OpenEndpoints,
    settings: BaseSettings,
  ) {
    for (const chain of baseChains(settings)) this.chains.put(chain);
  }

  /** What the kernel has for an endpoint's labels and policies may no longer hold. */
  touchEndpoint(entry: PodEntry): void {
    if (entry.endpoint !== undefined) this.dirtyEndpoints.add(entry);
  }

  touchAllEndpoints(): void {
    for (const entry of this.endpoints.values()) this.dirtyEndpoints.add(entry);
  }

  /** Interfaces change hands: `before` and `after` are the endpoint's, of the same entry. */
  endpointChanged(entry: PodEntry, before: string | undefined, after: string | undefined): void {
    if (before !== undefined && before !== after && this.endpoints.get(before) === entry) {
      this.endpoints.delete(before);
      for (const direction of DIRECTIONS) this.unguard(direction, before);
    }
    if (after !== undefined) this.endpoints.set(after, entry);
    else this.forget(entry);
    this.dirtyEndpoints.add(entry);
  }

  /** `after` is the policy as it is now, undefined when it is gone. Endpoints that used it and those that will are dirty. */
  policyChanged(keyText: string, after: Policy | undefined): void {
    for (const entry of this.active.get(keyText)?.endpoints ?? []) this.dirtyEndpoints.add(entry);
    this.dirtyPolicies.add(keyText);
    if (after === undefined) return;
    const { subject } = after;
    for (const entry of this.endpoints.values()) {
      if (entry.pod === undefined || this.dirtyEndpoints.has(entry)) continue;
      if (matchesSelection(subject, entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace))) this.dirtyEndpoints.add(entry);
    }
  }

  /** What policies compile to has changed for a reason outside them. */
  touchAllPolicies(): void {
    for (const [keyText, active] of this.active) {
      active.isStale = true;
      this.dirtyPolicies.add(keyText);
    }
  }

  /** Settles everything dirty. Sets are acquired before they are released, so that none is lost between two forms of a policy. */
  settle(): void {
    for (const entry of this.dirtyEndpoints) this.settleEndpoint(entry);
    for (const keyText of this.dirtyPolicies) this.settlePolicy(keyText);
    this.dirtyEndpoints.clear();
    this.dirtyPolicies.clear();
    if (this.dispatchIsDirty) this.settleDispatch();
    this.dispatchIsDirty = false;
  }

  drain(): { readonly chains: NamedDelta<Chain>; readonly maps: NamedDelta<DispatchMap> } {
    return { chains: this.chains.drain(), maps: this.maps.drain() };
  }

  allChains(): ReadonlyMap<string, Chain> {
    return this.chains.all();
  }

  allMaps(): ReadonlyMap<string, DispatchMap> {
    return this.maps.all();
  }

  hooks(): readonly Hook[] {
    return HOOKS;
  }

  /** Why an endpoint is shut, or undefined when its policy is in force. */
  closedBecause(entry: PodEntry): string | undefined {
    if (entry.pod === undefined) return 'pod not known yet';
    if (entry.pod.finished) return 'pod has finished';
    if (entry.pod.hostNetwork) return 'pod uses the host network';
    return this.cluster.hasNamespace(entry.namespace) ? undefined : 'namespace not known yet';
  }

  private settleEndpoint(entry: PodEntry): void {
    const interfaceName = entry.endpoint?.interface;
    // Two entries may name one interface while a pod is replaced: it belongs to the last.
    if (interfaceName === undefined || this.endpoints.get(interfaceName) !== entry) return this.forget(entry);
    const closed = this.closedBecause(entry);
    const groups = closed !== undefined || entry.pod === undefined ? []
      : this.policies.applying(entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace));
    this.use(entry, groups.flatMap(({ policies }) => policies.map((policy) => policyKeyText(policy.key))));
    for (const direction of DIRECTIONS) this.settleDirection(entry, interfaceName, direction, inDirection(groups, direction), closed);
  }

  private settleDirection(entry: PodEntry, interfaceName: string, direction: Direction, groups: readonly TierPolicies[], closed: string | undefined): void {
    const isOpen = closed === undefined && groups.length === 0;
    this.open.put(entry, direction, entry.endpoint?.addresses ?? [], isOpen);
    if (isOpen) return this.unguard(direction, interfaceName);
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

  /** Records which policies an endpoint uses; those that gained their first or lost their last endpoint are dirty. */
  private use(entry: PodEntry, keys: readonly string[]): void {
    const next = new Set(keys);
    for (const keyText of this.policiesOf.get(entry) ?? []) {
      const active = this.active.get(keyText);
      if (next.has(keyText) || active === undefined) continue;
      active.endpoints.delete(entry);
      if (active.endpoints.size === 0) this.dirtyPolicies.add(keyText);
    }
    for (const keyText of next) {
      const active = this.active.get(keyText) ?? { endpoints: new Set<PodEntry>(), sets: [], isStale: false };
      if (active.endpoints.size === 0) this.dirtyPolicies.add(keyText);
      active.endpoints.add(entry);
      this.active.set(keyText, active);
    }
    if (keys.length > 0) this.policiesOf.set(entry, keys);
    else this.policiesOf.delete(entry);
  }

  private forget(entry: PodEntry): void {
    this.use(entry, []);
    for (const direction of DIRECTIONS) this.open.put(entry, direction, [], false);
  }

  private settlePolicy(keyText: string): void {
    const active = this.active.get(keyText);
    if (active === undefined) return;
    const policy = active.endpoints.size === 0 ? undefined : this.policies.get(keyText);
    if (policy === active.policy && policy !== undefined && !active.isStale) return;
    active.isStale = false;
    const held: string[] = [];
    for (const direction of DIRECTIONS) this.settlePolicyChain(active.policy, policy, direction, held);
    for (const id of active.sets) this.sets.release(id);
    active.sets = held;
    active.policy = policy;
    if (policy === undefined) this.active.delete(keyText);
  }

  /** A direction without rules has no chain: the endpoint's chain goes straight to the tier's end. */
  private settlePolicyChain(before: Policy | undefined, after: Policy | undefined, direction: Direction, held: string[]): void {
    const idOf = (need: SetNeed): string => {
      const id = this.sets.acquire(need);
      held.push(id);
      return id;
    };
    if (after !== undefined && hasChain(after, direction))
      this.chains.put(compilePolicyChain(after, direction, { idOf, hasNetworkSets: this.cluster.hasNetworkSets() }));
    else if (before !== undefined && hasChain(before, direction))
      this.chains.delete({ table: 'filter', name: policyChainName(direction, before.key) });
  }

  private settleDispatch(): void {
    for (const direction of DIRECTIONS) {
      const entries = new Map([...this.guarded[direction]].sort().map((name) => [name, endpointChainName(direction, name)]));
      const [name, key] = direction === 'egress' ? ([FROM_MAP, 'in-interface'] as const) : ([TO_MAP, 'out-interface'] as const);
      this.maps.put({ table: 'filter', name, key, entries, otherwise: 'drop' });
    }
  }
}
