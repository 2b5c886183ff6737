/** What goes through two pods in a given time: requests on one connection, new connections, and bytes. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { run, type Rig } from './rig.js';

const PROBER = fileURLToPath(new URL('../../bin/tortie-prober', import.meta.url));
const BUILD = fileURLToPath(new URL('../../../scripts/build-prober.mjs', import.meta.url));

export const METRICS = ['requests', 'connections', 'megabits'] as const;
export type Metric = (typeof METRICS)[number];

export function buildProber(): void {
  if (spawnSync(process.execPath, [BUILD], { stdio: 'inherit' }).status !== 0)
    throw new Error('Cannot measure: tortie-prober could not be built');
}

export const hasIperf = (): boolean => spawnSync('iperf3', ['--version'], { stdio: 'ignore' }).error === undefined;

/** The servers in a rig's second pod. */
export class Servers {
  private readonly children: ChildProcess[] = [];

  async start(rig: Rig, withIperf: boolean): Promise<void> {
    const prober = spawn(PROBER, ['serve', '--netns', rig.pod(1), '--name', 'b', '--tcp', '80', '--udp', '80,81'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.children.push(prober);
    await once(prober.stdout, 'data');
    if (!withIperf) return;
    const iperf = spawn('ip', ['netns', 'exec', rig.pod(1), 'iperf3', '-s', '--forceflush'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.children.push(iperf);
    await once(iperf.stdout, 'data');
  }

  async stop(): Promise<void> {
    for (const child of this.children.splice(0)) {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
    }
  }
}

/** Per second; megabits for throughput. */
export function measure(rig: Rig, metric: Metric, milliseconds: number): number {
  const target = rig.pods[1].addresses[0] ?? '';
  if (metric === 'megabits') {
    const seconds = String(Math.max(1, Math.round(milliseconds / 1000)));
    const report = JSON.parse(
      run('ip', ['netns', 'exec', rig.pod(0), 'iperf3', '-c', target, '-t', seconds, '-J']),
    ) as { end: { sum_received: { bits_per_second: number } } };
    return report.end.sum_received.bits_per_second / 1e6;
  }
  const kind = metric === 'requests' ? 'rr' : 'crr';
  const { perSecond } = JSON.parse(
    run(PROBER, [
      'rate',
      '--netns',
      rig.pod(0),
      '--to',
      target,
      '--port',
      '80',
      '--kind',
      kind,
      '--duration',
      String(milliseconds),
    ]),
  ) as { perSecond: number };
  return perSecond;
}
