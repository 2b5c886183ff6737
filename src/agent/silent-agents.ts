/**
 * Says of agents that say nothing any more that nobody knows how their nodes are: their NodeStatus would stand as they left it, for ever.
 *
 * The elected writer of conditions (status-election.ts) lists all NodeStatuses once in a while. Whose object has not changed between
 * looks for SILENCE, by the writer's own clock alone, gets every condition Unknown, as a node whose kubelet is silent does. An agent that
 * comes back finds its status not as it wrote it, and writes it anew.
 */
import type { Condition } from '../api/meta.js';
import type { NodeStatus } from '../api/node-status.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { HEARTBEAT } from './node-status.js';

export interface SilentAgentsOptions {
  /** This one, which is not silent. */
  readonly node: string;
  readonly datastore: Pick<Datastore, 'list' | 'replaceStatus'>;
  readonly isLeader: () => boolean;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

const INTERVAL = 30_000;
/** One heartbeat may be late. */
export const SILENCE = 1.75 * HEARTBEAT;
const REASON = 'AgentSilent';

export class SilentAgents {
  private timer: NodeJS.Timeout | undefined;
  /** By node: the last version of its status, and when it was first seen. BOUNDED by the NodeStatuses there are. */
  private seen: ReadonlyMap<string, { readonly version: string; readonly at: number }> = new Map();
  private readonly now: () => number;

  constructor(private readonly options: SilentAgentsOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  start(): void {
    this.timer = setInterval(() => void this.look(), INTERVAL);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
  }

  /** One look; never rejects. Whoever is not elected knows nothing, and begins anew when it is. */
  async look(): Promise<void> {
    const { datastore, isLeader, log, node } = this.options;
    if (!isLeader()) {
      this.seen = new Map();
      return;
    }
    try {
      const statuses = await datastore.list('nodeStatuses');
      const before = this.seen;
      const now = this.now();
      this.seen = new Map(
        statuses.map(({ metadata }) => {
          const version = `${metadata.uid} ${metadata.resourceVersion}`;
          const known = before.get(metadata.name);
          return [metadata.name, known?.version === version ? known : { version, at: now }];
        }),
      );
      for (const status of statuses) {
        const { name } = status.metadata;
        const isSilent = now - (this.seen.get(name)?.at ?? now) >= SILENCE;
        if (name !== node && isSilent && !isMarked(status)) await this.mark(status);
      }
    } catch (error) {
      log.debug({ problem: messageOf(error) }, 'Cannot look for silent agents; trying again');
    }
  }

  private async mark(status: NodeStatus): Promise<void> {
    const { datastore, log } = this.options;
    const { name } = status.metadata;
    const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    try {
      await datastore.replaceStatus('nodeStatuses', {
        ...status,
        status: { ...status.status, conditions: unknownConditions(status, now) },
      });
      log.warn({ node: name }, `The agent of node "${name}" says nothing any more`);
    } catch (error) {
      // It has spoken meanwhile.
      if (!(error instanceof ApiError && (error.status === 409 || error.status === 404))) throw error;
    }
  }
}

const isMarked = ({ status }: NodeStatus): boolean =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.reason === REASON;

function unknownConditions({ status }: NodeStatus, now: string): readonly Condition[] {
  const since = status?.agent?.heartbeatTime;
  const message = `The agent has not reported${since === undefined ? '' : ` since ${since}`}; this was known last: `;
  const before = status?.conditions ?? [];
  const all = before.some(({ type }) => type === 'Ready') ? before : [...before, { type: 'Ready', message: 'nothing' }];
  return all.map((condition) => ({
    type: condition.type,
    status: 'Unknown',
    reason: REASON,
    message: message + condition.message,
    lastTransitionTime: now,
  }));
}
