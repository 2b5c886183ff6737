/** What one peer can cost us: prefixes, path lengths, attribute sizes, silence, slowness. */
import { expect } from 'chai';
import type { Connection } from 'node-bgp/transport/transport';
import { chain, peerAt, World, type Node } from './world.js';

const [A, B] = ['10.0.0.1', '10.0.0.2'] as const;
const PREFIX = '10.65.0.0/24';
const many = (family: 4 | 6, count: number) =>
  Array.from({ length: count }, (_, i) => ({
    prefix: family === 4 ? `10.${66 + (i >> 8)}.${i & 255}.0/24` : `fd65:${i}::/64`,
  }));

describe('bgp/speaker bounds', () => {
  it('prefixes are counted per family: as many of each as the limit, and not one more of either', async () => {
    for (const family of [4, 6] as const) {
      const world = new World();
      const [a, b] = [world.speaker('fd00::1'), world.speaker('fd00::2')];
      await a.configure({ ...a.config(64512, [peerAt('fd00::2', 64513, { maxPrefixes: 20 })]), routerId: A });
      await b.configure({
        ...b.config(64513, [peerAt('fd00::1', 64512)], { originate: [...many(4, 20), ...many(6, 20)] }),
        routerId: B,
      });
      world.seconds(5);
      expect([a.state('fd00::2'), a.prefixes().length]).to.deep.equal(['Established', 40]);
      expect(a.told('peer-warning').map(({ reason }) => reason)).to.deep.equal([
        'The peer sends 20 IPv4 prefixes; the limit is 20',
        'The peer sends 20 IPv6 prefixes; the limit is 20',
      ]);
      b.speaker.originate([...many(4, family === 4 ? 21 : 20), ...many(6, family === 6 ? 21 : 20)]);
      world.seconds(2);
      expect(a.speaker.neighbor('fd00::2')?.heldDown).to.equal(
        `The peer sends 21 IPv${family} prefixes; the limit is 20: down until "clear"`,
      );
      expect(b.told('peer-down')[0]?.reason).to.contain('Maximum Number of Prefixes Reached');
    }
  });

  it('a path that is too long, or has too many attributes, costs that route and nothing else', async () => {
    const [, b] = (await chain(new World(), [
      {
        self: {
          originate: [
            { prefix: PREFIX },
            { prefix: '10.66.0.0/24', communities: Array.from({ length: 60 }, (_, i) => `64512:${i}`) },
            { prefix: '10.67.0.0/24' },
          ],
          filters: {
            long: { rules: [{ match: { prefixes: [{ prefix: PREFIX }] }, set: { prepend: 5 }, action: 'accept' }] },
          },
        },
        after: { export: ['long'] },
      },
      { before: { maxAsPathLength: 5, maxAttributesLength: 200 } },
    ])) as [Node, Node];
    expect([b.state(A), b.prefixes()]).to.deep.equal(['Established', ['10.67.0.0/24']]);
    expect(b.told('update-error').map(({ severity }) => severity)).to.deep.equal(['withdraw', 'withdraw']);
    expect(
      b
        .told('update-error')
        .map(({ reason }) => reason)
        .join(' '),
    )
      .to.contain('its 6 hops exceed the bound of 5')
      .and.match(/2\d\d octets.*200/);
  });

  it('messages over 4,096 octets go only to a peer that takes them (8654); others miss the route, not the session', async () => {
    const large = Array.from({ length: 64 }, (_, i) => `64512:1:${i}`);
    const more = Array.from({ length: 5 }, (_, block) => ({
      rules: [
        {
          set: { addCommunities: Array.from({ length: 64 }, (_each, i) => `64512:${block + 2}:${i}`) },
          action: 'next' as const,
        },
      ],
    }));
    const filters = Object.fromEntries(more.map((filter, i) => [`more${i}`, filter]));
    const [, b] = (await chain(new World(), [
      {
        self: { originate: [{ prefix: PREFIX, communities: large }], filters },
        after: { export: Object.keys(filters) },
      },
      { before: { maxAttributesLength: 65535 } },
    ])) as [Node, Node];
    expect(b.speaker.neighbor(A)?.capabilities).to.include({ extendedMessage: true });
    expect(b.best(PREFIX)?.attributes.largeCommunities).to.have.length(384); // 4,608 octets
  });

  it('one that takes our connection and says nothing is let go of after four minutes', async () => {
    const world = new World();
    const a = world.speaker(A);
    await a.configure(a.config(64512, [peerAt(B, 64513)]));
    await world.network.host(B).listen({ address: B, port: 1790 }, (connection) => connection.open(DEAF));
    world.seconds(200);
    expect(a.state(B)).to.equal('OpenSent');
    world.seconds(45);
    expect(a.speaker.neighbor(B)?.errors.sent?.text).to.equal('The peer accepted the connection but sent no OPEN');
  });

  it('a neighbour that opens connections without end has one at a time', async () => {
    const world = new World();
    const a = world.speaker(A);
    await a.configure(a.config(64512, [peerAt(B, 64513, { passive: true })]));
    const opened: Connection[] = [];
    for (let i = 0; i < 200; i++)
      world.network.host(B).connect({ remote: { address: A, port: 1790 } }, (outcome) => {
        if (outcome.type !== 'connected') return;
        outcome.connection.open(DEAF);
        opened.push(outcome.connection);
      });
    world.seconds(1);
    expect([opened.length, world.network.open]).to.deep.equal([200, 1]);
  });

  it('a peer that does not read costs a bounded number of octets, delays nobody, and is let go of in the end (9687)', async () => {
    const world = new World();
    const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker('10.0.0.3')];
    const quiet = { holdTime: 0, maxPrefixes: 100_000 };
    await a.configure(a.config(64512, [peerAt(B, 64513, quiet), peerAt('10.0.0.3', 64514, quiet)]));
    await b.configure(b.config(64513, [peerAt(A, 64512, quiet)]));
    await c.configure(c.config(64514, [peerAt(A, 64512, quiet)]));
    world.seconds(5);
    for (const connection of world.network.connections) if (connection.local.address === B) connection.isStalled = true;
    // Every route with attributes of its own, several times over: about 10 MB of messages to whoever listens.
    const filler = Array.from({ length: 62 }, (_, i) => `64512:${i}`);
    for (let round = 0; round < 20; round++) {
      a.speaker.originate(
        many(4, 2000).map(({ prefix }, i) => ({ prefix, communities: [`${i}:${round}`, ...filler] })),
      );
      world.seconds(1);
    }
    const [waiting, listening] = [a.speaker.neighbor(B), a.speaker.neighbor('10.0.0.3')];
    expect(c.prefixes().length).to.equal(2000);
    expect(c.best('10.66.7.0/24')?.attributes.communities?.[0]).to.equal(7 * 65536 + 19);
    expect((listening?.sent?.bytes ?? 0) / (waiting?.sent?.bytes ?? 1)).to.be.greaterThan(3);
    // Twice RibOptions.outputLimit before it is set apart from the others, and half a MiB in the queue of the socket (RibDriver).
    expect(waiting?.queuedBytes).to.be.lessThan(9.5 * 1024 * 1024);
    world.seconds(480);
    expect(a.told('peer-down').map(({ peer, reason }) => [peer, reason])).to.deep.equal([
      [B, 'The peer has read nothing for 480 s'],
    ]);
  }).timeout(120_000);
});

const DEAF = { onBytes: () => undefined, onDrain: () => undefined, onClosed: () => undefined };
