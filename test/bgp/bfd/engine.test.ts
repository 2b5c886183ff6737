import { expect } from 'chai';
import { bfdKey, type BfdEchoStatus, type BfdEvent, type BfdSessionConfig } from 'node-bgp/bfd/contract';
import { BfdEngine } from 'node-bgp/bfd/engine';
import type { EchoPath } from 'node-bgp/bfd/echo-socket';
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
    return {
      cancel: () => {
        timer.run = undefined;
      },
    };
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
  readonly echoes: [EchoPath, Uint8Array][] = [];
  secrets = 0;
  isForwarding = true;
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
    drain: () => {
      for (const read of this.waiting.splice(0)) read();
    },
    emit: (event) => void this.events.push(event),
    echo: {
      isLooped: () => this.isForwarding,
      send: (path, packet) => {
        this.echoes.push([path, packet]);
        return undefined;
      },
      newSecret: () => new Uint8Array(8).fill(++this.secrets),
    },
    remember: (key, session) => void this.remembered.push([key, session]),
  });

  hear(more: Partial<BfdPacket>, from = '10.0.0.2', multihop = false): void {
    const packet: BfdPacket = {
      diagnostic: 0,
      state: 'up',
      poll: false,
      final: true,
      controlPlaneIndependent: false,
      demand: false,
      detectMultiplier: 3,
      myDiscriminator: 9,
      yourDiscriminator: this.sent[0]?.myDiscriminator ?? 0,
      desiredMinTx: 50_000,
      requiredMinRx: 50_000,
      requiredMinEchoRx: 0,
      ...more,
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
    expect(bench.events.at(-1)).to.deep.include({
      from: 'up',
      to: 'down',
      isFailure: true,
      reason: 'control detection time expired',
      peer: '10.0.0.2',
    });
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
    expect([second.events, second.engine.status()[0]]).to.deep.equal([
      [],
      { ...first.engine.status()[0], since: 0, packetsIn: 0, packetsOut: 1 },
    ]);
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
    expect(bench.events.at(-1)).to.deep.include({
      to: 'down',
      isFailure: false,
      reason: 'the peer says admin-down: administratively down',
    });
    const other = new Bench().up();
    other.hear({ state: 'down', diagnostic: 1 });
    expect(other.events.at(-1)).to.deep.include({
      to: 'down',
      isFailure: true,
      reason: 'the peer says down: control detection time expired',
    });
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

  describe('with echoes', () => {
    const ECHOING: BfdSessionConfig = { ...CONFIG, echoInterval: 100 };
    const PATH: EchoPath = {
      family: 4,
      interfaceIndex: 3,
      linkAddress: new Uint8Array(6),
      ownAddress: Uint8Array.of(10, 0, 0, 1),
    };
    const LOOPS = { requiredMinEchoRx: 50_000 };

    /** Up, the peer loops, the way to it is known; its control packets come every 50 ms. */
    function echoing(): Bench {
      const bench = new Bench().up(ECHOING);
      bench.hear(LOOPS);
      const control = encodeBfdPacket({
        ...(bench.sent[0] as BfdPacket),
        state: 'up',
        myDiscriminator: 9,
        yourDiscriminator: bench.sent[0]?.myDiscriminator ?? 0,
      });
      bench.engine.receivePath(control, '10.0.0.2', PATH);
      return bench;
    }
    /** Time passes; control packets keep coming, and echoes come back where the plane `forwards`. */
    function pass(bench: Bench, milliseconds: number, forwards: boolean, said: Partial<BfdPacket> = LOOPS): void {
      let looped = bench.echoes.length;
      for (let i = 0; i < milliseconds / 10; i++) {
        bench.clock.pass(10);
        if (i % 5 === 0) bench.hear(said);
        for (; looped < bench.echoes.length; looped++) {
          const [, packet] = bench.echoes[looped] ?? [];
          if (forwards && packet !== undefined) bench.waiting.push(() => bench.engine.receiveEcho(packet));
        }
      }
    }
    const echo = (bench: Bench): BfdEchoStatus | undefined => bench.engine.status()[0]?.echo;

    it('sends them at the slower pace of both, and slows the peer once the first has come back', () => {
      const bench = echoing();
      expect(bench.sent.at(-1)).to.include({ requiredMinEchoRx: 100_000, requiredMinRx: 50_000 });
      pass(bench, 2_000, true);
      // 87.5 % of 100 ms each.
      expect(bench.echoes.length).to.be.within(21, 23);
      expect(bench.echoes.every(([path]) => path === PATH)).to.equal(true);
      expect(echo(bench)).to.deep.include({
        state: 'active',
        sent: bench.echoes.length,
        problem: undefined,
        loopsForPeer: true,
      });
      expect(bench.sent.at(-1)).to.include({ state: 'up', requiredMinRx: 1_000_000 });
      const before = bench.echoes.length;
      pass(bench, 2_000, true, { requiredMinEchoRx: 400_000 });
      expect(bench.echoes.length - before).to.be.within(4, 8);
    });

    it('takes missing ones for a failure, though control packets still come', () => {
      const bench = echoing();
      pass(bench, 1_000, true);
      pass(bench, 1_000, false);
      expect(bench.events.at(-1)).to.deep.include({
        from: 'up',
        to: 'down',
        isFailure: true,
        reason: 'echo function failed',
      });
      expect(echo(bench)).to.deep.include({ state: 'off', sent: 0 });
      const count = bench.echoes.length;
      pass(bench, 1_000, false);
      expect(bench.echoes.length).to.equal(count);
    });

    it('bears the loss of fewer than the multiplier', () => {
      const bench = echoing();
      pass(bench, 1_000, true);
      for (let i = 0; i < 5; i++) {
        pass(bench, 170, false);
        pass(bench, 300, true);
      }
      expect(bench.states()).to.deep.equal(['init', 'up']);
    });

    it('judges nothing by echoes before the first has come back', () => {
      const bench = echoing();
      pass(bench, 5_000, false);
      expect(bench.states()).to.deep.equal(['init', 'up']);
      expect(echo(bench)?.state).to.equal('unproven');
      expect(bench.sent.at(-1)?.requiredMinRx).to.equal(50_000);
    });

    it('does not blame the peer for our own stall', () => {
      const bench = echoing();
      pass(bench, 1_000, true);
      bench.clock.stall(5_000);
      bench.waiting.push(
        () => bench.hear(LOOPS),
        ...bench.echoes.slice(-1).map(
          ([, packet]) =>
            () =>
              bench.engine.receiveEcho(packet),
        ),
      );
      pass(bench, 1_000, true);
      expect(bench.states()).to.deep.equal(['init', 'up']);
    });

    it('takes back only what it has sent, once, and with this session’s secret', () => {
      const bench = echoing();
      pass(bench, 500, false);
      const [, packet = new Uint8Array()] = bench.echoes.at(-1) ?? [];
      for (const [at, value] of [
        [0, 99],
        [5, 99],
        [15, 200],
      ] as const) {
        const forged = packet.slice();
        forged[at] = value;
        bench.engine.receiveEcho(forged);
      }
      for (let length = 0; length < packet.length; length++) bench.engine.receiveEcho(packet.slice(0, length));
      expect(echo(bench)).to.deep.include({ state: 'unproven', returned: 0 });
      bench.engine.receiveEcho(packet);
      expect(echo(bench)).to.deep.include({ state: 'active', returned: bench.echoes.length });
      bench.engine.receiveEcho(bench.echoes[0]?.[1] ?? packet);
      expect(echo(bench)?.returned).to.equal(bench.echoes.length);
    });

    it('stops when the peer no longer loops, and goes back to control packets alone', () => {
      const bench = echoing();
      pass(bench, 1_000, true);
      bench.hear({});
      const count = bench.echoes.length;
      bench.hear({});
      bench.clock.pass(60);
      bench.hear({});
      expect([echo(bench)?.state, bench.echoes.length, bench.sent.at(-1)?.requiredMinRx]).to.deep.equal([
        'off',
        count,
        50_000,
      ]);
    });

    it('sends none without a wish for them, and promises nothing that the kernel does not do', () => {
      const without = new Bench().up();
      pass(without, 1_000, true);
      expect([without.echoes, without.sent.at(-1)?.requiredMinEchoRx, echo(without)]).to.deep.equal([[], 0, undefined]);
      const host = new Bench();
      host.isForwarding = false;
      host.up(ECHOING);
      expect([host.sent.at(-1)?.requiredMinEchoRx, echo(host)?.loopsForPeer]).to.deep.equal([0, false]);
    });

    it('says that it does not know the way yet', () => {
      const bench = new Bench().up(ECHOING);
      pass(bench, 300, true);
      expect(echo(bench)).to.deep.include({
        state: 'unproven',
        sent: 0,
        problem: 'no control packet has shown the way to the peer yet',
      });
    });
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
    expect(mergeSessions([{ ...slow, echoInterval: 70 }, { ...CONFIG, echoInterval: 90 }, CONFIG])).to.deep.equal([
      { ...CONFIG, echoInterval: 70 },
    ]);
  });
});
