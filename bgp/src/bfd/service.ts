/**
 * BFD as the speaker uses it: whoever wants sessions states all of them, whole, under a name of its own; equal sessions are
 * shared. The work is done in a thread (bfd-worker.ts), which is started with the first session and started anew if it ever dies.
 */
import { Worker } from 'node:worker_threads';
import { bfdKey, type BfdEvent, type BfdSessionConfig, type BfdStatus } from './contract.js';
import type { FromBfdWorker, ToBfdWorker } from './worker-message.js';

/** Milliseconds before a dead thread is replaced: longer each time, until one has lived for a while. */
const FIRST_RESTART = 1_000;
const LONGEST_RESTART = 60_000;
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
  #worker: Worker | undefined;
  #request = 0;
  #isClosed = false;
  #restartDelay = FIRST_RESTART;
  #startedAt = 0;
  /** What has been told already: a machine that cannot run BFD is told once and not every minute. */
  #lastProblem: string | undefined;

  /** Events come in the order in which things happened, never during a call of this object. */
  constructor(onEvent: (event: BfdEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Everything that `owner` wants from now on; an empty list takes its wishes back. */
  set(owner: string, sessions: readonly BfdSessionConfig[]): void {
    if (sessions.length === 0) this.#wanted.delete(owner);
    else this.#wanted.set(owner, sessions);
    if (this.#worker === undefined && this.#wanted.size === 0) return;
    this.#ensureWorker();
    this.#tell({ type: 'configure', sessions: mergeSessions([...this.#wanted.values()].flat()) });
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
    const worker = new Worker(new URL('./bfd-worker.js', import.meta.url), { resourceLimits: { maxOldGenerationSizeMb: 64 } });
    this.#worker = worker;
    this.#startedAt = performance.now();
    worker.on('message', (message: FromBfdWorker) => {
      if (message.type === 'event') this.#onEvent(message.event);
      else this.#answer(message.request, message.sessions);
    });
    worker.on('error', (error) => {
      if (error.message !== this.#lastProblem) this.#onEvent({ type: 'problem', reason: `BFD stopped: ${error.message}` });
      this.#lastProblem = error.message;
    });
    worker.once('exit', () => this.#workerEnded());
  }

  #workerEnded(): void {
    this.#worker = undefined;
    for (const request of [...this.#questions.keys()]) this.#answer(request, []);
    if (this.#isClosed || this.#wanted.size === 0) return;
    if (performance.now() - this.#startedAt > HEALTHY_LIFE) this.#restartDelay = FIRST_RESTART;
    const timer = setTimeout(() => {
      if (this.#worker !== undefined || this.#wanted.size === 0 || this.#isClosed) return;
      this.#ensureWorker();
      this.#tell({ type: 'configure', sessions: mergeSessions([...this.#wanted.values()].flat()) });
    }, this.#restartDelay);
    timer.unref();
    this.#restartDelay = Math.min(2 * this.#restartDelay, LONGEST_RESTART);
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

/** One session per key; where several want it, it is as quick as the most demanding of them needs. */
export function mergeSessions(sessions: readonly BfdSessionConfig[]): BfdSessionConfig[] {
  const merged = new Map<string, BfdSessionConfig>();
  for (const session of sessions) {
    const other = merged.get(bfdKey(session));
    if (other === undefined || session.receiveInterval * session.multiplier < other.receiveInterval * other.multiplier) merged.set(bfdKey(session), session);
  }
  return [...merged.values()];
}
