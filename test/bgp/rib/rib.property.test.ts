/** Whatever happens, in whatever order and in whatever slices: the RIB ends where the obviously correct one does. */
import { expect } from 'chai';
import fc from 'fast-check';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import { apply, EVENT, LINKS, PEERS } from './histories.js';
import { ReferenceRib } from './reference-rib.js';
import { RibWorld } from './rib-world.js';

function checkAgainstReference(world: RibWorld): void {
  const reference = new ReferenceRib(world.state());
  for (const family of [4, 6] as const) {
    for (const peer of world.peers.values()) {
      const session = peer.options.families.find((each) => each.family === family);
      const expected = reference.advertised(peer.options, family);
      const heard = new Map(
        [...peer.heard].filter(([key]) => parsePrefix(key.split(' ')[0] as string).family === family),
      );
      if (session?.addPathSend === true)
        expect(sorted(heard, bare), `what ${peer.options.name} has heard`).to.deep.equal(sorted(expected, bare));
      else expect(sorted(heard), `what ${peer.options.name} has heard`).to.deep.equal(sorted(expected));
      expect(world.rib.queries.counts(peer.id, family).advertised, `advertised to ${peer.options.name}`).to.equal(
        expected.size,
      );
      const said = [...peer.said.values()].filter((route) => route.prefix.family === family).length;
      expect(world.rib.queries.counts(peer.id, family).received, `received from ${peer.options.name}`).to.equal(said);
    }
    const forwarding = new Map(
      reference.prefixes(family).flatMap((each) => {
        const ways = reference.forwarding(each);
        return ways === undefined || ways === '' ? [] : [[formatPrefix(each), ways] as const];
      }),
    );
    expect(
      sorted(new Map([...world.forwarding].filter(([key]) => parsePrefix(key).family === family))),
      'forwarding',
    ).to.deep.equal(sorted(forwarding));
    for (const each of reference.prefixes(family)) {
      const order = reference.ranked(each).map(({ peer, pathId: id }) => `${peer?.name ?? 'us'} ${id}`);
      const why = world.rib.queries.why(each).candidates.filter(({ unusable }) => unusable === undefined);
      const [best] = why;
      expect(best === undefined ? undefined : named(best), `best path of ${formatPrefix(each)}`).to.equal(order[0]);
      expect(why.map(named).sort(), `usable paths of ${formatPrefix(each)}`).to.deep.equal(order.sort());
    }
  }
}

const bare = (key: string): string => key.split(' ')[0] as string;
const named = ({ source, pathId: id = 0 }: { source: { type: string; peer?: string }; pathId?: number }): string =>
  `${source.peer ?? 'us'} ${id}`;
const sorted = (map: ReadonlyMap<string, string>, key: (key: string) => string = (same) => same): string[] =>
  [...map].map(([name, value]) => `${key(name)} = ${value}`).sort();

describe('Rib, against a reference', () => {
  const runs = Number(process.env['TORTIE_RIB_RUNS'] ?? 1000);
  it('ends in the same state after any history', function () {
    this.timeout(0);
    fc.assert(
      fc.property(fc.array(EVENT, { minLength: 1, maxLength: 120 }), fc.boolean(), (events, startUp) => {
        const world = new RibWorld({ outputLimit: 100, patience: 3 });
        world.connect(LINKS);
        if (startUp) for (const options of PEERS) world.up(options);
        for (const event of events) apply(world, event);
        world.settle();
        checkAgainstReference(world);
      }),
      { numRuns: runs },
    );
  });
});
