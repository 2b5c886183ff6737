/**
 * Deletes what a deleted Node leaves behind: its IPAMBlocks, so that others may claim them, and its NodeStatus. A block of which other
 * nodes have borrowed goes to one of them, whole: its addresses would be claimed again while they are in use. What a
 * deleted Node had borrowed goes back to the owner.
 *
 * One process does it: the controller that leads, or, where none does, the elected agent. Three things have to hold: there has
 * been no such Node for GRACE, no pod names it that may still run (pods hold addresses; the control plane deletes those of a
 * deleted Node), and the API server, asked directly, knows no such Node either. ownerReferences would do it without all that, and
 * give the addresses of running pods to others.
 *
 * The agent of a deleted Node that runs on claims nothing and gives up what is no longer its own (block-claims.ts).
 */
import type { IPAMBlock } from '../api/ipam.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export interface NodeRemainsOptions {
  readonly cluster: Cluster;
  readonly datastore: Pick<Datastore, 'get' | 'list' | 'delete' | 'replace'>;
  readonly isLeader: () => boolean;
  /** Somebody else does it; asked by whoever is leader. Default: nobody. */
  readonly isDoneByOthers?: () => Promise<boolean>;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

/** How long a Node must be gone. */
export const GRACE = 60_000;
const INTERVAL = 15_000;
const FINISHED: ReadonlySet<string | undefined> = new Set(['Succeeded', 'Failed']);

export class NodeRemains {
  private readonly now: () => number;
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;
  /** When a Node that left something behind was first missed. BOUNDED by the owners of blocks and statuses. */
  private missed = new Map<string, number>();
  /** Statuses are not watched: those without a Node, as last listed. Undefined: not listed since something may have changed. */
  private statuses: ReadonlySet<string> | undefined;

  constructor(private readonly options: NodeRemainsOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  /** After the first sync. */
  start(): void {
    this.options.cluster.onChange(({ kind, type }) => {
      if (kind === 'nodes' && type === 'delete') this.statuses = undefined;
    });
    this.timer = setInterval(() => void this.look(), INTERVAL).unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** One look. Never rejects. */
  async look(): Promise<void> {
    const { cluster, isLeader, log, isDoneByOthers = async () => false } = this.options;
    const isBlind = (['nodes', 'pods', 'ipamBlocks'] as const).some((kind) => cluster.problems().has(kind));
    if (!isLeader() || isBlind) return this.forget();
    if (this.isLooking) return;
    this.isLooking = true;
    try {
      if (await isDoneByOthers()) this.forget();
      else await this.lookOnce();
    } catch (error) {
      log.warn({ problem: messageOf(error) }, 'Cannot clear up after deleted nodes; trying again');
    }
    this.isLooking = false;
  }

  private forget(): void {
    this.missed.clear();
    this.statuses = undefined;
  }

  private async lookOnce(): Promise<void> {
    const { cluster, datastore } = this.options;
    const isGone = (node: string): boolean => cluster.get('nodes', node) === undefined;
    this.statuses ??= new Set(
      (await datastore.list('nodeStatuses')).map(({ metadata }) => metadata.name).filter(isGone),
    );
    const blocks = new Map<string, IPAMBlock[]>();
    for (const block of cluster.all('ipamBlocks').values())
      if (isGone(block.spec.node)) blocks.set(block.spec.node, [...(blocks.get(block.spec.node) ?? []), block]);
    const borrowers = this.goneBorrowers(isGone);
    const gone = new Set([...blocks.keys(), ...borrowers.keys(), ...[...this.statuses].filter(isGone)]);
    const now = this.now();
    this.missed = new Map([...gone].map((node) => [node, this.missed.get(node) ?? now]));
    const inUse = this.nodesOfPods();
    for (const [node, since] of this.missed)
      if (now - since >= GRACE && !inUse.has(node))
        await this.clear(node, blocks.get(node) ?? [], borrowers.get(node) ?? []);
  }

  /** Nodes that are gone, with the blocks of others that they have borrowed of. */
  private goneBorrowers(isGone: (node: string) => boolean): ReadonlyMap<string, readonly IPAMBlock[]> {
    const found = new Map<string, IPAMBlock[]>();
    for (const block of this.options.cluster.all('ipamBlocks').values())
      for (const node of new Set(block.spec.loans?.map((loan) => loan.node)))
        if (isGone(node)) found.set(node, [...(found.get(node) ?? []), block]);
    return found;
  }

  /** Names of nodes with pods that may run. */
  private nodesOfPods(): ReadonlySet<string> {
    const nodes = new Set<string>();
    for (const { spec, status } of this.options.cluster.all('pods').values())
      if (spec.nodeName !== undefined && !FINISHED.has(status?.phase)) nodes.add(spec.nodeName);
    return nodes;
  }

  private async clear(node: string, blocks: readonly IPAMBlock[], borrowedOf: readonly IPAMBlock[]): Promise<void> {
    const { cluster, datastore, log, isLeader } = this.options;
    if ((await datastore.get('nodes', node)) !== undefined || !isLeader()) return;
    const isKnown = (name: string): boolean => cluster.get('nodes', name) !== undefined;
    // As the API server has them now: somebody may have borrowed a moment ago.
    for (const { metadata } of borrowedOf) await this.swap(metadata.name, (spec) => withoutLoansOf(spec, node));
    for (const { metadata } of blocks)
      await this.swap(metadata.name, (spec) => (spec.node === node ? withoutNode(spec, isKnown) : undefined));
    await datastore.delete('nodeAddresses', node);
    await datastore.delete('nodeStatuses', node);
    this.statuses = new Set([...(this.statuses ?? [])].filter((name) => name !== node));
    log.info({ deletedNode: node, blocks: blocks.map(({ spec }) => spec.cidr) }, 'Cleared up after a deleted Node');
  }

  /** One change of a block as it is now; a conflict leaves it to the next look. `change`: undefined when there is nothing to do. */
  private async swap(
    name: string,
    change: (spec: IPAMBlock['spec']) => IPAMBlock['spec'] | 'delete' | undefined,
  ): Promise<void> {
    const { datastore, log } = this.options;
    const block = await datastore.get('ipamBlocks', name);
    const spec = block && change(block.spec);
    if (block === undefined || spec === undefined) return;
    const { uid, resourceVersion } = block.metadata;
    if (spec === 'delete')
      return datastore.delete('ipamBlocks', name, { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) });
    await datastore.replace('ipamBlocks', { metadata: block.metadata, spec });
    if (spec.node !== block.spec.node)
      log.info({ block: spec.cidr, heir: spec.node }, 'Handed the block of a deleted Node to who had borrowed of it');
  }
}

/** A block whose Node is gone, as a living borrower's; 'delete' when there is none. */
export function withoutNode(
  { cidr, pool, loans = [], kept = [], agentless }: IPAMBlock['spec'],
  isKnown: (node: string) => boolean,
): IPAMBlock['spec'] | 'delete' {
  const heir = loans.find(({ node }) => isKnown(node))?.node;
  return heir === undefined
    ? 'delete'
    : {
        cidr,
        node: heir,
        pool,
        // Its agent knows what it has; without one the loans alone say so.
        loans:
          agentless === true ? loans.filter(({ node }) => isKnown(node)) : loans.filter(({ node }) => node !== heir),
        ...(kept.length === 0 ? {} : { kept }),
        ...(agentless === true ? { agentless } : {}),
      };
}

const withoutLoansOf = (spec: IPAMBlock['spec'], gone: string): IPAMBlock['spec'] | undefined => {
  const loans = spec.loans?.filter(({ node }) => node !== gone) ?? [];
  return loans.length === (spec.loans?.length ?? 0) ? undefined : { ...spec, loans };
};
