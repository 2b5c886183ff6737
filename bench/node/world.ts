/**
 * The namespaces of a run: its nodes' and its pods'. Named after what is measured and the process; a crashed run's are swept
 * by the next.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const DIRECTORY = '/run/netns';

export class World {
  private readonly names: string[] = [];

  /** @param tag begins every name; unique to what is measured, such as "tbench-cni" */
  constructor(private readonly tag: string) {
    for (const name of existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : []) {
      const pid = new RegExp(`^${tag}-(\\d+)-`).exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) ip('netns', 'del', name);
    }
  }

  /** Path of a new namespace with loopback up and forwarding on. */
  node(name: string): string {
    const path = this.create(name);
    ip('-n', `${this.tag}-${process.pid}-${name}`, 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    execFileSync('nsenter', [
      `--net=${path}`,
      'sysctl',
      '-qw',
      'net.ipv4.ip_forward=1',
      'net.ipv6.conf.all.forwarding=1',
    ]);
    return path;
  }

  pods(count: number): readonly string[] {
    return Array.from({ length: count }, (_, index) => this.create(`pod${index}`));
  }

  remove(): void {
    for (const name of this.names.splice(0)) ip('netns', 'del', name);
  }

  private create(suffix: string): string {
    const name = `${this.tag}-${process.pid}-${suffix}`;
    ip('netns', 'add', name);
    this.names.push(name);
    ip('-n', name, 'link', 'set', 'lo', 'up');
    return `${DIRECTORY}/${name}`;
  }
}

/** Waits until the namespace has no veth left: background deletions belong to the phase that caused them, not to the next. */
export async function settle(netns: string): Promise<void> {
  const end = Date.now() + 30_000;
  while (
    execFileSync('nsenter', [`--net=${netns}`, 'ip', '-br', 'link', 'show', 'type', 'veth'], {
      encoding: 'utf8',
    }).trim() !== ''
  ) {
    if (Date.now() > end) throw new Error(`Interfaces remain in ${netns} 30 s after they were to be deleted`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function ip(...argv: readonly string[]): void {
  execFileSync('ip', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
}
