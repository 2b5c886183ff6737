/**
 * Which agent writes the conditions of objects: one of the cluster, so that 5,000 nodes cost the API server what three do.
 *
 * Every agent watches all nodes anyway. The first CANDIDATES ready nodes by name contend for one Lease; all others do nothing at
 * all. A candidate asks every ROUND; the holder renews it then, and stops believing in itself before anybody else may take over.
 */
import type { Lease, Node } from '../api/core.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export const CANDIDATES = 3;
export const LEASE_NAME = 'tortie-object-status';
const ROUND = 5_000;
/** A lease that nobody has renewed for so long is free. */
const DURATION = 20_000;
/** How long a holder believes in its last renewal: less than DURATION by more than clocks drift. */
const BELIEF = 12_000;

export interface ElectionOptions {
  readonly node: string;
  readonly namespace: string;
  readonly nodes: () => readonly Node[];
  readonly datastore: Pick<Datastore, 'get' | 'create' | 'replace'>;
  readonly log: Logger;
  readonly onElected: () => void;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

/** Nodes that contend, in order. A node that says nothing of being ready counts as ready. */
export function candidatesOf(nodes: readonly Node[]): readonly string[] {
  const isReady = ({ status, metadata }: Node): boolean =>
    metadata.deletionTimestamp === undefined &&
    (status?.conditions?.find(({ type }) => type === 'Ready')?.status ?? 'True') === 'True';
  return nodes
    .filter(isReady)
    .map(({ metadata }) => metadata.name)
    .sort()
    .slice(0, CANDIDATES);
}

export class StatusElection {
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;
  private believedUntil = -Infinity;
  /** The last state of the lease that was seen, and when it was first seen so. */
  private seen: { readonly version: string; readonly at: number } | undefined;
  private readonly now: () => number;

  constructor(private readonly options: ElectionOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  start(): void {
    void this.round();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  isLeader(): boolean {
    return !this.isStopped && this.now() < this.believedUntil;
  }

  /** One try; never rejects. */
  async contend(): Promise<void> {
    const { believedUntil } = this;
    if (!candidatesOf(this.options.nodes()).includes(this.options.node)) return;
    const startedAt = this.now();
    try {
      if (await this.take()) this.believedUntil = startedAt + BELIEF;
    } catch (error) {
      // Somebody was faster, or the API server is away: no leader, or another one. The next round asks again.
      this.options.log.debug({ problem: messageOf(error) }, 'Cannot take the lease of object conditions');
    }
    // Whose belief had run out before has passed changes over since, though nobody else took the lease.
    if (this.isLeader() && this.now() >= believedUntil) this.options.onElected();
  }

  private async round(): Promise<void> {
    await this.contend();
    if (!this.isStopped) this.timer = setTimeout(() => void this.round(), ROUND).unref();
  }

  /** True when the lease is ours now. */
  private async take(): Promise<boolean> {
    const { datastore, node, namespace } = this.options;
    const lease = await datastore.get('leases', LEASE_NAME, namespace);
    if (lease === undefined) {
      await datastore.create('leases', this.leaseOf(undefined));
      return true;
    }
    const isOurs = lease.spec?.holderIdentity === node;
    if (!isOurs && !this.isFree(lease)) return false;
    try {
      await datastore.replace('leases', this.leaseOf(lease));
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false;
      throw error;
    }
    return true;
  }

  /** By our own clock alone: nobody has touched it for DURATION. */
  private isFree({ metadata, spec }: Lease): boolean {
    if ((spec?.holderIdentity ?? '') === '') return true;
    const version = `${metadata.uid} ${metadata.resourceVersion}`;
    if (this.seen?.version !== version) this.seen = { version, at: this.now() };
    return this.now() - this.seen.at >= DURATION;
  }

  private leaseOf(before: Lease | undefined): Lease {
    const { node, namespace } = this.options;
    const now = new Date().toISOString().replace('Z', '000Z');
    const isNew = before?.spec?.holderIdentity !== node;
    return {
      ...before,
      metadata: before?.metadata ?? { name: LEASE_NAME, namespace },
      spec: {
        ...before?.spec,
        holderIdentity: node,
        leaseDurationSeconds: DURATION / 1000,
        renewTime: now,
        ...(isNew ? { acquireTime: now, leaseTransitions: (before?.spec?.leaseTransitions ?? -1) + 1 } : {}),
      },
    };
  }
}
