/**
 * A bgpd with two BFD neighbours while a full table goes through it, in three namespaces of the run's own:
 *
 *     generator 10.10.0.2, FRR 10.10.0.3  --  10.10.0.1 bgpd 10.20.0.1  --  generator's sink 10.20.0.2, BIRD 10.20.0.4
 *
 * BIRD and FRR hear no routes: what they are there for is BFD, and what they do with a table is not measured.
 */
import { execFileSync, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import {
  createNetwork,
  networkOf,
  receiverAddress,
  removeNetwork,
  senderAddress,
  speakerAddresses,
  type BenchNetwork,
} from '../bgp/network.js';
import { RECEIVER_AS, SENDER_AS, SPEAKER_AS } from '../bgp/scenarios.js';
import { captureArguments } from './intervals.js';
import { endDaemon, startDaemon } from '../daemon.js';

export interface Neighbour {
  readonly name: 'bird' | 'frr';
  readonly address: string;
  /** Ours, on the same link. */
  readonly ownAddress: string;
  readonly link: 'dR' | 'dS';
}

const [NEAR = '', FAR = ''] = speakerAddresses(4);
export const NEIGHBOURS: readonly Neighbour[] = [
  { name: 'bird', address: '10.20.0.4', ownAddress: FAR, link: 'dR' },
  { name: 'frr', address: senderAddress(4, 1), ownAddress: NEAR, link: 'dS' },
];
const NEIGHBOUR_AS = 65200;
const STAGGER = 1_000;

export class Scene {
  readonly directory = mkdtempSync(join(tmpdir(), 'tortie-bfd-bench-'));
  readonly network: BenchNetwork = networkOf(`tbf${process.pid}`);
  private readonly children: ChildProcess[] = [];
  private bgpd: ChildProcess | undefined;

  constructor(private readonly interval: number) {
    createNetwork(this.network, 2);
    execFileSync('ip', ['-n', this.network.receiver, 'addr', 'add', '10.20.0.4/16', 'dev', 'vR']);
  }

  async start(): Promise<void> {
    const { network, directory } = this;
    this.write('bgpd.json', JSON.stringify(this.bgpdConfig()));
    this.bgpd = this.daemon(
      network.speaker,
      'bgpd.log',
      process.execPath,
      fileURLToPath(new URL('../../src/cli.js', import.meta.url)),
      'bgpd',
      '--config',
      join(directory, 'bgpd.json'),
      '--run-dir',
      directory,
      '--state-dir',
      directory,
      '--log-format',
      'json',
    );
    for (const { link } of NEIGHBOURS) this.daemon(network.speaker, `${link}.log`, ...captureArguments(link));
    this.write('bird.conf', this.birdConfig());
    this.daemon(
      network.receiver,
      'bird.log',
      'bird',
      '-f',
      '-c',
      join(directory, 'bird.conf'),
      '-s',
      join(directory, 'bird.ctl'),
    );
    await this.startFrr();
  }

  get bgpdPid(): number | undefined {
    return this.bgpd?.pid;
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

  capture(link: Neighbour['link']): string {
    return readFileSync(join(this.directory, `${link}.log`), 'utf8');
  }

  /** Arguments of the generator: a table of `prefixes` in, through to the sink, and withdrawn again. */
  load(prefixes: number): readonly string[] {
    const { senders, receiver } = this.network;
    return [
      '-S',
      `ns=${senders},src=${senderAddress(4, 0)},dst=${NEAR},as=${SENDER_AS},af=4,n=${prefixes}`,
      '-R',
      `ns=${receiver},src=${receiverAddress(4)},dst=${FAR},as=${RECEIVER_AS},af=4`,
      '--dutas',
      String(SPEAKER_AS),
      '--withdraw',
      '--timeout',
      '120',
      '--pids',
      String(this.bgpdPid ?? 0),
    ];
  }

  async remove(): Promise<void> {
    await Promise.all(this.children.map(endDaemon));
    removeNetwork(this.network);
    rmSync(this.directory, { recursive: true });
  }

  private async startFrr(): Promise<void> {
    const sockets = join(this.directory, 'frr');
    // FRR gives up root and has to find its files all the same.
    execFileSync('chmod', ['755', this.directory]);
    const made = spawnSync('install', ['-d', '-o', 'frr', '-g', 'frr', '-m', '755', sockets], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(`Cannot make a directory for FRR: ${made.error?.message ?? made.stderr}`);
    this.write('zebra.conf', 'hostname peer\n');
    this.write('bfdd.conf', 'bfd\n');
    this.write(
      'frr-bgpd.conf',
      [
        `router bgp ${NEIGHBOUR_AS}`,
        ' bgp router-id 10.255.0.3',
        ' no bgp ebgp-requires-policy',
        ` neighbor ${NEAR} remote-as ${SPEAKER_AS}`,
        ` neighbor ${NEAR} timers connect 1`,
        ` neighbor ${NEAR} bfd 3 ${this.interval} ${this.interval}`,
        '',
      ].join('\n'),
    );
    for (const [program, config, more] of [
      ['zebra', 'zebra.conf', []],
      ['bfdd', 'bfdd.conf', ['--bfdctl', join(sockets, 'bfdd.sock')]],
      ['bgpd', 'frr-bgpd.conf', ['-n', '-l', senderAddress(4, 1)]],
    ] as const) {
      this.daemon(
        this.network.senders,
        `frr-${program}.log`,
        `/usr/lib/frr/${program}`,
        '-f',
        join(this.directory, config),
        '-i',
        join(sockets, `${program}.pid`),
        '-z',
        join(sockets, 'zserv.api'),
        '--vty_socket',
        sockets,
        '-A',
        '127.0.0.1',
        '-u',
        'frr',
        '-g',
        'frr',
        '--log',
        'stdout',
        '--log-level',
        'warnings',
        ...more,
      );
      // Each needs the one before: a bgpd that finds no bfdd behind zebra never asks for its session again.
      await sleep(STAGGER);
    }
  }

  private bgpdConfig(): object {
    const bfd = { transmitInterval: this.interval, receiveInterval: this.interval, multiplier: 3 };
    return {
      localAs: SPEAKER_AS,
      routerId: '10.255.0.1',
      requirePolicy: false,
      listen: [{ address: NEAR }, { address: FAR }],
      filters: { none: { rules: [{ action: 'reject' }] } },
      peers: [
        {
          name: 'sender',
          address: senderAddress(4, 0),
          remoteAs: SENDER_AS,
          passive: true,
          families: ['ipv4'],
          maxPrefixes: 5_000_000,
          export: ['none'],
        },
        { name: 'sink', address: receiverAddress(4), remoteAs: RECEIVER_AS, passive: true, families: ['ipv4'] },
        ...NEIGHBOURS.map(({ name, address }) => ({
          name,
          address,
          remoteAs: NEIGHBOUR_AS,
          bfd,
          import: ['none'],
          export: ['none'],
        })),
      ],
    };
  }

  private birdConfig(): string {
    return `log stderr all; router id 10.255.0.2;
protocol device { scan time 60; }
protocol bfd { interface "*" { interval ${this.interval} ms; multiplier 3; }; }
protocol bgp dut {
  local 10.20.0.4 as ${NEIGHBOUR_AS}; neighbor ${FAR} as ${SPEAKER_AS};
  connect delay time 1; connect retry time 2; bfd on; ipv4 { import all; export none; };
}
`;
  }

  private write(name: string, text: string): void {
    mkdirSync(this.directory, { recursive: true });
    writeFileSync(join(this.directory, name), text, { mode: 0o644 });
  }

  private daemon(namespace: string, log: string, ...argv: readonly string[]): ChildProcess {
    const child = startDaemon(namespace, join(this.directory, log), argv);
    this.children.push(child);
    return child;
  }
}
