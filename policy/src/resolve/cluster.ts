/**
 * The snapshot of pods, namespaces and nodes with the indexes that keep look-ups in proportion to their answers: pods
 * by namespace, by label and by address.
 *
 * A local endpoint is the authority on its pod's addresses: it has them before the pod's status does, and an address that a local endpoint
 * holds belongs to no other pod, whatever an old status still says.
 */
import type { LocalEndpoint } from '../objects.js';
import { matchesNamespace, type Selection } from '../model/selection.js';
import { indexTerm, requiredTerms, type Labels } from '../selector/selector.js';
import type { HostEndpoint, NetworkSet, ServiceEndpoint } from './calico-objects.js';
import { addressOf, type NamedPort, type Pod } from './pod.js';

/** One pod name of the cluster: its object, its endpoint when it is plumbed here, and what follows from both. */
export interface PodEntry {
  readonly namespace: string;
  readonly name: string;
  pod?: Pod;
  endpoint?: LocalEndpoint;
  /** Addresses that count: none for pods that no policy can mean. Only the cluster writes this. */
  addresses: readonly string[];
}

/** A HostEndpoint as a member of selections. */
export interface HostEntry {
  readonly namespace?: undefined;
  readonly host: HostEndpoint;
  readonly addresses: readonly string[];
}

/** Whatever a selection can mean by its address. */
export type Entry = PodEntry | HostEntry;

/** The object is of a pod that had, or will have, the name of the one that is plumbed here. */
export const isOtherPod = ({ pod, endpoint }: PodEntry): boolean =>
  pod !== undefined && endpoint?.uid !== undefined && pod.uid !== endpoint.uid;

export const entryLabels = (entry: Entry): Labels | undefined =>
  'host' in entry ? entry.host.labels : entry.pod?.labels;
export const entryPorts = (entry: Entry): readonly NamedPort[] =>
  'host' in entry ? entry.host.ports : (entry.pod?.ports ?? []);
/** May a chain of this node be about it? Host endpoints of other nodes do no harm: their chains are elsewhere. */
export const isLocal = (entry: Entry): boolean => 'host' in entry || entry.endpoint !== undefined;

export interface Node {
  readonly name: string;
  readonly labels: Labels;
  /** Every address of status.addresses in canonical text, internal ones first. */
  readonly addresses: readonly string[];
}

export const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name';
/** What Calico's namespace selectors know as projectcalico.org/name. */
export const CALICO_NAME_LABEL = '\u0001name';

const NO_LABELS: Labels = new Map();

export class Cluster {
  /** BOUNDED, like all maps here, by the cluster's objects. */
  private readonly pods = new Map<string, PodEntry>();
  private readonly podsByNamespace = new Map<string, Set<PodEntry>>();
  private readonly podsByLabel = new Map<string, PodEntry | Set<PodEntry>>();
  private readonly podsByAddress = new Map<string, PodEntry | Set<PodEntry>>();
  private readonly namespaces = new Map<string, Labels>();
  private readonly nodes = new Map<string, Node>();
  private readonly hosts = new Map<string, HostEntry>();
  private readonly networkSets = new Map<string, NetworkSet>();
  private readonly serviceAccounts = new Map<string, Labels>();
  /** Endpoints by Service, by slice. */
  private readonly services = new Map<string, Map<string, readonly ServiceEndpoint[]>>();

  podEntry(namespace: string, name: string): PodEntry | undefined {
    return this.pods.get(`${namespace}/${name}`);
  }

  allPods(): Iterable<PodEntry> {
    return this.pods.values();
  }

  podsOfNamespace(namespace: string): Iterable<PodEntry> {
    return this.podsByNamespace.get(namespace) ?? [];
  }

  podsWithAddress(address: string): readonly PodEntry[] {
    return listed(this.podsByAddress.get(address));
  }

  hasNamespace(name: string): boolean {
    return this.namespaces.has(name);
  }

  /** Labels as selectors see them; of an unknown namespace only its name. */
  namespaceLabels(name: string): Labels {
    return this.namespaces.get(name) ?? namespaceLabelsOf(name, new Map());
  }

  node(name: string): Node | undefined {
    return this.nodes.get(name);
  }

  allNodes(): Iterable<Node> {
    return this.nodes.values();
  }

  setNode(name: string, node: Node | undefined): void {
    if (node === undefined) this.nodes.delete(name);
    else this.nodes.set(name, node);
  }

  host(name: string): HostEntry | undefined {
    return this.hosts.get(name);
  }

  allHosts(): Iterable<HostEntry> {
    return this.hosts.values();
  }

  setHost(name: string, host: HostEndpoint | undefined): HostEntry | undefined {
    const entry: HostEntry | undefined = host === undefined ? undefined : { host, addresses: host.addresses };
    if (entry === undefined) this.hosts.delete(name);
    else this.hosts.set(name, entry);
    return entry;
  }

  networkSet(namespace: string | undefined, name: string): NetworkSet | undefined {
    return this.networkSets.get(`${namespace ?? ''}/${name}`);
  }

  allNetworkSets(): Iterable<NetworkSet> {
    return this.networkSets.values();
  }

  hasNetworkSets(): boolean {
    return this.networkSets.size > 0;
  }

  setNetworkSet(namespace: string | undefined, name: string, set: NetworkSet | undefined): void {
    const key = `${namespace ?? ''}/${name}`;
    if (set === undefined) this.networkSets.delete(key);
    else this.networkSets.set(key, set);
  }

  serviceAccountLabels(namespace: string, name: string): Labels {
    return this.serviceAccounts.get(`${namespace}/${name}`) ?? NO_LABELS;
  }

  setServiceAccount(namespace: string, name: string, labels: Labels | undefined): void {
    if (labels === undefined || labels.size === 0) this.serviceAccounts.delete(`${namespace}/${name}`);
    else this.serviceAccounts.set(`${namespace}/${name}`, labels);
  }

  serviceEndpoints(namespace: string, name: string): readonly ServiceEndpoint[] {
    return [...(this.services.get(`${namespace}/${name}`)?.values() ?? [])].flat();
  }

  /** Endpoints of one slice of a Service; undefined takes the slice away. */
  setServiceSlice(
    namespace: string,
    service: string,
    slice: string,
    endpoints: readonly ServiceEndpoint[] | undefined,
  ): void {
    const key = `${namespace}/${service}`;
    const slices = this.services.get(key) ?? new Map<string, readonly ServiceEndpoint[]>();
    if (endpoints === undefined) slices.delete(slice);
    else slices.set(slice, endpoints);
    if (slices.size === 0) this.services.delete(key);
    else this.services.set(key, slices);
  }

  setNamespace(name: string, labels: ReadonlyMap<string, string> | undefined): void {
    if (labels === undefined) this.namespaces.delete(name);
    else this.namespaces.set(name, namespaceLabelsOf(name, labels));
  }

  /** The entry of a name, made when there is none. */
  ensurePod(namespace: string, name: string): PodEntry {
    const known = this.podEntry(namespace, name);
    if (known !== undefined) return known;
    const entry: PodEntry = { namespace, name, addresses: [] };
    this.pods.set(`${namespace}/${name}`, entry);
    addTo(this.podsByNamespace, namespace, entry);
    return entry;
  }

  /** Sets object and endpoint of an entry and keeps the indexes; an entry with neither goes. Addresses are settled by `settle`. */
  updatePod(entry: PodEntry, pod: Pod | undefined, endpoint: LocalEndpoint | undefined): void {
    this.unindex(entry);
    entry.pod = pod;
    entry.endpoint = endpoint;
    this.index(entry);
    if (pod !== undefined || endpoint !== undefined) return;
    this.pods.delete(`${entry.namespace}/${entry.name}`);
    const rest = this.podsByNamespace.get(entry.namespace);
    if (rest?.delete(entry) === true && rest.size === 0) this.podsByNamespace.delete(entry.namespace);
  }

  /** Addresses that this entry should have now. */
  effectiveAddresses(entry: PodEntry): readonly string[] {
    const pod = entry.pod;
    if (pod === undefined || pod.hostNetwork || pod.finished) return [];
    if (isOtherPod(entry)) return pod.addresses.filter((address) => !this.isPlumbed(address));
    return claimedAddresses(entry).filter(
      (address) => entry.endpoint?.addresses.includes(address) === true || !this.isPlumbed(address),
    );
  }

  /** Does a local endpoint hold it? */
  private isPlumbed(address: string): boolean {
    return this.podsWithAddress(address).some((other) => other.endpoint?.addresses.includes(address));
  }

  /** Entries that claim an address of this entry, itself among them: the ones whose addresses may change with it. */
  rivals(addresses: Iterable<string>): ReadonlySet<PodEntry> {
    const rivals = new Set<PodEntry>();
    for (const address of addresses) for (const entry of this.podsWithAddress(address)) rivals.add(entry);
    return rivals;
  }

  /** What may match a selection; the caller asks the selection itself. */
  *candidates(selection: Selection): Iterable<Entry> {
    yield* this.candidatePods(selection);
    if (selection.scope === 'endpoints') yield* this.hosts.values();
  }

  /** From the shortest list at hand. */
  private candidatePods(selection: Selection): Iterable<PodEntry> {
    const terms = requiredTerms(selection.labels);
    const byLabel =
      terms?.every((term) => term.includes('\u0000')) === true
        ? terms.map((term) => this.podsByLabel.get(term))
        : undefined;
    const labelled = byLabel?.reduce((sum, entries) => sum + sizeOf(entries), 0) ?? Infinity;
    const { namespace } = selection;
    if (namespace.type === 'global') return [];
    if (namespace.type === 'name') {
      const own = this.podsByNamespace.get(namespace.name);
      if (own === undefined || own.size <= labelled) return own ?? [];
    }
    if (byLabel !== undefined) return new Set(byLabel.flatMap((entries) => [...listed(entries)]));
    return namespace.type === 'selector' ? this.podsOfMatchingNamespaces(selection) : this.pods.values();
  }

  private *podsOfMatchingNamespaces(selection: Selection): Iterable<PodEntry> {
    for (const [name, entries] of this.podsByNamespace)
      if (matchesNamespace(selection.namespace, name, this.namespaceLabels(name))) yield* entries;
  }

  private index(entry: PodEntry): void {
    for (const [key, value] of entry.pod?.labels ?? []) addCompact(this.podsByLabel, indexTerm(key, value), entry);
    for (const address of allAddresses(entry)) addCompact(this.podsByAddress, address, entry);
  }

  private unindex(entry: PodEntry): void {
    for (const [key, value] of entry.pod?.labels ?? []) removeCompact(this.podsByLabel, indexTerm(key, value), entry);
    for (const address of allAddresses(entry)) removeCompact(this.podsByAddress, address, entry);
  }
}

/** The endpoint's addresses; of a family in which it has none, the status's. */
function claimedAddresses(entry: PodEntry): readonly string[] {
  const own = entry.endpoint?.addresses ?? [];
  const missing = ([4, 6] as const).filter((family) => addressOf(own, family) === undefined);
  const status = missing.map((family) => addressOf(entry.pod?.addresses ?? [], family));
  return [...own, ...status.filter((address) => address !== undefined)];
}

/** Every address that entry's object or endpoint names, each once. */
const allAddresses = (entry: PodEntry): ReadonlySet<string> =>
  new Set([...(entry.endpoint?.addresses ?? []), ...(entry.pod?.addresses ?? [])]);

/** The name label is the API server's, whatever a replacement of all labels left out. */
function namespaceLabelsOf(name: string, labels: ReadonlyMap<string, string>): Labels {
  return new Map([...labels, [NAMESPACE_NAME_LABEL, name], [CALICO_NAME_LABEL, name]]);
}

function addTo<K, V>(index: Map<K, Set<V>>, key: K, value: V): void {
  const values = index.get(key);
  if (values === undefined) index.set(key, new Set([value]));
  else values.add(value);
}

/** Most labels and addresses belong to one pod: such an entry stands by itself and costs no Set. */
function addCompact<V extends object>(index: Map<string, V | Set<V>>, key: string, value: V): void {
  const known = index.get(key);
  if (known === undefined) index.set(key, value);
  else if (known instanceof Set) known.add(value);
  else if (known !== value) index.set(key, new Set([known, value]));
}

function removeCompact<V extends object>(index: Map<string, V | Set<V>>, key: string, value: V): void {
  const known = index.get(key);
  if (known === value) index.delete(key);
  else if (known instanceof Set) {
    known.delete(value);
    const [last] = known;
    if (known.size === 1 && last !== undefined) index.set(key, last);
  }
}

const listed = <V extends object>(known: V | Set<V> | undefined): readonly V[] =>
  known === undefined ? [] : known instanceof Set ? [...known] : [known];

const sizeOf = (known: object | Set<object> | undefined): number =>
  known === undefined ? 0 : known instanceof Set ? known.size : 1;
