/**
 * What the cluster's objects say of its addresses, in one place: pools, blocks, who has which address, what is reserved. Read once, from an
 * API server or from files; the commands of `tortie ipam` are functions of it.
 *
 * An address is in use when a node has told so (NodeAddresses), a pod that is not finished has it (status.podIPs, not of the host's
 * network), or a block's record lends it, or keeps it for a pod that may come again.
 */
import { TakenBlocks, parsePools, type Pool, type PoolProblem } from '@tortie/ipam';
import {
  containsAddress,
  formatAddress,
  formatPrefix,
  hostPrefix,
  tryParseAddress,
  tryParsePrefix,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { Node, Pod } from '../api/core.js';
import type { IPAMBlock, IPPool, IPReservation, NodeAddresses, PublishedAddress } from '../api/ipam.js';

/** Objects of the kinds that matter here. */
export interface IpamObjects {
  readonly pools: readonly IPPool[];
  readonly blocks: readonly IPAMBlock[];
  readonly reservations: readonly IPReservation[];
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  readonly published: readonly NodeAddresses[];
}

export interface Block {
  readonly prefix: IpPrefix;
  readonly cidr: string;
  readonly object: IPAMBlock;
  /** Undefined: it lies in no pool. */
  readonly pool: Pool | undefined;
}

/** One address and everybody who has it. */
export interface AddressUse {
  readonly address: IpAddress;
  readonly text: string;
  readonly published: readonly (PublishedAddress & { readonly node: string })[];
  readonly pods: readonly Pod[];
  /** The node that has borrowed it. */
  readonly borrower?: string;
  /** Nobody has it: it waits for a pod that may come again. */
  readonly kept?: { readonly keptFor: string; readonly until: string };
}

export interface Inventory {
  readonly objects: IpamObjects;
  readonly pools: readonly Pool[];
  readonly poolProblems: readonly PoolProblem[];
  readonly blocks: readonly Block[];
  readonly reserved: readonly IpPrefix[];
  /** By canonical text, in the order of addresses. */
  readonly uses: ReadonlyMap<string, AddressUse>;
  /** The same as a list, for `usesIn`. */
  readonly ordered: readonly AddressUse[];
}

/** Blocks of 4,096 addresses, and blocks of one. */
const MOST_INSIDE = 4_097;

const FINISHED: ReadonlySet<string | undefined> = new Set(['Succeeded', 'Failed']);

export const podName = ({ metadata: { namespace = 'default', name } }: Pod): string => `${namespace}/${name}`;

/** Who has an address, says a node: `pod "shop/web-1"`, `the tunnel`. */
export const holderText = ({ namespace, pod, tunnel }: PublishedAddress): string =>
  tunnel === undefined ? `pod "${namespace}/${pod}"` : 'the tunnel';

/** Has it addresses of a pool? */
export const isNetworked = ({ spec, status }: Pod): boolean =>
  spec.hostNetwork !== true && spec.nodeName !== undefined && !FINISHED.has(status?.phase);

export function inventoryOf(objects: IpamObjects): Inventory {
  const { pools, problems } = parsePools(
    objects.pools.map(({ metadata, spec }) => ({
      name: metadata.name,
      cidr: spec.cidr,
      disabled: spec.disabled === true,
      ...(spec.blockSize === undefined ? {} : { blockSize: spec.blockSize }),
      ...(metadata.creationTimestamp === undefined ? {} : { createdAt: metadata.creationTimestamp }),
    })),
  );
  const blocks = objects.blocks.flatMap((object): readonly Block[] => {
    const prefix = tryParsePrefix(object.spec.cidr);
    if (prefix === undefined) return [];
    const pool = pools.find((each) => containsAddress(each.prefix, prefix) && prefix.length >= each.prefix.length);
    return [{ prefix, cidr: formatPrefix(prefix), object, pool }];
  });
  const uses = usesOf(objects);
  return {
    objects,
    pools,
    poolProblems: problems,
    blocks: blocks.sort((a, b) => comparePrefixes(a.prefix, b.prefix)),
    reserved: objects.reservations.flatMap(({ spec }) => (spec.reservedCIDRs ?? []).flatMap(rangeOf)),
    uses,
    ordered: [...uses.values()],
  };
}

export const comparePrefixes = (a: IpPrefix, b: IpPrefix): number =>
  a.family - b.family || (a.value < b.value ? -1 : a.value > b.value ? 1 : a.length - b.length);

const rangeOf = (text: string): readonly IpPrefix[] => {
  const address = tryParseAddress(text);
  const range = address === undefined ? tryParsePrefix(text) : hostPrefix(address);
  return range === undefined ? [] : [range];
};

function usesOf({ blocks, pods, published }: IpamObjects): ReadonlyMap<string, AddressUse> {
  const uses = new Map<string, AddressUse>();
  const change = (text: string, add: (use: AddressUse) => Partial<AddressUse>): void => {
    const address = tryParseAddress(text);
    if (address === undefined) return;
    const key = formatAddress(address);
    const use = uses.get(key) ?? { address, text: key, published: [], pods: [] };
    uses.set(key, { ...use, ...add(use) });
  };
  for (const { metadata, spec } of published)
    for (const each of spec.addresses ?? [])
      change(each.address, (use) => ({ published: [...use.published, { ...each, node: metadata.name }] }));
  for (const pod of pods)
    if (isNetworked(pod))
      for (const { ip } of pod.status?.podIPs ?? []) change(ip, (use) => ({ pods: [...use.pods, pod] }));
  for (const { spec } of blocks) {
    for (const { address, node } of spec.loans ?? []) change(address, () => ({ borrower: node }));
    for (const { address, keptFor, until } of spec.kept ?? []) change(address, () => ({ kept: { keptFor, until } }));
  }
  return new Map([...uses].sort(([, a], [, b]) => compareAddresses(a.address, b.address)));
}

const compareAddresses = (a: IpAddress, b: IpAddress): number =>
  a.family - b.family || (a.value < b.value ? -1 : a.value > b.value ? 1 : 0);

/** Addresses in use that lie in a range. */
export function usesIn({ ordered }: Inventory, range: IpPrefix): readonly AddressUse[] {
  let [low, high] = [0, ordered.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const use = ordered[middle];
    if (use !== undefined && compareAddresses(use.address, range) < 0) low = middle + 1;
    else high = middle;
  }
  let end = low;
  for (let use = ordered[end]; use !== undefined && containsAddress(range, use.address); use = ordered[end]) end++;
  return ordered.slice(low, end);
}

/** The smallest block that has an address: the last one that does not begin behind it, or one before that it lies in. */
export function blockOf({ blocks }: Inventory, address: IpAddress): Block | undefined {
  let [low, high] = [0, blocks.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const block = blocks[middle];
    if (block !== undefined && compareAddresses(block.prefix, address) <= 0) low = middle + 1;
    else high = middle;
  }
  // Blocks overlap hardly ever: a large one may begin before a few small ones that end before the address.
  for (let at = low - 1; at >= 0 && at >= low - MOST_INSIDE; at--) {
    const block = blocks[at];
    if (block !== undefined && containsAddress(block.prefix, address)) return block;
  }
  return undefined;
}

export const poolOf = ({ pools }: Inventory, address: IpAddress): Pool | undefined =>
  pools.find(({ prefix }) => containsAddress(prefix, address));

export const takenBlocks = ({ blocks }: Inventory): TakenBlocks => new TakenBlocks(blocks.map(({ prefix }) => prefix));
