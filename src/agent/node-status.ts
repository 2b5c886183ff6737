/**
 * What the agent tells the cluster of its node: NodeStatus conditions, written when they change, and once a minute to say that somebody
 * is there to change them (silent-agents.ts marks those of agents that say nothing).
 *
 * At most one write a second, and never more than one at a time. A status that cannot be written (the API server is away) is
 * written when it is back; logs have said it meanwhile.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NodeChangeStatus } from '../api/change.js';
import type { Condition } from '../api/meta.js';
import type { NodeBgpStatus, NodeDrainStatus, NodeStatus, NodeStatusStatus } from '../api/node-status.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { userText } from '../user-text.js';

/** One aspect of the node: well, or what is wrong in sentences. */
export interface Aspect {
  readonly type: string;
  readonly problems: readonly string[];
  /** What is wrong, and keeps no pod from being served: an odd object, a pool that is full. The node is Ready all the same. */
  readonly warnings?: readonly string[];
  /** What to say when all is well. */
  readonly wellMessage: string;
  /** Sentences worth knowing that make nothing unwell. */
  readonly notices?: readonly string[];
}

export interface NodeReport {
  readonly aspects: readonly Aspect[];
  readonly bgp?: NodeBgpStatus;
  readonly drain?: NodeDrainStatus;
  readonly blocks: readonly string[];
  readonly change?: NodeChangeStatus;
}

const INTERVAL = 1_000;
const RETRY = 5_000;
/** Kubernetes allows 32 KiB a message. */
const MOST_MESSAGE_LENGTH = 8_192;

/** All problems in one message, cut where it grows past what a status may hold. */
function joinProblems(problems: readonly string[]): string {
  const text = problems.map((problem) => userText(problem)).join('; ');
  return text.length <= MOST_MESSAGE_LENGTH
    ? text
    : `${text.slice(0, MOST_MESSAGE_LENGTH)}... (${problems.length} problems)`;
}

/** How often the agent says that it is there. 5,000 nodes write 83 times a second; their kubelets' Leases 500 times. */
export const HEARTBEAT = 60_000;

/** Conditions of a report; a transition time moves only when the status word does. */
export function conditionsOf(report: NodeReport, before: readonly Condition[], now: string): readonly Condition[] {
  const unwell = report.aspects.filter(({ warnings = [] }) => warnings.length > 0).map(({ type }) => type);
  const all: readonly Aspect[] = [
    ...report.aspects,
    {
      type: 'Ready',
      problems: report.aspects.flatMap((aspect) => aspect.problems),
      wellMessage: `The node serves pods${unwell.length === 0 ? '' : `; not all is well: see ${unwell.join(', ')}`}`,
    },
  ];
  return all.map(({ type, problems, warnings = [], wellMessage, notices = [] }) => {
    const sentences = [...new Set([...problems, ...warnings])];
    const status = sentences.length === 0 ? 'True' : 'False';
    const previous = before.find((condition) => condition.type === type);
    return {
      type,
      status,
      reason: problems.length > 0 ? 'Problems' : warnings.length > 0 ? 'Warnings' : 'Ok',
      message: joinProblems([...(sentences.length === 0 ? [wellMessage] : sentences), ...notices]),
      lastTransitionTime: previous?.status === status ? previous.lastTransitionTime : now,
    };
  });
}

export class NodeStatusWriter {
  private timer: NodeJS.Timeout | undefined;
  private heartbeat: NodeJS.Timeout | undefined;
  private isWriting = false;
  private isDirty = false;
  private isStopped = false;
  private conditions: readonly Condition[] = [];
  /** As the API server has it since our last write: a heartbeat need not ask first. */
  private written: NodeStatus | undefined;
  private readonly startedAt = new Date().toISOString();

  constructor(
    private readonly node: string,
    private readonly version: string,
    private readonly datastore: Pick<Datastore, 'get' | 'create' | 'replaceStatus'>,
    private readonly report: () => NodeReport,
    private readonly log: Logger,
    /** Milliseconds; default HEARTBEAT. */
    private readonly heartbeatInterval = HEARTBEAT,
    /** Is there a Node of this name? The status of a deleted one is deleted with it. */
    private readonly hasNode: () => boolean = () => true,
  ) {}

  changed(): void {
    this.isDirty = true;
    this.wake(INTERVAL);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.heartbeat);
  }

  private wake(delay: number): void {
    if (this.timer !== undefined || this.isWriting || this.isStopped) return;
    this.timer = setTimeout(() => void this.run(), delay);
  }

  private async run(): Promise<void> {
    this.timer = undefined;
    this.isWriting = true;
    const isHeartbeat = !this.isDirty;
    this.isDirty = false;
    let delay: number | undefined;
    try {
      await this.write(isHeartbeat);
    } catch (error) {
      this.log.debug({ problem: messageOf(error) }, 'Cannot write the node status; trying again');
      this.written = undefined;
      this.isDirty = true;
      delay = RETRY;
    }
    this.isWriting = false;
    if (this.isDirty) this.wake(delay ?? INTERVAL);
  }

  private async write(isHeartbeat: boolean): Promise<void> {
    if (!this.hasNode()) {
      this.written = undefined;
      return;
    }
    const existing = (isHeartbeat ? this.written : undefined) ?? (await this.current());
    const now = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    const report = this.report();
    this.conditions = conditionsOf(report, existing.status?.conditions ?? this.conditions, now);
    const statusAt = (heartbeatTime: string | undefined): NodeStatusStatus => ({
      conditions: this.conditions,
      agent: {
        version: this.version,
        startedAt: this.startedAt,
        ...(heartbeatTime === undefined ? {} : { heartbeatTime }),
      },
      blocks: report.blocks,
      ...(report.bgp === undefined ? {} : { bgp: report.bgp }),
      ...(report.drain === undefined ? {} : { drain: report.drain }),
      ...(report.change === undefined ? {} : { change: report.change }),
    });
    // As it would come back: without what is undefined.
    const same: unknown = JSON.parse(JSON.stringify(statusAt(existing.status?.agent?.heartbeatTime)));
    const isNews = !isDeepStrictEqual(existing.status, same);
    if (!isNews && !isHeartbeat && this.written !== undefined) return;
    this.written = await this.datastore.replaceStatus('nodeStatuses', { ...existing, status: statusAt(now) });
    clearTimeout(this.heartbeat);
    if (!this.isStopped) this.heartbeat = setTimeout(() => this.wake(0), this.heartbeatInterval).unref();
  }

  private async current(): Promise<NodeStatus> {
    const existing = await this.datastore.get('nodeStatuses', this.node);
    return existing ?? (await this.datastore.create('nodeStatuses', { metadata: { name: this.node } }));
  }
}
