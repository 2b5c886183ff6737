import { expect } from 'chai';
import { bfdKey, type BfdEvent, type BfdSessionConfig } from 'node-bgp/bfd/contract';
import { BfdEngine } from 'node-bgp/bfd/engine';
import { decodeBfdPacket, encodeBfdPacket, type BfdPacket } from 'node-bgp/bfd/packet';
import type { BfdSession } from 'node-bgp/bfd/session';
import { mergeSessions } from 'node-bgp/bfd/service';
import type { Clock } from 'node-bgp/session/clock';

/** Time that passes when told to. */
class FakeClock implements Clock {
  time = 0;
  readonly #timers: { at: number; run: (() => void) | undefined }[] = [];
  now = (): number => this.time;
  wallTime = (): number => this.time;
  random = (): number => 0.5;
  soon = (run: () => void): void => run();
  afterPoll = (run: () => void): void => run();
  after = (delay: number, run: () => void): { cancel(): void } => {
    const timer = { at: this.time + delay, run: run as (() => void) | undefined };
    this.#timers.push(timer);
    return { cancel: () => { timer.run = undefined; } };
  };

  /** The thread stands still: time passes, and nothing runs. */
  stall(milliseconds: number): void {
    this.time += milliseconds;
  }

  /** Runs what is due, in order. */
  pass(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const due = this.#timers.filter(({ at, run }) => run !== undefined && at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.time = Math.max(this.time, due.at);
      const { run } = due;
      due.run = undefined;
      run?.();
    }
    this.time = end;
  }
}

const CONFIG: BfdSessionConfig = { peer: '10.0.0.2', transmitInterval: 50, receiveInterval: 50, multiplier: 3 };

/** An engine and, by hand, its peers. */
class Bench {
  readonly clock = new FakeClock();
  readonly events: BfdEvent[] = [];
  readonly sent: BfdPacket[] = [];
  readonly remembered: [string, BfdSession | undefined][] = [];
  /** What the socket holds; read when the engine asks, as it does before it believes in silence. */
  waiting: (() => void)[] = [];
  released = 0;
  failure: string | undefined;
  readonly engine = new BfdEngine({
    clock: this.clock,
    send: (_config, bytes) => {
      const decoded = decodeBfdPacket(bytes);
      if (decoded.type === 'ok') this.sent.push(decoded.packet);
      return this.failure;
    },
    release: () => void this.released++,
    drain: () => { for (const read of this.waiting.splice(0)) read(); },
    emit: (event) => void this.events.push(event),
    remember: (key, session) => void this.remembered.push([key, session]),
  });

  hear(more: Partial<BfdPacket>, from = '10.0.0.2', multihop = false): void {
    const packet: BfdPacket = {
      diagnostic: 0, state: 'up', poll: false, final: true, controlPlaneIndependent: false, demand: false, detectMultiplier: 3, myDiscriminator: 9,
      yourDiscriminator: this.sent[0]?.myDiscriminator ?? 0, desiredMinTx: 50_000, requiredMinRx: 50_000, requiredMinEchoRx: 0, ...more,
    };
    this.engine.receive(encodeBfdPacket(packet), from, multihop);
  }

  up(config: BfdSessionConfig = CONFIG): this {
    this.engine.configure([config]);
    this.hear({ state: 'down', yourDiscriminator: 0 }, config.peer, config.multihop);
    this.hear({ state: 'init' }, config.peer, config.multihop);
    return this;
  }

  states(): string[] {
    return this.events.map((event) => (event.type === 'state-changed' ? event.to : event.reason));
  }
}

describe('bgp/bfd/engine', () => {
  it('comes up with a peer and keeps sending at the agreed pace', () => {
    const bench = new Bench().up();
    expect(bench.states()).to.deep.equal(['init', 'up']);
    const before = bench.sent.length;
    for (let i = 0; i < 20; i++) {
      bench.clock.pass(50);
      bench.hear({});
    }
    // 87.5 % of 50 ms each, as the fake jitter says.
    expect(bench.sent.length - before).to.be.within(22, 23);
    expect(bench.states()).to.deep.equal(['init', 'up']);
  });

  it('goes down after the detection time, and says why', () => {
    const bench = new Bench().up();
    bench.hear({});
    bench.clock.pass(149);
    expect(bench.states()).to.deep.equal(['init', 'up']);
    bench.clock.pass(2);
    expect(bench.events.at(-1)).to.deep.include({ from: 'up', to: 'down', isFailure: true, reason: 'control detection time expired', peer: '10.0.0.2' });
    expect(bench.engine.status()[0]).to.deep.include({ failures: 1, state: 'down' });
  });

  it('believes in silence only after the sockets were read empty', () => {
    const bench = new Bench().up();
    bench.hear({});
    // The timer is overdue when the thread runs again, and the peer's packet waits in the socket.
    bench.clock.stall(400);
    bench.waiting.push(() => bench.hear({}));
    bench.clock.pass(0);
    expect([bench.waiting, bench.states()]).to.deep.equal([[], ['init', 'up']]);
    bench.clock.pass(200);
    expect(bench.states()).to.deep.equal(['init', 'up', 'down']);
  });

  it('goes on where its predecessor died, and the peer sees one session', () => {
    const first = new Bench().up();
    first.hear({});
    const heirlooms = new Map(first.remembered.filter((each): each is [string, BfdSession] => each[1] !== undefined));
    const second = new Bench();
    second.engine.configure([CONFIG], heirlooms);
    const { myDiscriminator } = first.sent.at(-1) ?? {};
    expect(second.sent[0]).to.include({ state: 'up', myDiscriminator, yourDiscriminator: 9 });
    expect([second.events, second.engine.status()[0]]).to.deep.equal([[], { ...first.engine.status()[0], since: 0, packetsIn: 0, packetsOut: 1 }]);
    second.clock.pass(151);
    expect(second.states()).to.deep.equal(['down']);
  });

  it('remembers what was agreed while a session is up, and only then', () => {
    const bench = new Bench().up();
    bench.hear({});
    const count = bench.remembered.length;
    for (let i = 0; i < 10; i++) bench.hear({});
    expect(bench.remembered.length).to.equal(count);
    bench.hear({ desiredMinTx: 70_000 });
    expect(bench.remembered.at(-1)?.[1]).to.include({ state: 'up', remoteMinTx: 70_000, isPolling: false });
    bench.clock.pass(1_000);
    expect(bench.remembered.at(-1)).to.deep.equal([bfdKey(CONFIG), undefined]);
  });

  it('does not call a peer’s AdminDown a failure (RFC 5882 section 3.2)', () => {
    const bench = new Bench().up();
    bench.hear({ state: 'admin-down', diagnostic: 7 });
    expect(bench.events.at(-1)).to.deep.include({ to: 'down', isFailure: false, reason: 'the peer says admin-down: administratively down' });
    const other = new Bench().up();
    other.hear({ state: 'down', diagnostic: 1 });
    expect(other.events.at(-1)).to.deep.include({ to: 'down', isFailure: true, reason: 'the peer says down: control detection time expired' });
  });

  it('tells AdminDown for a while when a session is taken away, then lets go', () => {
    const bench = new Bench().up();
    bench.engine.configure([]);
    expect(bench.sent.at(-1)).to.include({ state: 'admin-down', diagnostic: 7 });
    expect(bench.engine.status()).to.have.length(1);
    bench.clock.pass(5_000);
    expect([bench.engine.status().length, bench.released]).to.deep.equal([0, 1]);
    bench.hear({});
    expect(bench.engine.discarded).to.equal(1);
  });

  it('takes a session back that is wanted again while it says farewell', () => {
    const bench = new Bench().up();
    bench.engine.configure([]);
    bench.engine.configure([CONFIG]);
    bench.clock.pass(5_000);
    expect(bench.engine.status()).to.have.length(1);
    bench.hear({ state: 'down', yourDiscriminator: 0 });
    bench.hear({ state: 'init' });
    expect(bench.engine.status()[0]?.state).to.equal('up');
  });

  it('keeps the session when its timers change', () => {
    const bench = new Bench().up();
    bench.hear({});
    bench.engine.configure([{ ...CONFIG, transmitInterval: 200, receiveInterval: 200 }]);
    expect(bench.sent.at(-1)).to.not.include({ state: 'down' });
    bench.hear({ final: true });
    expect(bench.engine.status()[0]).to.deep.include({ state: 'up', transmitInterval: 200, detectionTime: 600 });
  });

  it('takes packets only from the session’s peer, kind and interface', () => {
    const bench = new Bench().up();
    const discarded = (): number => bench.engine.discarded;
    bench.hear({ state: 'down' }, '10.0.0.3');
    bench.hear({ state: 'down' }, '10.0.0.2', true);
    bench.hear({ state: 'down', yourDiscriminator: 12345 });
    expect([discarded(), bench.engine.status()[0]?.state]).to.deep.equal([3, 'up']);
    const local = new Bench().up({ ...CONFIG, peer: 'fe80::1%eth0' });
    expect(local.engine.status()[0]?.state).to.equal('up');
    local.hear({ state: 'down' }, 'fe80::1%eth1');
    expect([local.engine.discarded, local.engine.status()[0]?.state]).to.deep.equal([1, 'up']);
  });

  it('gives every session a discriminator of its own, and an address text any form', () => {
    const bench = new Bench();
    bench.clock.random = () => Math.random();
    bench.engine.configure(['10.0.0.2', '10.0.0.3', 'fd00:0:0::1'].map((peer) => ({ ...CONFIG, peer })));
    expect(new Set(bench.sent.map(({ myDiscriminator }) => myDiscriminator)).size).to.equal(3);
    bench.hear({ state: 'down', yourDiscriminator: 0 }, 'fd00::1');
    expect(bench.engine.status().map(({ state }) => state)).to.deep.equal(['down', 'down', 'init']);
  });

  it('reports packets that cannot be sent', () => {
    const bench = new Bench();
    bench.failure = 'ENETUNREACH';
    bench.engine.configure([CONFIG]);
    expect(bench.engine.status()[0]).to.deep.include({ packetsOut: 0, sendError: 'ENETUNREACH' });
  });

  it('stops all timers on close', () => {
    const bench = new Bench().up();
    const sent = bench.sent.length;
    bench.engine.close();
    bench.clock.pass(10_000);
    expect([bench.sent.length, bench.released]).to.deep.equal([sent, 1]);
  });

  it('shares one session among those who want it, as quick as the most demanding', () => {
    const slow: BfdSessionConfig = { ...CONFIG, transmitInterval: 300, receiveInterval: 300 };
    const other: BfdSessionConfig = { ...CONFIG, multihop: true };
    expect(mergeSessions([slow, CONFIG, other])).to.deep.equal([CONFIG, other]);
    expect(mergeSessions([CONFIG, slow])).to.deep.equal([CONFIG]);
  });
});
