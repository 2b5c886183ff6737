/**
 * `tortie ipam check`: what of the cluster's addresses does not fit together.
 *
 * What a node has told is a minute old at most (src/agent/address-publisher.ts), so a pod that just came or went looks like a fault for as
 * long: whoever reads a live cluster looks again before he believes `leaked` and `unpublished` (`needsSecondLook`).
 */
import { prefixesOverlap } from 'node-bgp/address';
import type { Pod } from '../api/core.js';
import { blockOf, holderText, isNetworked, podName, poolOf, usesIn, type Inventory } from './inventory.js';

export type ProblemKind = 'duplicate' | 'overlapping' | 'orphaned' | 'leaked' | 'out-of-pool' | 'unpublished';

export interface IpamProblem {
  readonly kind: ProblemKind;
  /** The block or address it is about. */
  readonly subject: string;
  /** A sentence. */
  readonly message: string;
  /** What mends it, in a sentence; `fix` where `--fix` does. */
  readonly remedy: string;
  readonly fix?: IpamFix;
}

export type IpamFix =
  | { readonly type: 'release-block'; readonly cidr: string; readonly node: string }
  | { readonly type: 'end-loan'; readonly cidr: string; readonly address: string; readonly node: string };

/** Worst first: two pods with one address, then what leads to that, then what only costs addresses. */
export const KINDS: readonly ProblemKind[] = [
  'duplicate',
  'overlapping',
  'orphaned',
  'leaked',
  'out-of-pool',
  'unpublished',
];

export const needsSecondLook = ({ kind }: IpamProblem): boolean => kind !== 'out-of-pool';

/** @param now milliseconds since the epoch; without it nothing is past its time */
export function checkIpam(inventory: Inventory, now = Number.NEGATIVE_INFINITY): readonly IpamProblem[] {
  const problems = [
    ...duplicates(inventory),
    ...overlaps(inventory),
    ...orphans(inventory),
    ...leaks(inventory),
    ...overdue(inventory, now),
    ...outside(inventory),
    ...unpublished(inventory),
  ];
  return problems.sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
}

/** Who has an address: a pod's status and what its node tells are one holder. */
function duplicates({ uses }: Inventory): readonly IpamProblem[] {
  return [...uses.values()].flatMap(({ text, published, pods }) => {
    const all = new Set([
      ...published.map((use) => `${holderText(use).replace(/^pod /, '')} on node "${use.node}"`),
      ...pods.map((pod) => `"${podName(pod)}" on node "${pod.spec.nodeName ?? ''}"`),
    ]);
    return all.size < 2
      ? []
      : [
          {
            kind: 'duplicate' as const,
            subject: text,
            message: `Address ${text} is held by ${all.size} pods: ${[...all].sort().join(', ')}`,
            remedy: 'Delete all of these pods but one; whoever makes them gets others.',
          },
        ];
  });
}

function overlaps({ blocks, poolProblems }: Inventory): readonly IpamProblem[] {
  const found: IpamProblem[] = poolProblems
    .filter(({ message }) => message.includes(' overlaps '))
    .map(({ pool, message }) => ({
      kind: 'overlapping',
      subject: pool,
      message,
      remedy: 'Delete one of the two pools; until then the older is used.',
    }));
  // Sorted by address: what overlaps a block begins inside it, or around it just before.
  for (const [index, block] of blocks.entries())
    for (const other of blocks.slice(index + 1)) {
      if (!prefixesOverlap(block.prefix, other.prefix)) break;
      found.push({
        kind: 'overlapping',
        subject: other.cidr,
        message:
          `Block ${other.cidr} of node "${other.object.spec.node}" has addresses of ${block.cidr} of node ` +
          `"${block.object.spec.node}"`,
        remedy:
          'Drain the node of the younger block; it gives out nothing that both have, and goes back once it is empty.',
      });
    }
  return found;
}

function orphans({ blocks, objects: { nodes, pods, published } }: Inventory): readonly IpamProblem[] {
  const known = new Set(nodes.map(({ metadata }) => metadata.name));
  const inUse = new Set(pods.filter(isNetworked).map(({ spec }) => spec.nodeName));
  const told = new Map(
    published.map(({ metadata, spec }) => [metadata.name, new Set(spec.addresses?.map(({ address }) => address))]),
  );
  return blocks.flatMap(({ cidr, object: { spec } }): readonly IpamProblem[] => {
    const ofBlock: readonly IpamProblem[] = known.has(spec.node)
      ? []
      : [
          {
            kind: 'orphaned',
            subject: cidr,
            message: `Block ${cidr} belongs to node "${spec.node}", and there is no such Node`,
            remedy: inUse.has(spec.node)
              ? `Pods still name node "${spec.node}": it is freed when they are gone.`
              : 'It is freed a minute after its Node is gone, or by --fix.',
            ...(inUse.has(spec.node) ? {} : { fix: { type: 'release-block', cidr, node: spec.node } }),
          },
        ];
    const ofLoans = (spec.loans ?? []).flatMap(({ address, node }): readonly IpamProblem[] => {
      const isGone = !known.has(node) && !inUse.has(node);
      if (!isGone && (told.get(node)?.has(address) ?? true)) return [];
      return [
        {
          kind: 'orphaned',
          subject: address,
          message: isGone
            ? `Address ${address} of block ${cidr} is lent to node "${node}", and there is no such Node`
            : `Address ${address} of block ${cidr} is lent to node "${node}", which gives it to no pod`,
          remedy: isGone
            ? 'It is freed a minute after the Node is gone, or by --fix.'
            : `The agent of node "${node}" gives it back.`,
          ...(isGone ? { fix: { type: 'end-loan', cidr, address, node } } : {}),
        },
      ];
    });
    return [...ofBlock, ...ofLoans];
  });
}

function leaks({ uses, objects: { pods } }: Inventory): readonly IpamProblem[] {
  const living = new Map(pods.map((pod) => [podName(pod), pod]));
  return [...uses.values()].flatMap(({ text, published }) =>
    published
      .filter(
        ({ namespace, pod, tunnel, uid }) => tunnel === undefined && !isSamePod(living.get(`${namespace}/${pod}`), uid),
      )
      .map(
        ({ namespace, pod, node, containerId }): IpamProblem => ({
          kind: 'leaked',
          subject: text,
          message: `Address ${text} is held on node "${node}" for pod "${namespace}/${pod}", and there is no such pod`,
          remedy:
            `The agent frees it once the sandbox is gone; if container "${containerId}" is gone from node "${node}", run ` +
            `there: tortie ipam release ${text}`,
        }),
      ),
  );
}

/** Nodes look every half minute. */
const LATE = 120_000;

function overdue({ blocks }: Inventory, now: number): readonly IpamProblem[] {
  return blocks.flatMap(({ cidr, object: { spec } }) =>
    (spec.kept ?? [])
      .filter(({ until }) => now - Date.parse(until) > LATE)
      .map(
        ({ address, keptFor, until }): IpamProblem => ({
          kind: 'leaked',
          subject: address,
          message: `Address ${address} of block ${cidr} is still kept for ${keptFor}, and that was until ${until}`,
          remedy: `See whether the agent of node "${spec.node}" runs: it frees it.`,
        }),
      ),
  );
}

/** Static pods' objects have a UID of their own. */
const isSamePod = (pod: Pod | undefined, uid: string | undefined): boolean =>
  pod !== undefined &&
  (uid === undefined ||
    pod.metadata.uid === undefined ||
    pod.metadata.uid === uid ||
    pod.metadata.annotations?.['kubernetes.io/config.mirror'] === uid);

function outside(inventory: Inventory): readonly IpamProblem[] {
  const ofBlocks = inventory.blocks
    .filter(({ pool }) => pool === undefined)
    .map(({ cidr, prefix, object }): IpamProblem => {
      const count = usesIn(inventory, prefix).length;
      return {
        kind: 'out-of-pool',
        subject: cidr,
        message: `Block ${cidr} of node "${object.spec.node}" lies in no IPPool that can be used; ${count} of its addresses are in use`,
        remedy: 'It goes back once nobody has an address of it: delete the pods that have, or make the pool again.',
      };
    });
  const ofAddresses = [...inventory.uses.values()].flatMap(({ text, address, published, borrower }) =>
    published.flatMap((use): readonly IpamProblem[] => {
      const { node } = use;
      const block = blockOf(inventory, address);
      const owner = block?.object.spec.node;
      if (owner === node || borrower === node) return [];
      const where = block === undefined ? 'no block' : `block ${block.cidr} of node "${owner}", which has not lent it`;
      return [
        {
          kind: block === undefined ? 'out-of-pool' : 'overlapping',
          subject: text,
          message: `Address ${text} of ${holderText(use)} on node "${node}" lies in ${where}`,
          remedy: 'Another pod may get it: delete the pod, and whoever makes it gets another address.',
        },
      ];
    }),
  );
  return [...ofBlocks, ...ofAddresses];
}

function unpublished(inventory: Inventory): readonly IpamProblem[] {
  return [...inventory.uses.values()].flatMap(({ text, address, pods, published }) =>
    published.length > 0 || poolOf(inventory, address) === undefined
      ? []
      : pods.map(
          (pod): IpamProblem => ({
            kind: 'unpublished',
            subject: text,
            message: `Pod "${podName(pod)}" has address ${text}, and node "${pod.spec.nodeName ?? ''}" does not say that it gave it`,
            remedy: 'See whether the agent of that node runs; a pod of another network plugin has to be made anew.',
          }),
        ),
  );
}

export function formatProblems(problems: readonly IpamProblem[]): string {
  if (problems.length === 0) return 'Every address is held by at most one pod, in a block of its node.';
  const lines = KINDS.flatMap((kind) => {
    const ofKind = problems.filter((problem) => problem.kind === kind);
    return ofKind.length === 0
      ? []
      : [`${kind} (${ofKind.length})`, ...ofKind.flatMap(({ message, remedy }) => [`  ${message}`, `    ${remedy}`])];
  });
  return [...lines, `${problems.length} problem${problems.length === 1 ? '' : 's'} found.`].join('\n');
}
