/**
 * BFD as the speaker uses it: whoever wants sessions states all of them, whole, under a name of its own; equal sessions are
 * shared. The work is done in a thread (bfd-worker.ts), which is started with the first session and started anew if it ever dies:
 * at once the first time, later after ever longer pauses.
 *
 * A successor inherits the sessions that were up, with their discriminators and what was agreed, and goes on with them: a peer that
 * waits for longer than the change took does not notice. Where its patience is over already, the session starts anew; then it is the
 * peer that says Down, and why. Our own absence alone never fails a session.
 */
import { Worker } from 'node:worker_threads';
import { bfdKey, type BfdEvent, type BfdSessionConfig, type BfdStatus } from './contract.js';
import { peerPatience, type BfdSession } from './session.js';
import type { BfdLegacy, FromBfdWorker, ToBfdWorker } from './worker-message.js';

/** Milliseconds before a thread is replaced that died young: longer each time, until one has lived for a while. */
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
const HEALTHY_LIFE = 60_000;
/** Milliseconds before an answer is given up. */
const ANSWER_TIME = 2_000;
/** The longest farewell, and some room. */
const CLOSE_TIME = 3_000;

interface Question {
  readonly resolve: (sessions: readonly BfdStatus[]) => void;
  readonly timer: NodeJS.Timeout;
}

export class BfdService {
  readonly #onEvent: (event: BfdEvent) => void;
  /** BOUNDED by the callers: one entry each. */
  readonly #wanted = new Map<string, readonly BfdSessionConfig[]>();
  readonly #questions = new Map<number, Question>();
  readonly #startThread: () => Worker;
  /** Sessions that are up, for a successor of the thread. BOUNDED by the sessions. */
  readonly #up = new Map<string, BfdSession>();
  /** The thread's descriptors that would outlive it. BOUNDED by the sessions. */
  readonly #descriptors = new Set<number>();
  #worker: Worker | undefined;
  #request = 0;
  #isClosed = false;
  /** Before the next replacement; the first one is not waited for. */
  #pause = 0;
  #startedAt = 0;
  #endedAt: number | undefined;
  /** What has been told already: a machine that cannot run BFD is told once and not every minute. */
  #lastProblem: string | undefined;

  /** Events come in the order in which things happened, never during a call of this object. */
  constructor(onEvent: (event: BfdEvent) => void, startThread = startBfdThread) {
    this.#onEvent = onEvent;
    this.#startThread = startThread;
  }

  /** Everything that `owner` wants from now on; an empty list takes its wishes back. */
  set(owner: string, sessions: readonly BfdSessionConfig[]): void {
    if (sessions.length === 0) this.#wanted.delete(owner);
    else this.#wanted.set(owner, sessions);
    if (this.#worker === undefined && (this.#wanted.size === 0 || this.#endedAt !== undefined)) return;
    this.#ensureWorker();
    this.#configure();
  }

  /** All sessions as they are; empty when there is no thread or it does not answer. */
  status(): Promise<readonly BfdStatus[]> {
    if (this.#worker === undefined) return Promise.resolve([]);
    const request = ++this.#request;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#answer(request, []), ANSWER_TIME);
      timer.unref();
      this.#questions.set(request, { resolve, timer });
      this.#tell({ type: 'status', request });
    });
  }

  /** Tells all peers AdminDown, so that they do not take our end for a failure, and stops. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    this.#tell({ type: 'close' });
    const timer = setTimeout(() => void worker.terminate(), CLOSE_TIME);
    await ended;
    clearTimeout(timer);
  }

  #ensureWorker(): void {
    if (this.#worker !== undefined || this.#isClosed) return;
    const worker = this.#startThread();
    this.#worker = worker;
    this.#startedAt = performance.now();
    if (this.#endedAt !== undefined)
      this.#tell({ type: 'inherit', legacy: this.#bequeath(this.#startedAt - this.#endedAt) });
    this.#endedAt = undefined;
    let reason: string | undefined;
    worker.on('message', (message: FromBfdWorker) => this.#hear(message));
    worker.on('error', (error) => {
      reason = error.message;
    });
    worker.once('exit', (code) => this.#workerEnded(reason ?? `it ended with exit code ${code}`));
  }

  #hear(message: FromBfdWorker): void {
    switch (message.type) {
      case 'event':
        return this.#onEvent(message.event);
      case 'status':
        return this.#answer(message.request, message.sessions);
      case 'remember':
        if (message.session === undefined) this.#up.delete(message.key);
        else this.#up.set(message.key, message.session);
        return;
      case 'opened':
        this.#descriptors.add(message.descriptor);
        return;
      case 'closing':
        this.#descriptors.delete(message.descriptor);
    }
  }

  #workerEnded(reason: string): void {
    this.#worker = undefined;
    for (const request of [...this.#questions.keys()]) this.#answer(request, []);
    if (this.#isClosed) return;
    this.#endedAt = performance.now();
    if (this.#endedAt - this.#startedAt > HEALTHY_LIFE) {
      this.#pause = 0;
      this.#lastProblem = undefined;
    }
    if (reason !== this.#lastProblem)
      this.#onEvent({ type: 'problem', reason: `The BFD thread stopped and is started anew: ${reason}` });
    this.#lastProblem = reason;
    if (this.#pause === 0) this.#restart();
    else setTimeout(() => this.#restart(), this.#pause).unref();
    this.#pause = Math.min(Math.max(2 * this.#pause, FIRST_PAUSE), LONGEST_PAUSE);
  }

  #restart(): void {
    if (this.#isClosed) return;
    // Also with nothing to watch: somebody has to close what was left open.
    this.#ensureWorker();
    this.#configure();
  }

  /** What the successor goes on with after `absence` milliseconds without a thread; sessions whose peers have given us up start anew. */
  #bequeath(absence: number): BfdLegacy {
    const sessions = new Map(this.#up);
    for (const [key, session] of this.#up) {
      if (peerPatience(session) / 1000 > absence) continue;
      sessions.delete(key);
      const peer = key.split(' ')[0] ?? key;
      this.#onEvent({
        type: 'state-changed',
        key,
        peer,
        from: 'up',
        to: 'down',
        reason: `no BFD thread for ${Math.round(absence)} ms`,
        isFailure: false,
      });
    }
    const descriptors = [...this.#descriptors];
    this.#up.clear();
    this.#descriptors.clear();
    return { sessions, descriptors };
  }

  #configure(): void {
    this.#tell({ type: 'configure', sessions: mergeSessions([...this.#wanted.values()].flat()) });
  }

  #answer(request: number, sessions: readonly BfdStatus[]): void {
    const question = this.#questions.get(request);
    if (question === undefined) return;
    this.#questions.delete(request);
    clearTimeout(question.timer);
    question.resolve(sessions);
  }

  #tell(message: ToBfdWorker): void {
    this.#worker?.postMessage(message);
  }
}

/**
 * The heap is small: a session is some hundred octets. So is the young generation on purpose: below a megabyte V8 collects it in this
 * thread alone, where a larger one would wait for helper threads that are not scheduled as this one is.
 */
export const startBfdThread = (): Worker =>
  new Worker(new URL('./bfd-worker.js', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1 },
  });

/** One session per key; where several want it, it is as quick as the most demanding of them needs. */
export function mergeSessions(sessions: readonly BfdSessionConfig[]): BfdSessionConfig[] {
  const merged = new Map<string, BfdSessionConfig>();
  for (const session of sessions) {
    const other = merged.get(bfdKey(session));
    const isQuicker =
      other === undefined || session.receiveInterval * session.multiplier < other.receiveInterval * other.multiplier;
    const echoInterval = Math.min(session.echoInterval ?? Infinity, other?.echoInterval ?? Infinity);
    const { echoInterval: _, ...quicker } = isQuicker ? session : other;
    merged.set(bfdKey(session), { ...quicker, ...(echoInterval === Infinity ? {} : { echoInterval }) });
  }
  return [...merged.values()];
}
