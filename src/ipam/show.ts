/** `tortie ipam show`: pools, blocks, what is borrowed, in the columns of calicoctl; and one address in sentences. */
import {
  containsAddress,
  containsPrefix,
  formatAddress,
  formatPrefix,
  parseAddress,
  prefixesOverlap,
  sizeOf,
  type IpPrefix,
} from 'node-bgp/address';
import { formatTable, type Column } from '../bgpd/show/text-table.js';
import { blockOf, comparePrefixes, podName, poolOf, usesIn, type AddressUse, type Inventory } from './inventory.js';

export interface UsageRow {
  readonly grouping: 'IP Pool' | 'Block';
  readonly cidr: string;
  /** A pool's name, a block's node. */
  readonly owner: string;
  /** Of IPv6 more than a number holds. */
  readonly total: bigint;
  readonly inUse: bigint;
  /** Addresses that an IPReservation keeps, in use or not. */
  readonly reserved: bigint;
  readonly free: bigint;
}

/** @param withBlocks each pool's blocks below it, those in no pool last */
export function usageRows(inventory: Inventory, withBlocks: boolean): readonly UsageRow[] {
  const { blocks, pools } = inventory;
  const blockRows = (of: (block: IpPrefix) => boolean): readonly UsageRow[] =>
    blocks
      .filter(({ prefix }) => of(prefix))
      .map(({ prefix, object }) => rowOf(inventory, 'Block', prefix, object.spec.node));
  const rows = [...pools]
    .sort((a, b) => comparePrefixes(a.prefix, b.prefix))
    .flatMap(({ name, prefix }) => [
      rowOf(inventory, 'IP Pool', prefix, name),
      ...(withBlocks ? blockRows((block) => containsPrefix(prefix, block)) : []),
    ]);
  const isOutside = (block: IpPrefix): boolean => !pools.some(({ prefix }) => containsPrefix(prefix, block));
  return withBlocks ? [...rows, ...blockRows(isOutside)] : rows;
}

function rowOf(inventory: Inventory, grouping: UsageRow['grouping'], range: IpPrefix, owner: string): UsageRow {
  const reserved = disjoint(inventory.reserved, range);
  const used = usesIn(inventory, range);
  const usedBeside = used.filter(({ address }) => !reserved.some((each) => containsAddress(each, address)));
  const reservedCount = reserved.reduce((sum, each) => sum + sizeOf(each), 0n);
  const total = sizeOf(range);
  return {
    grouping,
    cidr: formatPrefix(range),
    owner,
    total,
    inUse: BigInt(used.length),
    reserved: reservedCount,
    free: total - reservedCount - BigInt(usedBeside.length),
  };
}

/** The parts of `range` that lie in any of the ranges, none of them inside another. */
function disjoint(ranges: readonly IpPrefix[], range: IpPrefix): readonly IpPrefix[] {
  const inside = ranges
    .filter((each) => prefixesOverlap(each, range))
    .map((each) => (containsPrefix(each, range) ? range : each));
  return inside.filter(
    (each, index) =>
      !inside.some(
        (other, at) =>
          at !== index && containsPrefix(other, each) && (formatPrefix(other) !== formatPrefix(each) || at < index),
      ),
  );
}

const percent = (part: bigint, whole: bigint): string => `${part} (${whole === 0n ? 0n : (part * 100n) / whole}%)`;

const USAGE_COLUMNS: readonly Column<UsageRow>[] = [
  { title: 'GROUPING', text: ({ grouping }) => grouping },
  { title: 'CIDR', text: ({ cidr }) => cidr },
  { title: 'IPS TOTAL', text: ({ total }) => String(total), align: 'right' },
  { title: 'IPS IN USE', text: ({ inUse, total }) => percent(inUse, total), align: 'right' },
  { title: 'IPS FREE', text: ({ free, total }) => percent(free, total), align: 'right' },
  { title: 'RESERVED', text: ({ reserved }) => String(reserved), align: 'right' },
  { title: 'POOL OR NODE', text: ({ owner }) => owner },
];

export const formatUsage = (rows: readonly UsageRow[]): string =>
  rows.length === 0 ? 'There is no IPPool that can be used.' : formatTable(USAGE_COLUMNS, rows);

/** With numbers as text where a number could not hold them. */
export const usageJson = (rows: readonly UsageRow[]): unknown =>
  rows.map(({ total, inUse, reserved, free, ...rest }) => ({
    ...rest,
    total: jsonNumber(total),
    inUse: jsonNumber(inUse),
    reserved: jsonNumber(reserved),
    free: jsonNumber(free),
  }));

const jsonNumber = (value: bigint): number | string =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);

export interface KeptRow {
  readonly address: string;
  readonly keptFor: string;
  readonly until: string;
  readonly block: string;
  readonly node: string;
}

export const keptRows = ({ blocks }: Inventory): readonly KeptRow[] =>
  blocks.flatMap(({ cidr, object: { spec } }) =>
    (spec.kept ?? []).map(({ address, keptFor, until }) => ({ address, keptFor, until, block: cidr, node: spec.node })),
  );

const KEPT_COLUMNS: readonly Column<KeptRow>[] = [
  { title: 'IP', text: ({ address }) => address },
  { title: 'KEPT FOR', text: ({ keptFor }) => keptFor },
  { title: 'UNTIL', text: ({ until }) => until },
  { title: 'BLOCK', text: ({ block }) => block },
  { title: 'NODE', text: ({ node }) => node },
];

export const formatKept = (rows: readonly KeptRow[]): string =>
  rows.length === 0 ? 'No address is kept for a pod that may come again.' : formatTable(KEPT_COLUMNS, rows);

export interface BorrowedRow {
  readonly address: string;
  readonly borrower: string;
  readonly block: string;
  readonly owner: string;
  readonly allocatedTo: string;
}

export function borrowedRows(inventory: Inventory): readonly BorrowedRow[] {
  return inventory.blocks.flatMap(({ cidr, object }) =>
    (object.spec.loans ?? []).map(({ address, node }) => ({
      address,
      borrower: node,
      block: cidr,
      owner: object.spec.node,
      allocatedTo: holders(inventory.uses.get(address)).join(', '),
    })),
  );
}

const BORROWED_COLUMNS: readonly Column<BorrowedRow>[] = [
  { title: 'IP', text: ({ address }) => address },
  { title: 'BORROWING-NODE', text: ({ borrower }) => borrower },
  { title: 'BLOCK', text: ({ block }) => block },
  { title: 'BLOCK OWNER', text: ({ owner }) => owner },
  { title: 'ALLOCATED-TO', text: ({ allocatedTo }) => allocatedTo },
];

export const formatBorrowed = (rows: readonly BorrowedRow[]): string =>
  rows.length === 0 ? 'No node has borrowed an address.' : formatTable(BORROWED_COLUMNS, rows);

/** "shop/web-1", once each. */
export const holders = (use: AddressUse | undefined): readonly string[] => [
  ...new Set([
    ...(use?.published ?? []).map(({ namespace, pod, tunnel }) => tunnel ?? `${namespace}/${pod}`),
    ...(use?.pods ?? []).map(podName),
  ]),
];

export interface AddressAnswer {
  readonly address: string;
  readonly isInUse: boolean;
  /** Sentences, the answer first. */
  readonly reasons: readonly string[];
}

/** Everything that keeps an address from being given to the next pod that asks for none. */
export function whyNotFree(inventory: Inventory, text: string): AddressAnswer {
  const address = parseAddress(text);
  const use = inventory.uses.get(formatAddress(address));
  const reasons: string[] = [];
  for (const { namespace, pod, tunnel, node } of use?.published ?? [])
    reasons.push(
      tunnel === undefined
        ? `Pod "${namespace}/${pod}" has it, says node "${node}".`
        : `Node "${node}" itself has it, for its tunnel (${tunnel}).`,
    );
  for (const pod of use?.pods ?? [])
    reasons.push(`Pod "${podName(pod)}" has it in its status, on node "${pod.spec.nodeName}".`);
  const isInUse = reasons.length > 0 || use?.borrower !== undefined;
  if (use?.kept !== undefined)
    reasons.push(
      `It is kept until ${use.kept.until} for ${use.kept.keptFor}, and nobody else gets it (tortie.dev/keep-addresses).`,
    );
  const pool = poolOf(inventory, address);
  const block = blockOf(inventory, address);
  if (use?.borrower !== undefined)
    reasons.push(`Node "${use.borrower}" has borrowed it of node "${block?.object.spec.node ?? '?'}".`);
  if (block?.object.spec.offers?.includes(use?.text ?? text) === true)
    reasons.push(`Node "${block.object.spec.node}" offers it to other nodes, and takes it back when it needs it.`);
  if (inventory.reserved.some((range) => containsAddress(range, address)))
    reasons.push('An IPReservation keeps it: only a pod that names it (cni.projectcalico.org/ipAddrs) gets it.');
  if (pool === undefined) reasons.push('It lies in no IPPool that can be used.');
  else if (pool.isDisabled) reasons.push(`Its pool "${pool.name}" is disabled.`);
  if (block !== undefined) {
    const { node } = block.object.spec;
    reasons.push(
      isInUse
        ? `It lies in block ${block.cidr} of node "${node}".`
        : `It lies in block ${block.cidr} of node "${node}": only pods of that node get it unasked, 30 s after its last pod.`,
    );
    if (!inventory.objects.nodes.some(({ metadata }) => metadata.name === node))
      reasons.push(`There is no Node "${node}": its blocks are freed a minute after it is gone and no pod names it.`);
  } else if (pool !== undefined && !isInUse)
    reasons.push('It lies in no block: it is free for the node that claims its block.');
  return { address: use?.text ?? text, isInUse, reasons };
}

export const formatAnswer = ({ address, isInUse, reasons }: AddressAnswer): string =>
  [`IP ${address} is ${isInUse ? 'in use' : 'not in use'}.`, ...reasons.map((reason) => `  ${reason}`)].join('\n');
