/** What a session's own settings do to routes and OPENs, from one speaker to the next. */
import { expect } from 'chai';
import { formatAddress } from 'node-bgp/address';
import { chain, innerPeer, peerAt, World, type Node } from './world.js';

const PREFIX = '10.65.0.0/24';
const ORIGIN = { self: { originate: [{ prefix: PREFIX }] } };
const [A, B, C] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as const;
const nextHop = (node: Node | undefined): string | undefined => {
  const address = node?.best(PREFIX)?.nextHop;
  return address === undefined ? undefined : formatAddress(address);
};

describe('bgp/speaker peering', () => {
  describe('AS_PATH', () => {
    it('as-override: sites of one AS hear each other over us', async () => {
      const sites = (after: object) =>
        chain(new World(), [{ ...ORIGIN, as: 64900 }, { as: 64512, after }, { as: 64900 }]);
      const [, , without] = await sites({});
      expect(without?.paths(PREFIX).map(({ unusable }) => unusable)).to.deep.equal(['as-loop']);
      const [, , c] = await sites({ asOverride: true });
      expect(c?.asPath(PREFIX)).to.equal('64512 64512');
    });

    it('allowas-in: our own AS in the path so often, and no more', async () => {
      const sites = (allowLocalAs: number) =>
        chain(new World(), [{ ...ORIGIN, as: 64900 }, { as: 64512 }, { as: 64900, before: { allowLocalAs } }]);
      const [, , none] = await sites(0);
      expect(none?.prefixes()).to.deep.equal([]);
      const [, , once] = await sites(1);
      expect(once?.asPath(PREFIX)).to.equal('64512 64900');
    });

    it('remove-private-as: all of them, or only where nothing else is there', async () => {
      const path = async (publicAs: number, removePrivateAs?: 'all' | 'only-private'): Promise<string | undefined> =>
        (
          await chain(new World(), [
            { ...ORIGIN, as: 64999 },
            { as: publicAs },
            { as: 65010, ...(removePrivateAs === undefined ? {} : { after: { removePrivateAs } }) },
            { as: 65020 },
          ])
        )[3]?.asPath(PREFIX);
      expect(await path(3356)).to.equal('65010 3356 64999');
      expect(await path(3356, 'all')).to.equal('65010 3356');
      expect(await path(3356, 'only-private')).to.equal('65010 3356 64999');
      expect(await path(64600, 'only-private')).to.equal('65010');
    });

    it('local-as: the session opens as another AS, which stands in front of our own; or alone (7705 3.3)', async () => {
      const path = async (more: object): Promise<readonly [string | undefined, string | undefined]> => {
        const [a, b] = await chain(new World(), [
          { ...ORIGIN, as: 64512, after: { localAs: 64700, ...more } },
          { before: { remoteAs: 64700 } },
        ]);
        return [a?.state(B), b?.asPath(PREFIX)];
      };
      expect(await path({})).to.deep.equal(['Established', '64700 64512']);
      expect(await path({ localAsOnly: true })).to.deep.equal(['Established', '64700']);
    });

    it("local-as: of the peer's own AS the session is internal (7705 4)", async () => {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      const own = [{ prefix: '10.65.9.0/24' }];
      await a.configure(
        a.config(64512, [innerPeer(B, 64700, { localAs: 64700, localAsOnly: true }), peerAt(C, 64514)], {
          originate: own,
        }),
      );
      await b.configure(b.config(64700, [innerPeer(A, 64700)], ORIGIN.self));
      await c.configure(c.config(64514, [peerAt(A, 64512)]));
      world.seconds(10);
      expect([a.state(B), b.asPath('10.65.9.0/24'), a.asPath(PREFIX), c.asPath(PREFIX)]).to.deep.equal([
        'Established',
        '',
        '',
        '64512',
      ]);
      expect(b.best('10.65.9.0/24')?.attributes.localPreference).to.equal(100);
    });

    it('local-as: a path through either of our numbers is a loop', async () => {
      for (const seen of [64512, 64700]) {
        const [, , c] = await chain(new World(), [
          {
            ...ORIGIN,
            as: 64513,
            self: { ...ORIGIN.self, filters: { fake: { rules: [{ set: { prependAs: [seen] }, action: 'accept' }] } } },
            after: { export: ['fake'] },
          },
          { as: 64514, after: { remoteAs: 64700 }, before: { enforceFirstAs: false } },
          { as: 64512, before: { localAs: 64700 } },
        ]);
        expect(
          c?.paths(PREFIX).map(({ unusable }) => unusable),
          String(seen),
        ).to.deep.equal(['as-loop']);
      }
    });
  });

  describe('NEXT_HOP', () => {
    it('to another AS is ourselves, or as it came where that is asked for (4271 5.1.3)', async () => {
      const [, , self] = await chain(new World(), [ORIGIN, {}, {}]);
      expect(nextHop(self)).to.equal(B);
      const [, , unchanged] = await chain(new World(), [ORIGIN, { after: { nextHopUnchanged: true } }, {}]);
      expect(nextHop(unchanged)).to.equal(A);
    });

    it('inside the AS is as it came, or ourselves where that is asked for (4271 5.1.3)', async () => {
      const inside = async (more: object): Promise<string | undefined> => {
        const world = new World();
        const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
        await a.configure(a.config(64513, [peerAt(B, 64512)], ORIGIN.self));
        await b.configure(b.config(64512, [peerAt(A, 64513), innerPeer(C, 64512, more)]));
        await c.configure(c.config(64512, [innerPeer(B, 64512)]));
        world.seconds(10);
        return nextHop(c);
      };
      expect([await inside({}), await inside({ nextHopSelf: true })]).to.deep.equal([A, B]);
    });
  });

  describe('drain (8326)', () => {
    it('marks everything with GRACEFUL_SHUTDOWN on the living sessions, and takes it back', async () => {
      const world = new World();
      const [a, b] = (await chain(world, [{ ...ORIGIN }, {}])) as [Node, Node];
      expect(b.best(PREFIX)?.attributes.communities).to.equal(undefined);
      await a.reconfigure({ drain: true });
      world.seconds(1);
      expect(b.best(PREFIX)?.attributes.communities).to.deep.equal([0xffff0000]);
      expect(a.speaker.summary().isDraining).to.equal(true);
      await a.reconfigure({ drain: false });
      world.seconds(1);
      expect(b.best(PREFIX)?.attributes.communities).to.equal(undefined);
      expect(b.told('peer-down')).to.deep.equal([]);
    });

    it('moves the neighbours to another way before the session ends, without a moment of none', async () => {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      const draining = (drain: boolean) => a.config(64513, [peerAt(C, 64515, { drain })], ORIGIN.self);
      await a.configure(draining(false));
      // The longer way: only taken when the short one is drained.
      await b.configure(
        b.config(64514, [peerAt(C, 64515, { export: ['long'] })], {
          ...ORIGIN.self,
          filters: { long: { rules: [{ set: { prepend: 3 }, action: 'accept' }] } },
        }),
      );
      await c.configure(c.config(64515, [peerAt(A, 64513), peerAt(B, 64514)]));
      world.seconds(10);
      expect(nextHop(c)).to.equal(A);
      await a.configure(draining(true));
      world.seconds(1);
      expect(nextHop(c)).to.equal(B);
      expect(c.best(PREFIX)?.isBest).to.equal(true);
      expect(c.told('peer-down')).to.deep.equal([]);
    });

    it('is honoured for the whole AS: LOCAL_PREF 0 inside', async () => {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      await a.configure(a.config(64513, [peerAt(B, 64512)], { ...ORIGIN.self, drain: true }));
      await b.configure(b.config(64512, [peerAt(A, 64513), innerPeer(C, 64512)]));
      await c.configure(c.config(64512, [innerPeer(B, 64512)]));
      world.seconds(10);
      expect(c.best(PREFIX)?.attributes.localPreference).to.equal(0);
    });
  });

  describe('policy', () => {
    it('none means no routes in and none out where it is required, inside the AS it is not (8212)', async () => {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      await a.configure(
        a.config(64512, [peerAt(B, 64513), innerPeer(C, 64512)], { ...ORIGIN.self, requirePolicy: true }),
      );
      await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.66.0.0/24' }] }));
      await c.configure(c.config(64512, [innerPeer(A, 64512)], { originate: [{ prefix: '10.67.0.0/24' }] }));
      world.seconds(10);
      expect(b.prefixes()).to.deep.equal(['10.66.0.0/24']);
      expect(a.told('peer-warning').map(({ peer, reason }) => [peer, reason])).to.deep.equal([
        [
          B,
          'No routes are taken or sent: the peer names no import and no export filter (RFC 8212); name one, or set requirePolicy to false',
        ],
      ]);
      expect(a.prefixes()).to.deep.equal([PREFIX, '10.67.0.0/24']);
      expect(c.prefixes()).to.deep.equal([PREFIX, '10.67.0.0/24']);
      await a.reconfigure({
        filters: { all: { rules: [], default: 'accept' } },
        peers: [peerAt(B, 64513, { export: ['all'] }), innerPeer(C, 64512)],
      });
      world.seconds(1);
      // Each direction by itself.
      expect([b.prefixes(), a.prefixes()]).to.deep.equal([
        [PREFIX, '10.66.0.0/24', '10.67.0.0/24'].sort(),
        [PREFIX, '10.67.0.0/24'],
      ]);
    });

    it('that sets MED sends it to another AS, be it the very value that came; a received one goes no further (4271 5.1.4)', async () => {
      const med = async (export_: object): Promise<number | undefined> => {
        const filters = {
          seven: { rules: [{ set: { med: 7 }, action: 'accept' as const }] },
          eight: { rules: [{ set: { med: 8 }, action: 'accept' as const }] },
        };
        const [, b, c] = await chain(new World(), [
          { self: { ...ORIGIN.self, filters }, after: { export: ['seven'] } },
          { self: { filters }, after: export_ },
          {},
        ]);
        expect(b?.best(PREFIX)?.attributes.med).to.equal(7);
        return c?.best(PREFIX)?.attributes.med;
      };
      expect([await med({}), await med({ export: ['seven'] }), await med({ export: ['eight'] })]).to.deep.equal([
        undefined,
        7,
        8,
      ]);
    });
  });

  describe('timers', () => {
    const keepalives = async (keepaliveTime?: number): Promise<number> => {
      const world = new World();
      const [a] = await chain(world, [
        { after: { holdTime: 30, ...(keepaliveTime === undefined ? {} : { keepaliveTime }) } },
        {},
      ]);
      const before = a?.speaker.neighbor(B)?.sent?.keepalive ?? 0;
      world.seconds(60);
      return (a?.speaker.neighbor(B)?.sent?.keepalive ?? 0) - before;
    };
    it('keepaliveTime: that often, but never less than a third of the hold time (4271 4.4)', async () => {
      expect([await keepalives(), await keepalives(2), await keepalives(25)]).to.deep.equal([6, 30, 6]);
    });
    it('keepaliveTime changes on the living session', async () => {
      const world = new World();
      const [a, b] = (await chain(world, [{ after: { holdTime: 30 } }, {}])) as [Node, Node];
      await a.configure(a.config(64513, [peerAt(B, 64514, { holdTime: 30, keepaliveTime: 1 })]));
      world.seconds(10);
      const before = a.speaker.neighbor(B)?.sent?.keepalive ?? 0;
      world.seconds(20);
      expect([(a.speaker.neighbor(B)?.sent?.keepalive ?? 0) - before, b.told('peer-down').length]).to.deep.equal([
        20, 0,
      ]);
    });
    it('gracefulRestartTime of a peer: so long does it keep our routes (4724 3)', async () => {
      const world = new World();
      const [a, b] = (await chain(world, [{ ...ORIGIN, after: { gracefulRestartTime: 20 } }, {}])) as [Node, Node];
      world.network.kill(a.address);
      world.seconds(19);
      expect(b.prefixes()).to.deep.equal([PREFIX]);
      world.seconds(2);
      expect([b.prefixes(), b.told('stale-swept')[0]?.reason]).to.deep.equal([[], 'The peer was not back after 20 s']);
    });
  });
});
