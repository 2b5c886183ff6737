/**
 * The address sets that compiled rules ask for, kept up to date object by object.
 *
 * Only sets that some rule of this node names exist. An endpoint that changes leaves the sets it was in and enters those it belongs to now;
 * which those are is found through an index of the selections in use, so the cost follows the change and not the cluster.
 */
import { unionIpv4, unionIpv6, withoutIpv4, withoutZeroLength } from '../model/packed-networks.js';
import { matchesNamespace, matchesSelection, selectionIndexKey, type Selection } from '../model/selection.js';
import { matchesSelector, type Labels, type Selector } from '../selector/selector.js';
import { SelectorIndex } from '../selector/selector-index.js';
import { shortId } from '../ruleset.js';
import type { NetworkSet, ServiceEndpoint } from './calico-objects.js';
import { entryLabels, isLocal, type Cluster, type Entry, type Node } from './cluster.js';
import {
  entryMembers,
  familyOf,
  needKey,
  networkMembers,
  serviceMembers,
  SET_TYPES,
  type SetNeed,
} from './set-need.js';
import type { SetStore } from './set-store.js';

interface ActiveSet {
  readonly id: string;
  readonly need: SetNeed;
  uses: number;
}

interface ActiveSelection {
  readonly selection: Selection;
  readonly entries: Set<Entry>;
  readonly sets: Map<string, ActiveSet>;
}

/** The networks of all network sets that a selection means, as members now in the store: IPv4 packed, there may be many. */
interface SelectedNetworks {
  readonly set: ActiveSet;
  readonly selection: Selection;
  v4: Float64Array;
  v6: ReadonlySet<string>;
}

const NO_LABELS: Labels = new Map();

/** What people read beside the set; of a long list its beginning. */
const noteOf = (key: string): string => (key.length <= 256 ? key : `${key.slice(0, 253)}...`);

export class AddressSets {
  private readonly active = new Map<string, ActiveSet>();
  private readonly selections = new Map<string, ActiveSelection>();
  private readonly index = new SelectorIndex<ActiveSelection>();
  private readonly selectionsOf = new Map<Entry, readonly ActiveSelection[]>();
  private readonly localPorts = new Map<string, ActiveSet>();
  private readonly localEntries = new Set<Entry>();
  private readonly nodeSets = new Map<string, { readonly set: ActiveSet; readonly selector: Selector }>();
  private readonly selectedNetworks = new Map<string, SelectedNetworks>();
  private readonly serviceSets = new Map<string, Set<ActiveSet>>();
  private readonly unused = new Set<ActiveSet>();

  constructor(
    private readonly cluster: Cluster,
    private readonly store: SetStore,
  ) {}

  /** The id of the set for a need; it lives until as many releases. */
  acquire(need: SetNeed): string {
    const id = shortId(needKey(need));
    const known = this.active.get(id);
    const set = known ?? { id, need, uses: 0 };
    set.uses++;
    this.unused.delete(set);
    if (known === undefined) this.create(set);
    return id;
  }

  release(id: string): void {
    const set = this.active.get(id);
    if (set === undefined || set.uses === 0) throw new Error(`Cannot release set ${id}: nobody holds it`);
    set.uses--;
    if (set.uses === 0) this.unused.add(set);
  }

  /** Drops the sets that no rule names any more. */
  collect(): void {
    for (const set of this.unused) this.destroy(set);
    this.unused.clear();
  }

  /** Takes an entry out of every set; the caller changes it and then calls `attach`. */
  detach(entry: Entry): void {
    for (const active of this.selectionsOf.get(entry) ?? []) {
      active.entries.delete(entry);
      for (const set of active.sets.values()) this.removeMembers(set, entry);
    }
    this.selectionsOf.delete(entry);
    if (this.localEntries.delete(entry)) for (const set of this.localPorts.values()) this.removeMembers(set, entry);
  }

  attach(entry: Entry): void {
    const labels = entryLabels(entry);
    if (entry.addresses.length === 0 || labels === undefined) return;
    const found = this.matching(entry, labels);
    for (const active of found) {
      active.entries.add(entry);
      for (const set of active.sets.values()) this.addMembers(set, entry);
    }
    if (found.length > 0) this.selectionsOf.set(entry, found);
    if (!isLocal(entry)) return;
    this.localEntries.add(entry);
    for (const set of this.localPorts.values()) this.addMembers(set, entry);
  }

  /** Does a change of a namespace's labels change what any selection in use means? */
  namespaceMatters(name: string, before: Labels, after: Labels): boolean {
    for (const { selection } of this.selections.values())
      if (matchesNamespace(selection.namespace, name, before) !== matchesNamespace(selection.namespace, name, after))
        return true;
    return false;
  }

  nodeChanged(before: Node | undefined, after: Node | undefined): void {
    for (const { set, selector } of this.nodeSets.values()) {
      if (before !== undefined && matchesSelector(selector, before.labels))
        for (const address of before.addresses) this.store.remove(set.id, familyOf(address), address);
      if (after !== undefined && matchesSelector(selector, after.labels))
        for (const address of after.addresses) this.store.add(set.id, familyOf(address), address);
    }
  }

  /** A network set came, went or changed, or the labels of its namespace did: what its networks are part of is made anew. */
  networkSetChanged(before: NetworkSet | undefined, after: NetworkSet | undefined): void {
    for (const selected of this.selectedNetworks.values())
      if ([before, after].some((set) => set !== undefined && this.meansNetworkSet(selected.selection, set)))
        this.refreshNetworks(selected);
  }

  /** As networkSetChanged, for all network sets of a namespace whose labels changed. */
  networkSetsOfNamespaceChanged(name: string, before: Labels, after: Labels): void {
    for (const selected of this.selectedNetworks.values())
      if (
        matchesNamespace(selected.selection.namespace, name, before) !==
        matchesNamespace(selected.selection.namespace, name, after)
      )
        this.refreshNetworks(selected);
  }

  serviceSliceChanged(
    namespace: string,
    service: string,
    before: readonly ServiceEndpoint[],
    after: readonly ServiceEndpoint[],
  ): void {
    for (const { id, need } of this.serviceSets.get(`${namespace}/${service}`) ?? []) {
      if (need.type !== 'service') continue;
      for (const [family, member] of serviceMembers(need.withPorts, before)) this.store.remove(id, family, member);
      for (const [family, member] of serviceMembers(need.withPorts, after)) this.store.add(id, family, member);
    }
  }

  private create(set: ActiveSet): void {
    const { id, need } = set;
    this.active.set(id, set);
    this.store.create(id, SET_TYPES[need.type](need), noteOf(needKey(need)));
    switch (need.type) {
      case 'nodes':
        this.nodeSets.set(id, { set, selector: need.selector });
        for (const node of this.cluster.allNodes()) this.addNode(set, need.selector, node);
        return;
      case 'networks':
        for (const family of [4, 6] as const)
          for (const member of networkMembers(need.networks, family)) this.store.add(id, family, member);
        return;
      case 'service':
        return this.createService(set, need.namespace, need.name, need.withPorts);
      case 'selected-networks': {
        const selected: SelectedNetworks = { set, selection: need.selection, v4: new Float64Array(), v6: new Set() };
        this.selectedNetworks.set(id, selected);
        return this.refreshNetworks(selected);
      }
      case 'local-ports':
        this.localPorts.set(id, set);
        for (const entry of this.localEntries) this.addMembers(set, entry);
        return;
      case 'pods':
      case 'pod-ports': {
        const active = this.selections.get(need.selection.key) ?? this.activate(need.selection);
        active.sets.set(id, set);
        for (const entry of active.entries) this.addMembers(set, entry);
      }
    }
  }

  private createService(set: ActiveSet, namespace: string, name: string, withPorts: boolean): void {
    const key = `${namespace}/${name}`;
    this.serviceSets.set(key, new Set([...(this.serviceSets.get(key) ?? []), set]));
    for (const [family, member] of serviceMembers(withPorts, this.cluster.serviceEndpoints(namespace, name)))
      this.store.add(set.id, family, member);
  }

  private destroy(set: ActiveSet): void {
    const { id, need } = set;
    this.active.delete(id);
    this.store.destroy(id);
    this.localPorts.delete(id);
    this.nodeSets.delete(id);
    this.selectedNetworks.delete(id);
    if (need.type === 'service') {
      const key = `${need.namespace}/${need.name}`;
      const rest = this.serviceSets.get(key);
      if (rest?.delete(set) === true && rest.size === 0) this.serviceSets.delete(key);
    }
    if (need.type !== 'pods' && need.type !== 'pod-ports') return;
    const active = this.selections.get(need.selection.key);
    if (active === undefined) return;
    active.sets.delete(id);
    if (active.sets.size === 0) this.deactivate(active);
  }

  private activate(selection: Selection): ActiveSelection {
    const active: ActiveSelection = { selection, entries: new Set(), sets: new Map() };
    this.selections.set(selection.key, active);
    this.index.add(selectionIndexKey(selection), active);
    for (const entry of this.cluster.candidates(selection)) {
      const labels = entryLabels(entry);
      if (labels === undefined || entry.addresses.length === 0 || !this.means(selection, entry, labels)) continue;
      active.entries.add(entry);
      this.selectionsOf.set(entry, [...(this.selectionsOf.get(entry) ?? []), active]);
    }
    return active;
  }

  private deactivate(active: ActiveSelection): void {
    this.selections.delete(active.selection.key);
    this.index.remove(selectionIndexKey(active.selection), active);
    for (const entry of active.entries) {
      const rest = (this.selectionsOf.get(entry) ?? []).filter((one) => one !== active);
      if (rest.length > 0) this.selectionsOf.set(entry, rest);
      else this.selectionsOf.delete(entry);
    }
  }

  private matching(entry: Entry, labels: Labels): readonly ActiveSelection[] {
    const candidates = this.index.candidates(entry.namespace, labels, this.namespaceLabels(entry.namespace));
    return [...candidates].filter((active) => this.means(active.selection, entry, labels));
  }

  private means(selection: Selection, entry: Entry, labels: Labels): boolean {
    if (selection.scope === 'pods' && entry.namespace === undefined) return false;
    return matchesSelection(selection, entry.namespace, labels, this.namespaceLabels(entry.namespace));
  }

  private meansNetworkSet(selection: Selection, set: NetworkSet): boolean {
    return matchesSelection(selection, set.namespace, set.labels, this.namespaceLabels(set.namespace));
  }

  private namespaceLabels(namespace: string | undefined): Labels {
    return namespace === undefined ? NO_LABELS : this.cluster.namespaceLabels(namespace);
  }

  /** Networks of several sets may overlap, which sets of the kernel do not take: members are their union. What stays is not touched. */
  private refreshNetworks(selected: SelectedNetworks): void {
    const { id } = selected.set;
    const matching = [...this.cluster.allNetworkSets()]
      .filter((set) => this.meansNetworkSet(selected.selection, set))
      .map((set) => set.networks);
    const v4 = withoutZeroLength(unionIpv4(matching));
    const v6 = new Set(networkMembers(unionIpv6(matching), 6));
    for (const member of withoutIpv4(v4, selected.v4)) this.store.add(id, 4, member);
    for (const member of v6) if (!selected.v6.has(member)) this.store.add(id, 6, member);
    for (const member of withoutIpv4(selected.v4, v4)) this.store.remove(id, 4, member);
    for (const member of selected.v6) if (!v6.has(member)) this.store.remove(id, 6, member);
    selected.v4 = v4;
    selected.v6 = v6;
  }

  private addNode(set: ActiveSet, selector: Selector, node: Node): void {
    if (matchesSelector(selector, node.labels))
      for (const address of node.addresses) this.store.add(set.id, familyOf(address), address);
  }

  private addMembers(set: ActiveSet, entry: Entry): void {
    for (const address of entry.addresses)
      for (const member of entryMembers(set.need, entry, address)) this.store.add(set.id, familyOf(address), member);
  }

  private removeMembers(set: ActiveSet, entry: Entry): void {
    for (const address of entry.addresses)
      for (const member of entryMembers(set.need, entry, address)) this.store.remove(set.id, familyOf(address), member);
  }
}
