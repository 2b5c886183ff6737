/**
 * Which addresses of which Services this node may announce one by one, kept up Service by Service: of 10,000 the one that changed is
 * looked at. Empty until `fill`, which is when somebody reads it and the copy of the cluster has all Services.
 */
import type { EndpointSlice } from '../api/core.js';
import { objectKey, type Cluster, type ClusterChange } from '../cluster/cluster.js';
import { SERVICE_LABEL, serviceAddressesOf, type ServiceAddress } from '../topology/service-addresses.js';

/** Undefined: belongs to no Service. */
function serviceOf({ metadata }: EndpointSlice): string | undefined {
  const name = metadata.labels?.[SERVICE_LABEL] ?? '';
  return name === '' ? undefined : objectKey(metadata.namespace, name);
}

export class ServiceIndex {
  private isFilled = false;
  /** By Service, then by name. BOUNDED by the cluster's slices. */
  private readonly slices = new Map<string, Map<string, EndpointSlice>>();
  /** The Service of each slice, which may be relabelled. */
  private readonly homes = new Map<string, string>();
  /** By Service; only of those with any. */
  private readonly found = new Map<string, readonly ServiceAddress[]>();
  private all: readonly ServiceAddress[] | undefined;

  constructor(
    private readonly cluster: Cluster,
    private readonly node: string,
  ) {}

  addresses(): readonly ServiceAddress[] {
    this.all ??= [...this.found.values()].flat();
    return this.all;
  }

  fill(): void {
    if (this.isFilled) return;
    this.isFilled = true;
    for (const slice of this.cluster.all('endpointSlices').values()) this.place(slice);
    for (const key of this.cluster.all('services').keys()) this.look(key);
  }

  /** True when a change makes any difference to what may be announced. */
  changed(change: ClusterChange): boolean {
    if (!this.isFilled) return false;
    const { metadata } = change.object;
    if (change.kind === 'services') return this.look(objectKey(metadata.namespace, metadata.name));
    if (change.kind !== 'endpointSlices') return false;
    const touched = change.type === 'delete' ? this.remove(change.object) : this.place(change.object);
    return touched.map((key) => this.look(key)).some((isNews) => isNews);
  }

  /** Returns the Services to look at. */
  private place(slice: EndpointSlice): readonly string[] {
    const name = objectKey(slice.metadata.namespace, slice.metadata.name);
    const home = serviceOf(slice);
    const former = this.homes.get(name) === home ? [] : this.remove(slice);
    if (home === undefined) return former;
    this.homes.set(name, home);
    const slices = this.slices.get(home) ?? new Map<string, EndpointSlice>();
    this.slices.set(home, slices.set(name, slice));
    return [...former, home];
  }

  private remove({ metadata }: EndpointSlice): readonly string[] {
    const name = objectKey(metadata.namespace, metadata.name);
    const home = this.homes.get(name);
    if (home === undefined) return [];
    this.homes.delete(name);
    const slices = this.slices.get(home);
    slices?.delete(name);
    if (slices?.size === 0) this.slices.delete(home);
    return [home];
  }

  private look(key: string): boolean {
    const service = this.cluster.all('services').get(key);
    const before = this.found.get(key) ?? [];
    const after =
      service === undefined ? [] : serviceAddressesOf(service, this.slices.get(key)?.values() ?? [], this.node);
    if (JSON.stringify(before, textOf) === JSON.stringify(after, textOf)) return false;
    if (after.length === 0) this.found.delete(key);
    else this.found.set(key, after);
    this.all = undefined;
    return true;
  }
}

/** JSON has no word for an address's number. */
const textOf = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
