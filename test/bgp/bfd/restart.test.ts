/** The BFD thread dies: with a real thread and BIRD, and with threads made by hand that die as often as a test likes. */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import type { BfdEvent } from 'node-bgp/bfd/contract';
import { BfdService } from 'node-bgp/bfd/service';
import { newBfdSession } from 'node-bgp/bfd/session';
import type { FromBfdWorker, ToBfdWorker } from 'node-bgp/bfd/worker-message';
import { Cable, eventually } from './real-peers.js';

class FakeThread extends EventEmitter {
  readonly told: ToBfdWorker[] = [];
  postMessage(message: ToBfdWorker): void {
    this.told.push(message);
  }
  terminate(): Promise<number> {
    return Promise.resolve(1);
  }
  tell(message: FromBfdWorker): void {
    this.emit('message', message);
  }
  die(reason = 'poisoned'): void {
    this.emit('error', new Error(reason));
    this.emit('exit', 1);
  }
}

const CONFIG = { peer: '10.0.0.2', transmitInterval: 50, receiveInterval: 50, multiplier: 3 };
const KEY = '10.0.0.2  single-hop';

function service(): { readonly service: BfdService; readonly threads: FakeThread[]; readonly events: BfdEvent[] } {
  const [threads, events]: [FakeThread[], BfdEvent[]] = [[], []];
  const made = new BfdService(
    (event) => events.push(event),
    () => {
      threads.push(new FakeThread());
      return threads.at(-1) as unknown as Worker;
    },
  );
  made.set('test', [CONFIG]);
  return { service: made, threads, events };
}

const up = (desiredMinTx: number): ReturnType<typeof newBfdSession> => ({
  ...newBfdSession(7, { desiredMinTx, requiredMinRx: 50_000, detectMultiplier: 3, requiredMinEchoRx: 0 }),
  state: 'up',
  desiredMinTx,
  remoteDiscriminator: 9,
  remoteMinRx: 50_000,
});

describe('bgp/bfd/service: a thread that dies', function () {
  this.timeout(20_000);

  it('is replaced at once, and its sessions and open sockets are handed on', () => {
    const { threads, events } = service();
    const session = up(60_000_000);
    threads[0]?.tell({ type: 'remember', key: KEY, session });
    threads[0]?.tell({ type: 'opened', descriptor: 40 });
    threads[0]?.tell({ type: 'opened', descriptor: 41 });
    threads[0]?.tell({ type: 'closing', descriptor: 40 });
    threads[0]?.die();
    expect(threads).to.have.length(2);
    expect(threads[1]?.told).to.deep.equal([
      { type: 'inherit', legacy: { sessions: new Map([[KEY, session]]), descriptors: [41] } },
      { type: 'configure', sessions: [CONFIG] },
    ]);
    expect(events).to.deep.equal([{ type: 'problem', reason: 'The BFD thread stopped and is started anew: poisoned' }]);
  });

  it('does not hand on a session that was no longer up', () => {
    const { threads } = service();
    threads[0]?.tell({ type: 'remember', key: KEY, session: up(60_000_000) });
    threads[0]?.tell({ type: 'remember', key: KEY });
    threads[0]?.die();
    expect(threads[1]?.told[0]).to.deep.equal({ type: 'inherit', legacy: { sessions: new Map(), descriptors: [] } });
  });

  it('is replaced ever more slowly when it keeps dying, and told of once', async () => {
    const { threads, events, service: bfd } = service();
    threads[0]?.tell({ type: 'remember', key: KEY, session: up(50_000) });
    threads[0]?.die();
    threads[1]?.tell({ type: 'remember', key: KEY, session: up(50_000) });
    threads[1]?.die();
    // A pause now; a new wish does not cut it short.
    bfd.set('test', [CONFIG]);
    expect(threads).to.have.length(2);
    expect(await bfd.status()).to.deep.equal([]);
    await eventually('the third thread', () => (threads.length === 3 ? true : undefined));
    // The peer waits for 150 ms only: the session is down, and it is not the path that failed.
    const absence = events.find((event) => event.type === 'state-changed');
    expect(absence).to.deep.include({ key: KEY, peer: '10.0.0.2', from: 'up', to: 'down', isFailure: false });
    expect(threads[2]?.told[0]).to.deep.equal({ type: 'inherit', legacy: { sessions: new Map(), descriptors: [] } });
    expect(events.filter(({ type }) => type === 'problem')).to.have.length(1);
    // The next pause is twice as long, and closing ends it.
    threads[2]?.die();
    await bfd.close();
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(threads).to.have.length(3);
  });
});

describe('bgp/bfd: a real thread that dies', function () {
  this.timeout(60_000);
  let cable: Cable;
  beforeEach(() => {
    cable = new Cable();
    cable.up();
  });
  afterEach(() => cable.down());

  it('is replaced before BIRD loses patience, on the same session, and leaves no socket open', async () => {
    const bird = cable.bird(`
      router id 10.99.0.2;
      protocol device {}
      protocol bfd { interface "eth0" { interval 300 ms; multiplier 10; }; neighbor 10.99.0.1 dev "eth0"; neighbor fd99::1 dev "eth0"; }`);
    const node = cable.speaker();
    const slow = { transmitInterval: 300, receiveInterval: 300, multiplier: 10 };
    node.set(
      { peer: '10.99.0.2', localAddress: '10.99.0.1', ...slow },
      { peer: 'fd99::2', localAddress: 'fd99::1', ...slow },
    );
    await node.up(2);
    await eventually('BIRD to agree', () => ((bird.show().match(/ Up /g) ?? []).length === 2 ? true : undefined));
    const before = await node.status();
    const descriptors = node.descriptors;
    const shown = bird.show();
    node.killThread();
    await eventually('the word of it', () => node.events.find((event) => event.type === 'problem'));
    await node.up(2);
    const after = await node.status();
    const identity = ({ localDiscriminator, remoteDiscriminator, failures }: (typeof before)[number]): object => ({
      localDiscriminator,
      remoteDiscriminator,
      failures,
    });
    expect(after.map(identity)).to.deep.equal(before.map(identity));
    expect(node.downs()).to.deep.equal([]);
    // The time of the last change would be another.
    expect(bird.show()).to.equal(shown);
    await eventually('packets both ways', async () =>
      (await node.status()).every(({ packetsIn, packetsOut }) => packetsIn > 1 && packetsOut > 1) ? true : undefined,
    );
    expect(node.descriptors).to.be.at.most(descriptors);
  });

  it('is replaced and its session comes up anew when the peer has given it up', async () => {
    const bird = cable.bird(`
      router id 10.99.0.2;
      protocol device {}
      protocol bfd { interface "eth0" { interval 50 ms; multiplier 3; }; neighbor 10.99.0.1 dev "eth0"; }`);
    const node = cable.speaker();
    node.set({
      peer: '10.99.0.2',
      localAddress: '10.99.0.1',
      transmitInterval: 50,
      receiveInterval: 50,
      multiplier: 3,
    });
    await node.up(1);
    const [before] = await node.status();
    // The second death is followed by a pause of a second.
    node.killThread();
    await eventually('the first word', () => node.events.find((event) => event.type === 'problem'));
    await eventually('the successor', async () => ((await node.status()).length === 1 ? true : undefined));
    node.killThread();
    await eventually('BIRD to give up', () => (/ Down /.test(bird.show()) ? true : undefined));
    await eventually('the session, anew', async () => {
      const [session] = await node.status();
      return session?.state === 'up' && session.localDiscriminator !== before?.localDiscriminator ? true : undefined;
    });
    expect(
      node
        .downs()
        .some(
          (event) =>
            event.type === 'state-changed' && !event.isFailure && /^no BFD thread for \d+ ms$/.test(event.reason),
        ),
    ).to.equal(true);
  });
});
