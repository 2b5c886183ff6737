/**
 * `tortie ipam assign`: addresses for hosts that run neither Kubernetes nor an agent. Everything is in the store, nothing on the host.
 *
 * Blocks that are claimed here are `agentless`: no journal knows what of them is given out, the record alone does. An address is a
 * loan in it, with the handle by which it is found again, and the swap of the record is what gives it to one alone; so a node that
 * has no block, because none is left, takes an address of another's as it would of its own.
 *
 *   the handle has an address -> that one, nothing is written
 *   room in a block of this node -> a new block -> room in a block of another node -> none
 */
import {
  claimBlock,
  NoAddressError,
  PoolExhaustedError,
  type BlockRecord,
  type BlockStore,
  type Loan,
} from '@tortie/ipam';
import {
  addressAt,
  containsAddress,
  containsPrefix,
  formatAddress,
  formatPrefix,
  sizeOf,
  tryParsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import { choosePools, nodePoolsOf, type Matches, type NodePool } from '../agent/node-pools.js';
import { parseReserved } from '../agent/reservations.js';
import { ensureNode } from '../agent/node-registration.js';
import type { Datastore } from '../datastore/datastore.js';

export interface HandleRequest {
  readonly node: string;
  readonly handle: string;
  /** Name or CIDR; undefined: those that serve the node unasked. */
  readonly pool: string | undefined;
}

const FAMILIES: readonly Family[] = [4, 6];
/** A swap is lost to somebody who has won one: so often that no number of racers gets there. */
const MOST_TRIES = 500;
const MOST_PAUSE = 20;

/**
 * One address of each family that has a pool; the same ones when the handle has them already. All or nothing.
 * @throws NoAddressError or PoolExhaustedError that says why there is none
 */
export async function assignToHandle(
  datastore: Datastore,
  store: BlockStore,
  request: HandleRequest,
  matches: Matches,
): Promise<readonly string[]> {
  const node = await ensureNode(datastore, request.node);
  const labels = new Map(Object.entries(node.metadata.labels ?? {}));
  const pools = poolsOf(
    nodePoolsOf(await datastore.list('ipPools'), { labels, matches, families: FAMILIES }),
    request,
    matches,
  );
  const reserved = (await datastore.list('ipReservations'))
    .flatMap(({ spec }) => spec.reservedCIDRs ?? [])
    .map(parseReserved)
    .filter((prefix) => prefix !== undefined);
  const got: Assigned[] = [];
  try {
    for (const family of FAMILIES) {
      const ofFamily = pools.filter(({ prefix }) => prefix.family === family);
      if (ofFamily.length > 0) got.push(await assign({ store, request, reserved, pools: ofFamily }));
    }
  } catch (error) {
    for (const { address, cidr, isNew } of got) if (isNew) await giveBack(store, cidr, request, address);
    throw error;
  }
  return got.map(({ address }) => address);
}

/** Gives back what a handle has on a node: the addresses; none when it has none. */
export async function releaseHandle(
  store: BlockStore,
  request: Pick<HandleRequest, 'node' | 'handle'>,
): Promise<readonly string[]> {
  const released: string[] = [];
  for (const { cidr, loans = [] } of await store.list())
    if (loans.some((loan) => isOf(loan, request))) released.push(...(await giveBack(store, cidr, request)));
  return released;
}

interface Context {
  readonly store: BlockStore;
  readonly request: HandleRequest;
  readonly reserved: readonly IpPrefix[];
  /** Of one family. */
  readonly pools: readonly NodePool[];
}

interface Assigned {
  readonly address: string;
  readonly cidr: string;
  readonly isNew: boolean;
}

function poolsOf(
  known: ReturnType<typeof nodePoolsOf>,
  { pool }: HandleRequest,
  matches: Matches,
): readonly NodePool[] {
  const prefix = pool === undefined ? undefined : tryParsePrefix(pool);
  const named = known.pools.find(
    ({ name, prefix: range }) =>
      name === pool || (prefix !== undefined && formatPrefix(range) === formatPrefix(prefix)),
  );
  const wanted = new Map<Family, readonly string[]>(pool === undefined ? [] : [[named?.prefix.family ?? 4, [pool]]]);
  const chosen = choosePools(known, { wanted, namespaceLabels: new Map(), matches });
  // Who names a pool wants an address of that pool and no other.
  return pool === undefined ? chosen : chosen.filter(({ name }) => name === named?.name);
}

async function assign(context: Context): Promise<Assigned> {
  const { request, pools } = context;
  let failure: unknown;
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    const blocks = await blocksIn(context);
    const held = findHeld(blocks, request);
    if (held !== undefined) return held;
    const own = await takeFrom(
      context,
      blocks.filter(({ node }) => node === request.node),
    );
    if (own !== undefined) return own;
    failure = await claim(context);
    if (failure === undefined) continue;
    // Whoever was faster has blocks that were nobody's a moment ago.
    const shared = await blocksIn(context);
    const borrowed = await takeFrom(context, shuffled(shared));
    if (borrowed !== undefined) return borrowed;
    if (!shared.some((block) => freeOf(block, context.reserved) !== undefined)) break;
    await new Promise((resolve) => setTimeout(resolve, Math.random() * MOST_PAUSE));
  }
  throw failure instanceof PoolExhaustedError
    ? new NoAddressError(
        `Cannot assign an address: ${failure.message}, and no free address`,
        pools[0]?.prefix.family ?? 4,
      )
    : failure;
}

/** Of these pools, those that no agent gives out of. */
const blocksIn = async ({ store, pools }: Context): Promise<readonly BlockRecord[]> =>
  (await store.list()).filter(({ cidr, agentless }) => agentless === true && isWithin(cidr, pools));

/** An address of the first of these blocks that has one and stands still for it. */
async function takeFrom(
  { store, request, reserved }: Context,
  blocks: readonly BlockRecord[],
): Promise<Assigned | undefined> {
  for (const { cidr } of blocks)
    for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
      const stored = await store.get(cidr);
      if (stored?.agentless !== true) break;
      const held = findHeld([stored], request);
      if (held !== undefined) return held;
      const address = freeOf(stored, reserved);
      if (address === undefined) break;
      const loan: Loan = { address, node: request.node, handle: request.handle };
      const after = { ...stored, loans: [...(stored.loans ?? []), loan] };
      if ((await store.replace(stored, after)) !== undefined) return { address, cidr, isNew: true };
      await new Promise((resolve) => setTimeout(resolve, Math.random() * Math.min(MOST_PAUSE, attempt)));
    }
  return undefined;
}

/** Undefined when there is one more block; else why not. */
async function claim({ store, request, pools }: Context): Promise<unknown> {
  let failure: unknown;
  for (const pool of pools) {
    try {
      await claimBlock(store, pool, request.node, [], { agentless: true });
      return undefined;
    } catch (error) {
      if (!(error instanceof PoolExhaustedError)) throw error;
      failure = error;
    }
  }
  return failure;
}

async function giveBack(
  store: BlockStore,
  cidr: string,
  request: Pick<HandleRequest, 'node' | 'handle'>,
  only?: string,
): Promise<readonly string[]> {
  for (;;) {
    const stored = await store.get(cidr);
    const gone = (stored?.loans ?? []).filter(
      (loan) => isOf(loan, request) && (only === undefined || loan.address === only),
    );
    if (stored === undefined || gone.length === 0) return [];
    const loans = (stored.loans ?? []).filter((loan) => !gone.includes(loan));
    if ((await store.replace(stored, { ...stored, loans })) !== undefined) return gone.map(({ address }) => address);
  }
}

const isOf = (loan: Loan, { node, handle }: Pick<HandleRequest, 'node' | 'handle'>): boolean =>
  loan.node === node && loan.handle === handle;

function findHeld(blocks: readonly BlockRecord[], request: HandleRequest): Assigned | undefined {
  for (const { cidr, loans = [] } of blocks) {
    const loan = loans.find((each) => isOf(each, request));
    if (loan !== undefined) return { address: loan.address, cidr, isNew: false };
  }
  return undefined;
}

function freeOf({ cidr, loans = [] }: BlockRecord, reserved: readonly IpPrefix[]): string | undefined {
  const block = tryParsePrefix(cidr);
  if (block === undefined) return undefined;
  const taken = new Set(loans.map(({ address }) => address));
  for (let offset = 0n; offset < sizeOf(block); offset++) {
    const address = addressAt(block, offset);
    const text = formatAddress(address);
    if (!taken.has(text) && !reserved.some((range) => containsAddress(range, address))) return text;
  }
  return undefined;
}

function isWithin(cidr: string, pools: readonly NodePool[]): boolean {
  const block = tryParsePrefix(cidr);
  return block !== undefined && pools.some(({ prefix }) => containsPrefix(prefix, block));
}

/** Many may look at once. */
const shuffled = <T>(items: readonly T[]): readonly T[] =>
  items
    .map((item) => [Math.random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
