/**
 * The decision process (RFC 4271 section 9.1.2, RFC 4456 section 9) as a table of steps in their order.
 *
 * Each step looks at all paths still in the running and drops those that are worse than the best by its measure. MED compares only
 * paths of the same neighbouring AS, which is why steps over sets are used and not a pairwise order: pairwise, MED makes the
 * winner depend on who came first. The step that drops a path is the reason it lost.
 *
 * Paths that survive all steps before `router-id` are equally good to forward to; the multipath set is cut from them.
 *
 * Not done, on purpose: preferring the oldest eBGP path (RFC 5004) makes the outcome depend on history.
 */
import { compareAddresses, formatAddress, formatIpv4, type IpAddress } from '../address.js';
import { AttributeType } from '../iana.js';
import { SetFlag } from './attribute-sets.js';
import type { DecisionStep } from './answers.js';
import type { PeerId } from './rib-peer.js';
import type { RibTuning } from './contract.js';
import type { PathId } from './path-table.js';
import type { PrefixId } from './prefix-table.js';
import type { Ranked, ReadableDecision, ReadableNextHops, ReadableSets, ReadableTable } from './reading.js';

export interface DecisionOptions {
  readonly alwaysCompareMed: boolean;
  readonly relaxAsPath: boolean;
  readonly maximumEbgp: number;
  readonly maximumIbgp: number;
}

/** With the defaults filled in. */
export const decisionOptions = ({
  multipath: { ebgp = 16, ibgp = 16, relaxAsPath = true } = {},
  alwaysCompareMed = false,
}: RibTuning): DecisionOptions => ({ alwaysCompareMed, relaxAsPath, maximumEbgp: ebgp, maximumIbgp: ibgp });

export const decidesAlike = (a: DecisionOptions, b: DecisionOptions): boolean =>
  a.alwaysCompareMed === b.alwaysCompareMed &&
  a.relaxAsPath === b.relaxAsPath &&
  a.maximumEbgp === b.maximumEbgp &&
  a.maximumIbgp === b.maximumIbgp;

/** What the decision asks about peers. */
export interface DecisionPeers {
  isExternal(peer: PeerId): boolean;
  address(peer: PeerId): IpAddress;
  /** Position among all peers by address. */
  rank(peer: PeerId): number;
}

interface Step {
  readonly step: DecisionStep;
  /** Less is better. */
  readonly cost: (d: Decision, table: ReadableTable, path: PathId) => number;
  /** The compared value in words. */
  readonly show: (d: Decision, table: ReadableTable, path: PathId) => string;
  /** Only paths of the same class are compared with each other. */
  readonly classOf?: (d: Decision, table: ReadableTable, path: PathId) => number;
}

const setOf = (table: ReadableTable, path: PathId): number => table.paths.set[path] as number;
const shown =
  (cost: Step['cost'], text: (value: number) => string): Step['show'] =>
  (d, table, path) =>
    text(cost(d, table, path));
const flagCost =
  (flag: number): Step['cost'] =>
  (d, table, path) =>
    ((d.sets.flags[setOf(table, path)] as number) & flag) === 0 ? 0 : 1;

const localCost: Step['cost'] = (_, table, path) => (table.paths.peer[path] === 0 ? 0 : 1);
/** RFC 4271 section 9.1.2.1: its next hop lies in its own prefix, and nothing longer leads there. */
const throughItselfCost: Step['cost'] = ({ sets, nextHops }, table, path) => {
  const hop = sets.nextHop[setOf(table, path)] as number;
  const { prefixes, paths, family } = table;
  const prefix = paths.prefix[path] as number;
  const length = prefixes.lengths[prefix] as number;
  if ((nextHops.depth[hop] as number) > length) return 0;
  return nextHops.isWithin(hop, family, prefixes.words, prefix * prefixes.width, length) ? 1 : 0;
};
const staleCost = flagCost(SetFlag.longLivedStale);
const weightCost: Step['cost'] = (d, table, path) => -(d.sets.weight[setOf(table, path)] as number);
const preferenceCost: Step['cost'] = (d, table, path) => -(d.sets.localPreference[setOf(table, path)] as number);
const lengthCost: Step['cost'] = (d, table, path) => d.sets.pathLength[setOf(table, path)] as number;
const originCost: Step['cost'] = (d, table, path) => d.sets.origin[setOf(table, path)] as number;
const medCost: Step['cost'] = (d, table, path) => d.sets.med[setOf(table, path)] as number;
const externalCost: Step['cost'] = (d, table, path) => (d.peers.isExternal(table.paths.peer[path] as number) ? 0 : 1);
const metricCost: Step['cost'] = (d, table, path) =>
  d.nextHops.metric[d.sets.nextHop[setOf(table, path)] as number] as number;
const originatorCost: Step['cost'] = (d, table, path) => d.sets.originator[setOf(table, path)] as number;
const clusterCost: Step['cost'] = (d, table, path) => d.sets.clusterLength[setOf(table, path)] as number;
const addressCost: Step['cost'] = (d, table, path) => d.peers.rank(table.paths.peer[path] as number);
const identifierCost: Step['cost'] = (_, table, path) => table.paths.identifier[path] as number;
const neighborAs = (d: Decision, table: ReadableTable, path: PathId): number =>
  d.options.alwaysCompareMed ? 0 : (d.sets.neighborAs[setOf(table, path)] as number);

const ORIGINS = ['IGP', 'EGP', 'incomplete'];

const EQUAL_COST_STEPS: readonly Step[] = [
  { step: 'local-origin', cost: localCost, show: shown(localCost, (c) => (c === 0 ? 'our own' : 'learned')) },
  {
    step: 'through-itself',
    cost: throughItselfCost,
    show: shown(
      throughItselfCost,
      (c) => `a next hop ${c === 0 ? 'that does not lead' : 'in its own prefix, which leads'} through itself`,
    ),
  },
  {
    step: 'long-lived-stale',
    cost: staleCost,
    show: shown(staleCost, (c) => (c === 0 ? 'fresh' : 'long-lived stale')),
  },
  { step: 'weight', cost: weightCost, show: shown(weightCost, (c) => `weight ${-c}`) },
  { step: 'local-preference', cost: preferenceCost, show: shown(preferenceCost, (c) => `LOCAL_PREF ${-c}`) },
  { step: 'as-path-length', cost: lengthCost, show: shown(lengthCost, (c) => `an AS_PATH of ${c}`) },
  { step: 'origin', cost: originCost, show: shown(originCost, (c) => `ORIGIN ${ORIGINS[c] ?? c}`) },
  { step: 'med', cost: medCost, classOf: neighborAs, show: shown(medCost, (c) => `MED ${c}`) },
  { step: 'ebgp-over-ibgp', cost: externalCost, show: shown(externalCost, (c) => (c === 0 ? 'eBGP' : 'iBGP')) },
  { step: 'igp-metric', cost: metricCost, show: shown(metricCost, (c) => `a next hop at metric ${c}`) },
];
const TIE_BREAKS: readonly Step[] = [
  { step: 'router-id', cost: originatorCost, show: shown(originatorCost, (c) => `router id ${formatIpv4(c)}`) },
  { step: 'cluster-list-length', cost: clusterCost, show: shown(clusterCost, (c) => `a CLUSTER_LIST of ${c}`) },
  {
    step: 'peer-address',
    cost: addressCost,
    show: (d, table, path) => `peer ${formatAddress(d.peers.address(table.paths.peer[path] as number))}`,
  },
  { step: 'path-id', cost: identifierCost, show: shown(identifierCost, (c) => `path id ${c}`) },
];
const ALL_STEPS: readonly Step[] = [...EQUAL_COST_STEPS, ...TIE_BREAKS];
/** What comes of resolving next hops must not feed back into it; those that carry have ways without BGP anyway. */
const CARRIER_STEPS: readonly Step[] = EQUAL_COST_STEPS.filter(
  ({ step }) => step !== 'igp-metric' && step !== 'through-itself',
);

export class Decision implements ReadableDecision {
  readonly sets: ReadableSets;
  readonly nextHops: ReadableNextHops;
  readonly peers: DecisionPeers;
  options: DecisionOptions;
  /** Paths in the running: the first `count` entries, where a run of steps returns count. */
  #running: PathId[] = [];

  constructor(sets: ReadableSets, nextHops: ReadableNextHops, peers: DecisionPeers, options: DecisionOptions) {
    this.sets = sets;
    this.nextHops = nextHops;
    this.peers = peers;
    this.options = options;
  }

  /** Let in by policy, and its next hop can be reached (RFC 4271 section 9.1.2). */
  isUsable(table: ReadableTable, path: PathId): boolean {
    const set = table.paths.set[path] as number;
    return set !== 0 && this.nextHops.reachable[this.sets.nextHop[set] as number] === 1;
  }

  /** The best path of a prefix; 0: no path is usable. */
  best(table: ReadableTable, prefix: PrefixId): PathId {
    const first = table.head[prefix] as number;
    if (first === 0) return 0;
    if (table.paths.next[first] === 0) return this.isUsable(table, first) ? first : 0;
    const count = this.#enter(table, prefix);
    if (count <= 1) return count === 0 ? 0 : (this.#running[0] as number);
    this.#run(ALL_STEPS, table, count);
    return this.#running[0] as number;
  }

  /**
   * The paths to share the load of a prefix, best first: all that are as good as the best before the tie-breaks, as many as the
   * type of the best path allows.
   */
  multipath(table: ReadableTable, prefix: PrefixId): readonly PathId[] {
    const count = this.#run(EQUAL_COST_STEPS, table, this.#enter(table, prefix));
    return this.#share(table, count);
  }

  /**
   * As multipath, among paths whose next hop is on a link: those that may carry other next hops. Asks whether it is on a link and not
   * whether it is reachable, which follows from it: the latter is just being worked out, next hop by next hop, when this is called.
   */
  carriers(table: ReadableTable, prefix: PrefixId): readonly PathId[] {
    const { paths, prefixes, family } = table;
    const length = prefixes.lengths[prefix] as number;
    let count = 0;
    for (let path = table.head[prefix] as number; path !== 0; path = paths.next[path] as number) {
      const set = paths.set[path] as number;
      const hop = this.sets.nextHop[set] as number;
      if (set !== 0 && this.nextHops.carries(hop, family, prefixes.words, prefix * prefixes.width, length))
        this.#running[count++] = path;
    }
    return this.#share(table, this.#run(CARRIER_STEPS, table, count));
  }

  /** Every usable path with the step that decided it, best first, the last dropped last. */
  ranking(table: ReadableTable, prefix: PrefixId): readonly Ranked[] {
    let count = this.#enter(table, prefix);
    const losers: Ranked[] = [];
    let decider: Step | undefined;
    for (const step of ALL_STEPS) {
      if (count <= 1) break;
      const before = this.#running.slice(0, count);
      count = this.#apply(step, table, count);
      const left = new Set(this.#running.slice(0, count));
      const dropped = before.filter((path) => !left.has(path)).sort((a, b) => compareBy(ALL_STEPS, this, table, a, b));
      if (dropped.length > 0) decider = step;
      losers.unshift(
        ...dropped.map((path) => ({
          path,
          step: step.step,
          reason: this.#compare(step, table, path, this.#rival(step, table, path, left)),
        })),
      );
    }
    const best = this.#running[0];
    if (count === 0 || best === undefined) return [];
    const reason = decider === undefined ? 'It is the only usable path' : `It has ${decider.show(this, table, best)}`;
    return [{ path: best, step: decider?.step ?? 'only-path', reason }, ...losers];
  }

  /** Usable paths of a prefix into `#running`. The chain's order does not matter: the steps leave exactly one. */
  #enter(table: ReadableTable, prefix: PrefixId): number {
    const paths = table.paths;
    let count = 0;
    for (let path = table.head[prefix] as number; path !== 0; path = paths.next[path] as number)
      if (this.isUsable(table, path)) this.#running[count++] = path;
    return count;
  }

  #run(steps: readonly Step[], table: ReadableTable, count: number): number {
    for (let i = 0; i < steps.length && count > 1; i++) count = this.#apply(steps[i] as Step, table, count);
    return count;
  }

  #apply(step: Step, table: ReadableTable, count: number): number {
    if (step.classOf !== undefined) return this.#applyByClass(step, step.classOf, table, count);
    const running = this.#running;
    let least = Infinity;
    let left = 0;
    for (let i = 0; i < count; i++) {
      const path = running[i] as number;
      const cost = step.cost(this, table, path);
      if (cost > least) continue;
      if (cost < least) {
        least = cost;
        left = 0;
      }
      running[left++] = path;
    }
    return left;
  }

  #applyByClass(step: Step, classOf: NonNullable<Step['classOf']>, table: ReadableTable, count: number): number {
    const least = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const path = this.#running[i] as number;
      const group = classOf(this, table, path);
      least.set(group, Math.min(least.get(group) ?? Infinity, step.cost(this, table, path)));
    }
    let left = 0;
    for (let i = 0; i < count; i++) {
      const path = this.#running[i] as number;
      if (step.cost(this, table, path) === least.get(classOf(this, table, path))) this.#running[left++] = path;
    }
    return left;
  }

  /** Of the first `count` paths in the running, those that share the load, best first. */
  #share(table: ReadableTable, count: number): readonly PathId[] {
    const equal = this.#running.slice(0, count);
    equal.sort((a, b) => compareBy(TIE_BREAKS, this, table, a, b));
    const best = equal[0];
    if (best === undefined) return [];
    const peer = table.paths.peer[best] as number;
    if (peer === 0) return [best];
    const maximum = this.peers.isExternal(peer) ? this.options.maximumEbgp : this.options.maximumIbgp;
    const alike = this.options.relaxAsPath
      ? equal
      : equal.filter((path) => this.#sameAsPath(setOf(table, best), setOf(table, path)));
    return alike.slice(0, Math.max(maximum, 1));
  }

  #sameAsPath(a: number, b: number): boolean {
    const [left, right] = [asPathOctets(this.sets.view(a)), asPathOctets(this.sets.view(b))];
    return left.length === right.length && left.every((octet, i) => octet === right[i]);
  }

  /** A survivor that the dropped path lost against. */
  #rival(step: Step, table: ReadableTable, loser: PathId, left: ReadonlySet<PathId>): PathId {
    const group = step.classOf?.(this, table, loser);
    for (const path of left) if (step.classOf?.(this, table, path) === group) return path;
    return loser;
  }

  #compare(step: Step, table: ReadableTable, loser: PathId, winner: PathId): string {
    return `It has ${step.show(this, table, loser)}, a better path has ${step.show(this, table, winner)}`;
  }
}

function compareBy(steps: readonly Step[], d: Decision, table: ReadableTable, a: PathId, b: PathId): number {
  for (const { cost } of steps) {
    const difference = cost(d, table, a) - cost(d, table, b);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** The AS_PATH value of a normalised block: ORIGIN comes first, AS_PATH second. */
function asPathOctets(block: Uint8Array): Uint8Array {
  for (let at = 0; at < block.length; ) {
    const extended = ((block[at] as number) & 0x10) !== 0;
    const length = extended ? ((block[at + 2] as number) << 8) | (block[at + 3] as number) : (block[at + 2] as number);
    const value = at + (extended ? 4 : 3);
    if (block[at + 1] === AttributeType.asPath) return block.subarray(value, value + length);
    at = value + length;
  }
  return block.subarray(0, 0);
}

/** Orders peers by address; equal addresses (two sessions to one host) by number. */
export const comparePeers = (
  a: { readonly address: IpAddress; readonly id: PeerId },
  b: { readonly address: IpAddress; readonly id: PeerId },
): number => compareAddresses(a.address, b.address) || a.id - b.id;
