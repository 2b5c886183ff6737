/**
 * The pools of the cluster as one node sees them, and which of them serve a pod.
 *
 * Without a request a pod gets an address of every family that has a pool which is enabled, automatic, for workloads, and selects
 * node and namespace. A request by name or CIDR beats selectors and assignmentMode, as in Calico; nothing beats `disabled`. A family
 * that no pool serves is left out, unless the pod asked for it: an IPv6-only pod is better than none.
 */
import { NoAddressError, parsePools, type Pool, type PoolProblem } from '@tortie/ipam';
import { formatPrefix, tryParsePrefix, type Family } from 'node-bgp/address';
import type { IPPool } from '../api/ipam.js';
import { messageOf } from '../errors.js';

export type Labels = ReadonlyMap<string, string>;
export type Matches = (selector: string, labels: Labels) => boolean;

export interface NodePool extends Pool {
  readonly isManual: boolean;
  readonly isForWorkloads: boolean;
  /** Nodes take the address of their tunnel from it. */
  readonly isForTunnels: boolean;
  /** By spec.nodeSelector. */
  readonly selectsNode: boolean;
  /** Undefined: all. */
  readonly namespaceSelector: string | undefined;
  /** No IPPool, but the node's own range (node-cidrs.ts): no other node takes from it. */
  readonly isOfNode?: boolean;
}

export interface NodePools {
  readonly pools: readonly NodePool[];
  readonly problems: readonly PoolProblem[];
}

const FAMILIES: readonly Family[] = [4, 6];
/** Pools that one message speaks of. */
const MOST_NAMED = 5;

export function nodePoolsOf(
  objects: Iterable<IPPool>,
  {
    labels,
    matches,
    families,
  }: { readonly labels: Labels; readonly matches: Matches; readonly families: readonly Family[] },
): NodePools {
  const byName = new Map([...objects].map((pool) => [pool.metadata.name, pool]));
  const parsed = parsePools(
    [...byName.values()].map(({ metadata, spec }) => ({
      name: metadata.name,
      cidr: spec.cidr,
      disabled: spec.disabled === true || metadata.deletionTimestamp !== undefined,
      ...(spec.blockSize === undefined ? {} : { blockSize: spec.blockSize }),
      ...(metadata.creationTimestamp === undefined ? {} : { createdAt: metadata.creationTimestamp }),
    })),
  );
  const problems = [...parsed.problems];
  const pools = parsed.pools.flatMap((pool): readonly NodePool[] => {
    const spec = byName.get(pool.name)?.spec ?? { cidr: '' };
    const selects = (field: 'nodeSelector' | 'namespaceSelector', tried: Labels): boolean => {
      const selector = spec[field]?.trim() ?? '';
      if (selector === '') return true;
      try {
        return matches(selector, tried);
      } catch (error) {
        const message = `Cannot use pool "${pool.name}": spec.${field} ${messageOf(error)}`;
        problems.push({ pool: pool.name, field: `spec.${field}`, message });
        return false;
      }
    };
    if (!families.includes(pool.prefix.family)) {
      const message = `Cannot use pool "${pool.name}": this node's kernel has no IPv${pool.prefix.family} (ipv6.disable=1?)`;
      problems.push({ pool: pool.name, field: 'spec.cidr', message });
      return [];
    }
    selects('namespaceSelector', new Map());
    const namespaceSelector = spec.namespaceSelector?.trim() ?? '';
    const uses = spec.allowedUses ?? [];
    return [
      {
        ...pool,
        isManual: spec.assignmentMode === 'Manual',
        isForTunnels: uses.length === 0 || uses.includes('Tunnel'),
        isForWorkloads: uses.length === 0 || uses.includes('Workload'),
        selectsNode: selects('nodeSelector', labels),
        namespaceSelector: ['', 'all()'].includes(namespaceSelector) ? undefined : namespaceSelector,
      },
    ];
  });
  return { pools, problems };
}

/** Could some pod that asks for nothing get an address of it here? */
export const servesUnasked = (pool: NodePool): boolean =>
  !pool.isDisabled && !pool.isManual && pool.isForWorkloads && pool.selectsNode;

export interface PoolRequest {
  /** Names or CIDRs per family; a family that is not there asks for nothing. */
  readonly wanted: ReadonlyMap<Family, readonly string[]>;
  readonly namespaceLabels: Labels;
  readonly matches: Matches;
}

/**
 * Pools that serve one pod, of every family it gets an address of.
 * @throws NoAddressError that says why there is none
 */
export function choosePools({ pools, problems }: NodePools, request: PoolRequest): readonly NodePool[] {
  const chosen = FAMILIES.flatMap((family) => {
    const names = request.wanted.get(family) ?? [];
    if (names.length > 0) return requested(pools, family, names, problems);
    return pools.filter((pool) => pool.prefix.family === family && whyNot(pool, request) === undefined);
  });
  if (chosen.length > 0) return chosen;
  const reasons = [
    ...pools.map((pool) => `pool "${pool.name}" (IPv${pool.prefix.family}) ${whyNot(pool, request) ?? ''}`),
    ...problems.map(({ message }) => message),
  ];
  const more = reasons.length > MOST_NAMED ? `, and ${reasons.length - MOST_NAMED} more` : '';
  throw new NoAddressError(
    reasons.length === 0
      ? 'Cannot assign an address: there is no IPPool'
      : `Cannot assign an address: no IPPool serves this pod: ${reasons.slice(0, MOST_NAMED).join('; ')}${more}`,
    4,
  );
}

/** Why a pool does not serve a pod that did not ask for it. */
function whyNot(pool: NodePool, { namespaceLabels, matches }: PoolRequest): string | undefined {
  if (pool.isDisabled) return 'is disabled';
  if (!pool.isForWorkloads) return 'has allowedUses without Workload';
  if (pool.isManual) return 'has assignmentMode Manual, so pods must ask for it';
  if (!pool.selectsNode) return 'has a nodeSelector that does not match this node';
  if (pool.namespaceSelector !== undefined && !matchesNamespace(pool.namespaceSelector, namespaceLabels, matches))
    return "has a namespaceSelector that does not match the pod's namespace";
  return undefined;
}

/** A selector that cannot be read selects nothing; it is a problem of its pool, and told there. */
function matchesNamespace(selector: string, labels: Labels, matches: Matches): boolean {
  try {
    return matches(selector, labels);
  } catch {
    return false;
  }
}

function requested(
  pools: readonly NodePool[],
  family: Family,
  names: readonly string[],
  problems: readonly PoolProblem[],
): readonly NodePool[] {
  return names.map((name) => {
    const refused = (why: string): NoAddressError =>
      new NoAddressError(
        `Cannot assign an IPv${family} address: the pod asks for pool "${name}", which ${why}`,
        family,
      );
    const prefix = tryParsePrefix(name);
    const cidr = prefix && formatPrefix(prefix);
    const pool = pools.find((each) => each.name === name || formatPrefix(each.prefix) === cidr);
    if (pool === undefined) {
      const problem = problems.find((each) => each.pool === name);
      throw refused(problem === undefined ? 'does not exist' : `cannot be used here: ${problem.message}`);
    }
    if (pool.prefix.family !== family) throw refused(`is an IPv${pool.prefix.family} pool`);
    if (pool.isDisabled) throw refused('is disabled');
    if (!pool.isForWorkloads) throw refused('has allowedUses without Workload');
    return pool;
  });
}
