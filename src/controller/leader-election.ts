/**
 * One leader among several processes, by a Lease, as Kubernetes' own controllers elect theirs (client-go, tools/leaderelection).
 *
 *   every RETRY   the leader renews; others look whether the lease has been renewed since they first saw it so
 *   RENEW         a leader that has not renewed for so long has lost, whatever anybody else does
 *   LEASE         a lease that nobody renewed for so long, by the watcher's own clock, is anybody's
 *
 * RENEW < LEASE is what keeps two from leading at once; no time of another machine is ever compared with ours. A process that ends
 * gives the lease back, so that the next one leads at once.
 */
import { messageOf } from '../errors.js';
import type { Lease } from '../api/core.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import type { Logger } from '../log.js';

/** Milliseconds; client-go's defaults. */
export interface LeaseTimes {
  readonly leaseDuration: number;
  readonly renewDeadline: number;
  readonly retryPeriod: number;
}

export const LEASE_TIMES: LeaseTimes = { leaseDuration: 15_000, renewDeadline: 10_000, retryPeriod: 2_000 };
/** So that candidates do not all ask at once. */
const JITTER = 0.2;

export interface LeaderElectionOptions extends Partial<LeaseTimes> {
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Of this very process: two that share it would both lead. */
  readonly identity: string;
  readonly datastore: Pick<Datastore, 'get' | 'create' | 'replace'>;
  readonly log: Logger;
  readonly onElected: () => void;
  readonly onLost: () => void;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

export class LeaderElection {
  private readonly times: LeaseTimes;
  private readonly now: () => number;
  private timer: NodeJS.Timeout | undefined;
  private deadline: NodeJS.Timeout | undefined;
  private isStopped = false;
  private wasLeader = false;
  private believedUntil = -Infinity;
  /** The lease as it was last seen, and when it was first seen so. */
  private observed: { readonly lease: Lease; readonly version: string; readonly at: number } | undefined;
  private answered: number | undefined;

  constructor(private readonly options: LeaderElectionOptions) {
    this.times = { ...LEASE_TIMES, ...given(options) };
    this.now = options.now ?? (() => performance.now());
  }

  start(): void {
    void this.rounds();
  }

  /** Gives the lease back; never rejects. */
  async stop(): Promise<void> {
    const isLeader = this.isLeader();
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.deadline);
    this.told();
    if (isLeader) await this.release();
  }

  isLeader(): boolean {
    return !this.isStopped && this.now() < this.believedUntil;
  }

  /** Who holds the lease, as last seen; empty: nobody. */
  get holder(): string {
    return this.observed?.lease.spec?.holderIdentity ?? '';
  }

  /** Milliseconds since the API server last answered; undefined: never. */
  get silence(): number | undefined {
    return this.answered === undefined ? undefined : this.now() - this.answered;
  }

  /** One try to get or keep the lease; never rejects. */
  async contend(): Promise<void> {
    const startedAt = this.now();
    try {
      if (await this.take()) this.believe(startedAt + this.times.renewDeadline);
      this.answered = this.now();
    } catch (error) {
      // Somebody was faster, or the API server is away: the next round asks again, and belief runs out by itself.
      this.options.log.debug({ problem: messageOf(error) }, 'Cannot take the lease');
    }
    this.told();
  }

  private async rounds(): Promise<void> {
    while (!this.isStopped) {
      await this.contend();
      const pause = this.times.retryPeriod * (this.wasLeader ? 1 : 1 + Math.random() * JITTER);
      await new Promise<void>((resolve) => (this.timer = setTimeout(resolve, pause)));
    }
  }

  private believe(until: number): void {
    this.believedUntil = until;
    clearTimeout(this.deadline);
    // A request that hangs must not hide that the time is over.
    this.deadline = setTimeout(() => this.told(), Math.max(0, until - this.now()) + 1).unref();
  }

  private told(): void {
    const isLeader = this.isLeader();
    if (isLeader === this.wasLeader) return;
    this.wasLeader = isLeader;
    this.options.log.info({ holder: this.holder }, isLeader ? 'Leading' : 'Not leading any more');
    if (isLeader) this.options.onElected();
    else this.options.onLost();
  }

  /** True when the lease is ours now. @throws when the API server does not answer */
  private async take(): Promise<boolean> {
    const { datastore, lease, identity } = this.options;
    const found = await datastore.get('leases', lease.name, lease.namespace);
    if (found === undefined) {
      this.observe(await datastore.create('leases', this.record(undefined)));
      return true;
    }
    this.observe(found);
    const holder = found.spec?.holderIdentity ?? '';
    if (holder !== identity && holder !== '' && !this.isExpired(found)) return false;
    try {
      this.observe(await datastore.replace('leases', this.record(found)));
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) return false;
      throw error;
    }
    return true;
  }

  private observe(lease: Lease): void {
    const version = `${lease.metadata.uid} ${lease.metadata.resourceVersion}`;
    if (this.observed?.version !== version) this.observed = { lease, version, at: this.now() };
  }

  /** By the duration that its holder has written: it may be configured otherwise than we are. */
  private isExpired({ spec }: Lease): boolean {
    const duration = (spec?.leaseDurationSeconds ?? this.times.leaseDuration / 1000) * 1000;
    return this.now() - (this.observed?.at ?? this.now()) >= duration;
  }

  private record(before: Lease | undefined): Lease {
    const { lease, identity } = this.options;
    const now = microTime();
    const isNew = before?.spec?.holderIdentity !== identity;
    return {
      ...before,
      metadata: before?.metadata ?? { name: lease.name, namespace: lease.namespace },
      spec: {
        ...before?.spec,
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(this.times.leaseDuration / 1000),
        renewTime: now,
        ...(isNew ? { acquireTime: now, leaseTransitions: (before?.spec?.leaseTransitions ?? -1) + 1 } : {}),
      },
    };
  }

  private async release(): Promise<void> {
    const { datastore, log, lease, identity } = this.options;
    try {
      const found = await datastore.get('leases', lease.name, lease.namespace);
      if (found?.spec?.holderIdentity !== identity) return;
      const spec = { ...found.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() };
      await datastore.replace('leases', { ...found, spec });
    } catch (error) {
      log.debug({ problem: messageOf(error) }, 'Cannot give the lease back; it runs out by itself');
    }
  }
}

const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

const given = ({ leaseDuration, renewDeadline, retryPeriod }: Partial<LeaseTimes>): Partial<LeaseTimes> => ({
  ...(leaseDuration === undefined ? {} : { leaseDuration }),
  ...(renewDeadline === undefined ? {} : { renewDeadline }),
  ...(retryPeriod === undefined ? {} : { retryPeriod }),
});
