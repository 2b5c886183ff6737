/**
 * Verdict maps of our table: what each must hold, what it was last seen to hold, and the difference. No I/O. A change costs what it
 * touches: where a map was changed by entries, only those are compared.
 */
import { nftChainName, nftMapName, partOfNftChain } from '@tortie/policy/render/nftables';
import type { ChainName, DispatchMap, MapChange, MapHead, Part, Table } from '@tortie/policy/ruleset';
import type { HandedOver } from '../parts.js';

export type NftMapChange =
  | { readonly type: 'create-map'; readonly name: string; readonly map: MapHead }
  | { readonly type: 'delete-map'; readonly name: string }
  | {
      readonly type: 'map';
      readonly name: string;
      readonly map: MapHead;
      readonly added: ReadonlyMap<string, string>;
      readonly removed: readonly string[];
    };

interface WantedMap {
  readonly map: MapHead;
  /** Key to chain, as nftables names it. */
  readonly entries: Map<string, string>;
}

/** Everything in it, or some keys. */
type Doubt = 'all' | Set<string>;

export class NftMaps {
  /** By nft name. BOUNDED, like all maps here, by the ruleset's maps and their entries. */
  private readonly wanted = new Map<string, WantedMap>();
  private readonly kernel = new Map<string, Map<string, string>>();
  private readonly dirty = new Map<string, Doubt>();

  constructor(private readonly handed: HandedOver) {}

  upsert({ entries, ...map }: DispatchMap): void {
    const chains = new Map([...entries].map(([key, chain]) => [key, chainIn(map.table, chain)]));
    this.wanted.set(nftMapName(map), { map, entries: chains });
    this.doubt(nftMapName(map));
  }

  change({ added, removed, ...map }: MapChange): void {
    const name = nftMapName(map);
    const wanted = this.wanted.get(name);
    if (wanted === undefined) throw new Error(`Cannot change map "${name}": no such map was handed over`);
    const doubt = this.dirty.get(name) ?? new Set<string>();
    for (const key of removed) wanted.entries.delete(key);
    for (const [key, chain] of added) wanted.entries.set(key, chainIn(map.table, chain));
    this.dirty.set(name, doubt);
    if (doubt === 'all') return;
    for (const key of [...removed, ...added.keys()]) doubt.add(key);
  }

  delete(map: ChainName): void {
    this.wanted.delete(nftMapName(map));
    this.doubt(nftMapName(map));
  }

  reset(part: Part): void {
    for (const name of [...this.wanted.keys()]) if (partOfNftChain(name) === part) this.wanted.delete(name);
    for (const name of this.kernel.keys()) if (partOfNftChain(name) === part) this.doubt(name);
  }

  /** Names of all that stand in the kernel. */
  inKernel(): IterableIterator<string> {
    return this.kernel.keys();
  }

  /** Takes one map's entries as they are now; undefined when there is none. Says what is not as it was last written. */
  observe(name: string, present: ReadonlyMap<string, string> | undefined): readonly string[] {
    const known = this.kernel.get(name);
    if (known !== undefined && isSameMap(known, present)) return [];
    if (present === undefined) this.kernel.delete(name);
    else this.kernel.set(name, new Map(present));
    this.doubt(name);
    return known === undefined ? [] : [`map ${name} is not as it was written`];
  }

  /** Everything marked that differs; what does not is unmarked. */
  plan(): readonly NftMapChange[] {
    const changes: NftMapChange[] = [];
    for (const [name, doubt] of this.dirty) {
      const planned = this.planMap(name, doubt);
      if (planned.length === 0) this.dirty.delete(name);
      for (const change of planned) changes.push(change);
    }
    return changes;
  }

  done(change: NftMapChange): void {
    switch (change.type) {
      case 'create-map':
        this.kernel.set(change.name, new Map());
        return;
      case 'delete-map':
        this.kernel.delete(change.name);
        return;
      case 'map': {
        const present = this.kernel.get(change.name) ?? new Map<string, string>();
        for (const key of change.removed) present.delete(key);
        for (const [key, chain] of change.added) present.set(key, chain);
        this.kernel.set(change.name, present);
      }
    }
  }

  forgetKernel(): void {
    this.kernel.clear();
    for (const name of this.wanted.keys()) this.doubt(name);
  }

  private doubt(name: string): void {
    this.dirty.set(name, 'all');
  }

  private planMap(name: string, doubt: Doubt): readonly NftMapChange[] {
    const wanted = this.wanted.get(name);
    const present = this.kernel.get(name);
    if (wanted === undefined)
      return present !== undefined && this.handed.hasNft(name) ? [{ type: 'delete-map', name }] : [];
    const { map } = wanted;
    const added = new Map<string, string>();
    const removed: string[] = [];
    const compare = (key: string): void => {
      const [chain, old] = [wanted.entries.get(key), present?.get(key)];
      if (chain === old) return;
      // An element whose chain changes is taken out and put in again within the transaction.
      if (old !== undefined) removed.push(key);
      if (chain !== undefined) added.set(key, chain);
    };
    if (doubt !== 'all' && present !== undefined) doubt.forEach(compare);
    else {
      for (const key of wanted.entries.keys()) compare(key);
      for (const key of present?.keys() ?? []) if (!wanted.entries.has(key)) removed.push(key);
    }
    const change: NftMapChange = { type: 'map', name, map, added, removed };
    if (present === undefined) return [{ type: 'create-map', name, map }, change];
    return added.size + removed.length > 0 ? [change] : [];
  }
}

/** Entries name chains of the same iptables table, which nft's one table tells apart by name. */
const chainIn = (table: Table, name: string): string => nftChainName({ table, name });

const isSameMap = (a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string> | undefined): boolean => {
  if (b === undefined || a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
};
