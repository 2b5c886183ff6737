/** Messages after a burst of UPDATEs, counted by who receives them: FRR 10 takes the end of a burst only with our next message. */
import { expect } from 'chai';
import { encodeControlMessage, KEEPALIVE } from 'node-bgp/codec/message';
import { MessageType } from 'node-bgp/iana';
import { peerAt, World } from './world.js';
import { StubPeer } from './stub-peer.js';

const [A, STUB] = ['10.0.0.1', '10.0.0.9'] as const;

/** One UPDATE each: no two prefixes share their attributes. */
const routes = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prefix: `20.${i >> 8}.${i & 255}.0/24`,
    communities: [`64512:${i}`],
  }));

/** FRR: a queue of so many messages; what is beyond it waits until new bytes come, and each time so many more go on. */
const FRR_QUEUE = 10_000;
function readByFrr(messages: StubPeer['messages'], burst: number, from: number): number | undefined {
  let waiting = burst - FRR_QUEUE;
  for (const { at } of messages.slice(messages.findIndex(({ at }) => at > from + 100))) {
    waiting -= FRR_QUEUE;
    if (waiting <= 0) return at - from;
  }
  return undefined;
}

async function afterRoutes(count: number, seconds: number, peer: { readonly holdTime?: number } = {}) {
  const world = new World();
  const stub = await StubPeer.listen(world.network.host(STUB), world.clock, STUB, () => undefined);
  const a = world.speaker(A);
  await a.configure(a.config(64512, [{ ...peerAt(STUB, 65001), ...peer }]));
  const live = (seconds: number): void => {
    for (let i = 0; i < seconds; i++) {
      world.seconds(1);
      stub.send(encodeControlMessage(KEEPALIVE));
    }
  };
  live(5);
  stub.messages = [];
  const from = world.clock.now();
  a.speaker.originate(routes(count));
  live(seconds);
  const keepalives = stub.messages.filter(({ type }) => type === MessageType.keepalive).map(({ at }) => at - from);
  return { world, stub, a, from, keepalives };
}

describe('bgp/speaker burst', function () {
  this.timeout(60_000);

  it('of 65,000 messages is followed by a message each 200 ms, and FRR has it all within two seconds', async () => {
    const { stub, from } = await afterRoutes(65_000, 9);
    const times = stub.messages.map(({ at }) => at - from);
    const gaps = times.map((at, i) => at - (times[i - 1] ?? 0));
    expect(Math.max(...gaps)).to.be.at.most(200);
    expect(readByFrr(stub.messages, 65_000, from)).to.be.below(2000);
  });

  it('is followed by at most one KEEPALIVE a second, whatever the hold time (4271 4.4)', async () => {
    for (const holdTime of [3, 9, 90]) {
      const { keepalives } = await afterRoutes(5000, 12, { holdTime });
      const gaps = keepalives.slice(1).map((at, i) => at - (keepalives[i] ?? 0));
      expect(Math.min(...gaps), `hold time ${holdTime}`).to.be.at.least(1000);
      expect(keepalives.length).to.be.within(8, 13);
    }
  });

  it('is followed by its own last UPDATE, so that nothing changes at the peer, not even when routes change meanwhile', async () => {
    const { world, stub, a } = await afterRoutes(5000, 1);
    const without = routes(5000).filter(({ prefix }) => prefix !== '20.0.7.0/24');
    let seen = 0;
    for (const table of [without, routes(5000)]) {
      a.speaker.originate(table);
      world.seconds(1);
      expect(stub.updates.length).to.be.above(seen);
      const last = stub.updates.at(-1);
      seen = stub.updates.length;
      world.seconds(3);
      expect(stub.updates.slice(seen).length).to.be.within(9, 15);
      expect(new Set(stub.updates.slice(seen))).to.deep.equal(new Set([last]));
    }
  });

  it('has an end: half a minute later there is one each third of the hold time again', async () => {
    const { keepalives } = await afterRoutes(5000, 90);
    expect(keepalives.filter((at) => at > 15_000).length).to.be.within(2, 4);
    expect(keepalives.length).to.be.below(80);
  });

  it('is many messages, not many routes: small changes get none', async () => {
    const { keepalives } = await afterRoutes(500, 10);
    expect(keepalives).to.deep.equal([]);
  });

  it('ends with its session', async () => {
    const { world, stub, a } = await afterRoutes(5000, 1);
    await a.reconfigure({ peers: [] });
    stub.messages = [];
    world.seconds(20);
    expect(stub.messages.map(({ type }) => type)).to.deep.equal([MessageType.notification]);
  });
});
