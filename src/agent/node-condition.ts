/**
 * The condition NetworkUnavailable of the Kubernetes Node, from which Kubernetes makes the taint node.kubernetes.io/network-unavailable:
 * False once the node can serve pods. Cloud providers set it to True and wait for the network's word.
 *
 * An agent that is away, or starts anew, says nothing: packets go on, and CNI calls wait. Only a node that could not be served for
 * PATIENCE is said to be unavailable, so that no more pods are sent to it. The condition is one entry of a list keyed by type: by
 * server-side apply we own that entry and nothing else of the Node.
 */
import type { Node } from '../api/core.js';
import type { Condition } from '../api/meta.js';
import type { Cluster } from '../cluster/cluster.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { userText } from '../user-text.js';

export interface NodeConditionOptions {
  readonly node: string;
  readonly cluster: Pick<Cluster, 'get'>;
  readonly datastore: Pick<Datastore, 'applyStatus'>;
  /** Why the node cannot serve pods now; undefined when it can. */
  readonly problem: () => string | undefined;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly now?: () => number;
}

const TYPE = 'NetworkUnavailable';
const MANAGER = 'tortie-node-condition';
const INTERVAL = 5_000;
/** How long a node may be unable to serve pods before the cluster is told. */
export const PATIENCE = 60_000;

export class NodeCondition {
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;
  private isWriting = false;
  private unwellSince: number | undefined;
  private readonly now: () => number;

  constructor(private readonly options: NodeConditionOptions) {
    this.now = options.now ?? (() => performance.now());
  }

  start(): void {
    this.timer = setInterval(() => void this.level(), INTERVAL);
    this.timer.unref();
  }

  stop(): void {
    this.isStopped = true;
    clearInterval(this.timer);
  }

  /** The Node, or whether it can serve pods, has changed. */
  changed(): void {
    void this.level();
  }

  /** Writes the condition where it is not as it should be; never rejects. */
  async level(): Promise<void> {
    const { node, cluster, datastore, log } = this.options;
    const found = cluster.get('nodes', node);
    const wanted = this.wanted();
    if (this.isStopped || this.isWriting || found === undefined || wanted === undefined) return;
    if (isAs(found, wanted)) return;
    this.isWriting = true;
    try {
      await datastore.applyStatus('nodes', { name: node }, { conditions: [wanted] }, MANAGER);
      log.info({ node, status: wanted.status }, `Set the condition ${TYPE} of the node: ${wanted.message}`);
    } catch (error) {
      log.debug({ problem: messageOf(error) }, `Cannot set the condition ${TYPE} of the node; trying again`);
    }
    this.isWriting = false;
  }

  /** Undefined: not known yet, so what stands is left. */
  private wanted(): Condition | undefined {
    const problem = this.options.problem();
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    if (problem === undefined) {
      this.unwellSince = undefined;
      const message = 'Tortie serves the pods of this node';
      return { type: TYPE, status: 'False', reason: 'TortieIsUp', message, lastTransitionTime };
    }
    this.unwellSince ??= this.now();
    if (this.now() - this.unwellSince < PATIENCE) return undefined;
    const message = `Tortie cannot serve pods: ${userText(problem)}`;
    return { type: TYPE, status: 'True', reason: 'TortieIsNotReady', message, lastTransitionTime };
  }
}

const isAs = ({ status }: Node, { status: wanted, reason }: Condition): boolean => {
  const found = status?.conditions?.find(({ type }) => type === TYPE);
  return found?.status === wanted && found.reason === reason;
};
