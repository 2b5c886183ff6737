/**
 * The address sets that compiled rules ask for, kept up to date pod by pod.
 *
 * Only sets that some rule of this node names exist. A pod that changes leaves the sets it was in and enters those it belongs to now;
 * which those are is found through an index of the selections in use, so the cost follows the change and not the cluster.
 */
import { formatPrefix, type Family } from 'node-bgp/address';
import { networksKey, networksOf, type Networks } from '../model/networks.js';
import { hasPorts, protocolName } from '../model/ports.js';
import { matchesNamespace, matchesSelection, selectionIndexKey, type Selection } from '../model/selection.js';
import { matchesSelector, selectorText, type Labels, type Selector } from '../selector/selector.js';
import { SelectorIndex } from '../selector/selector-index.js';
import { shortId, type SetType } from '../ruleset.js';
import type { Cluster, Node, PodEntry } from './cluster.js';
import type { SetStore } from './set-store.js';

/** A set that a rule needs. Equal needs are one set. */
export type SetNeed =
  /** Addresses of the pods that a selection means. */
  | { readonly type: 'pods'; readonly selection: Selection }
  /** Address, protocol and number of a named port of those pods. */
  | { readonly type: 'pod-ports'; readonly selection: Selection; readonly port: string; readonly protocol?: number }
  /** The same for the endpoints of this node: an ingress rule is only ever asked about one of them. */
  | { readonly type: 'local-ports'; readonly port: string; readonly protocol?: number }
  /** Addresses of the nodes with these labels. */
  | { readonly type: 'nodes'; readonly selector: Selector }
  | { readonly type: 'networks'; readonly networks: Networks };

interface ActiveSet {
  readonly id: string;
  readonly need: SetNeed;
  uses: number;
}

interface ActiveSelection {
  readonly selection: Selection;
  readonly entries: Set<PodEntry>;
  readonly sets: Map<string, ActiveSet>;
}

export class AddressSets {
  private readonly active = new Map<string, ActiveSet>();
  private readonly selections = new Map<string, ActiveSelection>();
  private readonly index = new SelectorIndex<ActiveSelection>();
  private readonly selectionsOf = new Map<PodEntry, readonly ActiveSelection[]>();
  private readonly localPorts = new Map<string, ActiveSet>();
  private readonly nodeSets = new Map<string, { readonly set: ActiveSet; readonly selector: Selector }>();
  private readonly localEntries = new Set<PodEntry>();
  private readonly unused = new Set<ActiveSet>();

  constructor(private readonly cluster: Cluster, private readonly store: SetStore) {}

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
  detach(entry: PodEntry): void {
    for (const active of this.selectionsOf.get(entry) ?? []) {
      active.entries.delete(entry);
      for (const set of active.sets.values()) this.removeMembers(set, entry);
    }
    this.selectionsOf.delete(entry);
    if (this.localEntries.delete(entry)) for (const set of this.localPorts.values()) this.removeMembers(set, entry);
  }

  attach(entry: PodEntry): void {
    if (entry.addresses.length === 0 || entry.pod === undefined) return;
    const namespaceLabels = this.cluster.namespaceLabels(entry.namespace);
    const found: ActiveSelection[] = [];
    for (const active of this.index.candidates(entry.namespace, entry.pod.labels, namespaceLabels))
      if (matchesSelection(active.selection, entry.namespace, entry.pod.labels, namespaceLabels)) found.push(active);
    for (const active of found) {
      active.entries.add(entry);
      for (const set of active.sets.values()) this.addMembers(set, entry);
    }
    if (found.length > 0) this.selectionsOf.set(entry, found);
    if (entry.endpoint === undefined) return;
    this.localEntries.add(entry);
    for (const set of this.localPorts.values()) this.addMembers(set, entry);
  }

  /** Does a change of a namespace's labels change what any selection in use means? */
  namespaceMatters(name: string, before: Labels, after: Labels): boolean {
    for (const { selection } of this.selections.values())
      if (matchesNamespace(selection.namespace, name, before) !== matchesNamespace(selection.namespace, name, after)) return true;
    return false;
  }

  nodeChanged(before: Node | undefined, after: Node | undefined): void {
    for (const { set, selector } of this.nodeSets.values()) {
      if (before !== undefined && matchesSelector(selector, before.labels)) for (const address of before.addresses) this.store.remove(set.id, familyOf(address), address);
      if (after !== undefined && matchesSelector(selector, after.labels)) for (const address of after.addresses) this.store.add(set.id, familyOf(address), address);
    }
  }

  private create(set: ActiveSet): void {
    const { id, need } = set;
    this.active.set(id, set);
    this.store.create(id, SET_TYPES[need.type], needKey(need));
    switch (need.type) {
      case 'nodes':
        this.nodeSets.set(id, { set, selector: need.selector });
        for (const node of this.cluster.allNodes())
          if (matchesSelector(need.selector, node.labels)) for (const address of node.addresses) this.store.add(id, familyOf(address), address);
        return;
      case 'networks':
        for (const family of [4, 6] as const) for (const member of networkMembers(need.networks, family)) this.store.add(id, family, member);
        return;
      case 'local-ports':
        this.localPorts.set(id, set);
        for (const entry of this.localEntries) this.addMembers(set, entry);
        return;
      case 'pods': case 'pod-ports': {
        const active = this.selections.get(need.selection.key) ?? this.activate(need.selection);
        active.sets.set(id, set);
        for (const entry of active.entries) this.addMembers(set, entry);
      }
    }
  }

  private destroy(set: ActiveSet): void {
    const { id, need } = set;
    this.active.delete(id);
    this.store.destroy(id);
    if (need.type === 'local-ports') this.localPorts.delete(id);
    if (need.type === 'nodes') this.nodeSets.delete(id);
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
      if (entry.pod === undefined || entry.addresses.length === 0) continue;
      if (!matchesSelection(selection, entry.namespace, entry.pod.labels, this.cluster.namespaceLabels(entry.namespace))) continue;
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

  private addMembers(set: ActiveSet, entry: PodEntry): void {
    for (const address of entry.addresses) for (const member of podMembers(set.need, entry, address)) this.store.add(set.id, familyOf(address), member);
  }

  private removeMembers(set: ActiveSet, entry: PodEntry): void {
    for (const address of entry.addresses) for (const member of podMembers(set.need, entry, address)) this.store.remove(set.id, familyOf(address), member);
  }
}

const SET_TYPES: Readonly<Record<SetNeed['type'], SetType>> = {
  pods: 'address', nodes: 'address', networks: 'network', 'pod-ports': 'address-port', 'local-ports': 'address-port',
};

const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);

/** Identity of a need, and what people read beside the set. */
function needKey(need: SetNeed): string {
  switch (need.type) {
    case 'pods': return need.selection.key;
    case 'pod-ports': return `port ${portKey(need)} of ${need.selection.key}`;
    case 'local-ports': return `port ${portKey(need)} of local endpoints`;
    case 'nodes': return `nodes ${selectorText(need.selector)}`;
    case 'networks': return `networks ${networksKey(need.networks)}`;
  }
}

const portKey = (need: { readonly port: string; readonly protocol?: number }): string =>
  `${JSON.stringify(need.port)}/${need.protocol === undefined ? 'any' : protocolName(need.protocol)}`;

/** What one pod puts into a set under one of its addresses. */
function podMembers(need: SetNeed, entry: PodEntry, address: string): readonly string[] {
  if (need.type === 'pods') return [address];
  if (need.type === 'networks' || need.type === 'nodes') return [];
  return (entry.pod?.ports ?? [])
    .filter((port) => port.name === need.port && hasPorts(port.protocol) && (need.protocol === undefined || need.protocol === port.protocol))
    .map((port) => `${address},${protocolName(port.protocol)}:${port.port}`);
}

/** ipset's hash:net takes no /0: the whole family is two halves. */
function networkMembers(networks: Networks, family: Family): readonly string[] {
  const own = networksOf(networks, family);
  if (own.some((prefix) => prefix.length === 0)) return family === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  return own.map(formatPrefix);
}
