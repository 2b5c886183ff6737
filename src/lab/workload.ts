/**
 * A pod's containers: one process that answers with the pod's name on every declared port, in both families. Restarted when
 * it ends, as a kubelet restarts a container.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Container, Pod, TransportProtocol } from '../api/core.js';
import { PROBER } from './tortie-argv.js';

/** What to run, and where. */
export interface WorkloadSpec {
  /** What it answers with. */
  readonly name: string;
  readonly netns: string;
  readonly ports: Readonly<Record<TransportProtocol, readonly number[]>>;
}

const READY_WITHIN = 10_000;
const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 10_000;

/** Ports of containers and of sidecars (init containers that never end). */
export function declaredPorts(pod: Pod): Readonly<Record<TransportProtocol, readonly number[]>> {
  const running: readonly Container[] = [
    ...pod.spec.containers,
    ...(pod.spec.initContainers ?? []).filter((container) => container.restartPolicy === 'Always'),
  ];
  const ports = running.flatMap((container) => container.ports ?? []);
  const numbers = (transport: TransportProtocol): readonly number[] => [
    ...new Set(ports.filter((port) => (port.protocol ?? 'TCP') === transport).map((port) => port.containerPort)),
  ];
  return { TCP: numbers('TCP'), UDP: numbers('UDP'), SCTP: numbers('SCTP') };
}

export class Workload {
  private child: ChildProcess | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isWanted = true;
  private pause = FIRST_PAUSE;
  /** How often it was started again. */
  restarts = 0;

  /** @param onChange called whenever it becomes ready or stops being so */
  constructor(
    private readonly spec: WorkloadSpec,
    private readonly onChange: (isReady: boolean, problem?: string) => void,
  ) {}

  start(): void {
    const { name, netns, ports } = this.spec;
    const lists = Object.entries(ports)
      .filter(([, numbers]) => numbers.length > 0)
      .flatMap(([transport, numbers]) => [`--${transport.toLowerCase()}`, numbers.join(',')]);
    const child = spawn(PROBER, ['serve', '--name', name, '--netns', netns, ...lists], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    const late = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN);
    let problem = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (problem = (problem + text).slice(-500)));
    child.stdout.once('data', () => {
      clearTimeout(late);
      this.pause = FIRST_PAUSE;
      this.onChange(true);
    });
    child.once('error', (error) => (problem = error.message));
    child.once('close', (code, signal) => {
      clearTimeout(late);
      this.child = undefined;
      if (this.isWanted) this.restart(problem.trim() || `it ended with ${signal ?? `exit code ${code}`}`);
    });
  }

  /** Ends it for good; settles when it is gone. */
  async stop(): Promise<void> {
    this.isWanted = false;
    clearTimeout(this.timer);
    const child = this.child;
    if (child === undefined) return;
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.kill('SIGKILL');
    });
  }

  private restart(problem: string): void {
    this.onChange(false, problem);
    this.timer = setTimeout(() => {
      this.restarts += 1;
      this.start();
    }, this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }
}
