/** What BGP makes of BFD's word (RFC 5882, RFC 9384). */
import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import { validateConfig } from 'node-bgp/config/validate';
import { innerPeer, peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';

async function watched(world: World): Promise<readonly [Node, Node]> {
  const a = world.speaker(A);
  const b = world.speaker(B);
  await a.configure(a.config(64512, [peerAt(B, 64513, { bfd: { transmitInterval: 50, receiveInterval: 50 } })]));
  await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
  expect(a.bfd.sessions).to.deep.equal([]);
  world.seconds(10);
  return [a, b];
}

describe('bgp/speaker bfd', () => {
  it('is asked for when the session is up, with its addresses and timers', async () => {
    const [a] = await watched(new World());
    expect(a.bfd.sessions).to.deep.equal([
      { peer: B, localAddress: A, multihop: true, transmitInterval: 50, receiveInterval: 50, multiplier: 3 },
    ]);
    a.bfd.change('down', 'up', false);
    expect(a.speaker.neighbor(B)?.bfd).to.equal('up');
  });

  it('ends the session when the path fails, with the right subcode, keeps no routes, and the session comes back', async () => {
    const world = new World();
    const [a, b] = await watched(world);
    a.bfd.change('down', 'up', false);
    a.bfd.change('up', 'down', true);
    expect(a.bfd.sessions).to.deep.equal([]);
    world.seconds(1);
    expect(a.told('peer-down')[0]).to.deep.include({
      reason: `BFD says that the path to ${B} has failed: no packet for 900 ms`,
      direction: 'sent',
      keptFamilies: [],
    });
    expect(b.told('peer-down')[0]?.reason).to.contain('BFD Down (6/10)');
    world.seconds(10);
    expect([a.state(B), a.prefixes(), a.bfd.sessions.length]).to.deep.equal(['Established', ['10.65.2.0/24'], 1]);
  });

  it('is not believed when the peer has only switched it off', async () => {
    const world = new World();
    const [a] = await watched(world);
    a.bfd.change('up', 'down', false);
    world.seconds(5);
    expect([a.state(B), a.told('peer-down').length]).to.deep.equal(['Established', 0]);
  });

  it('goes away with the wish for it, without touching the session', async () => {
    const world = new World();
    const [a] = await watched(world);
    await a.configure(a.config(64512, [peerAt(B, 64513)]));
    expect([a.bfd.sessions, a.told('peer-down').length]).to.deep.equal([[], 0]);
  });

  it('is single-hop for peers on the link, also of our own AS, and multihop between loopbacks', async () => {
    for (const [address, length, multihop] of [
      [A, 24, false],
      [A, 32, true],
    ] as const) {
      const world = new World();
      const a = world.speaker(A);
      a.speaker.setInterfaces([{ name: 'eth0', isUp: true, addresses: [{ address: parseAddress(address), length }] }]);
      await a.configure(a.config(64512, [innerPeer(B, 64512, { bfd: {} })]));
      const b = world.speaker(B);
      await b.configure(b.config(64512, [innerPeer(A, 64512)]));
      world.seconds(10);
      expect(a.bfd.sessions.map((session) => session.multihop)).to.deep.equal([multihop]);
    }
  });

  it('asks for echoes on the link only, and for others when the wish changes (RFC 5881 section 4)', async () => {
    for (const [length, echoInterval] of [
      [24, 100],
      [32, undefined],
    ] as const) {
      const world = new World();
      const a = world.speaker(A);
      a.speaker.setInterfaces([{ name: 'eth0', isUp: true, addresses: [{ address: parseAddress(A), length }] }]);
      await a.configure(a.config(64512, [innerPeer(B, 64512, { bfd: { echoInterval: 100 } })]));
      const b = world.speaker(B);
      await b.configure(b.config(64512, [innerPeer(A, 64512)]));
      world.seconds(10);
      expect(a.bfd.sessions.map((session) => session.echoInterval)).to.deep.equal([echoInterval]);
      await a.configure(a.config(64512, [innerPeer(B, 64512, { bfd: { echoInterval: 200 } })]));
      world.seconds(1);
      expect([a.bfd.sessions.map((session) => session.echoInterval), a.told('peer-down').length]).to.deep.equal([
        [echoInterval === undefined ? undefined : 200],
        0,
      ]);
    }
  });

  it('takes no interval that is too short', () => {
    const checked = validateConfig({
      localAs: 64512,
      routerId: A,
      peers: [{ address: B, remoteAs: 64513, bfd: { echoInterval: 9 } }],
    });
    expect(checked).to.deep.include({
      type: 'invalid',
      problems: [{ path: 'peers[0].bfd.echoInterval', value: 9, expected: 'an integer from 10 to 60000' }],
    });
  });

  it('becomes another kind of session when the interfaces say so', async () => {
    const [a] = await watched(new World());
    a.speaker.setInterfaces([{ name: 'eth0', isUp: true, addresses: [{ address: parseAddress(A), length: 24 }] }]);
    expect(a.bfd.sessions.map(({ multihop }) => multihop)).to.deep.equal([false]);
  });

  it('hears of many sessions that end in one turn all together', async () => {
    const world = new World();
    const hub = world.speaker(A);
    const others = Array.from({ length: 20 }, (_, k) => `10.0.1.${k + 1}`);
    await hub.configure(
      hub.config(
        64512,
        others.map((address) => peerAt(address, 64513, { bfd: {} })),
      ),
    );
    for (const address of others) {
      const other = world.speaker(address);
      await other.configure(other.config(64513, [peerAt(A, 64512)]));
    }
    world.seconds(10);
    expect(hub.bfd.sessions.map(({ peer }) => peer)).to.have.members(others);
    hub.bfd.settings = 0;
    await hub.configure(hub.config(64512, []));
    world.clock.advance(0);
    expect([hub.bfd.sessions, hub.bfd.settings]).to.deep.equal([[], 2]);
  });
});
