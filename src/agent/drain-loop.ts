/**
 * Whether this node is being taken out of service, and how far that is (topology/drain.ts says what it announces meanwhile).
 *
 *   in service --(the Node says so, or pods are evicted from a cordoned node)--> marked --(WAIT after bgpd has told it)--> settled
 *
 * What only a moment showed, an eviction, is kept in NodeStatus: an agent that starts anew goes on where the last one was. Which other
 * nodes tell addresses of Services is asked of the NodeStatuses, only while this node drains. While they cannot be read the
 * last answer stands.
 */
import type { Node, Pod } from '../api/core.js';
import type { NodeDrainStatus, NodeStatus } from '../api/node-status.js';
import type { Cluster, ClusterChange } from '../cluster/cluster.js';
import type { Happening } from '../cluster/event-recorder.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { drainOf, type Drain, type DrainInput, type DrainOutcome } from '../topology/drain.js';

export interface DrainSettings {
  /** Milliseconds for neighbours to move away from what is marked. */
  readonly wait: number;
  /** Other nodes that have to tell an address of a Service before this one withdraws it; 1 or more. */
  readonly floor: number;
}

export const DRAIN_DEFAULTS: DrainSettings = { wait: 10_000, floor: 1 };

export interface DrainLoopOptions extends DrainSettings {
  readonly node: string;
  readonly cluster: Pick<Cluster, 'get' | 'all'>;
  readonly datastore: Pick<Datastore, 'get' | 'list'>;
  /** Pods of this node that have an address. */
  readonly podCount: () => number;
  /** What came of the last computation of routes. */
  readonly outcome: () => DrainOutcome | undefined;
  /** Is what was computed last what bgpd has told its peers? */
  readonly isTold: () => boolean;
  /** What is announced may change. */
  readonly onChange: () => void;
  readonly record: (happening: Happening) => void;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

/** Between two looks at who else tells addresses of Services. */
const LOOK_AGAIN = 5_000;
const READ_WITHIN = 3_000;
/** An eviction may be heard of before the cordon that came first: they come by two watches. */
const EVICTION_COUNTS = 10_000;
/** Why a pod is disrupted (k8s.io/api/core/v1): `kubectl drain`, and taints with the effect NoExecute. */
const EVICTIONS = ['EvictionByEvictionAPI', 'DeletionByTaintManager'];
/** BOUNDED: the definition's bound of `kept`. */
const MOST_KEPT = 100;

export const isEvicted = ({ status }: Pod): boolean =>
  status?.conditions?.some(
    ({ type, status: holds, reason = '' }) =>
      type === 'DisruptionTarget' && holds === 'True' && EVICTIONS.includes(reason),
  ) === true;

interface Draining extends Drain {
  readonly since: string;
}

export class DrainLoop {
  private draining: Draining | undefined;
  private evictedAt = -Infinity;
  /** When bgpd had told the marks; undefined: not yet. */
  private markedAt: number | undefined;
  private hasSettled = false;
  /** Other nodes that tell addresses of Services. BOUNDED by the cluster's nodes. */
  private tellers: ReadonlySet<string> = new Set();
  private timer: NodeJS.Timeout | undefined;
  private isLooking = false;
  private isStarted = false;
  private told = '';
  private readonly now: () => number;

  constructor(private readonly options: DrainLoopOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  /** Reads what an earlier agent knew; never rejects, and takes READ_WITHIN at most. */
  async start(): Promise<void> {
    const { datastore, node, log } = this.options;
    const read = datastore.get('nodeStatuses', node).catch((error: unknown) => {
      log.warn(
        { problem: messageOf(error) },
        'Cannot read whether this node was being drained; going by its Node alone',
      );
      return undefined;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), READ_WITHIN)));
    const before = (await Promise.race([read, late]))?.status?.drain;
    clearTimeout(timer);
    this.isStarted = true;
    if (before?.cause === 'Evicted') this.evictedAt = this.now();
    this.look(before?.since);
    // What neighbours have moved away from already must not come back for a moment.
    if (this.draining !== undefined && before !== undefined && before.phase !== 'Marked') {
      this.hasSettled = true;
      await this.readTellers();
      this.wake(LOOK_AGAIN);
    }
  }

  stop(): void {
    this.isStarted = false;
    clearTimeout(this.timer);
  }

  changed(change: ClusterChange): void {
    const { node } = this.options;
    if (change.kind === 'pods') {
      if (change.object.spec.nodeName !== node || !isEvicted(change.object)) return;
      this.evictedAt = this.now();
      this.look();
    } else if (change.kind === 'nodes') {
      if (change.object.metadata.name === node) this.look();
      else if (this.draining !== undefined) this.wake(0);
    }
  }

  /** Call when bgpd was looked at. */
  bgpLooked(): void {
    if (this.draining === undefined || this.hasSettled || this.markedAt !== undefined || !this.options.isTold()) return;
    this.markedAt = this.now();
    this.wake(this.options.wait);
  }

  /** For the topology; undefined: in service. */
  input(): DrainInput | undefined {
    if (this.draining === undefined) return undefined;
    const { floor, podCount } = this.options;
    const { hasSettled, tellers } = this;
    return { hasSettled, floor, tells: (name) => tellers.has(name), hasPods: podCount() > 0 };
  }

  /** For NodeStatus. */
  status(): NodeDrainStatus | undefined {
    const { draining, hasSettled, options } = this;
    if (draining === undefined) return undefined;
    const { marked = [] } = options.outcome() ?? {};
    const isEmpty = hasSettled && marked.length === 0 && options.podCount() === 0;
    const kept = hasSettled ? marked : [];
    return {
      cause: draining.cause,
      since: draining.since,
      phase: !hasSettled ? 'Marked' : isEmpty ? 'Empty' : 'Withdrawn',
      ...(kept.length === 0 ? {} : { kept: kept.slice(0, MOST_KEPT) }),
      message: this.sentence(kept.length),
    };
  }

  private sentence(kept: number): string {
    const { draining, hasSettled, options } = this;
    const because = `The node drains: ${draining?.because}`;
    if (!hasSettled) return `${because}. Addresses of Services are told with GRACEFUL_SHUTDOWN`;
    const pods = options.podCount();
    return [
      because,
      kept === 0
        ? 'Addresses of Services are left to other nodes'
        : `${kept} addresses of Services are told on, with GRACEFUL_SHUTDOWN: fewer than ${options.floor} other nodes tell them`,
      pods === 0 ? 'no pod is left' : `${pods} pods are left, whose blocks are told on`,
    ].join('. ');
  }

  private look(since?: string): void {
    if (!this.isStarted) return;
    const node = this.options.cluster.get('nodes', this.options.node);
    const drain = node === undefined ? this.draining : (drainOf(node) ?? this.evicted(node));
    if (drain?.cause === this.draining?.cause) return;
    const was = this.draining;
    // What began for one reason goes on for another.
    this.draining = drain === undefined ? undefined : { ...drain, since: was?.since ?? since ?? nowText() };
    if (was === undefined || drain === undefined) {
      this.hasSettled = false;
      this.markedAt = undefined;
      this.tellers = new Set();
      clearTimeout(this.timer);
      this.timer = undefined;
    }
    if (drain === undefined) this.evictedAt = -Infinity;
    this.tell(node, this.draining);
    this.options.onChange();
  }

  private evicted({ spec }: Node): Drain | undefined {
    if (spec?.unschedulable !== true) return undefined;
    const isOn = this.draining?.cause === 'Evicted' || this.now() - this.evictedAt < EVICTION_COUNTS;
    return isOn ? { cause: 'Evicted', because: 'it is cordoned, and pods are evicted from it' } : undefined;
  }

  private tell(node: Node | undefined, draining: Draining | undefined): void {
    const { log, record } = this.options;
    const text = draining === undefined ? 'The node is in service again' : `The node drains: ${draining.because}`;
    if (text === this.told || (draining === undefined && this.told === '')) return;
    this.told = draining === undefined ? '' : text;
    log.info({ cause: draining?.cause }, text);
    if (node === undefined) return;
    const reason = draining === undefined ? 'InService' : 'Draining';
    record({ kind: 'nodes', object: node, type: 'Normal', reason, action: 'Draining', note: text });
  }

  private wake(delay: number): void {
    if (!this.isStarted || this.isLooking) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.settle(), delay).unref();
  }

  /** Never rejects. */
  private async settle(): Promise<void> {
    if (this.draining === undefined || this.isLooking) return;
    const waited = this.markedAt === undefined ? 0 : this.now() - this.markedAt;
    if (!this.hasSettled && (this.markedAt === undefined || waited < this.options.wait)) {
      if (this.markedAt !== undefined) this.wake(this.options.wait - waited);
      return;
    }
    const isNews = await this.readTellers();
    // It may have ended meanwhile.
    if (this.draining === undefined) return;
    const isFirst = !this.hasSettled;
    this.hasSettled = true;
    if (isNews || isFirst) this.options.onChange();
    this.wake(LOOK_AGAIN);
  }

  /** True when it is not as before. */
  private async readTellers(): Promise<boolean> {
    const { cluster, datastore, log, node } = this.options;
    const before = [...this.tellers].join();
    this.isLooking = true;
    try {
      const statuses = await datastore.list('nodeStatuses');
      const names = statuses
        .filter((status) => isTelling(status, cluster.get('nodes', status.metadata.name)))
        .map(({ metadata }) => metadata.name);
      this.tellers = new Set(names.filter((name) => name !== node).sort());
    } catch (error) {
      log.warn(
        { problem: messageOf(error) },
        'Cannot read which other nodes tell addresses of Services; going by the last answer',
      );
    }
    this.isLooking = false;
    return before !== [...this.tellers].join();
  }
}

/** In service, heard of, with a session, and serving Services. */
export function isTelling({ status }: NodeStatus, node: Node | undefined): boolean {
  if (node === undefined || drainOf(node) !== undefined || status?.drain !== undefined) return false;
  if (node.status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is !== 'True') === true) return false;
  const isAiling = ({
    type,
    status: is,
    reason,
  }: {
    readonly type: string;
    readonly status: string;
    readonly reason?: string;
  }) => is === 'Unknown' || (type === 'ServicesReady' && is !== 'True' && reason === 'Problems');
  if ((status?.conditions ?? []).some(isAiling)) return false;
  return (status?.bgp?.peers ?? []).some(({ state }) => state === 'Established');
}

const nowText = (): string => new Date().toISOString().replace(/\.\d+Z/, 'Z');
