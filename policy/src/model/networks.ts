/**
 * Arithmetic on sets of addresses written as prefixes: union, the one smallest cover of disjoint prefixes, and blocks with holes.
 *
 * An ipBlock with excepts becomes two sets, "in this and not in that", so the kernel needs neither `nomatch` (which would subtract from a
 * neighbour's block too: the most particular entry of a set wins, whoever put it there) nor overlapping intervals, and an except costs
 * one member: cutting the block up would cost up to 128.
 */
import {
  bitsOf,
  comparePrefixes,
  containsAddress,
  containsPrefix,
  formatPrefix,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import { Interner } from './interner.js';

/** Disjoint prefixes of both families in address order, no two of which could be one: equal sets have equal lists. */
export type Networks = readonly IpPrefix[];

/** Everything in `prefixes`, in canonical form. */
export function unionNetworks(prefixes: readonly IpPrefix[]): Networks {
  const kept: IpPrefix[] = [];
  for (const prefix of [...prefixes].sort(comparePrefixes)) {
    const last = kept[kept.length - 1];
    if (last !== undefined && containsPrefix(last, prefix)) continue;
    kept.push(prefix);
    mergeTail(kept);
  }
  return kept.length <= MOST_SHARED ? inUse.intern(networksKey(kept), kept) : kept;
}

/** The same block stands in many policies; long lists are few, and their keys long. */
const MOST_SHARED = 64;
const inUse = new Interner<Networks>();

/** A block of addresses and the holes in it; an except that does not lie in it changes nothing. */
export interface Block {
  readonly cidr: IpPrefix;
  readonly excepts: readonly IpPrefix[];
}

/** The addresses that are in `networks` and not in `notNetworks`. */
export interface Layer {
  readonly networks: Networks;
  readonly notNetworks?: Networks;
}

/**
 * The union of the blocks, each less its own holes, as the fewest pairs of sets: blocks that do not touch one another share a pair, because
 * no hole of one lies in another; a block inside another block stands in the next layer. As many members as there are blocks and excepts.
 */
export function layersOf(blocks: readonly Block[]): readonly Layer[] {
  const layers: { readonly cidr: IpPrefix; readonly holes: Networks }[][] = [];
  const around: { readonly cidr: IpPrefix; readonly holes: Networks }[] = [];
  for (const block of mergeEqual(blocks)) {
    while (around.length > 0 && !containsPrefix(last(around).cidr, block.cidr)) around.pop();
    if (around.length > 0 && last(around).holes.length === 0) continue;
    const layer = layers[around.length];
    if (layer === undefined) layers.push([block]);
    else layer.push(block);
    around.push(block);
  }
  return layers.map((layer): Layer => {
    const networks = unionNetworks(layer.map(({ cidr }) => cidr));
    const notNetworks = unionNetworks(layer.flatMap(({ holes }) => holes));
    return notNetworks.length === 0 ? { networks } : { networks, notNetworks };
  });
}

/** In address order, the wider before the narrower. One CIDR written twice has the holes that both have. */
function mergeEqual(blocks: readonly Block[]): readonly { readonly cidr: IpPrefix; readonly holes: Networks }[] {
  const byText = new Map<string, { readonly cidr: IpPrefix; readonly holes: Networks }>();
  for (const { cidr, excepts } of blocks) {
    const text = formatPrefix(cidr);
    const known = byText.get(text);
    const holes = unionNetworks(excepts.filter((except) => containsPrefix(cidr, except)));
    byText.set(text, { cidr, holes: known === undefined ? holes : intersectNetworks(known.holes, holes) });
  }
  return [...byText.values()].sort((a, b) => comparePrefixes(a.cidr, b.cidr));
}

function intersectNetworks(left: Networks, right: Networks): Networks {
  const kept: IpPrefix[] = [];
  for (let [i, j] = [0, 0]; i < left.length && j < right.length; ) {
    const [a, b] = [left[i], right[j]];
    if (a === undefined || b === undefined) break;
    if (containsPrefix(a, b)) {
      kept.push(b);
      j++;
    } else if (containsPrefix(b, a)) {
      kept.push(a);
      i++;
    } else if (comparePrefixes(a, b) < 0) i++;
    else j++;
  }
  return kept;
}

function last<T>(list: readonly T[]): T {
  const item = list[list.length - 1];
  if (item === undefined) throw new Error('Cannot take the last item of an empty list');
  return item;
}

export const networksOf = (networks: Networks, family: Family): Networks =>
  networks.filter((prefix) => prefix.family === family);

export function networksContain(networks: Networks, address: IpAddress): boolean {
  return networks.some((prefix) => containsAddress(prefix, address));
}

export const networksKey = (networks: Networks): string => networks.map(formatPrefix).join(' ');

/** Does this list hold every address of the family? In canonical form that is one prefix of length zero. */
export const isWholeFamily = (networks: Networks, family: Family): boolean =>
  networks.some((prefix) => prefix.family === family && prefix.length === 0);

/** Joins the last two prefixes while they are the halves of one. */
function mergeTail(kept: IpPrefix[]): void {
  for (;;) {
    const b = kept[kept.length - 1];
    const a = kept[kept.length - 2];
    if (a === undefined || b === undefined || a.family !== b.family || a.length !== b.length || a.length === 0) return;
    const bit = 1n << BigInt(bitsOf(a.family) - a.length);
    if ((a.value & bit) !== 0n || a.value + bit !== b.value) return;
    kept.splice(kept.length - 2, 2, { family: a.family, value: a.value, length: a.length - 1 });
  }
}
