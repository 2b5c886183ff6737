/** What becomes of routes between speakers: well-known communities, aggregates, MED, reflection, ADD-PATH, refresh. */
import { expect } from 'chai';
import { chain, innerPeer, peerAt, World, type Node } from './world.js';

const PREFIX = '10.65.0.0/24';
const [A, B, C, D] = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'] as const;
const export_ = (set: object) => ({ rules: [{ set, action: 'accept' as const }] });

describe('bgp/speaker routes', () => {
  describe('well-known communities (1997)', () => {
    /** A in another AS tells B, which is in one AS with C and has D in a third. */
    async function heard(community: string): Promise<readonly boolean[]> {
      const world = new World();
      const [a, b, c, d] = [A, B, C, D].map((address) => world.speaker(address)) as [Node, Node, Node, Node];
      await a.configure(
        a.config(64513, [peerAt(B, 64512, { export: ['mark'] })], {
          originate: [{ prefix: PREFIX }],
          filters: { mark: export_({ addCommunities: [community] }) },
        }),
      );
      await b.configure(b.config(64512, [peerAt(A, 64513), innerPeer(C, 64512), peerAt(D, 64514)]));
      await c.configure(c.config(64512, [innerPeer(B, 64512)]));
      await d.configure(d.config(64514, [peerAt(B, 64512)]));
      world.seconds(10);
      return [b, c, d].map((node) => node.best(PREFIX) !== undefined);
    }
    const cases: readonly (readonly [string, readonly boolean[]])[] = [
      ['64512:1', [true, true, true]],
      ['no-export', [true, true, false]],
      ['no-export-subconfed', [true, true, false]],
      ['no-advertise', [true, false, false]],
      // Not ours to act on without being told: RFC 7999 section 3.3 leaves it to policy, RFC 3765 to bilateral peers.
      ['blackhole', [true, true, true]],
      ['no-peer', [true, true, true]],
    ];
    for (const [community, told] of cases)
      it(`${community}: to us, to our AS, to others is ${told.join(', ')}`, async () =>
        expect(await heard(community)).to.deep.equal(told));
  });

  describe('an aggregate of our own prefixes (4271 9.2.2.2)', () => {
    const parts = ['10.65.1.0/24', '10.65.2.0/24'];
    const own = (summaryOnly: boolean, prefixes: readonly string[]) => ({
      originate: [{ prefix: '10.65.0.0/16', aggregate: { summaryOnly } }, ...prefixes.map((prefix) => ({ prefix }))],
    });
    it('goes out beside its parts, or instead of them, and names who made it', async () => {
      const [, beside] = await chain(new World(), [{ self: own(false, parts) }, {}]);
      expect(beside?.prefixes()).to.deep.equal(['10.65.0.0/16', ...parts]);
      expect(beside?.best('10.65.0.0/16')?.attributes.aggregator).to.deep.equal({ as: 64513, address: 0x0a000001 });
      const [, instead] = await chain(new World(), [{ self: own(true, parts) }, {}]);
      expect(instead?.prefixes()).to.deep.equal(['10.65.0.0/16']);
    });
    it('stands only while there is something inside it', async () => {
      const world = new World();
      const [a, b] = (await chain(world, [{ self: own(true, parts) }, {}])) as [Node, Node];
      await a.reconfigure(own(true, []));
      world.seconds(1);
      expect(b.prefixes()).to.deep.equal([]);
    });
  });

  describe('MED (4271 9.1.2.2 c)', () => {
    /** B and C tell A of the same prefix, with these; the answer is whose path A takes. B has the lower router id. */
    async function chosen(
      neighbours: readonly [number, number],
      meds: readonly [number | undefined, number | undefined],
      more: object = {},
    ): Promise<string> {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      await a.configure(a.config(64512, [peerAt(B, neighbours[0]), peerAt(C, neighbours[1])], more));
      for (const [i, node] of [b, c].entries()) {
        const med = meds[i];
        const policy = med === undefined ? {} : { filters: { med: export_({ med }) } };
        await node.configure(
          node.config(neighbours[i] ?? 0, [peerAt(A, 64512, med === undefined ? {} : { export: ['med'] })], {
            originate: [{ prefix: PREFIX }],
            ...policy,
          }),
        );
      }
      world.seconds(10);
      const best = a.best(PREFIX);
      return best?.source.type === 'local' || best === undefined ? 'nobody' : best.source.peer;
    }
    it('is compared between paths of one neighbouring AS, a missing one is 0', async () => {
      expect(await chosen([64513, 64513], [20, 10])).to.equal(C);
      expect(await chosen([64513, 64513], [20, undefined])).to.equal(C);
    });
    it('is not compared between two, unless that is asked for', async () => {
      expect(await chosen([64513, 64514], [20, 10])).to.equal(B);
      expect(await chosen([64513, 64514], [20, 10], { alwaysCompareMed: true })).to.equal(C);
    });
  });

  describe('reflection (4456)', () => {
    const clients = (...addresses: readonly string[]) =>
      addresses.map((address) => innerPeer(address, 64512, { routeReflectorClient: true }));
    it('what has passed our cluster is a loop (8)', async () => {
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      await a.configure(a.config(64512, clients(B, C), { clusterId: '10.255.0.1' }));
      await b.configure(b.config(64512, clients(A, C), { clusterId: '10.255.0.1' }));
      await c.configure(c.config(64512, clients(A, B), { originate: [{ prefix: PREFIX }] }));
      world.seconds(10);
      for (const node of [a, b]) {
        expect(node.best(PREFIX)?.source).to.deep.include({ peer: C });
        expect(node.paths(PREFIX).flatMap(({ unusable }) => unusable ?? [])).to.deep.equal(['cluster-loop']);
      }
    });
    it('what we originated ourselves is a loop when it comes back through other clusters (8)', async () => {
      // A ring of three; C says nothing to B directly, so B's only way is over A, and it reflects that to C.
      const world = new World();
      const [a, b, c] = [world.speaker(A), world.speaker(B), world.speaker(C)];
      await a.configure(a.config(64512, clients(B, C)));
      await b.configure(b.config(64512, clients(A, C)));
      const silent = { filters: { nothing: { rules: [], default: 'reject' as const } } };
      await c.configure(
        c.config(64512, [...clients(A), innerPeer(B, 64512, { export: ['nothing'] })], {
          originate: [{ prefix: PREFIX }],
          ...silent,
        }),
      );
      world.seconds(10);
      expect(b.best(PREFIX)?.source).to.deep.include({ peer: A });
      expect(c.paths(PREFIX).flatMap(({ unusable }) => unusable ?? [])).to.deep.equal(['originator-loop']);
    });
    it('two clusters: the list grows, the originator stays', async () => {
      const world = new World();
      const [a, b, c, d] = [A, B, C, D].map((address) => world.speaker(address)) as [Node, Node, Node, Node];
      await a.configure(a.config(64512, [innerPeer(B, 64512)], { originate: [{ prefix: PREFIX }] }));
      await b.configure(
        b.config(64512, [innerPeer(A, 64512, { routeReflectorClient: true }), innerPeer(C, 64512)], {
          clusterId: '10.255.0.1',
        }),
      );
      await c.configure(
        c.config(64512, [innerPeer(B, 64512), innerPeer(D, 64512, { routeReflectorClient: true })], {
          clusterId: '10.255.0.2',
        }),
      );
      await d.configure(d.config(64512, [innerPeer(C, 64512)]));
      world.seconds(10);
      const { originatorId, clusterList } = d.best(PREFIX)?.attributes ?? {};
      expect([originatorId, clusterList]).to.deep.equal([0x0a000001, [0x0aff0002, 0x0aff0001]]);
    });
  });

  describe('ADD-PATH (7911)', () => {
    /** B, C tell A of one prefix; D hears from A. */
    async function told(ofA: object, ofD: object): Promise<Node> {
      const world = new World();
      const [a, b, c, d] = [A, B, C, D].map((address) => world.speaker(address)) as [Node, Node, Node, Node];
      await a.configure(a.config(64512, [peerAt(B, 64513), peerAt(C, 64514), peerAt(D, 64515, ofA)]));
      await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
      await c.configure(c.config(64514, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
      await d.configure(d.config(64515, [peerAt(A, 64512, ofD)]));
      world.seconds(10);
      return d;
    }
    it('all paths where one sends and the other receives, one where not (4)', async () => {
      const count = async (a: object, d: object): Promise<number> => (await told(a, d)).paths(PREFIX).length;
      expect(await count({ addPath: 'send' }, { addPath: 'receive' })).to.equal(2);
      expect(await count({ addPath: 'both' }, { addPath: 'both' })).to.equal(2);
      expect([
        await count({ addPath: 'send' }, {}),
        await count({}, { addPath: 'receive' }),
        await count({ addPath: 'receive' }, { addPath: 'send' }),
      ]).to.deep.equal([1, 1, 1]);
    });
    it('at most as many as configured, which a living session follows', async () => {
      const world = new World();
      const [a, b, c, d] = [A, B, C, D].map((address) => world.speaker(address)) as [Node, Node, Node, Node];
      const configure = (ofD: object): Promise<unknown> =>
        a.configure(
          a.config(64512, [
            peerAt(B, 64513),
            peerAt(C, 64514),
            peerAt(D, 64515, { addPath: 'send', addPathLimit: 1, ...ofD }),
          ]),
        );
      await configure({});
      await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
      await c.configure(c.config(64514, [peerAt(A, 64512)], { originate: [{ prefix: PREFIX }] }));
      await d.configure(d.config(64515, [peerAt(A, 64512, { addPath: 'receive' })]));
      world.seconds(10);
      expect(d.paths(PREFIX).length).to.equal(1);
      await configure({ addPathLimit: 2 });
      world.seconds(1);
      expect(d.paths(PREFIX).length).to.equal(2);
      expect(d.speaker.neighbor(A)?.establishedCount, 'sessions').to.equal(1);
    });
    it('each under an identifier of its own (3)', async () => {
      const ids = (await told({ addPath: 'send' }, { addPath: 'receive' })).paths(PREFIX).map(({ pathId }) => pathId);
      expect(new Set(ids).size).to.equal(2);
    });
  });

  describe('refresh (2918, 7313)', () => {
    it('goes over the living session, marked begin and end, and no route is missing for a moment', async () => {
      const world = new World();
      const [a, b] = (await chain(world, [
        { self: { originate: [{ prefix: PREFIX }, { prefix: '10.65.9.0/24' }] } },
        {},
      ])) as [Node, Node];
      expect(b.speaker.neighbor(A)?.capabilities).to.include({ enhancedRouteRefresh: true });
      expect(b.speaker.clear(A, { soft: true })).to.equal(true);
      for (let i = 0; i < 20; i++) {
        world.clock.advance(50);
        expect(b.prefixes()).to.deep.equal([PREFIX, '10.65.9.0/24']);
      }
      // Of each family a request, and the beginning and end of what B sends again by itself.
      expect([
        a.speaker.neighbor(B)?.received?.routeRefresh,
        b.speaker.summary().peers[0]?.families.ipv4?.stale,
      ]).to.deep.equal([6, 0]);
      expect(a.told('peer-down')).to.deep.equal([]);
    });
  });
});
