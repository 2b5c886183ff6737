/** A node's namespace with a neighbour that answers, an API server, and one program that serves Services. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { packageFile, PROBER } from '../../src/lab/tortie-argv.js';
import { ApiClient, type Write } from '../node/api-client.js';
import { NodeProcess } from '../node/process.js';
import type { Contender } from './contenders.js';
import { BESIDE, DEAD, LIVE, TARGET_PORT } from './objects.js';

const API = '127.0.0.1:6443';
const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { encoding: 'utf8' });

export class Scene {
  readonly api: ApiClient;
  readonly kubeconfig: string;
  private readonly processes: NodeProcess[] = [];
  private server: ChildProcess | undefined;
  private program: NodeProcess | undefined;

  private constructor(
    private readonly tag: string,
    private readonly directory: string,
  ) {
    this.api = new ApiClient(join(directory, 'api.sock'));
    this.kubeconfig = join(directory, 'kubeconfig');
  }

  static async build(tag: string, directory: string, stages: readonly Iterable<Write>[]): Promise<Scene> {
    mkdirSync(directory, { recursive: true });
    const scene = new Scene(tag, directory);
    try {
      scene.wire();
      await scene.startApi(stages);
      return scene;
    } catch (error) {
      await scene.takeDown();
      throw error;
    }
  }

  get node(): string {
    return `${this.tag}-n`;
  }

  /** Starts the program; how it does is asked of packets. */
  serve({ argv }: Contender, directory: string): void {
    this.program = new NodeProcess(`/run/netns/${this.node}`, directory, 'program', argv(this.kubeconfig, directory));
  }

  /** Ends the program, and takes away all that it has written into the kernel. */
  async clear(): Promise<void> {
    await this.program?.stop();
    this.program = undefined;
    const inNode = (...argv: readonly string[]): void => {
      execFileSync('ip', ['netns', 'exec', this.node, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
    };
    inNode('nft', 'flush', 'ruleset');
    for (const program of ['iptables-legacy', 'ip6tables-legacy'])
      for (const name of ['raw', 'mangle', 'nat', 'filter'])
        for (const action of ['-F', '-X']) inNode(program, '-t', name, action);
    inNode('ipset', 'destroy');
    inNode('conntrack', '-F');
  }

  problem(): string | undefined {
    return this.program?.problem();
  }

  /** Resident memory in MB, and milliseconds of processor used so far. */
  cost(): { readonly megabytes: number; readonly processor: number } {
    const pid = this.program?.pid ?? 0;
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return {
      megabytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024,
      processor: (Number(fields[11]) + Number(fields[12])) * 10,
    };
  }

  async takeDown(): Promise<void> {
    this.api.close();
    await this.program?.stop();
    for (const process of this.processes.reverse()) await process.stop();
    this.server?.kill('SIGTERM');
    for (const name of [this.node, `${this.tag}-p`])
      try {
        ip('netns', 'del', name);
      } catch {
        // It was not made.
      }
    rmSync(this.directory, { recursive: true, force: true });
  }

  private wire(): void {
    const [node, peer] = [this.node, `${this.tag}-p`];
    for (const name of [node, peer]) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    ip('-n', node, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', peer);
    ip('-n', node, 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
    ip('-n', peer, 'addr', 'add', '192.0.2.2/24', 'dev', 'eth0');
    for (const name of [node, peer]) ip('-n', name, 'link', 'set', 'eth0', 'up');
    for (const address of [LIVE, DEAD, BESIDE]) ip('-n', peer, 'addr', 'add', `${address}/32`, 'dev', 'lo');
    ip('-n', node, 'route', 'add', 'default', 'via', '192.0.2.2');
    execFileSync('ip', ['netns', 'exec', node, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    // One connection after the other leaves an entry each; the table must not be what is measured.
    for (const state of ['time_wait', 'close'])
      execFileSync('ip', ['netns', 'exec', node, 'sysctl', '-qw', `net.netfilter.nf_conntrack_tcp_timeout_${state}=1`]);
    const argv = ['serve', '--name', 'live', '--netns', peer, '--tcp', `${TARGET_PORT}`, '--udp', `${TARGET_PORT}`];
    this.server = spawn(PROBER, argv, { stdio: 'ignore' });
    // The server takes all addresses of its namespace: whoever is to be silent is cut off.
    execFileSync('ip', ['netns', 'exec', peer, 'iptables-legacy', '-A', 'INPUT', '-d', DEAD, '-j', 'DROP']);
  }

  private async startApi(stages: readonly Iterable<Write>[]): Promise<void> {
    const argv = [
      process.execPath,
      packageFile('dist/src/apiserver/main.js'),
      ...['--listen', API, '--listen-unix', join(this.directory, 'api.sock')],
      ...['--crds', packageFile('manifests/crds')],
    ];
    const api = new NodeProcess(`/run/netns/${this.node}`, this.directory, 'apiserver', argv);
    this.processes.push(api);
    const end = Date.now() + 30_000;
    while (!(await this.api.isReady())) {
      const problem = api.problem();
      if (problem !== undefined || Date.now() > end)
        throw new Error(`Cannot start the API server: ${problem ?? 'too slow'}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    for (const stage of stages) await this.api.createAll(stage);
    writeFileSync(this.kubeconfig, kubeconfigOf(API));
  }
}

const kubeconfigOf = (address: string): string => `apiVersion: v1
kind: Config
current-context: bench
contexts: [{ name: bench, context: { cluster: bench, user: bench } }]
clusters: [{ name: bench, cluster: { server: "http://${address}", insecure-skip-tls-verify: true } }]
users: [{ name: bench, user: {} }]
`;

export const micros = (): number => Number(process.hrtime.bigint() / 1000n);

/** A datagram a millisecond to an address, each from a new port; tells when those that were answered were sent. */
export class Probe {
  private readonly child: ChildProcess;
  private waiting: { readonly since: number; readonly resolve: (sentAt: number) => void }[] = [];

  constructor(node: string, to: string, port: number) {
    const argv = [
      'stream',
      '--netns',
      node,
      '--to',
      to,
      '--port',
      `${port}`,
      '--interval',
      '1',
      '--duration',
      '3600000',
    ];
    this.child = spawn(PROBER, [...argv, '--fresh', '--trace'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const { stdout } = this.child;
    if (stdout === null) throw new Error('The prober has no output');
    createInterface({ input: stdout }).on('line', (line) => this.take(line));
  }

  /** Settles with the time of sending of the first datagram after `since` that was answered. */
  answeredAfter(since: number, within: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`Nothing was answered within ${within} ms`)), within);
      this.waiting.push({
        since,
        resolve: (sentAt) => {
          clearTimeout(timer);
          resolve(sentAt);
        },
      });
    });
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }

  private take(line: string): void {
    const sentAt = Number(/^(\d+)[\s,]/.exec(line)?.[1]);
    if (!Number.isFinite(sentAt) || this.waiting.length === 0) return;
    const waiting = this.waiting;
    this.waiting = [];
    for (const one of waiting)
      if (sentAt > one.since) one.resolve(sentAt);
      else this.waiting.push(one);
  }
}

/** TCP connections a second, one after the other. */
export function connectionRate(node: string, to: string, port: number, milliseconds: number): number {
  const argv = [
    'rate',
    '--netns',
    node,
    '--to',
    to,
    '--port',
    `${port}`,
    '--kind',
    'crr',
    '--duration',
    `${milliseconds}`,
  ];
  const { perSecond } = JSON.parse(execFileSync(PROBER, argv, { encoding: 'utf8' })) as { readonly perSecond: number };
  return perSecond;
}
