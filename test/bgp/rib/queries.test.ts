/** Answers for people: right, with the names of the rules that decided, and without a trace in what was asked. */
import { expect } from 'chai';
import fc from 'fast-check';
import { formatPrefix, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import { dumpTable } from 'node-bgp/mrt/table-dump';
import { compilePolicy } from 'node-bgp/filter/policy';
import type { FilterConfig } from 'node-bgp/config';
import type { RibQueries } from 'node-bgp/rib/index';
import type { QueryContext } from 'node-bgp/rib/queries';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { DeepSnapshot } from './deep-snapshot.js';
import { apply, EVENT, LINKS, PEERS, PREFIXES } from './histories.js';
import { LOCAL_AS, reach, ribPeer, RibWorld, sequence } from './rib-world.js';

/** Room to work in whose content means nothing between two calls. */
const SCRATCH = ['#running', '#ranks'];

const QUESTION = fc.record({
  type: fc.constantFrom(
    'why' as const,
    'paths' as const,
    'lookup' as const,
    'best' as const,
    'received' as const,
    'received after policy' as const,
    'advertised' as const,
    'offered' as const,
    'one route' as const,
    'counts' as const,
    'mrt' as const,
    'changes' as const,
  ),
  prefix: fc.constantFrom(...PREFIXES, '203.0.113.0/24', '2001:db8:ffff::/48'),
  peer: fc.constantFrom(...PEERS.map(({ name }) => name)),
  family: fc.constantFrom<Family>(4, 6),
  pathId: fc.nat(2),
});
type Question = typeof QUESTION extends fc.Arbitrary<infer T> ? T : never;

function ask(rib: RibQueries, question: Question): void {
  const { family, pathId } = question;
  const prefix = parsePrefix(question.prefix);
  const id = rib.peerId(question.peer);
  const all = (slices: Iterable<unknown>): void => void [...slices];
  switch (question.type) {
    case 'why':
      return void rib.why(prefix);
    case 'paths':
      return void rib.paths(prefix);
    case 'lookup':
      return void rib.lookup(prefix);
    case 'best':
      return all(rib.best(family));
    case 'mrt':
      return all(dumpTable({ rib, localAs: LOCAL_AS, routerId: 1, peers: new Map(), seconds: 0 }));
    case 'changes':
      return all(rib.changes());
    case 'received':
      return id === undefined ? undefined : all(rib.received(id, family, 'before-policy'));
    case 'received after policy':
      return id === undefined ? undefined : all(rib.received(id, family, 'after-policy'));
    case 'advertised':
      return id === undefined ? undefined : all(rib.advertised(id, family));
    case 'offered':
      return id === undefined ? undefined : all(rib.offered(id, family));
    case 'one route':
      rib.bestPath(prefix);
      if (id === undefined) return;
      rib.receivedPath(id, prefix, pathId, 'before-policy');
      rib.receivedPath(id, prefix, pathId, 'after-policy');
      return void rib.offeredPath(id, prefix);
    case 'counts':
      rib.totals(family);
      if (id === undefined) return;
      rib.outputPending(id);
      return void rib.counts(id, family);
  }
}

const compiled = (rules: FilterConfig['rules'], direction: 'import' | 'export'): RoutePolicy =>
  compilePolicy({ 'BGPFilter/f1': { rules, default: 'accept' } }, ['BGPFilter/f1'], {
    direction,
    peerType: 'ebgp',
    name: 'a',
    address: parseAddress('10.1.0.1'),
    remoteAs: 65001,
    localAs: LOCAL_AS,
  });

describe('rib/queries', () => {
  it('leave everything as it was: any question on any table', function () {
    this.timeout(0);
    const snapshot = new DeepSnapshot(SCRATCH);
    try {
      fc.assert(
        fc.property(
          fc.array(EVENT, { minLength: 20, maxLength: 80 }),
          fc.array(QUESTION, { minLength: 1, maxLength: 40 }),
          fc.boolean(),
          (events, questions, isSettled) => {
            const world = new RibWorld({ outputLimit: 100, patience: 3, wallTime: () => 1 });
            world.connect(LINKS);
            for (const options of PEERS) world.up(options);
            for (const event of events) apply(world, event);
            if (isSettled) world.settle();
            const before = snapshot.take(world.rib);
            for (const question of questions) ask(world.rib.queries, question);
            expect(snapshot.take(world.rib)).to.deep.equal(before);
          },
        ),
        { numRuns: Number(process.env['TORTIE_QUERY_RUNS'] ?? 40) },
      );
    } finally {
      snapshot.close();
    }
  });

  it('see the columns and the free lists in a snapshot', () => {
    const snapshot = new DeepSnapshot(SCRATCH);
    try {
      const world = new RibWorld();
      world.connect(LINKS);
      world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
      const empty = snapshot.take(world.rib);
      expect(empty.some((line) => /#sets\.#free/.test(line) || /#sets\.references = Uint32Array/.test(line))).to.equal(
        true,
      );
      world.announce('a', reach('192.0.2.0/24', '10.1.0.1', { asPath: sequence(65001) }));
      expect(snapshot.take(world.rib)).not.to.deep.equal(empty);
    } finally {
      snapshot.close();
    }
  });

  it('keep set 0 out of the free list after a question about a route that export policy rejects', () => {
    const world = new RibWorld();
    world.connect(LINKS);
    const exportPolicy = compiled([{ match: { prefixes: [{ prefix: '192.0.2.0/24' }] }, action: 'reject' }], 'export');
    world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
    const b = world.up(ribPeer('b', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65002, exportPolicy }));
    world.announce('a', reach('192.0.2.0/24', '10.1.0.1', { asPath: sequence(65001) }));
    world.settle();
    world.rib.queries.why(parsePrefix('192.0.2.0/24'));
    world.announce('a', reach('198.51.100.0/24', '10.1.0.1', { asPath: sequence(65001, 7), med: 5 }));
    world.settle();
    expect([...b.heard.keys()]).to.deep.equal(['198.51.100.0/24']);
    expect(world.rib.queries.paths(parsePrefix('198.51.100.0/24'))[0]?.attributes.med).to.equal(5);
  });

  it('leave no set behind where the question stamps Only-To-Customer (RFC 9234)', () => {
    const world = new RibWorld();
    world.connect(LINKS);
    const importPolicy = compiled([{ match: { prefixes: [{ prefix: '192.0.2.0/24' }] }, action: 'reject' }], 'import');
    world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1', localRole: 'customer', importPolicy }));
    world.announce('a', reach('192.0.2.0/24', '10.1.0.1', { asPath: sequence(65001) }));
    world.settle();
    const snapshot = new DeepSnapshot(SCRATCH);
    try {
      const before = snapshot.take(world.rib);
      const [candidate] = world.rib.queries.why(parsePrefix('192.0.2.0/24')).candidates;
      expect(candidate?.decidedBy).to.equal('rejected-by-policy');
      expect(snapshot.take(world.rib)).to.deep.equal(before);
    } finally {
      snapshot.close();
    }
  });

  it('cannot write, says the compiler', () => {
    const never = (context: QueryContext): void => {
      const { tables, families, groups } = context;
      // @ts-expect-error nothing is released
      tables.sets.discard(1);
      // @ts-expect-error nothing is interned
      tables.sets.intern(new Uint8Array(), 0, 0, 0, {}, {});
      // @ts-expect-error no value is put into a column
      tables.sets.references[1] = 0;
      // @ts-expect-error no value is put into a column
      families[4].best[1] = 0;
      // @ts-expect-error no prefix gets a number
      families[4].intern(new Uint32Array(1), 0, 32);
      // @ts-expect-error no set is chosen for a group
      groups[4].member(1)?.group.out.compare(1, false, {});
      // @ts-expect-error no next hop is interned
      tables.nextHops.internAddress(parseAddress('10.0.0.1'), {});
    };
    expect(never).to.be.a('function');
  });

  it('name the filter and the rule that decided, on the way in and out', () => {
    const world = new RibWorld();
    world.connect(LINKS);
    const importPolicy = compiled(
      [
        { name: 'importV4[0]', match: { prefixes: [{ prefix: '192.0.2.0/24' }] }, action: 'reject' },
        { name: 'importV4[1]', match: { prefixes: [{ prefix: '198.51.100.0/24' }] }, action: 'accept' },
      ],
      'import',
    );
    const exportPolicy = compiled(
      [{ name: 'exportV4[0]', match: { prefixes: [{ prefix: '198.51.100.0/24' }] }, action: 'reject' }],
      'export',
    );
    world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1', importPolicy }));
    world.up(ribPeer('b', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65002, exportPolicy }));
    for (const prefix of ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'])
      world.announce('a', reach(prefix, '10.1.0.1', { asPath: sequence(65001) }));
    world.settle();
    const filter = 'BGPFilter/f1';
    const why = (prefix: string) => world.rib.queries.why(parsePrefix(prefix));
    expect(why('192.0.2.0/24').candidates[0]).to.deep.include({
      decidedBy: 'rejected-by-policy',
      reason: 'Import policy rejects it: filter "BGPFilter/f1" rule 1 (importV4[0]) rejected it',
      rule: { filter, index: 0, name: 'importV4[0]' },
    });
    expect(why('198.51.100.0/24').candidates[0]?.rule).to.deep.equal({ filter, index: 1, name: 'importV4[1]' });
    expect(why('203.0.113.0/24').candidates[0]?.rule, 'the default has no index').to.deep.equal({ filter });
    const to = (prefix: string) => why(prefix).peers.find(({ peer }) => peer === 'b');
    expect(to('198.51.100.0/24')).to.deep.include({
      advertised: false,
      code: 'rejected-by-policy',
      rule: { filter, index: 0, name: 'exportV4[0]' },
    });
    expect(to('203.0.113.0/24')).to.deep.include({ advertised: true, rule: { filter } });
    expect(to('192.0.2.0/24')).to.deep.include({ advertised: false, code: 'no-best-path' });
  });

  it('tell an unknown prefix from one without a usable path', () => {
    const world = new RibWorld();
    world.connect(LINKS);
    world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
    world.announce('a', reach('192.0.2.0/24', '10.77.0.1', { asPath: sequence(65001) }));
    world.settle();
    const known = world.rib.queries.why(parsePrefix('192.0.2.0/24'));
    expect([known.isKnown, known.peers[0]?.code]).to.deep.equal([true, 'no-best-path']);
    const unknown = world.rib.queries.why(parsePrefix('192.0.2.0/25'));
    expect([unknown.isKnown, unknown.candidates.length, unknown.peers[0]?.code]).to.deep.equal([
      false,
      0,
      'unknown-prefix',
    ]);
    expect(formatPrefix(unknown.prefix)).to.equal('192.0.2.0/25');
  });
});
