/**
 * What is measured: who sends what to whom, and what the generator does meanwhile. Targets are those of the project: our time
 * divided by that of the peer named, or of the best peer of the run.
 */
import { receiverAddress, senderAddress, speakerAddresses, type BenchNetwork } from './network.js';

export const SPEAKER_AS = 65000;
export const SENDER_AS = 4200000001;
export const RECEIVER_AS = 65500;

export interface Topology {
  readonly senders: number;
  readonly family: 4 | 6;
  readonly hasReceiver: boolean;
  /** Senders hear all other senders' prefixes. */
  readonly sendersReceive: boolean;
  /** The speaker writes routes into its kernel. */
  readonly installs: boolean;
}

export interface Scenario {
  readonly about: string;
  readonly topology: Topology;
  /** Arguments of the generator. */
  readonly load: (network: BenchNetwork) => readonly string[];
  /** Per phase: at most this ratio, against a peer or the best one. `ms` is an absolute bound on our median. */
  readonly targets: Readonly<
    Record<string, { readonly against: string; readonly ratio?: number; readonly ms?: number }>
  >;
}

const BASE: Topology = { senders: 1, family: 4, hasReceiver: true, sendersReceive: false, installs: false };

const group = (namespace: string, source: string, destination: string, as: number, more: string): string =>
  `ns=${namespace},src=${source},dst=${destination},as=${as}${more}`;

function sender(network: BenchNetwork, family: 4 | 6, more: string, k = 0): readonly string[] {
  const [near = ''] = speakerAddresses(family);
  return ['-S', group(network.senders, senderAddress(family, k), near, SENDER_AS + k, `,af=${family},${more}`)];
}

function receiver(network: BenchNetwork, family: 4 | 6): readonly string[] {
  const [, far = ''] = speakerAddresses(family);
  return ['-R', group(network.receiver, receiverAddress(family), far, RECEIVER_AS, `,af=${family}`)];
}

const one =
  (family: 4 | 6, more: string, options: readonly string[]): Scenario['load'] =>
  (network) => [...sender(network, family, more), ...receiver(network, family), ...options];

/** Few attempts at a time, so that a short listen backlog does not spoil the run; FRR holds back its first updates for up to 10 s. */
const MANY = ['--ramp', '4', '--settle', '11000'];
const many = (more: string, seconds: number): Scenario['load'] => one(4, more, [...MANY, '--timeout', String(seconds)]);

const latencyUnderLoad =
  (options: readonly string[]): Scenario['load'] =>
  (network) => [
    ...sender(network, 4, 'n=100000'),
    ...sender(network, 4, 'n=50,share=1,lat=1', 1),
    ...receiver(network, 4),
    '--lat',
    '50',
    ...options,
  ];

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  v4_100k: {
    about: '100,000 IPv4 prefixes through to a second peer, then withdrawn',
    topology: BASE,
    load: one(4, 'n=100000', ['--withdraw']),
    targets: { announce: { against: 'bird', ratio: 0.9 }, withdraw: { against: 'bird', ratio: 1 } },
  },
  v4_1m: {
    about: 'a million IPv4 prefixes',
    topology: BASE,
    load: one(4, 'n=1000000', ['--withdraw', '--timeout', '80']),
    targets: {
      announce: { against: 'bird', ratio: 0.6 },
      withdraw: { against: 'bird', ratio: 1 },
      memory: { against: 'bird', ratio: 1.5 },
    },
  },
  v6_200k: {
    about: '200,000 IPv6 prefixes',
    topology: { ...BASE, family: 6 },
    load: one(6, 'n=200000', ['--withdraw']),
    targets: { announce: { against: 'bird', ratio: 0.8 }, withdraw: { against: 'bird', ratio: 1 } },
  },
  churn_100k: {
    about: 'a table, a ROUTE-REFRESH, every path replaced, the sender lost',
    topology: BASE,
    load: one(4, 'n=100000', ['--refresh', '--modify', '--drop']),
    targets: { drop: { against: 'bird', ratio: 1 } },
  },
  join_100k: {
    about: 'a peer joins when the table is there',
    topology: BASE,
    load: one(4, 'n=100000', ['--late']),
    targets: { join: { against: 'best', ratio: 0.4 } },
  },
  mp100_1r: {
    about: '100 peers with 1,000 prefixes each, one receiver',
    topology: { ...BASE, senders: 100 },
    load: many('k=100,n=1000', 120),
    targets: {},
  },
  mp300_1r: {
    about: '300 peers with 1,000 prefixes each, one receiver',
    topology: { ...BASE, senders: 300 },
    load: many('k=300,n=1000', 120),
    targets: { announce: { against: 'bird', ratio: 0.3 } },
  },
  mp100_all: {
    about: '100 peers with 1,000 prefixes each, all hear all: 10 million prefixes out',
    topology: { ...BASE, senders: 100, sendersReceive: true },
    load: many('k=100,n=1000,recv=1', 140),
    targets: { announce: { against: 'best', ratio: 0.4 } },
  },
  k8s300_all: {
    about: '300 nodes with 4 blocks each, all hear all: a cluster behind a route reflector',
    topology: { ...BASE, senders: 300, sendersReceive: true },
    load: many('k=300,n=4,share=4,len=26,recv=1', 60),
    targets: { announce: { against: 'best', ratio: 0.6 } },
  },
  conn300: {
    about: '301 sessions opened at the same moment',
    topology: { ...BASE, senders: 300 },
    load: one(4, 'k=300,n=1', ['--settle', '0', '--timeout', '90']),
    targets: { established: { against: 'best', ratio: 1 } },
  },
  fib_100k: {
    about: '100,000 routes into the kernel',
    topology: { ...BASE, installs: true },
    load: (network) => [...one(4, 'n=100000', ['--withdraw', '--timeout', '60'])(network), '--fib', network.speaker],
    targets: { 'announce-fib': { against: 'bird', ratio: 0.5 } },
  },
  lat: {
    about: 'one prefix at a time, in to out, empty table',
    topology: BASE,
    load: one(4, 'n=50,share=1,lat=1', ['--lat', '50']),
    targets: { 'lat-announce-rx': { against: 'none', ms: 0.5 } },
  },
  lat_warm: {
    about: 'the same without pause, often enough that everything is warm',
    topology: BASE,
    load: one(4, 'n=3000,share=1,lat=1', ['--lat', '3000', '--gap', '0', '--timeout', '60']),
    targets: { 'lat-announce-rx': { against: 'none', ms: 0.15 } },
  },
  lat_100k: {
    about: 'the same as lat with 100,000 other routes',
    topology: { ...BASE, senders: 2 },
    load: latencyUnderLoad([]),
    targets: {},
  },
  lat_fib: {
    about: 'one prefix at a time into the kernel',
    topology: { ...BASE, installs: true },
    load: (network) => [...one(4, 'n=50,share=1,lat=1', ['--lat', '50'])(network), '--fib', network.speaker],
    targets: { 'lat-announce-fib': { against: 'none', ms: 0.6 } },
  },
};
