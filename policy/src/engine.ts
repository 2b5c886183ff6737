/**
 * The policy engine: objects and endpoints in as events, one node's ruleset out as deltas, and a verdict on any flow of the
 * cluster.
 *
 * `apply` updates the snapshot and the address sets and marks what else depends on the change; `flush` settles the marked chains and
 * reports what differs from the last flush. An event costs in proportion to what it changes. Pure: no I/O, no clock; the same
 * events in any order, with any repetition, end in the same ruleset.
 *
 * Not here: the kernel (whoever applies deltas), the API (whoever feeds events), and waiting for the first full sync before flushing.
 */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import type { DenyPoint, DenyReports } from './compile/denied-chain.js';
import type { FailsafePort } from './compile/host-chains.js';
import { TCP, UDP } from './model/ports.js';
import {
  labelMap,
  canonicalAddresses,
  endpointAddresses,
  podOf,
  sameLabels,
  samePod,
  sameTexts,
  withAccountLabels,
  type Pod,
} from './resolve/pod.js';
import { hostEndpointOf, networkSetOf, serviceEndpointsOf, type ServiceEndpoint } from './resolve/calico-objects.js';
import { AddressSets } from './resolve/address-sets.js';
import { NamedStore, sameMap } from './resolve/chain-store.js';
import { ChainStore, DeniedChains } from './resolve/denied-chains.js';
import { BgpPeers } from './resolve/bgp-peers.js';
import { Cluster, isOtherPod, type Node, type PodEntry } from './resolve/cluster.js';
import { holdPolicy } from './resolve/held-policy.js';
import { HostEndpoints } from './resolve/host-endpoints.js';
import { LocalEndpoints } from './resolve/local-endpoints.js';
import { NodeAddresses } from './resolve/node-addresses.js';
import { OpenEndpoints } from './resolve/open-endpoints.js';
import { PolicyChains } from './resolve/policy-chains.js';
import { PolicyIndex } from './resolve/policy-index.js';
import { InterfaceLimitChains } from './resolve/interface-limits.js';
import { ServiceRanges } from './resolve/service-ranges.js';
import { SetStore } from './resolve/set-store.js';
import { TunnelPeers } from './resolve/tunnel-peers.js';
import {
  interfacesOf,
  type KubeObject,
  type LocalEndpoint,
  type NodeObject,
  type ObjectKind,
  type PodObject,
  type PolicyEvent,
} from './objects.js';
import { fewProblems, invalid, type Problem } from './problem.js';
import { DIRECTIONS, policyKeyText, type Direction, type Policy, type PolicyKey } from './model/policy.js';
import type { ChainName, DispatchMap, Ruleset, RulesetDelta } from './ruleset.js';
import { faultOf, translatePolicy } from './translate/policy.js';
import { translateTier } from './translate/tier.js';
import type { EndVerdict, Explanation, Flow, Verdict } from './verdict/flow.js';
import { Oracle } from './verdict/oracle.js';

export interface EngineOptions {
  /** Which HostEndpoints are this node's; without it none is. */
  readonly nodeName?: string;
  /** Interface name prefix of pods. Default "tort". */
  readonly podInterfacePrefix?: string;
  /** What happens to a packet from a pod to its own node once egress policy allows it. Default "accept". */
  readonly podToHost?: 'accept' | 'drop' | 'return';
  /** What happens to VXLAN and IP-in-IP packets from a pod to a node, whatever its policies say. Default "drop". */
  readonly podTunnels?: 'accept' | 'drop';
  /** What happens to a pod's packets to the BGP and BFD ports of nodes, unless it is a peer there. Default "drop". */
  readonly podBgp?: 'accept' | 'drop';
  /** Connections that each address of a pod may have opened at a time. Default: as many as the node takes. */
  readonly podConnections?: number;
  /** Ports of the host that no policy of a host endpoint closes. Default FAILSAFE_INBOUND and FAILSAFE_OUTBOUND. */
  readonly failsafeInbound?: readonly FailsafePort[];
  readonly failsafeOutbound?: readonly FailsafePort[];
  /** Whom to tell of what is denied. Default: nobody; the rules are the same then but for the drops. */
  readonly denyReports?: DenyReports;
}

const ports = (protocol: number, ...numbers: readonly number[]): readonly FailsafePort[] =>
  numbers.map((port) => ({ protocol, port }));

/** Calico's: ssh, BGP, etcd, Typha, the API server, etcd's old ports, and DHCP. */
export const FAILSAFE_INBOUND: readonly FailsafePort[] = [
  ...ports(TCP, 22, 179, 2379, 2380, 5473, 6443, 6666, 6667),
  ...ports(UDP, 68),
];
/** The same without ssh, and DNS. */
export const FAILSAFE_OUTBOUND: readonly FailsafePort[] = [
  ...ports(TCP, 179, 2379, 2380, 5473, 6443, 6666, 6667),
  ...ports(UDP, 53, 67),
];

/** What stands in the way of an object, part by part. */
export interface ObjectProblems {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
  readonly problems: readonly Problem[];
}

/**
 * Is a local endpoint's chain its real policy, or closed until something is known? `pod-unknown`: no object of that very pod yet;
 * `namespace-unknown`: no namespace object; `finished`: the pod is Succeeded or Failed; `host-network`: it should have no endpoint.
 */
export type EndpointState = 'no-endpoint' | 'pod-unknown' | 'namespace-unknown' | 'finished' | 'host-network' | 'ready';

/** Whose an address is; `isLocal`: of a pod that is connected here. */
export type AddressHolder =
  | { readonly type: 'pod'; readonly namespace: string; readonly name: string; readonly isLocal: boolean }
  | { readonly type: 'node'; readonly name: string };

export class PolicyEngine {
  private readonly cluster = new Cluster();
  private readonly policies = new PolicyIndex();
  private readonly store = new SetStore();
  private readonly sets = new AddressSets(this.cluster, this.store);
  private readonly denied: DeniedChains;
  private readonly chains: ChainStore;
  private readonly maps = new NamedStore<DispatchMap>(sameMap);
  private readonly policyChains: PolicyChains;
  private readonly endpoints: LocalEndpoints;
  private readonly nodeAddresses = new NodeAddresses(this.store);
  private readonly bgpPeers = new BgpPeers(this.store);
  private readonly serviceRanges = new ServiceRanges(this.store);
  private readonly interfaceLimits: InterfaceLimitChains;
  private readonly tunnelPeers = new TunnelPeers(this.store);
  private readonly nodeName: string | undefined;
  private readonly hosts: HostEndpoints;
  private readonly oracle: Oracle;
  /** BOUNDED by the cluster's objects; only those with problems. */
  private readonly found = new Map<string, ObjectProblems>();
  /** Policies whose rules look at source ports, by policyKeyText. BOUNDED by the cluster's policies. */
  private readonly sourcePortPolicies = new Set<string>();
  private changes = 0;
  private readonly sliceOwners = new Map<
    string,
    { readonly service: string; readonly endpoints: readonly ServiceEndpoint[] }
  >();

  constructor(options: EngineOptions = {}) {
    const {
      podInterfacePrefix = 'tort',
      podToHost = 'accept',
      podTunnels = 'drop',
      podBgp = 'drop',
      podConnections,
      failsafeInbound = FAILSAFE_INBOUND,
      failsafeOutbound = FAILSAFE_OUTBOUND,
      denyReports,
    } = options;
    this.denied = new DeniedChains(denyReports);
    this.chains = new ChainStore(this.denied);
    this.interfaceLimits = new InterfaceLimitChains(this.chains, this.maps);
    this.policyChains = new PolicyChains(
      this.cluster,
      this.policies,
      this.sets,
      this.chains,
      this.denied.action,
      ({ kind, namespace, name }, error) => this.report(kind, namespace, name, [faultOf(error)]),
    );
    this.endpoints = new LocalEndpoints(
      this.cluster,
      this.policies,
      this.policyChains,
      new OpenEndpoints(this.store),
      this.chains,
      this.maps,
      this.denied.action,
    );
    this.oracle = new Oracle(this.cluster, this.policies, {
      failsafe: { inbound: failsafeInbound, outbound: failsafeOutbound },
      podTunnels,
      ...(podBgp === 'drop' ? { bgpPeers: this.bgpPeers } : {}),
    });
    this.nodeName = options.nodeName;
    this.hosts = new HostEndpoints(
      options.nodeName,
      this.cluster,
      this.policies,
      this.policyChains,
      this.chains,
      {
        podInterfacePrefix,
        podToHost,
        podTunnels,
        podBgp,
        ...(podConnections === undefined ? {} : { podConnections }),
        failsafeInbound,
        failsafeOutbound,
        deny: this.denied.action,
      },
      () => this.bgpPeers.listenPorts,
    );
  }

  /** Takes in one event; replays and duplicates are harmless. Never throws for what users wrote. */
  apply(event: PolicyEvent): void {
    switch (event.type) {
      case 'upsert':
        return this.applyObject(
          event.kind,
          event.object.metadata?.namespace ?? '',
          event.object.metadata?.name ?? '',
          event.object,
        );
      case 'delete':
        return this.applyObject(event.kind, event.namespace ?? '', event.name, undefined);
      case 'endpoint-upsert':
        return this.applyEndpoint(event.endpoint.namespace, event.endpoint.name, event.endpoint);
      case 'endpoint-delete':
        return this.applyEndpoint(event.namespace, event.name, undefined);
      case 'bgp-peers':
        if (this.bgpPeers.set(event.peers)) this.hosts.touch();
        return;
      case 'tunnel-peers':
        if (this.tunnelPeers.set(event.peers)) this.hosts.setNeeds({ tunnels: this.tunnelPeers.kinds });
        return;
      case 'host-interfaces':
        return this.hosts.setInterfaces(
          event.interfaces.map(({ name, addresses }) => ({
            name,
            addresses: addresses.flatMap((one) => canonicalAddresses([one])),
          })),
        );
      case 'service-ranges':
        this.serviceRanges.set(event.prefixes);
        return this.hosts.setNeeds({ announcesServices: !this.serviceRanges.isEmpty });
      case 'interface-limits':
        this.interfaceLimits.set(event.limits);
        return this.hosts.setNeeds({ limitsInterfaces: !this.interfaceLimits.isEmpty });
    }
  }

  /** A part of what `flush` does, for who has other work in between; false when nothing is left of it. */
  settleNext(): boolean {
    this.endpoints.settle();
    this.hosts.settle();
    return this.policyChains.settleNext();
  }

  /** What changed since the last flush (the first one builds everything). Empty deltas satisfy isEmptyDelta. */
  flush(): RulesetDelta {
    this.endpoints.settle();
    this.hosts.settle();
    this.policyChains.settle();
    this.sets.collect();
    this.denied.collect();
    const sets = this.store.drain();
    const [chains, maps, hooks] = [this.chains.drain(), this.maps.drain(), this.hosts.drain()];
    const isSame =
      sets.created.length +
        sets.changed.length +
        sets.deleted.length +
        chains.upserted.length +
        chains.deleted.length ===
      0;
    if (!isSame) this.changes++;
    return {
      setsCreated: sets.created,
      setsChanged: sets.changed,
      setsDeleted: sets.deleted,
      chainsUpserted: chains.upserted,
      chainsDeleted: chains.deleted,
      mapsUpserted: maps.upserted,
      mapsChanged: [],
      mapsDeleted: maps.deleted,
      ...(hooks.changed ? { hooks: hooks.hooks } : {}),
    };
  }

  /** The whole ruleset, a snapshot. Call it right after a flush: sets follow events at once, chains wait for the flush. */
  ruleset(): Ruleset {
    return {
      sets: this.store.snapshot(),
      chains: new Map(this.chains.all()),
      maps: new Map(this.maps.all()),
      hooks: this.hosts.allHooks(),
    };
  }

  /** Would this connection attempt be allowed anywhere in the cluster? Needs no endpoints and no flush. */
  verdict(flow: Flow): Verdict {
    return this.oracle.verdict(flow);
  }

  /** What the policies of one end say, and what staged ones that were asked would have. Costs half a verdict. */
  judge(flow: Flow, direction: Direction): EndVerdict {
    return this.oracle.judgeEnd(flow, direction);
  }

  /** Another one after a change by which `judge` may answer something else about a pod of this node. */
  get generation(): number {
    return this.changes;
  }

  /** Does some policy look at source ports? Verdicts on flows that name none may be too kind then. */
  get looksAtSourcePorts(): boolean {
    return this.sourcePortPolicies.size > 0;
  }

  /** Who has an address: a pod that policies can mean, or a node. */
  holderOf(address: string): AddressHolder | undefined {
    const entry = this.cluster.podsWithAddress(address).find((one) => one.addresses.includes(address));
    if (entry !== undefined)
      return { type: 'pod', namespace: entry.namespace, name: entry.name, isLocal: entry.endpoint !== undefined };
    for (const { name, addresses } of this.cluster.allNodes())
      if (addresses.includes(address)) return { type: 'node', name };
    return undefined;
  }

  /** The chains of all that denies here and is reported. */
  deniedChains(): readonly ChainName[] {
    return this.denied.standing();
  }

  /** What a report's id (behind DENY_PREFIX) stands for; undefined when no rule leads there any more. */
  denyPoint(id: string): DenyPoint | undefined {
    return this.denied.point(id);
  }

  /** The verdict with every policy that applies, in order, and what each said. */
  explain(flow: Flow): Explanation {
    return this.oracle.explain(flow);
  }

  problems(): readonly ObjectProblems[] {
    const all = new Map(this.found);
    for (const policy of this.policies.waiting()) {
      const { kind, namespace, name } = policy.key;
      all.set(policyKeyText(policy.key), { kind, namespace, name, problems: this.problemsOf(kind, namespace, name) });
    }
    return [...all.values()];
  }

  problemsOf(kind: ObjectKind, namespace: string, name: string): readonly Problem[] {
    const keyText = `${kind} ${namespace}/${name}`;
    const found = this.found.get(keyText)?.problems ?? [];
    const policy = this.policies.get(keyText);
    // Not a fault of the object alone: the tier may come later.
    return policy === undefined || this.policies.tier(policy.tier) !== undefined
      ? found
      : [...found, invalid('spec.tier', policy.tier, 'must be the name of a Tier that exists')];
  }

  endpointState(namespace: string, name: string): EndpointState {
    const entry = this.cluster.podEntry(namespace, name);
    if (entry?.endpoint === undefined) return 'no-endpoint';
    if (entry.pod === undefined || isOtherPod(entry)) return 'pod-unknown';
    if (entry.pod.finished) return 'finished';
    if (entry.pod.hostNetwork) return 'host-network';
    return this.cluster.hasNamespace(namespace) ? 'ready' : 'namespace-unknown';
  }

  private applyObject(kind: ObjectKind, namespace: string, name: string, object: KubeObject | undefined): void {
    switch (kind) {
      case 'Pod':
        return this.applyPod(namespace, name, object);
      case 'Namespace':
        return this.applyNamespace(name, object);
      case 'Node':
        return this.applyNode(name, object);
      case 'ServiceAccount':
        return this.applyServiceAccount(namespace, name, object);
      case 'EndpointSlice':
        return this.applyEndpointSlice(namespace, name, object);
      case 'Service':
        return;
      case 'Tier':
        return this.applyTier(name, object);
      case 'NetworkSet':
        return this.applyNetworkSet(kind, namespace, name, object);
      case 'GlobalNetworkSet':
        return this.applyNetworkSet(kind, undefined, name, object);
      case 'HostEndpoint':
        return this.applyHostEndpoint(name, object);
      case 'NetworkPolicy':
      case 'CalicoNetworkPolicy':
      case 'StagedNetworkPolicy':
      case 'StagedKubernetesNetworkPolicy':
        return this.applyPolicy({ kind, namespace, name }, object);
      case 'ClusterNetworkPolicy':
      case 'AdminNetworkPolicy':
      case 'BaselineAdminNetworkPolicy':
      case 'GlobalNetworkPolicy':
      case 'StagedGlobalNetworkPolicy':
        return this.applyPolicy({ kind, namespace: '', name }, object);
    }
  }

  private applyPod(namespace: string, name: string, object: PodObject | undefined): void {
    const known = this.cluster.podEntry(namespace, name);
    const pod =
      object === undefined
        ? undefined
        : podOf(
            namespace,
            name,
            object,
            (account) => this.cluster.serviceAccountLabels(namespace, account),
            this.nodeName,
          );
    if (pod === undefined ? known?.pod === undefined : known?.pod !== undefined && samePod(known.pod, pod)) return;
    const entry = this.cluster.ensurePod(namespace, name);
    this.change(entry, pod, entry.endpoint);
    this.endpoints.touchEndpoint(entry);
  }

  private applyEndpoint(namespace: string, name: string, given: LocalEndpoint | undefined): void {
    const known = this.cluster.podEntry(namespace, name);
    const before = known?.endpoint;
    const after = given === undefined ? undefined : { ...given, addresses: endpointAddresses(given.addresses) };
    if (before === undefined && after === undefined) return;
    if (
      before !== undefined &&
      after !== undefined &&
      before.uid === after.uid &&
      sameTexts(interfacesOf(before), interfacesOf(after)) &&
      sameTexts(before.addresses, after.addresses)
    )
      return;
    const entry = known ?? this.cluster.ensurePod(namespace, name);
    this.change(entry, entry.pod, after);
    this.endpoints.endpointChanged(entry, interfacesOf(before), interfacesOf(after));
  }

  /** Changes an entry, and the addresses of all entries that claimed or now claim one of its addresses. */
  private change(entry: PodEntry, pod: Pod | undefined, endpoint: LocalEndpoint | undefined): void {
    const claims = [
      ...(entry.pod?.addresses ?? []),
      ...(entry.endpoint?.addresses ?? []),
      ...(pod?.addresses ?? []),
      ...(endpoint?.addresses ?? []),
    ];
    const affected = new Set([entry, ...this.cluster.rivals(claims)]);
    for (const one of affected) this.sets.detach(one);
    this.cluster.updatePod(entry, pod, endpoint);
    for (const one of affected) {
      one.addresses = this.cluster.effectiveAddresses(one);
      this.sets.attach(one);
    }
  }

  private applyNamespace(name: string, object: KubeObject | undefined): void {
    const before = this.cluster.namespaceLabels(name);
    const wasKnown = this.cluster.hasNamespace(name);
    const labels = object === undefined ? undefined : labelMap(object.metadata?.labels);
    const entries = [...this.cluster.podsOfNamespace(name)];
    // The old labels must be in force while entries leave their sets, the new ones when they enter.
    this.cluster.setNamespace(name, labels);
    const after = this.cluster.namespaceLabels(name);
    if (wasKnown === (labels !== undefined) && sameLabels(before, after)) return;
    if (this.sets.namespaceMatters(name, before, after))
      for (const entry of entries) {
        this.sets.detach(entry);
        this.sets.attach(entry);
      }
    this.sets.networkSetsOfNamespaceChanged(name, before, after);
    for (const entry of entries) this.endpoints.touchEndpoint(entry);
  }

  private applyServiceAccount(namespace: string, name: string, object: KubeObject | undefined): void {
    const labels = labelMap(object?.metadata?.labels);
    if (sameLabels(labels, this.cluster.serviceAccountLabels(namespace, name))) return;
    this.cluster.setServiceAccount(namespace, name, labels);
    for (const entry of this.cluster.podsOfNamespace(namespace)) {
      if (entry.pod?.serviceAccount !== name) continue;
      this.change(entry, { ...entry.pod, labels: withAccountLabels(entry.pod.labels, labels) }, entry.endpoint);
      this.endpoints.touchEndpoint(entry);
    }
  }

  /** A slice says by a label whose it is. The label may change, so the old owner is remembered. */
  private applyEndpointSlice(namespace: string, name: string, object: KubeObject | undefined): void {
    const key = `${namespace}/${name}`;
    const before = this.sliceOwners.get(key);
    const service = object?.metadata?.labels?.['kubernetes.io/service-name'];
    const problems: Problem[] = [];
    const endpoints =
      object === undefined || service === undefined
        ? undefined
        : this.guarded(problems, () => serviceEndpointsOf(object, problems));
    this.report('EndpointSlice', namespace, name, problems);
    if (before !== undefined && before.service !== service)
      this.changeSlice(namespace, before.service, name, before.endpoints, undefined);
    if (service !== undefined)
      this.changeSlice(namespace, service, name, before?.service === service ? before.endpoints : [], endpoints);
    if (service !== undefined && endpoints !== undefined) this.sliceOwners.set(key, { service, endpoints });
    else this.sliceOwners.delete(key);
  }

  private changeSlice(
    namespace: string,
    service: string,
    slice: string,
    before: readonly ServiceEndpoint[],
    after: readonly ServiceEndpoint[] | undefined,
  ): void {
    this.cluster.setServiceSlice(namespace, service, slice, after);
    this.sets.serviceSliceChanged(namespace, service, before, after ?? []);
  }

  private applyTier(name: string, object: KubeObject | undefined): void {
    const problems: Problem[] = [];
    const tier = object === undefined ? undefined : this.guarded(problems, () => translateTier(name, object, problems));
    this.report('Tier', '', name, problems);
    if (!this.policies.setTier(name, tier)) return;
    this.endpoints.touchAllEndpoints();
    this.hosts.touch();
  }

  private applyNetworkSet(
    kind: ObjectKind,
    namespace: string | undefined,
    name: string,
    object: KubeObject | undefined,
  ): void {
    const problems: Problem[] = [];
    const [before, had] = [this.cluster.networkSet(namespace, name), this.cluster.hasNetworkSets()];
    const after =
      object === undefined ? undefined : this.guarded(problems, () => networkSetOf(namespace, name, object, problems));
    this.report(kind, namespace ?? '', name, problems);
    this.cluster.setNetworkSet(namespace, name, after);
    this.sets.networkSetChanged(before, after);
    if (had !== this.cluster.hasNetworkSets()) this.policyChains.touchAll();
  }

  private applyHostEndpoint(name: string, object: KubeObject | undefined): void {
    const problems: Problem[] = [];
    const before = this.cluster.host(name);
    const host =
      object === undefined ? undefined : this.guarded(problems, () => hostEndpointOf(name, object, problems));
    this.report('HostEndpoint', '', name, problems);
    if (before !== undefined) this.sets.detach(before);
    const after = this.cluster.setHost(name, host);
    if (after !== undefined) this.sets.attach(after);
    this.hosts.touch();
  }

  private applyNode(name: string, object: KubeObject | undefined): void {
    const before = this.cluster.node(name);
    const after = object === undefined ? undefined : nodeOf(name, object);
    this.cluster.setNode(name, after);
    this.sets.nodeChanged(before, after);
    this.nodeAddresses.nodeChanged(before, after);
  }

  private applyPolicy(key: PolicyKey, object: KubeObject | undefined): void {
    const keyText = policyKeyText(key);
    const before = this.policies.get(keyText);
    const translation = object === undefined ? undefined : translatePolicy(key.kind, key.namespace, key.name, object);
    this.report(key.kind, key.namespace, key.name, translation?.problems ?? []);
    const made = translation?.policy;
    this.changes++;
    if (made !== undefined && looksAtSourcePorts(made)) this.sourcePortPolicies.add(keyText);
    else this.sourcePortPolicies.delete(keyText);
    const after =
      made === undefined || object === undefined
        ? undefined
        : holdPolicy(
            made,
            translation?.weight ?? 0,
            () => translatePolicy(key.kind, key.namespace, key.name, object)?.policy,
          );
    if (after !== undefined) this.policies.put(after);
    else this.policies.delete(keyText);
    if (before === undefined && after === undefined) return;
    this.policyChains.policyChanged(keyText);
    this.endpoints.policyChanged(keyText, after);
    this.hosts.policyChanged(before, after);
  }

  /** What one object does to its reader is that object's problem: it counts as not there. */
  private guarded<T>(problems: Problem[], read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      problems.push(faultOf(error));
      return undefined;
    }
  }

  private report(kind: ObjectKind, namespace: string, name: string, problems: readonly Problem[]): void {
    const key = `${kind} ${namespace}/${name}`;
    if (problems.length > 0) this.found.set(key, { kind, namespace, name, problems: fewProblems(problems) });
    else this.found.delete(key);
  }
}

const looksAtSourcePorts = (policy: Policy): boolean =>
  DIRECTIONS.some((direction) =>
    (policy[direction] ?? []).some(({ alternatives }) =>
      alternatives.some(
        ({ source }) =>
          source !== undefined &&
          [source.ports, source.notPorts, source.namedPort, source.notNamedPorts].some((each) => each !== undefined),
      ),
    ),
  );

/** Every address that the node's status lists, internal ones first; host names are not addresses. */
function nodeOf(name: string, object: NodeObject): Node {
  const listed = object.status?.addresses ?? [];
  const ranked = [
    ...listed.filter((one) => one.type === 'InternalIP'),
    ...listed.filter((one) => one.type !== 'InternalIP'),
  ];
  const addresses = new Set<string>();
  for (const { address } of ranked) {
    const parsed = address === undefined ? undefined : tryParseAddress(address);
    if (parsed !== undefined) addresses.add(formatAddress(parsed));
  }
  return { name, labels: labelMap(object.metadata?.labels), addresses: [...addresses] };
}
