/**
 * Bandwidth of pods: annotations of those that live here into the kernel. They may change while a pod runs. Nothing is asked of the
 * kernel where nobody is limited and nobody was.
 */
import type { Pod } from '../api/core.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { ratesOf, type PodRates } from '../shaping/pod-limits.js';

export interface ShapingLoopOptions {
  readonly endpoints: () => readonly {
    readonly hostInterface: string;
    readonly owner: { readonly namespace: string; readonly pod: string };
  }[];
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** Sentences about what the kernel refused. */
  readonly level: (wanted: ReadonlyMap<string, PodRates>) => readonly string[];
  readonly log: Logger;
  readonly onHealth: () => void;
  /** Milliseconds between two looks at what is limited; default 1 s. */
  readonly interval?: number;
}

const INTERVAL = 1_000;

export class ShapingLoop {
  private timer: NodeJS.Timeout | undefined;
  private isScheduled = false;
  private isStarted = false;
  /** Whether the kernel may hold limits: at the start those of a predecessor. */
  private mayStand = true;
  private refused: readonly string[] = [];

  constructor(private readonly options: ShapingLoopOptions) {}

  start(): void {
    this.isStarted = true;
    this.timer = setInterval(() => this.level(), this.options.interval ?? INTERVAL);
    this.timer.unref();
    this.level();
  }

  stop(): void {
    this.isStarted = false;
    clearInterval(this.timer);
  }

  /** Pods came or went, or what they ask for changed. */
  changed(): void {
    if (this.isScheduled || !this.isStarted) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.level();
    });
  }

  /** What cannot be had, in sentences. */
  problems(): readonly string[] {
    return this.refused;
  }

  private level(): void {
    if (!this.isStarted) return;
    const { endpoints, pod, log, onHealth } = this.options;
    const wanted = new Map<string, PodRates>();
    for (const { hostInterface, owner } of endpoints()) {
      const { rates } = ratesOf(pod(owner.namespace, owner.pod)?.metadata.annotations);
      if (rates.ingress !== undefined || rates.egress !== undefined) wanted.set(hostInterface, rates);
    }
    if (wanted.size === 0 && !this.mayStand) return;
    let refused: readonly string[];
    try {
      refused = this.options.level(wanted);
      this.mayStand = wanted.size > 0 || refused.length > 0;
    } catch (error) {
      refused = [`Cannot limit the bandwidth of pods: ${messageOf(error)}`];
    }
    if (refused.join('\n') === this.refused.join('\n')) return;
    this.refused = refused;
    for (const sentence of refused) log.warn(sentence);
    onHealth();
  }
}
