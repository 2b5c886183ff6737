/** Which capabilities we offer: as the configuration says, and less to a peer that refuses some (RFC 5492). The peer is a stub. */
import { expect } from 'chai';
import type { CapabilityName, SpeakerConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import { peerAt, World, type Node } from './world.js';
import { StubPeer, type Answer } from './stub-peer.js';

const [A, STUB] = ['10.0.0.1', '10.0.0.9'] as const;
const ALL = [1, 1, 2, 70, 6, 65, 64] as const;
/** The same, in an order that does not matter. */
const sorted = (codes: readonly number[] | undefined): readonly number[] => [...(codes ?? [])].sort((x, y) => x - y);

async function against(answer: Answer, more: object = {}, self: Partial<SpeakerConfig> = {}) {
  const world = new World();
  const stub = await StubPeer.listen(world.network.host(STUB), world.clock, STUB, answer);
  const a = world.speaker(A);
  await a.configure(a.config(64512, [peerAt(STUB, 65001, more)], self));
  world.seconds(20);
  return { world, stub, a };
}

/** 2/7 with these octets as data as long as one of the codes is there. */
const refusing =
  (codes: readonly number[], data: readonly number[]): Answer =>
  ({ codes: sent }) =>
    codes.some((code) => sent.includes(code)) ? [2, 7, ...data] : undefined;
const families = (a: Node): readonly string[] => Object.keys(a.speaker.neighbor(STUB)?.families ?? {});

describe('bgp/speaker capabilities', () => {
  describe('a peer that refuses some (5492 3)', () => {
    interface Case {
      readonly about: string;
      readonly answer: Answer;
      readonly attempts: number;
      readonly rest: readonly number[];
    }
    const CASES: readonly Case[] = [
      {
        about: '2/4: takes no optional parameters',
        answer: ({ codes }) => (codes.length > 0 ? [2, 4] : undefined),
        attempts: 2,
        rest: [],
      },
      { about: '2/7 with one code', answer: refusing([6], [6, 0]), attempts: 2, rest: [1, 1, 2, 70, 65, 64] },
      {
        about: '2/7 with several',
        answer: refusing([6, 64, 70], [6, 0, 64, 2, 0x40, 0x78, 70, 0]),
        attempts: 2,
        rest: [1, 1, 2, 65],
      },
      {
        about: '2/7 with one after the other',
        answer: ({ codes }) => {
          const code = [64, 6, 70, 2].find((each) => codes.includes(each));
          return code === undefined ? undefined : [2, 7, code, 0];
        },
        attempts: 5,
        rest: [1, 1, 65],
      },
      { about: '2/7 with bare codes', answer: refusing([6, 70], [6, 70]), attempts: 2, rest: [1, 1, 2, 65, 64] },
      { about: '2/7 with a single octet', answer: refusing([64], [64]), attempts: 2, rest: [1, 1, 2, 70, 6, 65] },
      {
        about: '2/7 with a whole optional parameter',
        answer: refusing([6], [2, 2, 6, 0]),
        attempts: 2,
        rest: [1, 1, 2, 70, 65, 64],
      },
      {
        about: '2/7 with a code of ours and one that is not',
        answer: refusing([6], [200, 1, 7, 6, 0]),
        attempts: 2,
        rest: [1, 1, 2, 70, 65, 64],
      },
      {
        about: '2/7 with one family',
        answer: ({ families: offered }) => (offered.includes('2/1') ? [2, 7, 1, 4, 0, 2, 0, 1] : undefined),
        attempts: 2,
        rest: [1, 2, 70, 6, 65, 64],
      },
      {
        about: '2/7 with the code of families',
        answer: refusing([1], [1]),
        attempts: 2,
        rest: [2, 70, 6, 65, 64],
      },
      {
        about: '2/7 with four-octet AS',
        answer: refusing([65], [65, 4, 0, 0, 0xfc, 0]),
        attempts: 2,
        rest: [1, 1, 2, 70, 6, 64],
      },
      { about: '2/7 without data', answer: refusing([64], []), attempts: 2, rest: [1, 1, 65] },
      {
        about: '2/7 without data, for a basic one',
        answer: refusing([65], []),
        attempts: 3,
        rest: [],
      },
      { about: '2/7 with only unknown codes', answer: refusing([2], [200, 0]), attempts: 2, rest: [1, 1, 65] },
      { about: '2/0', answer: ({ codes }) => (codes.length > 3 ? [2, 0] : undefined), attempts: 2, rest: [1, 1, 65] },
      {
        about: '2/7 and then 2/4',
        answer: ({ codes }) => (codes.includes(6) ? [2, 7, 6, 0] : codes.length > 0 ? [2, 4] : undefined),
        attempts: 3,
        rest: [],
      },
    ];

    for (const { about, answer, attempts, rest } of CASES)
      it(`${about}: is asked again at once without, and told in words`, async () => {
        const { a, stub } = await against(answer);
        expect(sorted(stub.opens[0])).to.deep.equal(sorted(ALL));
        expect([stub.opens.length, sorted(stub.opens.at(-1)), a.state(STUB), families(a)]).to.deep.equal([
          attempts,
          sorted(rest),
          'Established',
          // The stub offers none, and none means IPv4 (RFC 4760 section 8).
          ['ipv4'],
        ]);
        expect(a.told('peer-warning')[0]?.reason).to.contain('The peer refuses what we offer');
      });

    it('that comes to us, or out of a range, is not asked for the same twice either', async () => {
      for (const more of [
        { peers: [peerAt(STUB, 65001, { passive: true })] },
        { dynamicPeers: [{ name: 'rack', range: '10.0.0.0/24', remoteAs: 65001, multihop: 2 }] },
      ]) {
        const world = new World();
        const a = world.speaker(A);
        await a.configure(a.config(64512, [], more));
        const stub = new StubPeer(world.clock, STUB, refusing([6], [6, 0]));
        for (let i = 0; i < 2; i++) {
          stub.dial(world.network.host(STUB), { address: A, port: 1790 });
          world.seconds(3);
        }
        expect(stub.opens.map((codes) => codes.includes(6))).to.deep.equal([true, false]);
        expect(stub.isEstablished).to.equal(true);
      }
    });

    it('whatever we offer is met less and less often, and with everything again after five minutes', async () => {
      const { world, stub } = await against(() => [2, 7]);
      world.seconds(880);
      const full = stub.opens.filter((codes) => codes.length === ALL.length).length;
      expect(full).to.be.within(2, 4);
      expect(stub.opens.length).to.be.below(60);
    });

    it('and was upgraded gets everything again after a session that lived, a change, or a clear', async () => {
      for (const freshen of [
        (a: Node) => a.reconfigure({ peers: [peerAt(STUB, 65001, { holdTime: 30 })] }),
        (a: Node) => a.speaker.clear(STUB),
      ]) {
        const { world, stub, a } = await against(refusing([6], [6, 0]));
        stub.answer = () => undefined;
        await freshen(a);
        world.seconds(10);
        expect([sorted(stub.opens.at(-1)), a.state(STUB)]).to.deep.equal([sorted(ALL), 'Established']);
      }
      const { world, stub } = await against(refusing([6], [6, 0]));
      world.seconds(100);
      stub.answer = () => undefined;
      stub.hangUp();
      world.seconds(10);
      expect(sorted(stub.opens.at(-1))).to.deep.equal(sorted(ALL));
    });

    it('keeps a session that stands: nothing is tried again under it', async () => {
      const { world, stub, a } = await against(refusing([6], [6, 0]));
      world.seconds(1000);
      expect([stub.opens.length, a.speaker.neighbor(STUB)?.establishedCount]).to.deep.equal([2, 1]);
    });

    it('and flaps is not asked for more between its flaps', async () => {
      const { world, stub } = await against(refusing([6], [6, 0]));
      for (let i = 0; i < 5; i++) {
        stub.hangUp();
        world.seconds(20);
      }
      expect(stub.opens.filter((codes) => codes.includes(6)).length).to.equal(1);
    });

    it('families where IPv4 is not wanted: they stay, for without them the session would carry IPv4', async () => {
      const { stub, a } = await against(({ codes }) => (codes.length > 0 ? [2, 4] : undefined), { families: ['ipv6'] });
      expect(a.state(STUB)).not.to.equal('Established');
      expect(stub.opens.every((codes) => codes.includes(1))).to.equal(true);
      expect(a.speaker.neighbor(STUB)?.lastError).to.contain('IPv6 needs');
    });
  });

  describe('switched off by configuration', () => {
    const CODES: readonly (readonly [CapabilityName, number, object])[] = [
      ['multiprotocol', 1, {}],
      ['routeRefresh', 2, {}],
      ['enhancedRouteRefresh', 70, {}],
      ['extendedMessage', 6, {}],
      ['fourOctetAs', 65, {}],
      ['gracefulRestart', 64, {}],
      ['longLivedGracefulRestart', 71, {}],
      ['extendedNextHop', 5, {}],
      ['addPath', 69, { addPath: 'both' }],
      ['role', 9, { role: 'customer' }],
    ];
    for (const [name, code, more] of CODES)
      it(`${name}: is in the OPEN, and is not once it is false; the session resets over it`, async () => {
        const address = '2001:db8::9';
        const world = new World();
        const stub = await StubPeer.listen(world.network.host(address), world.clock, address, () => undefined);
        const a = world.speaker('2001:db8::1');
        const withAddPath = name === 'addPath' ? {} : more;
        const config = (peer: object): SpeakerConfig => ({
          ...a.config(64512, [peerAt(address, 65001, peer)], { longLivedRestartTime: 60 }),
          routerId: A,
        });
        await a.configure(config(more));
        world.seconds(5);
        expect([stub.opens.at(-1)?.includes(code), stub.isEstablished]).to.deep.equal([true, true]);
        await a.configure(config({ ...withAddPath, capabilities: { [name]: false } }));
        world.seconds(5);
        expect([stub.opens.at(-1)?.includes(code), stub.isEstablished, stub.opens.length]).to.deep.equal([
          false,
          true,
          2,
        ]);
      });

    it('gracefulRestart takes the long-lived one with it (9494 4.2)', async () => {
      const { stub } = await against(
        () => undefined,
        { capabilities: { gracefulRestart: false } },
        { longLivedRestartTime: 60 },
      );
      expect([stub.opens[0]?.includes(71), stub.opens[0]?.includes(64)]).to.deep.equal([false, false]);
    });

    it('fourOctetAs: an AS of four octets is 23456 to the peer, and routes keep their real path (6793)', async () => {
      const world = new World();
      const [a, b, c] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'].map((address) => world.speaker(address)) as [
        Node,
        Node,
        Node,
      ];
      const off = { capabilities: { fourOctetAs: false } };
      await a.configure(
        a.config(4_200_000_001, [peerAt(b.address, 64514, off)], { originate: [{ prefix: '10.65.0.0/24' }] }),
      );
      await b.configure(
        b.config(64514, [peerAt(a.address, 23456, { ...off, remoteAs: 'external' }), peerAt(c.address, 4_200_000_003)]),
      );
      await c.configure(c.config(4_200_000_003, [peerAt(b.address, 64514)]));
      world.seconds(10);
      expect([b.asPath('10.65.0.0/24'), c.asPath('10.65.0.0/24')]).to.deep.equal(['4200000001', '64514 4200000001']);
      expect(a.speaker.neighbor(b.address)?.capabilities['fourOctetAs']).to.equal(false);
    });

    it('extendedMessage: what we send stays below 4096 octets, though the peer could take more', async () => {
      const world = new World();
      const [a, b] = [world.speaker(A), world.speaker('10.0.0.2')];
      await a.configure(a.config(64512, [peerAt(b.address, 64513, { capabilities: { extendedMessage: false } })]));
      await b.configure(b.config(64513, [peerAt(A, 64512)]));
      world.seconds(5);
      expect(
        [a, b].map(({ speaker }, i) => speaker.neighbor([b.address, A][i] ?? '')?.capabilities['extendedMessage']),
      ).to.deep.equal([false, false]);
    });

    it('what contradicts it is refused, with the field', () => {
      const problems = (peer: object): readonly string[] => {
        const validated = validateConfig({ localAs: 64512, routerId: A, peers: [{ ...peerAt(STUB, 65001), ...peer }] });
        return validated.type === 'valid' ? [] : validated.problems.map(({ path }) => path.replace('peers[0].', ''));
      };
      expect(problems({ capabilities: { routeRefresh: false, addPath: false } })).to.deep.equal([]);
      expect(problems({ capabilities: { addPath: false }, addPath: 'both' })).to.deep.equal(['capabilities.addPath']);
      expect(problems({ addPath: 'both', addPathLimit: 2 })).to.deep.equal([]);
      expect(problems({ addPath: 'receive', addPathLimit: 2 })).to.deep.equal(['addPathLimit']);
      expect(problems({ addPathLimit: 2 })).to.deep.equal(['addPathLimit']);
      expect(problems({ capabilities: { addPath: true } })).to.deep.equal(['capabilities.addPath']);
      expect(problems({ capabilities: { role: true } })).to.deep.equal(['capabilities.role']);
      expect(problems({ capabilities: { multiprotocol: false }, families: ['ipv6'] })).to.deep.equal([
        'capabilities.multiprotocol',
      ]);
      expect(problems({ capabilities: { extendedNextHop: false }, extendedNextHop: true })).to.deep.equal([
        'capabilities.extendedNextHop',
      ]);
      expect(problems({ capabilities: { dynamic: false } })).to.deep.equal(['capabilities.dynamic']);
      expect(problems({ capabilities: { routeRefresh: 'no' } })).to.deep.equal(['capabilities.routeRefresh']);
    });
  });
});
