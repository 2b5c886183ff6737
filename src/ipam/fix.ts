/**
 * `tortie ipam check --fix`: ends what nobody will end by himself, after looking again at each: the object as it is now, its Node, and the
 * pods that name the node. Every write is a swap of what was looked at.
 */
import type { IPAMBlockSpec } from '../api/ipam.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { blockName } from '../agent/kubernetes-block-store.js';
import { withoutNode } from '../agent/node-remains.js';
import { isNetworked } from './inventory.js';
import type { IpamFix, IpamProblem } from './check.js';

export type FixStore = Pick<Datastore, 'get' | 'list' | 'replace' | 'delete'>;

export const planOf = (problems: readonly IpamProblem[]): readonly IpamFix[] =>
  problems.flatMap(({ fix }) => (fix === undefined ? [] : [fix]));

export const describeFix = (fix: IpamFix): string =>
  fix.type === 'release-block'
    ? `free block ${fix.cidr} of node "${fix.node}", which does not exist`
    : `end the loan of ${fix.address} (block ${fix.cidr}) to node "${fix.node}", which does not exist`;

/** Does one of them. Returns why not, when it does not hold any more. */
export async function applyFix(fix: IpamFix, store: FixStore): Promise<string | undefined> {
  if ((await store.get('nodes', fix.node)) !== undefined) return `node "${fix.node}" exists now`;
  const pods = await store.list('pods');
  if (pods.some((pod) => isNetworked(pod) && pod.spec.nodeName === fix.node)) return `pods name node "${fix.node}"`;
  const block = await store.get('ipamBlocks', blockName(fix.cidr));
  if (block === undefined) return 'the block is gone';
  const nodes = new Set((await store.list('nodes')).map(({ metadata }) => metadata.name));
  const spec = changed(fix, block.spec, nodes);
  if (spec === undefined) return 'somebody has done it meanwhile';
  try {
    const { uid, resourceVersion } = block.metadata;
    if (spec === 'delete')
      await store.delete('ipamBlocks', block.metadata.name, {
        ...(uid && { uid }),
        ...(resourceVersion && { resourceVersion }),
      });
    else await store.replace('ipamBlocks', { metadata: block.metadata, spec });
    return undefined;
  } catch (error) {
    if (error instanceof ApiError && error.status === 409) return 'the block has changed meanwhile; check again';
    throw error;
  }
}

function changed(fix: IpamFix, spec: IPAMBlockSpec, nodes: ReadonlySet<string>): IPAMBlockSpec | 'delete' | undefined {
  if (fix.type === 'release-block')
    return spec.node === fix.node ? withoutNode(spec, (node) => nodes.has(node)) : undefined;
  const loans = spec.loans?.filter(({ address, node }) => address !== fix.address || node !== fix.node) ?? [];
  return loans.length === (spec.loans?.length ?? 0) ? undefined : { ...spec, loans };
}
