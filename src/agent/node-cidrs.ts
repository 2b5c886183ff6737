/**
 * `node.spec.podCIDRs`, which the cluster's own controllers give to each node, as pools of that node alone (`--ip-source node-cidrs`).
 * A range is claimed as any block is, so that everybody knows whose it is: whole where a block can be as large, piece by piece where
 * it cannot (IPv6).
 *
 * Pods that ask for nothing get their addresses from there, those that ask for an IPPool from that. An IPPool around the ranges of all
 * nodes gives out nothing where these do, and says what else is to be: natOutgoing, vxlanMode, disableBGPExport.
 */
import { MOST_BLOCK_BITS, type PoolProblem } from '@tortie/ipam';
import { bitsOf, containsPrefix, tryParsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { Node } from '../api/core.js';
import type { NodePool } from './node-pools.js';

export const nodeCidrPool = (family: Family): string => `node-cidr-ipv${family}`;

export interface NodeCidrs {
  readonly pools: readonly NodePool[];
  readonly problems: readonly PoolProblem[];
}

export function nodeCidrsOf(node: Node | undefined, families: readonly Family[]): NodeCidrs {
  const { podCIDR, podCIDRs = podCIDR === undefined ? [] : [podCIDR] } = node?.spec ?? {};
  const pools: NodePool[] = [];
  const problems: PoolProblem[] = [];
  for (const [index, text] of podCIDRs.entries()) {
    const prefix = tryParsePrefix(text);
    const field = `spec.podCIDRs[${index}]`;
    const refuse = (expected: string): void => {
      const message = `Cannot use ${field} of Node "${node?.metadata.name ?? ''}": it is "${text}"; expected ${expected}`;
      problems.push({ pool: 'node', field, message });
    };
    if (prefix === undefined) refuse('CIDR notation');
    else if (!families.includes(prefix.family))
      refuse(`none of IPv${prefix.family}, which this node's kernel does not have`);
    else if (pools.some((pool) => pool.prefix.family === prefix.family)) refuse(`one range of IPv${prefix.family}`);
    else pools.push(poolOf(prefix));
  }
  if (podCIDRs.length === 0)
    problems.push({
      pool: 'node',
      field: 'spec.podCIDRs',
      message:
        `Node "${node?.metadata.name ?? ''}" has no spec.podCIDRs; expected ranges ` +
        '(--ip-source node-cidrs; kube-controller-manager --allocate-node-cidrs)',
    });
  return { pools, problems };
}

const poolOf = (prefix: IpPrefix): NodePool => ({
  name: nodeCidrPool(prefix.family),
  prefix,
  blockLength: Math.max(prefix.length, bitsOf(prefix.family) - MOST_BLOCK_BITS),
  isDisabled: false,
  isManual: false,
  isForWorkloads: true,
  isForTunnels: true,
  selectsNode: true,
  namespaceSelector: undefined,
  isOfNode: true,
});

/** Is this a block that a node may have claimed of its ranges? */
export const isNodeCidrBlock = (prefix: IpPrefix, { pools }: NodeCidrs): boolean =>
  pools.some((pool) => containsPrefix(pool.prefix, prefix) && prefix.length === pool.blockLength);

/** The same pools behind those of the node: in families that it has a range of, the others serve only who asks for them. */
export function withNodeCidrs(pools: readonly NodePool[], cidrs: NodeCidrs): readonly NodePool[] {
  const families = new Set(cidrs.pools.map(({ prefix }) => prefix.family));
  return [
    ...cidrs.pools,
    ...pools.map((pool) => (families.has(pool.prefix.family) ? { ...pool, isManual: true } : pool)),
  ];
}
