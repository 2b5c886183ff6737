/**
 * Leads Changes through their steps, at the one agent that is elected. It watches what nodes report only while a Change is open; every
 * write is one that only succeeds on the Change as it was read.
 */
import type { Change } from '../api/change.js';
import type { NodeStatus } from '../api/node-status.js';
import type { KubeObject } from '../api/meta.js';
import { ApiError, type Datastore, type Watch, type WatchSink } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { rolloutOf, type NodeWord } from './rollout.js';

export interface RolloutLoopOptions {
  readonly changes: () => readonly Change[];
  /** Names of the cluster's nodes. */
  readonly nodes: () => readonly string[];
  readonly isLeader: () => boolean;
  readonly datastore: Pick<Datastore, 'watch' | 'replaceStatus'>;
  readonly log: Logger;
  readonly now?: () => number;
}

const INTERVAL = 1_000;
/** An agent reports once a minute at least; one late report is no silence. */
const SILENCE = 110_000;

export class RolloutLoop {
  private timer: NodeJS.Timeout | undefined;
  private watch: Watch | undefined;
  /** By node. BOUNDED by the NodeStatuses there are. */
  private readonly words = new Map<string, NodeStatus>();
  private isListed = false;
  private isRunning = false;

  constructor(private readonly options: RolloutLoopOptions) {}

  start(): void {
    this.timer = setInterval(() => void this.look(), INTERVAL).unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.endWatch();
  }

  /** One look; never rejects. */
  async look(): Promise<void> {
    const { changes, datastore, isLeader, log, now = Date.now } = this.options;
    const open = changes().filter(({ status }) => status?.phase !== 'Reverted' && status?.phase !== 'Confirmed');
    if (open.length === 0 || !isLeader()) return this.endWatch();
    this.watch ??= datastore.watch('nodeStatuses', this.sink(), { keep: onlyChange });
    if (!this.isListed || this.isRunning) return;
    this.isRunning = true;
    for (const { change, status } of rolloutOf(changes(), this.known(now()), now())) {
      try {
        await datastore.replaceStatus('changes', { ...change, status });
        if (status.phase !== change.status?.phase)
          log.info({ change: change.metadata.name, phase: status.phase, message: status.message }, 'A Change goes on');
      } catch (error) {
        // Somebody has written it meanwhile, or the API server is away: the next look sees it as it is then.
        const isLate = error instanceof ApiError && error.status === 409;
        log[isLate ? 'debug' : 'warn']({ problem: messageOf(error) }, 'Cannot write how a Change goes; trying again');
      }
    }
    this.isRunning = false;
  }

  private known(now: number): readonly NodeWord[] {
    return this.options.nodes().map((name) => {
      const status = this.words.get(name)?.status;
      const heartbeat = Date.parse(status?.agent?.heartbeatTime ?? '');
      return { name, isHeard: now - heartbeat < SILENCE, change: status?.change };
    });
  }

  private sink(): WatchSink<'nodeStatuses'> {
    return {
      upsert: (_kind, object) => void this.words.set(object.metadata.name, object),
      delete: (_kind, object) => void this.words.delete(object.metadata.name),
      firstListDone: () => {
        this.isListed = true;
      },
      health: () => undefined,
    };
  }

  private endWatch(): void {
    this.watch?.stop();
    this.watch = undefined;
    this.isListed = false;
    this.words.clear();
  }
}

/** Of a thousand nodes' sessions nothing is read here. */
function onlyChange(object: KubeObject): KubeObject {
  const { metadata, status } = object as NodeStatus;
  const { agent, change } = status ?? {};
  const kept: NodeStatus = { metadata, status: { ...(agent && { agent }), ...(change && { change }) } };
  return kept;
}
