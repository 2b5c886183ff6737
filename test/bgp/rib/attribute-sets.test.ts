import { expect } from 'chai';
import fc from 'fast-check';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { encodeAttributes } from 'node-bgp/codec/parse';
import { AttributeSets, NO_METRIC, SetFlag, type SetExtras, type SetOwner } from 'node-bgp/rib/attribute-sets';
import { ByteStore } from 'node-bgp/rib/byte-store';

const OWNER: SetOwner = {
  peer: 7,
  localAs: 65000,
  globalAs: 64999,
  routerId: 0x0a000001,
  clusterId: 0x0a000002,
  isExternal: false,
  peerRouterId: 77,
};
const PLAIN: SetExtras = { weight: 0, metric: NO_METRIC, chosen: 0 };
const ROUTE: PathAttributes = { origin: 'igp', asPath: [] };

function world() {
  const gone: number[] = [];
  const made: number[] = [];
  const sets = new AttributeSets({ made: (set) => made.push(set), gone: (set) => gone.push(set) });
  const intern = (attributes: PathAttributes, nextHop = 1, owner = OWNER, extras = PLAIN): number => {
    const block = encodeAttributes(attributes);
    return sets.intern(block, 0, block.length, nextHop, owner, extras);
  };
  return { sets, gone, made, intern };
}

describe('AttributeSets', () => {
  it('keeps equal sets once, and apart what differs in bytes, next hop, peer or what policy chose', () => {
    const { intern, made } = world();
    const first = intern(ROUTE);
    expect(intern({ ...ROUTE })).to.equal(first);
    const others = [
      intern({ ...ROUTE, med: 1 }),
      intern(ROUTE, 2),
      intern(ROUTE, 1, { ...OWNER, peer: 8 }),
      intern(ROUTE, 1, OWNER, { ...PLAIN, weight: 5 }),
      intern(ROUTE, 1, OWNER, { ...PLAIN, metric: 20 }),
      intern(ROUTE, 1, OWNER, { ...PLAIN, chosen: SetFlag.choseNextHop }),
    ];
    expect(new Set([first, ...others]).size).to.equal(7);
    expect(made).to.deep.equal([first, ...others]);
  });

  it('ends a set with its last reference, and then its number means another', () => {
    const { sets, gone, intern } = world();
    const set = intern(ROUTE);
    const generation = sets.generation[set];
    sets.hold(set);
    sets.hold(set);
    sets.release(set);
    expect(gone).to.deep.equal([]);
    sets.release(set);
    expect(gone).to.deep.equal([set]);
    const next = intern({ ...ROUTE, med: 9 });
    expect(next).to.equal(set);
    expect(sets.generation[next]).to.not.equal(generation);
    sets.discard(next);
    expect(sets.size).to.equal(0);
  });

  it('reads what decision and export look at', () => {
    const { sets, intern } = world();
    const set = intern({
      origin: 'incomplete',
      asPath: [
        { type: 'sequence', members: [65001, 65000, 64999] },
        { type: 'set', members: [1, 2, 65000] },
      ],
      med: 30,
      localPreference: 250,
      communities: [0xffffff01, 0xffffff02, 0xffff0000, 0xffff0006, 0xffff0007, 0xffffff03, 0xffff1234, 5],
      clusterList: [1, 0x0a000002, 3],
      originatorId: 0x0a000001,
      otc: 65001,
    });
    const flags =
      SetFlag.noExport |
      SetFlag.noAdvertise |
      SetFlag.gracefulShutdown |
      SetFlag.longLivedStale |
      SetFlag.noLongLived |
      SetFlag.noExportSubconfed |
      SetFlag.onlyToCustomer |
      SetFlag.ownOriginator |
      SetFlag.ownCluster |
      SetFlag.hasMed |
      SetFlag.hasLocalPreference;
    expect({
      origin: sets.origin[set],
      length: sets.pathLength[set],
      neighbor: sets.neighborAs[set],
      own: sets.ownAsCount[set],
      med: sets.med[set],
      preference: sets.localPreference[set],
      clusters: sets.clusterLength[set],
      originator: sets.originator[set],
      flags: sets.flags[set],
    }).to.deep.equal({
      origin: 2,
      length: 4,
      neighbor: 65001,
      own: 3,
      med: 30,
      preference: 250,
      clusters: 3,
      originator: 0x0a000001,
      flags,
    });
  });

  it('fills in what is not there', () => {
    const { sets, intern } = world();
    const set = intern(ROUTE);
    expect([
      sets.localPreference[set],
      sets.med[set],
      sets.neighborAs[set],
      sets.originator[set],
      sets.flags[set],
    ]).to.deep.equal([100, 0, 0, 77, 0]);
    const going = intern({ ...ROUTE, communities: [0xffff0000] }, 1, { ...OWNER, isExternal: true });
    expect(sets.localPreference[going], 'graceful shutdown from another AS (RFC 8326)').to.equal(0);
  });

  it('keeps thousands of sets apart while they come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 3000, size: 'max' }), (events) => {
        const { sets, intern } = world();
        const held = new Map<number, number>();
        for (const [as, isTaken] of events) {
          const attributes: PathAttributes = {
            origin: 'igp',
            asPath: [{ type: 'sequence', members: Array.from({ length: 1 + (as % 40) }, () => as + 1) }],
          };
          const known = held.get(as);
          if (isTaken && known === undefined) {
            const set = intern(attributes);
            sets.hold(set);
            held.set(as, set);
          } else if (!isTaken && known !== undefined) {
            sets.release(known);
            held.delete(as);
          }
          expect(sets.size).to.equal(held.size);
        }
        for (const [as, set] of held)
          expect([sets.neighborAs[set], sets.pathLength[set]]).to.deep.equal([as + 1, 1 + (as % 40)]);
      }),
      { numRuns: 30 },
    );
  });
});

describe('ByteStore', () => {
  it('gives back what was put in, and reuses room of the same size', () => {
    const store = new ByteStore();
    const [a, b] = [Uint8Array.of(1, 2, 3, 4, 5), new Uint8Array(4000).fill(9)];
    const [at, other] = [store.put(a, 0, 5), store.put(b, 0, 4000)];
    expect([...store.view(at, 5)]).to.deep.equal([...a]);
    expect(store.equals(other, b, 0, 4000)).to.equal(true);
    expect(store.equals(at, Uint8Array.of(0, 1, 2, 3, 4, 6), 1, 5)).to.equal(false);
    store.remove(at, 5);
    expect(store.put(Uint8Array.of(7), 0, 1)).to.equal(at);
  });
});
