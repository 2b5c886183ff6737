/**
 * npm run bench -- soak [--help]
 *
 * bgpd under churn for a long time: memory, sessions, BFD beside it, and at the end every table compared with what was
 * told. Ends by itself; exit code 1 when a promise was broken. A line a minute goes to standard error.
 */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import type { PeerDetail, SpeakerSummary } from 'node-bgp/speaker/view';
import { senderAddress, speakerAddresses } from '../bgp/network.js';
import type { ChurnEvent, ChurnOrder } from './churn-process.js';
import { compareWithModel, type Differences } from './final-state.js';
import { Rack, STEADY } from './rack.js';
import type { ChurnPeer, PeerTable } from './route-model.js';
import type { Stall } from './stall-watch.js';
import type { Silence } from './wire-watch.js';
import { leave, readOptions } from '../options.js';
import {
  formatVerdict,
  isGood,
  judge,
  type Loss,
  type Observation,
  type Sample,
  type SteadyCounts,
} from './verdict.js';

const SAMPLE_EVERY = 10_000;
const LONGEST_START = 60_000;
const LONGEST_SETTLING = 120_000;

const USAGE = {
  area: 'soak',
  about: `A real bgpd under churn for a long time, with peers that flap, a steady BIRD beside them with BFD at 50 ms x 3,
and routes into a kernel. A line a minute goes to standard error; at the end every table is compared with what
was told. Needs root (network namespaces), bird and tcpdump. Exit code 1: a promise is broken, and the verdict
says which: a session lost, BFD down, memory not flat, updates late, a table that differs. A run is judged for
memory from 6 minutes on; a shorter one is "not judged" there.`,
  options: {
    minutes: { value: 'N', default: '30', range: [0.2, 10_000], isWhole: false, about: 'of churn' },
    rate: { value: 'N', default: '5000', range: [1, 100_000], about: 'UPDATEs a second, all peers together' },
    prefixes: {
      value: 'N',
      default: '10000',
      range: [2, 100_000],
      about: 'that each peer announces from, half of them IPv6',
    },
    peers: { value: 'N', default: '6', range: [3, 60], about: 'that churn; two thirds of them flap' },
    'flap-every': { value: 'N', default: '30', range: [5, 3600], about: 'seconds between two flaps of one peer' },
    seed: { value: 'N', default: '1', range: [0, 2 ** 32 - 1], about: 'the same seed orders the same churn' },
  },
} as const;

interface Options {
  readonly minutes: number;
  readonly rate: number;
  readonly prefixes: number;
  readonly peers: number;
  readonly flapEvery: number;
  readonly seed: number;
}

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  const options: Options = {
    minutes: Number(values.minutes),
    rate: Number(values.rate),
    prefixes: Number(values.prefixes),
    peers: Number(values.peers),
    flapEvery: Number(values['flap-every']),
    seed: Number(values.seed),
  };
  if (process.getuid?.() !== 0)
    return leave({ code: 2, text: 'Cannot soak without root: the run needs network namespaces of its own\n' });
  const seen = await new Soak(options).run();
  const rows = judge(seen);
  process.stdout.write(formatVerdict(rows));
  const { samples, stalls, silences, losses } = seen;
  if (values.output === 'json')
    process.stdout.write(
      `${JSON.stringify({ area: 'soak', isGood: isGood(rows), options, rows, samples, stalls, silences, losses })}\n`,
    );
  return isGood(rows) ? 0 : 1;
}

/**
 * The first third of the peers never flaps; of the others every second one leaves with a Cease, the rest
 * without a word. Those have the shorter paths, so that each flap moves best routes.
 */
const churnPeers = (count: number): readonly ChurnPeer[] =>
  Array.from({ length: count }, (_, k) => ({
    name: `churn${k}`,
    as: 65101 + k,
    pathLength: count - k,
    localAddress: senderAddress(4, k),
    localAddress6: senderAddress(6, k),
    flaps: k < count / 3 ? 'never' : k % 2 === 0 ? 'cease' : 'reset',
  }));

class Soak {
  private readonly options: Options;
  private readonly peers: readonly ChurnPeer[];
  private readonly rack: Rack;
  private readonly stop = new AbortController();
  private readonly samples: Sample[] = [];
  private readonly losses: Loss[] = [];
  private readonly stalls: Stall[] = [];
  private sent = 0;
  private late = 0;
  private flaps = 0;
  private isDone = false;
  /** Milliseconds since 1970. Before, BFD comes up at a packet a second (RFC 5880 section 6.8.3). */
  private begun = Infinity;
  private differences: Differences = {};

  constructor(options: Options) {
    this.options = options;
    this.peers = churnPeers(options.peers);
    this.rack = new Rack(this.peers, options.prefixes);
  }

  async run(): Promise<Observation> {
    const witness = new Worker(new URL('./stall-watch.js', import.meta.url));
    witness.on('message', (stall: Stall) => this.stalls.push(stall));
    const interrupt = (): void => this.stop.abort(new Error('interrupted'));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
    let problem: string | undefined;
    let wire: { readonly silences: readonly Silence[]; readonly packets: Observation['bfdPackets'] } = {
      silences: [],
      packets: { ours: 0, peer: 0 },
    };
    let steady: SteadyCounts | undefined;
    try {
      await this.soak();
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    } finally {
      await witness.terminate();
      steady = await this.steadyCounts();
      this.losses.push(...steadyLosses(this.rack));
      wire = this.rack.bfdOnTheWire();
      const isClean =
        problem === undefined && this.losses.length === 0 && steady?.timesEstablished === 1 && steady.bfdFailures === 0;
      if (!isClean) process.stderr.write(`Logs stay in ${this.rack.directory}\n`);
      await this.rack.remove(!isClean);
    }
    const {
      options: { minutes, rate },
      sent,
      late,
      flaps,
      samples,
      losses,
      differences,
      stalls,
    } = this;
    return {
      minutes,
      rate,
      sent,
      late,
      flaps,
      samples,
      losses,
      silences: wire.silences.filter(({ at }) => at >= this.begun),
      bfdPackets: wire.packets,
      steady,
      differences,
      stalls,
      ...(problem === undefined ? {} : { problem }),
    };
  }

  private async soak(): Promise<void> {
    this.rack.startDaemons();
    await this.until('BIRD and BFD are up', LONGEST_START, () => this.isSteadyUp());
    const tablesFile = join(this.rack.directory, 'tables.json');
    const order: ChurnOrder = {
      dut: speakerAddresses(4)[0] ?? '',
      peers: this.peers,
      prefixes: this.options.prefixes,
      rate: this.options.rate,
      seconds: this.options.minutes * 60,
      flapEvery: this.options.flapEvery,
      seed: this.options.seed,
      tablesFile,
    };
    this.begun = Date.now();
    const churn = this.rack.startChurn(order);
    this.follow(churn);
    await this.sampleWhile(churn);
    const tables = JSON.parse(readFileSync(tablesFile, 'utf8')) as Readonly<Record<string, PeerTable>>;
    const deadline = Date.now() + LONGEST_SETTLING;
    do {
      await sleep(2000, undefined, { signal: this.stop.signal });
      this.differences = await compareWithModel(this.rack, this.peers, tables);
    } while (Object.values(this.differences).some((count) => count > 0) && Date.now() < deadline);
  }

  private follow(churn: ChildProcess): void {
    if (churn.stdout === null) throw new Error('The churn process has no output');
    createInterface({ input: churn.stdout }).on('line', (line) => {
      const event = JSON.parse(line) as ChurnEvent;
      switch (event.type) {
        case 'lost':
          this.losses.push({ at: event.at, peer: event.peer, reason: event.reason });
          return;
        case 'flap':
          this.flaps++;
          return;
        case 'up':
          return;
        case 'progress':
          this.sent = event.sent;
          this.late = event.late;
          return;
        case 'done':
          this.isDone = true;
      }
    });
  }

  private async sampleWhile(churn: ChildProcess): Promise<void> {
    const begun = Date.now();
    // Some minutes more than ordered: sessions come up before it and come back after it.
    const deadline = begun + this.options.minutes * 60_000 + LONGEST_SETTLING;
    for (let next = begun + SAMPLE_EVERY; !this.isDone; await sleep(200, undefined, { signal: this.stop.signal })) {
      if (churn.exitCode !== null || churn.signalCode !== null)
        throw new Error(
          `The churn process ended: ${readFileSync(join(this.rack.directory, 'churn.log'), 'utf8').slice(-500)}`,
        );
      if (Date.now() > deadline) throw new Error('The churn process did not end in time');
      if (Date.now() < next) continue;
      next += SAMPLE_EVERY;
      const vitals = this.rack.vitals();
      if (vitals === undefined) throw new Error('bgpd ended');
      this.samples.push({ seconds: Math.round((Date.now() - begun) / 1000), ...vitals });
      if (this.samples.length % 6 === 0) this.report();
    }
  }

  private report(): void {
    const { seconds = 0, residentMegabytes = 0, cpuSeconds = 0 } = this.samples.at(-1) ?? {};
    const worst = Math.max(0, ...this.stalls.slice(-100).map(({ milliseconds }) => milliseconds));
    process.stderr.write(
      `${String(Math.round(seconds / 60)).padStart(4)} min  ${residentMegabytes.toFixed(0)} MB  ` +
        `${cpuSeconds.toFixed(0)} s CPU  ${this.sent} updates (${this.late} late)  ${this.flaps} flaps  ` +
        `${this.losses.length + steadyLosses(this.rack).length} lost  ${this.stalls.length} stalls, lately at most ` +
        `${worst} ms\n`,
    );
  }

  /** undefined: bgpd does not answer, which breaks a promise by itself. */
  private async steadyCounts(): Promise<SteadyCounts | undefined> {
    try {
      const { neighbors } = await this.rack.ask<{ readonly neighbors: readonly PeerDetail[] }>('/v1/neighbors');
      const { sessions } = await this.rack.ask<{ readonly sessions: readonly BfdStatus[] }>('/v1/bfd');
      const steady = neighbors.find(({ name }) => name === STEADY);
      if (steady === undefined || sessions.length === 0) return undefined;
      return {
        timesEstablished: steady.establishedCount,
        bfdFailures: sessions.reduce((sum, { failures }) => sum + failures, 0),
      };
    } catch (error) {
      process.stderr.write(
        `bgpd could not be asked for its counts: ${error instanceof Error ? error.message : String(error)}\n`,
      );
      return undefined;
    }
  }

  private async isSteadyUp(): Promise<boolean> {
    const { peers } = await this.rack.ask<SpeakerSummary>('/v1/summary');
    const { sessions } = await this.rack.ask<{ readonly sessions: readonly BfdStatus[] }>('/v1/bfd');
    return (
      peers.some(({ name, isEstablished }) => name === STEADY && isEstablished) &&
      sessions.some(({ state, detectionTime }) => state === 'up' && detectionTime === 150)
    );
  }

  private async until(what: string, limit: number, isTrue: () => Promise<boolean>): Promise<void> {
    let latest: unknown;
    for (
      const deadline = Date.now() + limit;
      Date.now() < deadline;
      await sleep(200, undefined, { signal: this.stop.signal })
    ) {
      try {
        if (await isTrue()) return;
        latest = undefined;
      } catch (error) {
        latest = error; // the socket is not there yet
      }
    }
    throw new Error(
      `${limit / 1000} s passed and it was never so that ${what}${latest instanceof Error ? `: ${latest.message}` : ''}`,
    );
  }
}

/** The steady session's ends, as bgpd tells them. */
const steadyLosses = (rack: Rack): readonly Loss[] =>
  rack
    .logLines()
    .filter(({ msg }) => msg.startsWith(`peer ${STEADY} is down: `))
    .map(({ time, msg }) => ({
      at: new Date(time).getTime(),
      peer: STEADY,
      reason: msg.slice(`peer ${STEADY} is down: `.length),
    }));
