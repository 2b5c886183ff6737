/**
 * Bandwidth, packet rates and connections of pods: annotations of those that live here into the kernel. They may change while a pod runs.
 * Nothing is asked of the kernel where nobody is limited and nobody was. Bandwidths are token buckets of traffic control, the rest are
 * rules, which the policy engine makes.
 */
import type { InterfaceLimits } from '@tortie/policy/objects';
import type { Pod } from '../api/core.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { packetLimitsOf } from '../shaping/packet-limits.js';
import { ratesOf, type PodRates } from '../shaping/pod-limits.js';

export interface ShapingLoopOptions {
  readonly endpoints: () => readonly {
    readonly hostInterface: string;
    readonly owner: { readonly namespace: string; readonly pod: string };
  }[];
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** Sentences about what the kernel refused. */
  readonly level: (wanted: ReadonlyMap<string, PodRates>) => readonly string[];
  /** Takes all limits of packets and connections, by host interface. */
  readonly limit: (limits: ReadonlyMap<string, InterfaceLimits>) => void;
  /** Why the kernel cannot count connections; undefined when it can. */
  readonly connectionLimitProblem: () => string | undefined;
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
  /** As JSON: what the rules were last told to limit. */
  private limited = '[]';
  private uncounted: string | undefined;

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
    const limits = new Map<string, InterfaceLimits>();
    for (const { hostInterface, owner } of endpoints()) {
      const annotations = pod(owner.namespace, owner.pod)?.metadata.annotations;
      if (annotations === undefined) continue;
      const { rates } = ratesOf(annotations);
      if (rates.ingress !== undefined || rates.egress !== undefined) wanted.set(hostInterface, rates);
      const { limits: own } = packetLimitsOf(annotations);
      if (own.ingress !== undefined || own.egress !== undefined) limits.set(hostInterface, own);
    }
    const refused = [...this.limit(limits), ...this.shape(wanted)];
    if (refused.join('\n') === this.refused.join('\n')) return;
    this.refused = refused;
    for (const sentence of refused) log.warn(sentence);
    onHealth();
  }

  private shape(wanted: ReadonlyMap<string, PodRates>): readonly string[] {
    if (wanted.size === 0 && !this.mayStand) return [];
    try {
      const refused = this.options.level(wanted);
      this.mayStand = wanted.size > 0 || refused.length > 0;
      return refused;
    } catch (error) {
      return [`Cannot limit the bandwidth of pods: ${messageOf(error)}`];
    }
  }

  private limit(limits: ReadonlyMap<string, InterfaceLimits>): readonly string[] {
    const counts = [...limits.values()].some(({ ingress, egress }) =>
      [ingress, egress].some((flow) => flow?.connections !== undefined),
    );
    // The kernel would refuse the rules, and they are closed then.
    if (counts) this.uncounted ??= this.options.connectionLimitProblem() ?? '';
    const isCounted = !counts || this.uncounted === '';
    const able = isCounted ? limits : new Map([...limits].map(([name, one]) => [name, withoutConnections(one)]));
    const text = JSON.stringify([...able].sort(([a], [b]) => (a < b ? -1 : 1)));
    if (text !== this.limited) this.options.limit(able);
    this.limited = text;
    return isCounted ? [] : [`Cannot limit the connections of pods: ${this.uncounted}`];
  }
}

function withoutConnections(limits: InterfaceLimits): InterfaceLimits {
  const packets = (flow: InterfaceLimits['ingress']): InterfaceLimits['ingress'] =>
    flow?.packets === undefined ? undefined : { packets: flow.packets };
  const [ingress, egress] = [packets(limits.ingress), packets(limits.egress)];
  return { ...(ingress === undefined ? {} : { ingress }), ...(egress === undefined ? {} : { egress }) };
}
