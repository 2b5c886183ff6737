/**
 * Services and their slices as they are known now, by Service. A slice may come before its Service, belong to none, or change its owner.
 */
import type { Family } from 'node-bgp/address';
import { endpointKey, type Endpoint, type SliceModel } from '../model/endpoint.js';
import type { ServicePort, Translated } from '../model/service.js';

export interface ServiceEntry {
  translated: Translated | undefined;
  /** By the slice's name. */
  readonly slices: Map<string, SliceModel>;
}

export class ServiceStore {
  /** BOUNDED by the cluster's Services and slices. */
  private readonly entries = new Map<string, ServiceEntry>();
  /** Slice to the key of its Service. */
  private readonly owners = new Map<string, string>();

  get(key: string): ServiceEntry | undefined {
    return this.entries.get(key);
  }

  keys(): IterableIterator<string> {
    return this.entries.keys();
  }

  setService(key: string, translated: Translated | undefined): void {
    this.ensure(key).translated = translated;
    this.dropIfEmpty(key);
  }

  /** Returns the Services that this concerns. */
  setSlice(namespace: string, name: string, slice: SliceModel | undefined): readonly string[] {
    const sliceKey = `${namespace}/${name}`;
    const before = this.owners.get(sliceKey);
    const after = slice?.service === undefined ? undefined : `${namespace}/${slice.service}`;
    if (before !== undefined && before !== after) {
      this.entries.get(before)?.slices.delete(name);
      this.dropIfEmpty(before);
    }
    if (after === undefined || slice === undefined) this.owners.delete(sliceKey);
    else {
      this.owners.set(sliceKey, after);
      this.ensure(after).slices.set(name, slice);
    }
    return [...new Set([before, after])].filter((key) => key !== undefined);
  }

  private ensure(key: string): ServiceEntry {
    let entry = this.entries.get(key);
    if (entry === undefined) this.entries.set(key, (entry = { translated: undefined, slices: new Map() }));
    return entry;
  }

  private dropIfEmpty(key: string): void {
    const entry = this.entries.get(key);
    if (entry !== undefined && entry.translated === undefined && entry.slices.size === 0) this.entries.delete(key);
  }
}

/**
 * The endpoints of a port in a family, each once, in an order that depends on them alone. In two slices at once (it is being moved, or its
 * address has a new pod already) the one that does not end counts.
 */
export function endpointsOf(entry: ServiceEntry, port: ServicePort, family: Family): readonly Endpoint[] {
  const found = new Map<string, Endpoint>();
  for (const slice of [...entry.slices.values()].sort(byName)) {
    if (slice.family !== family) continue;
    for (const { name, protocol, endpoints } of slice.ports) {
      if (name !== port.name || protocol !== port.protocol) continue;
      for (const endpoint of endpoints) {
        const key = endpointKey(endpoint);
        if (!found.has(key) || !endpoint.isTerminating) found.set(key, endpoint);
      }
    }
  }
  return [...found.keys()].sort().flatMap((key) => found.get(key) ?? []);
}

const byName = (a: SliceModel, b: SliceModel): number => (a.name < b.name ? -1 : 1);
