/** TCP connections to pods, tried again and again while a Change is on trial: "namespace/pod:port". */
import { connect } from 'node:net';
import { parseProbe } from './probe.js';

const INTERVAL = 2_000;
const TIMEOUT = 2_000;
/** One lost packet is no outage. */
const MOST_FAILURES = 2;

export class ProbeSet {
  /** How often each has failed in a row. BOUNDED by the probes of a Change. */
  private failures = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly addressOfPod: (namespace: string, name: string) => string | undefined) {}

  /** Those that connect now. */
  async firstLook(probes: readonly string[]): Promise<readonly string[]> {
    const answers = await Promise.all(probes.map(async (probe) => ({ probe, isUp: await this.try(probe) })));
    return answers.filter(({ isUp }) => isUp).map(({ probe }) => probe);
  }

  /** From now on these are tried, and no others. */
  watch(probes: readonly string[]): void {
    for (const known of this.failures.keys()) if (!probes.includes(known)) this.failures.delete(known);
    for (const probe of probes) if (!this.failures.has(probe)) this.failures.set(probe, 0);
    if (this.failures.size === 0) return this.stop();
    this.timer ??= setInterval(() => void this.round(), INTERVAL).unref();
  }

  answering(): readonly string[] {
    return [...this.failures].filter(([, times]) => times < MOST_FAILURES).map(([probe]) => probe);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private async round(): Promise<void> {
    await Promise.all(
      [...this.failures.keys()].map(async (probe) => {
        const isUp = await this.try(probe);
        const before = this.failures.get(probe);
        if (before !== undefined) this.failures.set(probe, isUp ? 0 : before + 1);
      }),
    );
  }

  private try(probe: string): Promise<boolean> {
    const parsed = parseProbe(probe);
    const host = parsed && this.addressOfPod(parsed.namespace, parsed.pod);
    if (parsed === undefined || host === undefined) return Promise.resolve(false);
    return new Promise((resolve) => {
      const socket = connect({ host, port: parsed.port, timeout: TIMEOUT });
      const end = (isUp: boolean) => (): void => {
        socket.destroy();
        resolve(isUp);
      };
      socket.on('connect', end(true)).on('timeout', end(false)).on('error', end(false));
    });
  }
}
