/**
 * What the agent tells the cluster of its node: NodeStatus conditions, written when they change.
 *
 * At most one write a second, and never more than one at a time. A status that cannot be written (the API server is away) is
 * written when it is back; logs have said it meanwhile.
 */
import type { Condition } from '../api/meta.js';
import type { NodeBgpStatus, NodeStatus, NodeStatusStatus } from '../api/node-status.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

/** One aspect of the node: well, or what is wrong in sentences. */
export interface Aspect {
  readonly type: string;
  readonly problems: readonly string[];
  /** What to say when all is well. */
  readonly wellMessage: string;
  /** Sentences worth knowing that make nothing unwell. */
  readonly notices?: readonly string[];
}

export interface NodeReport {
  readonly aspects: readonly Aspect[];
  readonly bgp?: NodeBgpStatus;
  readonly blocks: readonly string[];
}

const INTERVAL = 1_000;
const RETRY = 5_000;
/** Kubernetes allows 32 KiB a message. */
const MOST_MESSAGE_LENGTH = 8_192;

/** All problems in one message, cut where it grows past what a status may hold. */
function joinProblems(problems: readonly string[]): string {
  const text = problems.join('; ');
  return text.length <= MOST_MESSAGE_LENGTH
    ? text
    : `${text.slice(0, MOST_MESSAGE_LENGTH)}... (${problems.length} problems)`;
}

/** Conditions of a report; a transition time moves only when the status word does. */
export function conditionsOf(report: NodeReport, before: readonly Condition[], now: string): readonly Condition[] {
  const all: readonly Aspect[] = [
    ...report.aspects,
    {
      type: 'Ready',
      problems: report.aspects.flatMap((aspect) => aspect.problems),
      wellMessage: 'The node serves pods',
    },
  ];
  return all.map(({ type, problems, wellMessage, notices = [] }) => {
    const status = problems.length === 0 ? 'True' : 'False';
    const previous = before.find((condition) => condition.type === type);
    return {
      type,
      status,
      reason: problems.length === 0 ? 'Ok' : 'Problems',
      message: joinProblems([...(problems.length === 0 ? [wellMessage] : problems), ...notices]),
      lastTransitionTime: previous?.status === status ? previous.lastTransitionTime : now,
    };
  });
}

export class NodeStatusWriter {
  private timer: NodeJS.Timeout | undefined;
  private isWriting = false;
  private isDirty = false;
  private isStopped = false;
  private written = '';
  private conditions: readonly Condition[] = [];
  private readonly startedAt = new Date().toISOString();

  constructor(
    private readonly node: string,
    private readonly version: string,
    private readonly datastore: Datastore,
    private readonly report: () => NodeReport,
    private readonly log: Logger,
  ) {}

  changed(): void {
    this.isDirty = true;
    this.wake(INTERVAL);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private wake(delay: number): void {
    if (this.timer !== undefined || this.isWriting || this.isStopped) return;
    this.timer = setTimeout(() => void this.run(), delay);
  }

  private async run(): Promise<void> {
    this.timer = undefined;
    this.isWriting = true;
    this.isDirty = false;
    let delay: number | undefined;
    try {
      await this.write();
    } catch (error) {
      this.log.debug({ problem: messageOf(error) }, 'Cannot write the node status; trying again');
      delay = RETRY;
    }
    this.isWriting = false;
    if (this.isDirty) this.wake(INTERVAL);
    else if (delay !== undefined) this.wake(delay);
  }

  private async write(): Promise<void> {
    const existing = await this.current();
    const report = this.report();
    this.conditions = conditionsOf(
      report,
      existing.status?.conditions ?? this.conditions,
      new Date().toISOString().replace(/\.\d+Z/, 'Z'),
    );
    const status: NodeStatusStatus = {
      conditions: this.conditions,
      agent: { version: this.version, startedAt: this.startedAt },
      blocks: report.blocks,
      ...(report.bgp === undefined ? {} : { bgp: report.bgp }),
    };
    const text = JSON.stringify(status);
    if (text === this.written) return;
    await this.datastore.replaceStatus('nodeStatuses', { ...existing, status });
    this.written = text;
  }

  private async current(): Promise<NodeStatus> {
    const existing = await this.datastore.get('nodeStatuses', this.node);
    return existing ?? (await this.datastore.create('nodeStatuses', { metadata: { name: this.node } }));
  }
}
