/**
 * The process that churns: it runs in the senders' namespace, takes one JSON argument and tells one JSON line per event.
 *
 * Every 20 ms it makes up for the updates that are due, each one an UPDATE of one prefix by a peer chosen at random:
 * an announcement of what is not announced, else a replacement (3 of 4) or a withdrawal. When the time is up it lets
 * flapped peers come back, tells the tables that must be found in the speaker, and keeps its sessions until standard
 * input closes.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChurnSession } from './churn-session.js';
import { randomNumbers, type ChurnPeer } from './route-model.js';

export interface ChurnOrder {
  readonly dut: string;
  readonly peers: readonly ChurnPeer[];
  readonly prefixes: number;
  /** UPDATEs a second, all peers together. */
  readonly rate: number;
  readonly seconds: number;
  /** Seconds between two flaps of one peer. */
  readonly flapEvery: number;
  readonly seed: number;
  /** Where the final tables go: `Record<peer name, PeerTable>`. */
  readonly tablesFile: string;
}

export type ChurnEvent =
  | { readonly type: 'lost'; readonly at: number; readonly peer: string; readonly reason: string }
  | { readonly type: 'flap'; readonly at: number; readonly peer: string }
  | { readonly type: 'up'; readonly at: number; readonly peer: string }
  /** `sent` UPDATEs so far; `late` ones were due and could not be sent because sockets were full. */
  | { readonly type: 'progress'; readonly at: number; readonly sent: number; readonly late: number }
  | { readonly type: 'done'; readonly at: number; readonly sent: number };

const TICK = 20;
/** A machine that stood still is not made up for by a burst of more than this. */
const LONGEST_DEBT_SECONDS = 1;

const order = JSON.parse(process.argv[2] ?? '{}') as ChurnOrder;
const random = randomNumbers(order.seed);
const tell = (event: ChurnEvent): void => void process.stdout.write(`${JSON.stringify(event)}\n`);
const below = (limit: number): number => Math.floor(random() * limit);

const sessions = order.peers.map(
  (peer, index) =>
    new ChurnSession({
      peer,
      identifier: 0x0a0a0000 + index + 2,
      dut: order.dut,
      onLost: (reason) => tell({ type: 'lost', at: Date.now(), peer: peer.name, reason }),
      onUp: () => tell({ type: 'up', at: Date.now(), peer: peer.name }),
    }),
);
let serial = 0;
let sent = 0;
let late = 0;

function churnOnce(session: ChurnSession): void {
  const index = below(order.prefixes);
  if (session.has(index) && below(4) === 0) session.withdraw(index);
  else session.announce(index, ++serial);
  sent++;
}

async function allUp(): Promise<void> {
  while (!sessions.every((session) => session.isEstablished)) await sleep(50);
}

async function churn(): Promise<void> {
  const end = performance.now() + order.seconds * 1000;
  const flapping = sessions.filter(({ peer }) => peer.flaps !== 'never');
  // Spread over the interval, so that no two peers flap at the same moment.
  const nextFlap = new Map(
    flapping.map((session, k) => [
      session,
      performance.now() + (order.flapEvery * 1000 * (k + 1)) / (flapping.length + 1),
    ]),
  );
  let owed = 0;
  let last = performance.now();
  let nextProgress = last + 10_000;
  for (let now = last; now < end; now = performance.now()) {
    owed += ((now - last) / 1000) * order.rate;
    last = now;
    const debt = Math.max(0, Math.floor(owed - order.rate * LONGEST_DEBT_SECONDS));
    late += debt;
    owed -= debt;
    const ready = sessions.filter((session) => session.isReady);
    for (; owed >= 1 && ready.length > 0; owed--)
      churnOnce(ready[below(ready.length)] ?? (sessions[0] as ChurnSession));
    for (const session of ready) session.flush();
    for (const [session, at] of nextFlap) {
      if (now < at) continue;
      nextFlap.set(session, at + order.flapEvery * 1000);
      if (!session.isEstablished) continue;
      tell({ type: 'flap', at: Date.now(), peer: session.peer.name });
      session.flap();
    }
    if (now >= nextProgress) {
      nextProgress += 10_000;
      tell({ type: 'progress', at: Date.now(), sent, late });
    }
    await sleep(TICK);
  }
}

process.stdin.on('end', () => process.exit(0)).resume();
await allUp();
await churn();
await allUp();
writeFileSync(
  order.tablesFile,
  JSON.stringify(Object.fromEntries(sessions.map((session) => [session.peer.name, session.table]))),
);
tell({ type: 'progress', at: Date.now(), sent, late });
tell({ type: 'done', at: Date.now(), sent });
