/**
 * What is soaked: a real `tortie bgpd` between the churning peers and one steady BIRD, in three namespaces of the run's own.
 *
 *     churn process, N peers 10.10.0.2+k  --  bgpd 10.10.0.1 | 10.20.0.1  --  BIRD 10.20.0.2, hold time 9 s, BFD 50 ms x 3
 *
 * bgpd takes routes of the churning peers in both families, writes the best into its kernel and tells them all to BIRD.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import {
  createNetwork,
  networkOf,
  receiverAddress,
  removeNetwork,
  speakerAddresses,
  type BenchNetwork,
} from '../bgp/network.js';
import type { ChurnOrder } from './churn-process.js';
import type { ChurnPeer } from './route-model.js';
import { captureArguments, countPackets, silences, type Silence } from './wire-watch.js';
import { endDaemon, startDaemon } from '../daemon.js';

export const STEADY = 'bird';
const OWN_AS = 64512;
const STEADY_AS = 65200;
const BFD = { transmitInterval: 50, receiveInterval: 50, multiplier: 3 };
const HOLD_TIME = 9;

const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export class Rack {
  readonly directory = mkdtempSync(join(tmpdir(), 'tortie-soak-'));
  private readonly network: BenchNetwork;
  private readonly children: ChildProcess[] = [];
  private bgpd: ChildProcess | undefined;

  constructor(peers: readonly ChurnPeer[], prefixes: number) {
    sweepCrashed();
    this.network = networkOf(`tsk${process.pid}`);
    createNetwork(this.network, peers.length);
    writeFileSync(join(this.directory, 'bgpd.json'), JSON.stringify(bgpdConfig(peers, prefixes)));
    writeFileSync(join(this.directory, 'bird.conf'), birdConfig);
  }

  startDaemons(): void {
    const { directory, network } = this;
    this.bgpd = this.daemon(network.speaker, 'bgpd.log', [
      process.execPath,
      compiled('../../src/cli.js'),
      'bgpd',
      '--config',
      join(directory, 'bgpd.json'),
      '--run-dir',
      directory,
      '--state-dir',
      directory,
      '--log-format',
      'json',
      '--log-level',
      'info',
    ]);
    this.daemon(network.speaker, 'bfd.log', captureArguments('dR'));
    this.daemon(network.receiver, 'bird.log', [
      'bird',
      '-f',
      '-c',
      join(directory, 'bird.conf'),
      '-s',
      join(directory, 'bird.ctl'),
    ]);
  }

  /** The churn process; its standard output is JSON lines. */
  startChurn(order: ChurnOrder): ChildProcess {
    const log = openSync(join(this.directory, 'churn.log'), 'a');
    const child = spawn(
      'ip',
      ['netns', 'exec', this.network.senders, process.execPath, compiled('./churn-process.js'), JSON.stringify(order)],
      { stdio: ['pipe', 'pipe', log] },
    );
    this.children.push(child);
    return child;
  }

  async ask<T>(path: string): Promise<T> {
    const { status, body } = await requestOverUnixSocket(
      join(this.directory, 'bgpd.sock'),
      'GET',
      path,
      undefined,
      60_000,
    );
    if (status !== 200) throw new Error(`bgpd answers ${path} with ${status}: ${JSON.stringify(body)}`);
    return body as T;
  }

  birdc(...words: readonly string[]): string {
    return execFileSync('birdc', ['-s', join(this.directory, 'bird.ctl'), ...words], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
  }

  /** Prefixes that bgpd (protocol 172) has in its kernel. */
  kernelPrefixes(): readonly string[] {
    const list = (family: '-4' | '-6'): readonly string[] => {
      const text = execFileSync('ip', ['-n', this.network.speaker, '-j', family, 'route', 'show', 'proto', '172'], {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      return (JSON.parse(text === '' ? '[]' : text) as readonly { readonly dst: string }[]).map(({ dst }) => dst);
    };
    return [...list('-4'), ...list('-6')];
  }

  /** Resident set in MB and CPU seconds of bgpd; undefined when it is gone. */
  vitals(): { readonly residentMegabytes: number; readonly cpuSeconds: number } | undefined {
    const { bgpd } = this;
    if (bgpd?.pid === undefined || bgpd.exitCode !== null || bgpd.signalCode !== null) return undefined;
    const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${bgpd.pid}/status`, 'utf8'))?.[1] ?? NaN);
    const ticks = readFileSync(`/proc/${bgpd.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return { residentMegabytes: kilobytes / 1024, cpuSeconds: (Number(ticks[11]) + Number(ticks[12])) / 100 };
  }

  logLines(): readonly { readonly time: number | string; readonly msg: string; readonly peer?: string }[] {
    return readFileSync(join(this.directory, 'bgpd.log'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { time: number | string; msg: string; peer?: string });
  }

  /** What the wire has shown of BFD. */
  bfdOnTheWire(): { readonly silences: readonly Silence[]; readonly packets: ReturnType<typeof countPackets> } {
    const capture = readFileSync(join(this.directory, 'bfd.log'), 'utf8');
    const ownAddress = speakerAddresses(4)[1] ?? '';
    return { silences: silences(capture, ownAddress), packets: countPackets(capture, ownAddress) };
  }

  /** `keep`: the logs are worth reading. */
  async remove(keep: boolean): Promise<void> {
    await Promise.all(this.children.map(endDaemon));
    removeNetwork(this.network);
    if (!keep) rmSync(this.directory, { recursive: true });
  }

  private daemon(namespace: string, log: string, argv: readonly string[]): ChildProcess {
    const child = startDaemon(namespace, join(this.directory, log), argv);
    this.children.push(child);
    return child;
  }
}

/** Namespaces of soaks whose process is gone. */
function sweepCrashed(): void {
  for (const name of existsSync('/run/netns') ? readdirSync('/run/netns') : []) {
    const pid = /^tsk(\d+)[SDR]$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) execFileSync('ip', ['netns', 'del', name]);
  }
}

const bgpdConfig = (peers: readonly ChurnPeer[], prefixes: number): object => ({
  localAs: OWN_AS,
  routerId: '10.255.0.1',
  installRoutes: true,
  requirePolicy: false,
  listen: speakerAddresses(4).map((address) => ({ address })),
  filters: {
    ours: {
      rules: [
        {
          name: 'their pools',
          match: {
            prefixes: [
              { prefix: '20.0.0.0/8', minLength: 24, maxLength: 24 },
              { prefix: '2001:db8::/32', minLength: 48, maxLength: 48 },
            ],
          },
          action: 'accept',
        },
      ],
      default: 'reject',
    },
    none: { rules: [{ action: 'reject' }] },
  },
  peers: [
    ...peers.map(({ name, as, localAddress }) => ({
      name,
      address: localAddress,
      remoteAs: as,
      passive: true,
      maxPrefixes: prefixes + 1,
      import: ['ours'],
      export: ['none'],
    })),
    { name: STEADY, address: receiverAddress(4), remoteAs: STEADY_AS, holdTime: HOLD_TIME, bfd: BFD, import: ['none'] },
  ],
});

const birdConfig = `
log stderr all;
router id 10.255.0.2;
protocol device { scan time 60; }
protocol bfd { interface "*" { interval ${BFD.transmitInterval} ms; multiplier ${BFD.multiplier}; }; }
protocol bgp dut {
  local ${receiverAddress(4)} as ${STEADY_AS};
  neighbor ${speakerAddresses(4)[1] ?? ''} as ${OWN_AS};
  hold time ${HOLD_TIME}; connect delay time 1; connect retry time 2; error wait time 1, 5;
  bfd on;
  ipv4 { import all; export none; };
  ipv6 { import all; export none; next hop address ${receiverAddress(6)}; };
}
`;
