/**
 * BGP: keeps bgpd told of the whole desired state, and reads back how its sessions are.
 *
 * The state is computed anew after every change that may matter and sent when it differs from what bgpd last accepted. bgpd keeps
 * its own copy on disk, so an agent that is down costs nothing. Each answer carries a digest of the configuration that bgpd holds,
 * passwords included: one that is not that of the last answer (bgpd has restarted on an older file, or somebody else has told it
 * something) is told again.
 *
 * Nothing is called well that has not been seen: until a summary has come of the very state that was asked for, `status` says why not.
 */
import type { FilterConfig, OriginatedPrefix, SpeakerConfig } from 'node-bgp/config';
import { peerName } from 'node-bgp/config/peer-rules';
import type { SpeakerSummary } from 'node-bgp/speaker/view';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { inWordsOfResources, wordsOfField } from '../topology/field-words.js';
import type { Topology, TopologyProblem } from '../topology/speaker-config.js';
import { requestOverUnixSocket } from '../unix-http.js';

const COALESCE = 20;
/** How often sessions are looked at: while all are well, and while something is not. */
const CALM_POLL = 5_000;
const BUSY_POLL = 1_000;
const READ_TIMEOUT = 3_000;
const SHORTEST_PAUSE = 200;
const LONGEST_PAUSE = 5_000;

export interface BgpLoopOptions {
  readonly socketPath: string;
  /** `heldFilters`: those of the configuration that bgpd holds, by name; `told`: what it announces by it. */
  readonly compute: (heldFilters: Filters, told: Routes) => Topology;
  readonly log: Logger;
  readonly onHealth: () => void;
}

type Filters = Readonly<Record<string, FilterConfig>>;
type Routes = readonly OriginatedPrefix[];

export interface BgpLoopStatus {
  /** Resources, or parts of them, that could not be used. */
  readonly problems: readonly TopologyProblem[];
  /** Why bgpd is not seen to hold the state it should; undefined when it is. */
  readonly stateProblem: string | undefined;
  /** What bgpd answered last; undefined while it does not answer. */
  readonly summary: BgpdSummary | undefined;
}

/** GET /v1/summary of a bgpd that is configured. */
export type BgpdSummary = SpeakerSummary & { readonly configDigest?: string };

const UNTOLD = 'bgpd has not been told its sessions yet';
const UNSEEN = 'bgpd has taken its sessions; how they are has not been seen yet';

export class BgpLoop {
  /** What bgpd has last said that it holds. */
  private accepted: { readonly text: string; readonly digest: string | undefined } | undefined;
  /** Refused as invalid: sending it again would only be refused again, until another bgpd answers. */
  private refused: { readonly text: string; readonly problem: string } | undefined;
  private heldFilters: Filters | undefined;
  private toldRoutes: Routes = [];
  private timer: NodeJS.Timeout | undefined;
  /** When the timer fires, by the monotonic clock. */
  private dueAt = 0;
  private pollTimer: NodeJS.Timeout | undefined;
  private isStarted = false;
  private isRunning = false;
  private isDirty = false;
  private isStopped = false;
  private failures = 0;
  private problems: readonly TopologyProblem[] = [];
  private reported = '';
  /** Why bgpd could not be told. */
  private tellProblem: string | undefined = UNTOLD;
  /** Why it could not be read. */
  private readProblem: string | undefined;
  private summary: BgpdSummary | undefined;
  private told = '';

  constructor(private readonly options: BgpLoopOptions) {}

  /** From now on bgpd is told; not before everything is known, since half a state would end the sessions that it leaves out. */
  start(): void {
    this.isStarted = true;
    this.changed();
    this.pollSoon();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.pollTimer);
  }

  /** Something the topology depends on may have changed. */
  changed(): void {
    this.isDirty = true;
    this.wake(COALESCE);
  }

  /** Is what was computed last what bgpd is seen to hold? */
  get isCurrent(): boolean {
    return !this.isDirty && !this.isRunning && this.accepted !== undefined && this.stateProblem() === undefined;
  }

  status(): BgpLoopStatus {
    return { problems: this.problems, stateProblem: this.stateProblem(), summary: this.summary };
  }

  private stateProblem(): string | undefined {
    const problem = this.readProblem ?? this.tellProblem;
    if (problem !== undefined || this.accepted === undefined) return problem;
    return this.summary === undefined || this.summary.configDigest !== this.accepted.digest ? UNSEEN : undefined;
  }

  private wake(delay: number): void {
    if (!this.isStarted || this.isStopped || this.isRunning) return;
    const dueAt = performance.now() + delay;
    // Changes that do not end must not put it off for ever.
    if (this.timer !== undefined && this.dueAt <= dueAt) return;
    clearTimeout(this.timer);
    this.dueAt = dueAt;
    this.timer = setTimeout(() => void this.run(), delay);
  }

  private async run(): Promise<void> {
    this.timer = undefined;
    this.isRunning = true;
    this.isDirty = false;
    let pause: number | undefined;
    try {
      this.tellProblem = await this.send();
      this.failures = 0;
    } catch (error) {
      this.tellProblem = messageOf(error);
      pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(this.failures++, 6));
    } finally {
      this.isRunning = false;
    }
    this.report();
    if (this.isDirty) this.wake(COALESCE);
    else if (pause !== undefined) this.wake(pause);
    else if (this.stateProblem() === UNSEEN) this.pollSoon(0);
  }

  /** Undefined when bgpd holds what it should; why it never will, when it has refused that. @throws Error, to be tried again */
  private async send(): Promise<string | undefined> {
    const { config, problems, places } = await this.compute();
    this.problems = problems;
    if (config === undefined) return undefined;
    const text = JSON.stringify(config);
    if (text === this.accepted?.text) return undefined;
    if (text === this.refused?.text) return this.refused.problem;
    const { status, body } = await requestOverUnixSocket(this.options.socketPath, 'PUT', '/v1/config', config);
    const { digest, error } = (body ?? {}) as { readonly digest?: string; readonly error?: string };
    if (status === 200) {
      this.accept(text, config, digest);
      return undefined;
    }
    const why = error === undefined ? 'without a word' : inWordsOfPeers(error, config, places);
    const problem = `bgpd does not hold the desired state: it answered ${status}, ${why}`;
    if (status !== 422) throw new Error(problem);
    this.refused = { text, problem };
    return problem;
  }

  private accept(text: string, config: SpeakerConfig, digest: string | undefined): void {
    this.accepted = { text, digest };
    this.refused = undefined;
    this.heldFilters = config.filters ?? {};
    this.toldRoutes = config.originate ?? [];
    this.options.log.info(
      { peers: config.peers?.length ?? 0, originated: config.originate?.map((route) => route.prefix) },
      'bgpd accepted the desired state',
    );
  }

  /** What bgpd holds of a former agent's is asked for once: it may stand in for a BGPFilter that has gone meanwhile. */
  private async compute(): Promise<Topology> {
    if (this.heldFilters !== undefined) return this.options.compute(this.heldFilters, this.toldRoutes);
    try {
      const { status, body } = await this.get('/v1/config');
      if (status !== 200) throw new Error(`bgpd answered a question for its configuration with ${status}`);
      const held = body as Partial<SpeakerConfig>;
      this.heldFilters = held.filters ?? {};
      this.toldRoutes = held.originate ?? [];
    } catch (error) {
      // Which resources cannot be used is told all the same.
      this.problems = this.options.compute({}, []).problems;
      throw error;
    }
    return this.options.compute(this.heldFilters, this.toldRoutes);
  }

  // ---- how it is

  private pollSoon(delay = BUSY_POLL): void {
    if (!this.isStarted || this.isStopped) return;
    clearTimeout(this.pollTimer);
    this.pollTimer = setTimeout(() => void this.poll(), delay);
  }

  private async poll(): Promise<void> {
    const before = this.accepted;
    try {
      this.take(await this.readSummary(), before);
      this.readProblem = undefined;
    } catch (error) {
      this.readProblem = messageOf(error);
      this.summary = undefined;
      // Whoever answers next may be another bgpd, on an older file.
      this.forget();
    }
    this.report();
    this.options.onHealth();
    const isCalm =
      this.stateProblem() === undefined && this.summary?.peers.every((peer) => peer.isEstablished) === true;
    this.pollSoon(isCalm ? CALM_POLL : BUSY_POLL);
  }

  private async readSummary(): Promise<BgpdSummary | undefined> {
    const { status, body } = await this.get('/v1/summary');
    if (status !== 200) throw new Error(`bgpd answered a question for its summary with ${status}`);
    const summary = (body ?? {}) as Partial<BgpdSummary> & { readonly isConfigured?: boolean };
    if (summary.isConfigured === false) return undefined;
    if (!Array.isArray(summary.peers)) throw new Error('bgpd answered a question for its summary without its peers');
    return summary as BgpdSummary;
  }

  /** `before`: what bgpd was thought to hold when it was asked. */
  private take(summary: BgpdSummary | undefined, before: BgpLoop['accepted']): void {
    this.summary = summary;
    const isOther = before !== undefined && summary?.configDigest !== before.digest;
    if (isOther && before === this.accepted && !this.isRunning) this.forget();
  }

  /** bgpd is told again. */
  private forget(): void {
    if (this.accepted === undefined && this.refused === undefined) return;
    this.accepted = undefined;
    this.refused = undefined;
    this.tellProblem ??= 'bgpd does not hold the desired state; telling it again';
    this.changed();
  }

  private get(path: string): ReturnType<typeof requestOverUnixSocket> {
    return requestOverUnixSocket(this.options.socketPath, 'GET', path, undefined, READ_TIMEOUT);
  }

  /** Into the log when it begins or changes. */
  private report(): void {
    const text = JSON.stringify(this.problems);
    const problem = this.readProblem ?? this.tellProblem ?? '';
    const isNews = text !== this.reported || problem !== this.told;
    if (text !== this.reported)
      for (const { resource, message, severity } of this.problems)
        this.options.log[severity === 'problem' ? 'warn' : 'info']({ resource }, `${resource} ${message}`);
    if (problem !== this.told && problem !== '')
      this.options.log.warn({ problem }, 'bgpd is not seen to hold the desired state; trying again');
    this.reported = text;
    this.told = problem;
    if (isNews) this.options.onHealth();
  }
}

/** What bgpd says of `peers[3].localAddress`, told of who asks for that peer. */
function inWordsOfPeers(sentence: string, { peers = [] }: SpeakerConfig, places: Topology['places']): string {
  const named = sentence.replace(/\bpeers\[(\d+)\](?:\.(\w+))?/g, (text, index: string, field = '') => {
    const peer = peers[Number(index)];
    const name = peer === undefined ? '' : peerName(peer);
    const resource = places.get(name)?.resource;
    if (resource === undefined) return text;
    return `${resource} (peer ${name})${field === '' ? '' : ` ${wordsOfField(String(field)) ?? String(field)}`}`;
  });
  return inWordsOfResources(named);
}
