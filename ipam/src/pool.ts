/**
 * Address pools: what an operator sets aside for pods, cut into blocks.
 *
 * A block is the unit a node owns and advertises: /26 and /122 by default, 64 addresses each. Which block a node tries first
 * is spread by a hash of its name, so that nodes that boot together do not all fight for the first block of the pool.
 */
import IPCIDR from 'ip-cidr';
import { createHash } from 'node:crypto';
import {
  addressAt,
  bitsOf,
  formatPrefix,
  parsePrefix,
  prefixOf,
  prefixesOverlap,
  sizeOf,
  tryParsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import type { TakenBlocks } from './taken-blocks.js';

export interface Pool {
  readonly name: string;
  readonly prefix: IpPrefix;
  /** Prefix length of its blocks. */
  readonly blockLength: number;
  /** No new blocks or addresses; those in use stay. */
  readonly isDisabled: boolean;
}

/** A pool as its author wrote it. */
export interface PoolInput {
  readonly name: string;
  readonly cidr: string;
  /** Default 26, or 122 for IPv6. */
  readonly blockSize?: number;
  readonly disabled?: boolean;
  /** When the object was made, RFC 3339: of two that overlap the older stands. Absent counts as oldest. */
  readonly createdAt?: string;
}

export interface PoolProblem {
  readonly pool: string;
  readonly field: string;
  readonly message: string;
}

export const DEFAULT_BLOCK_LENGTH: Readonly<Record<Family, number>> = { 4: 26, 6: 122 };

/** Calico's limits: a block holds 1 to 4096 addresses. */
export const MOST_BLOCK_BITS = 12;
const SHORTEST_BLOCK: Readonly<Record<Family, number>> = { 4: 32 - MOST_BLOCK_BITS, 6: 128 - MOST_BLOCK_BITS };

/** What no host can be reached at from another link, of either family, or that BGP does not carry to anybody. */
const NOT_FOR_PODS: readonly (readonly [string, IpPrefix])[] = Object.entries({
  'this network': '0.0.0.0/8',
  loopback: '127.0.0.0/8',
  'link-local addresses': '169.254.0.0/16',
  multicast: '224.0.0.0/4',
  'the unspecified address, loopback and the oldest mappings': '::/96',
  'IPv4-mapped addresses': '::ffff:0:0/96',
  'IPv6 link-local addresses': 'fe80::/10',
  'IPv6 multicast': 'ff00::/8',
}).map(([what, cidr]) => [what, parsePrefix(cidr)]);

/** Older first; those of one second by name, so that every node decides alike. */
function compareAge(a: PoolInput, b: PoolInput): number {
  const [ageA, ageB] = [a.createdAt ?? '', b.createdAt ?? ''];
  if (ageA !== ageB) return ageA < ageB ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

/**
 * Checks pools alone and against each other. A wrong pool is left out and named; of two that overlap the older stands, for it
 * may have given out addresses, whatever their names and whichever nodes they select.
 */
export function parsePools(inputs: readonly PoolInput[]): {
  readonly pools: readonly Pool[];
  readonly problems: readonly PoolProblem[];
} {
  const pools: Pool[] = [];
  const problems: PoolProblem[] = [];
  for (const input of [...inputs].sort(compareAge)) {
    const parsed = parsePool(input);
    if ('message' in parsed) {
      problems.push(parsed);
      continue;
    }
    const other = pools.find((pool) => prefixesOverlap(pool.prefix, parsed.prefix));
    if (other === undefined) pools.push(parsed);
    else
      problems.push({
        pool: input.name,
        field: 'spec.cidr',
        message:
          `Cannot use pool "${input.name}": ${formatPrefix(parsed.prefix)} overlaps ${formatPrefix(other.prefix)} of ` +
          `pool "${other.name}", which is older`,
      });
  }
  return { pools, problems };
}

function parsePool(input: PoolInput): Pool | PoolProblem {
  const problem = (field: string, why: string): PoolProblem => ({
    pool: input.name,
    field,
    message: `Cannot use pool "${input.name}": ${field} ${why}`,
  });
  const prefix = IPCIDR.isValidCIDR(input.cidr) ? tryParsePrefix(input.cidr) : undefined;
  if (prefix === undefined)
    return problem('spec.cidr', `is "${input.cidr}"; expected CIDR notation such as 10.65.0.0/16 or fd00:65::/48`);
  const reserved = NOT_FOR_PODS.find(([, range]) => prefixesOverlap(range, prefix));
  if (reserved !== undefined)
    return problem(
      'spec.cidr',
      `is "${input.cidr}"; expected addresses of hosts, not ${reserved[0]} (${formatPrefix(reserved[1])})`,
    );
  const blockLength = input.blockSize ?? Math.max(DEFAULT_BLOCK_LENGTH[prefix.family], prefix.length);
  const [shortest, longest] = [SHORTEST_BLOCK[prefix.family], bitsOf(prefix.family)];
  if (!Number.isInteger(blockLength) || blockLength < shortest || blockLength > longest)
    return problem('spec.blockSize', `is ${blockLength}; expected ${shortest} to ${longest}`);
  if (blockLength < prefix.length)
    return problem(
      'spec.blockSize',
      `is ${blockLength}, larger than the pool itself; expected ${prefix.length} to ${longest}`,
    );
  return { name: input.name, prefix, blockLength, isDisabled: input.disabled === true };
}

/** Number of blocks in a pool. */
export const blockCountOf = (pool: Pool): bigint => 1n << BigInt(pool.blockLength - pool.prefix.length);

/** How many blocks to look at before giving a pool up as full; an IPv6 pool may have more than anybody can own. */
const MOST_CANDIDATES = 1n << 20n;

/**
 * Blocks of a pool a node might claim, in the order it should try: from a start that its name decides, once around, without
 * those of which any address is taken.
 */
export function* freeBlocks(pool: Pool, node: string, taken: TakenBlocks): Generator<IpPrefix> {
  const count = blockCountOf(pool);
  const start = startOf(pool, node);
  const size = sizeOf({ ...pool.prefix, length: pool.blockLength });
  const most = count < MOST_CANDIDATES ? count : MOST_CANDIDATES;
  for (let i = 0n; i < most; i++) {
    const block = prefixOf(addressAt(pool.prefix, ((start + i) % count) * size), pool.blockLength);
    if (!taken.overlaps(block)) yield block;
  }
}

/** The block of a pool that a node tries first. */
export const firstBlockOf = (pool: Pool, node: string): IpPrefix => {
  const size = sizeOf({ ...pool.prefix, length: pool.blockLength });
  return prefixOf(addressAt(pool.prefix, startOf(pool, node) * size), pool.blockLength);
};

const startOf = (pool: Pool, node: string): bigint =>
  BigInt(`0x${createHash('sha256').update(node).digest('hex').slice(0, 16)}`) % blockCountOf(pool);
