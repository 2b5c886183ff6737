/** KEEPALIVEs after a burst of UPDATEs, counted by who receives them: FRR 10 takes the end of a burst only with our next message. */
import { expect } from 'chai';
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
function readByFrr(messages: StubPeer['messages'], from: number): number | undefined {
  let [waiting, isFirst] = [0, true];
  for (const { type, at } of messages) {
    if (type === MessageType.update) waiting++;
    else if (type === MessageType.keepalive && at > from) {
      if (isFirst) waiting = Math.max(0, waiting - FRR_QUEUE);
      isFirst = false;
      waiting -= FRR_QUEUE;
      if (waiting <= 0) return at - from;
    }
  }
  return undefined;
}

async function afterRoutes(count: number, seconds: number) {
  const world = new World();
  const stub = await StubPeer.listen(world.network.host(STUB), world.clock, STUB, () => undefined);
  const a = world.speaker(A);
  await a.configure(a.config(64512, [peerAt(STUB, 65001)]));
  world.seconds(5);
  stub.messages = [];
  const from = world.clock.now();
  a.speaker.originate(routes(count));
  world.seconds(seconds);
  const keepalives = stub.messages.filter(({ type }) => type === MessageType.keepalive).map(({ at }) => at - from);
  return { world, stub, a, from, keepalives };
}

describe('bgp/speaker burst', function () {
  this.timeout(60_000);

  it('of 65,000 messages is followed by KEEPALIVEs less than a second apart, and FRR has it all within two', async () => {
    const { stub, from, keepalives } = await afterRoutes(65_000, 9);
    expect(stub.messages.filter(({ type }) => type === MessageType.update).length).to.be.at.least(65_000);
    const gaps = keepalives.map((at, i) => at - (keepalives[i - 1] ?? 0));
    expect(Math.max(...gaps)).to.be.at.most(1000);
    expect(readByFrr(stub.messages, from)).to.be.below(2000);
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
