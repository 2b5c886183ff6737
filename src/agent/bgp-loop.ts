/**
 * BGP: keeps bgpd told of the whole desired state, and reads back how its sessions are.
 *
 * The state is computed anew after every change that may matter and sent when it differs from what bgpd last accepted. bgpd keeps
 * its own copy on disk, so an agent that is down costs nothing; a bgpd that restarts is noticed by the poll and told again.
 */
import type { SpeakerConfig } from 'node-bgp/config';
import type { SpeakerSummary } from 'node-bgp/speaker/view';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { Topology, TopologyProblem } from '../topology/speaker-config.js';
import { requestOverUnixSocket } from '../unix-http.js';

const COALESCE = 20;
const POLL = 5_000;
const SHORTEST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;

export interface BgpLoopOptions {
  readonly socketPath: string;
  readonly compute: () => Topology;
  readonly log: Logger;
  readonly onHealth: () => void;
}

export class BgpLoop {
  private accepted: string | undefined;
  /** Refused as invalid: sending it again would only be refused again. */
  private refused: string | undefined;
  private timer: NodeJS.Timeout | undefined;
  private poll: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isRunning = false;
  private isDirty = false;
  private isStopped = false;
  private failures = 0;
  private problems: readonly TopologyProblem[] = [];
  private reported = '';
  private sessionProblem: string | undefined;
  private lastSummary: SpeakerSummary | undefined;

  constructor(private readonly options: BgpLoopOptions) {}

  /** From now on bgpd is told; not before everything is known, since half a state would end the sessions that it leaves out. */
  start(): void {
    this.isStarted = true;
    this.changed();
    this.poll = setInterval(() => void this.readStatus(), POLL);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearInterval(this.poll);
  }

  /** Something the topology depends on may have changed. */
  changed(): void {
    this.isDirty = true;
    this.wake(COALESCE);
  }

  /** Resources that could not be used, and why bgpd does not hold the state it should. */
  status(): {
    readonly problems: readonly TopologyProblem[];
    readonly sessionProblem: string | undefined;
    readonly summary: SpeakerSummary | undefined;
  } {
    return { problems: this.problems, sessionProblem: this.sessionProblem, summary: this.lastSummary };
  }

  private wake(delay: number): void {
    if (!this.isStarted || this.isStopped || this.isRunning) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), delay);
  }

  private async run(): Promise<void> {
    this.isRunning = true;
    this.isDirty = false;
    let pause: number | undefined;
    try {
      await this.send();
      this.failures = 0;
      this.setProblem(undefined);
    } catch (error) {
      this.setProblem(messageOf(error));
      pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(this.failures++, 6));
    } finally {
      this.isRunning = false;
    }
    if (this.isDirty) this.wake(COALESCE);
    else if (pause !== undefined) this.wake(pause);
  }

  private async send(): Promise<void> {
    const { config, problems } = this.options.compute();
    this.problems = problems;
    this.reportProblems();
    if (config === undefined) return;
    const text = JSON.stringify(config);
    if (text === this.accepted || text === this.refused) return;
    const { status, body } = await requestOverUnixSocket(this.options.socketPath, 'PUT', '/v1/config', config);
    if (status === 200) {
      this.accepted = text;
      this.refused = undefined;
      this.options.log.info(
        { peers: config.peers?.length ?? 0, originated: config.originate?.map((route) => route.prefix) },
        'bgpd accepted the desired state',
      );
      return;
    }
    if (status === 422) this.refused = text;
    throw new Error(`bgpd refused the desired state with ${status}: ${JSON.stringify(body)}`);
  }

  /** A bgpd that answers with another state than the one it accepted has been restarted on an older file. */
  private async readStatus(): Promise<void> {
    try {
      const { status, body } = await requestOverUnixSocket(
        this.options.socketPath,
        'GET',
        '/v1/summary',
        undefined,
        3_000,
      );
      if (status !== 200) throw new Error(`bgpd answered a question for its summary with ${status}`);
      this.lastSummary = body as SpeakerSummary;
      const held = await requestOverUnixSocket(this.options.socketPath, 'GET', '/v1/config', undefined, 3_000);
      if (this.accepted !== undefined && !holdsPrefixes(held.body, this.accepted)) {
        this.accepted = undefined;
        this.changed();
      }
      this.options.onHealth();
    } catch (error) {
      this.lastSummary = undefined;
      this.accepted = undefined;
      this.setProblem(messageOf(error));
      this.changed();
    }
  }

  private reportProblems(): void {
    const text = JSON.stringify(this.problems);
    if (text === this.reported) return;
    this.reported = text;
    for (const { resource, message } of this.problems) this.options.log.warn({ resource }, `${resource} ${message}`);
    this.options.onHealth();
  }

  private setProblem(problem: string | undefined): void {
    if (problem === this.sessionProblem) return;
    if (problem !== undefined) this.options.log.warn({ problem }, 'bgpd does not hold the desired state; trying again');
    this.sessionProblem = problem;
    this.options.onHealth();
  }
}

/** The answer redacts passwords, so only what cannot be secret is compared. */
function holdsPrefixes(held: unknown, accepted: string): boolean {
  const shape = (config: SpeakerConfig | undefined): string =>
    JSON.stringify([
      config?.localAs,
      config?.routerId,
      (config?.originate ?? []).map((route) => route.prefix),
      (config?.peers ?? []).map((peer) => [peer.address, peer.remoteAs]),
    ]);
  return shape(held as SpeakerConfig | undefined) === shape(JSON.parse(accepted) as SpeakerConfig);
}
