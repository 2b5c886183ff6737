/** Sharing: one encoding for many peers, newcomers, refreshes, peers that do not read, identifiers of several paths. */
import { expect } from 'chai';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import type { AdjRibOut } from 'node-bgp/rib/adj-rib-out';
import type { AttributeSets } from 'node-bgp/rib/attribute-sets';
import type { ExportRules } from 'node-bgp/rib/export-rules';
import { ExportBatch } from 'node-bgp/rib/export-batch';
import { FamilyTable } from 'node-bgp/rib/family-table';
import type { RibPeer } from 'node-bgp/rib/index';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { UpdateGroup } from 'node-bgp/rib/update-group';
import { ReferenceRib } from './reference-rib.js';
import { reach, ribPeer, RibWorld, sequence, type WirePeer } from './rib-world.js';

const receiver = (name: string, host: number, more: Partial<RibPeer> = {}): RibPeer =>
  ribPeer(name, { role: 'ebgp', at: `10.2.0.${host}`, remoteAs: 65100 + host, ...more });
const PATH = { asPath: sequence(65001) };

/** A sender with so many prefixes, in sets of five. */
function withTable(world: RibWorld, count: number, from = 0, version = 0): WirePeer {
  const sender = world.peers.get('sender') ?? world.up(ribPeer('sender', { role: 'ebgp', at: '10.1.0.1' }));
  for (let i = from; i < from + count; i++)
    world.announce(
      'sender',
      reach(`20.${i >> 8}.${i & 255}.0/24`, '10.1.0.1', {
        asPath: sequence(65001, 1 + version),
        communities: [Math.floor(i / 5)],
      }),
    );
  return sender;
}

describe('Update groups', () => {
  it('hand the very same octets to all members', () => {
    const world = new RibWorld();
    const peers = [1, 2, 3].map((host) => world.up(receiver(`r${host}`, host)));
    world.settle();
    withTable(world, 50);
    while (world.rib.run());
    const [first, ...rest] = peers.map(({ id }) => world.rib.takeOutput(id).buffers);
    expect(first?.length).to.equal(1);
    for (const other of rest) expect(other[0]).to.equal(first?.[0]);
  });

  it('pack prefixes of equal attributes into one UPDATE, however they came', () => {
    const world = new RibWorld();
    const to = world.up(receiver('r', 1));
    withTable(world, 500);
    world.settle();
    expect(to.heard.size).to.equal(500);
    expect(to.updates).to.equal(100);
  });

  it('hide a route from the peer it came from, and take back from it what another one had told it before', () => {
    const world = new RibWorld();
    const [a, b] = [1, 2].map((host) => world.up(receiver(`r${host}`, host)));
    world.announce('r1', reach('192.0.2.0/24', '10.2.0.1', { asPath: sequence(65101, 9) }));
    world.settle();
    expect([a?.heard.size, b?.heard.size]).to.deep.equal([0, 1]);
    world.announce('r2', reach('192.0.2.0/24', '10.2.0.2', { asPath: sequence(65102) }));
    world.settle();
    expect([a?.heard.size, b?.heard.size]).to.deep.equal([1, 0]);
    world.withdraw('r2', '192.0.2.0/24');
    world.settle();
    expect([a?.heard.size, b?.heard.size]).to.deep.equal([0, 1]);
  });

  it('say nothing when the outcome would look the same to the peers', () => {
    const world = new RibWorld();
    const to = world.up(ribPeer('r', { role: 'ibgp', at: '10.2.0.9', nextHop: { type: 'self' } }));
    for (const [name, host] of [
      ['a', 2],
      ['b', 1],
    ] as const) {
      world.up(ribPeer(name, { role: 'ebgp', at: `10.1.0.${host}` }));
      world.announce(name, reach('192.0.2.0/24', `10.1.0.${host}`, PATH));
      world.settle();
    }
    expect(world.rib.queries.lookup({ family: 4, value: 0xc0000201n })?.source).to.include({ peer: 'b' });
    expect(to.updates).to.equal(1);
  });

  describe('a newcomer', () => {
    it('gets the whole table and then End-of-RIB of each family', () => {
      const world = new RibWorld();
      const early = world.up(receiver('early', 1));
      withTable(world, 3000);
      world.settle();
      const before = early.updates;
      const late = world.up(receiver('late', 2));
      world.settle();
      expect([...late.heard].sort()).to.deep.equal([...early.heard].sort());
      expect(late.endsOfRib.sort()).to.deep.equal([4, 6]);
      expect(early.updates, 'nobody else hears anything again').to.equal(before);
      expect(late.updates).to.equal(600);
    });

    it('shares with the others as soon as it has caught up', () => {
      const world = new RibWorld();
      const early = world.up(receiver('early', 1));
      withTable(world, 100);
      world.settle();
      const late = world.up(receiver('late', 2));
      world.settle();
      withTable(world, 1, 100);
      while (world.rib.run());
      withTable(world, 1, 101);
      while (world.rib.run());
      const [a, b] = [early, late].map(({ id }) => world.rib.takeOutput(id).buffers);
      expect(a?.at(-1)).to.equal(b?.at(-1));
    });

    it('hears End-of-RIB at once when there is nothing, but not while selection is held', () => {
      const world = new RibWorld();
      const first = world.up(receiver('first', 1));
      world.settle();
      expect(first.endsOfRib.sort()).to.deep.equal([4, 6]);
      world.rib.holdSelection(true);
      withTable(world, 10);
      const second = world.up(receiver('second', 2));
      for (let i = 0; i < 10; i++) world.turn(1000, 1e6);
      expect([second.endsOfRib, second.heard.size, first.heard.size, world.forwarding.size]).to.deep.equal([
        [],
        0,
        0,
        0,
      ]);
      world.rib.holdSelection(false);
      world.settle();
      expect([second.endsOfRib.sort(), second.heard.size, first.heard.size]).to.deep.equal([[4, 6], 10, 10]);
    });
  });

  describe('a refresh', () => {
    it('brings everything again, to this peer alone, between BoRR and EoRR where agreed (2918, 7313)', () => {
      const world = new RibWorld();
      const [one, other] = [1, 2].map((host) => world.up(receiver(`r${host}`, host)));
      withTable(world, 200);
      world.settle();
      const before = other?.updates;
      one?.heard.clear();
      world.rib.refresh(one?.id ?? 0, 4, true);
      world.settle();
      expect(one?.heard.size).to.equal(200);
      expect(one?.other, 'two ROUTE-REFRESH messages').to.deep.equal([5, 5]);
      expect(other?.updates).to.equal(before);
    });

    it('sends withdrawals that were still under way', () => {
      const world = new RibWorld();
      const [one] = [1, 2].map((host) => world.up(receiver(`r${host}`, host)));
      withTable(world, 5);
      world.settle();
      world.withdraw('sender', '20.0.1.0/24');
      world.rib.refresh(one?.id ?? 0, 4, false);
      world.settle();
      expect(one?.heard.size).to.equal(4);
    });
  });

  describe('a peer that does not read', () => {
    const limit = 10_000;

    it('costs no more than a bounded number of octets, however long others go on', () => {
      const world = new RibWorld({ outputLimit: limit });
      const [reader, sleeper] = [world.up(receiver('reader', 1)), world.up(receiver('sleeper', 2))];
      for (let round = 0; round < 20; round++) {
        withTable(world, 200, round * 200);
        for (let i = 0; i < 20; i++) world.turn(500, 1e6, ['sleeper']);
        expect(world.rib.queries.outputPending(sleeper.id)).to.be.lessThan(4 * limit);
      }
      expect(reader.heard.size).to.equal(4000);
      expect(sleeper.heard.size).to.equal(0);
      world.settle();
      expect([...sleeper.heard].sort()).to.deep.equal([...reader.heard].sort());
    });

    it('does not hear twice what changed twice meanwhile', () => {
      const world = new RibWorld({ outputLimit: limit });
      const sleeper = world.up(receiver('sleeper', 2));
      withTable(world, 1000);
      for (let i = 0; i < 50; i++) world.turn(500, 0, ['sleeper']);
      for (let round = 0; round < 30; round++) {
        for (let i = 0; i < 100; i++)
          world.announce('sender', reach(`30.0.${i}.0/24`, '10.1.0.1', { ...PATH, med: round }));
        world.turn(2000, 0, ['sleeper']);
      }
      world.settle();
      expect(sleeper.heard.size).to.equal(1100);
      expect(sleeper.updates).to.be.lessThan(200 + 2 * 30);
    });

    it('misses nothing when it loses its place in the log in the middle of the table', () => {
      const world = new RibWorld({ outputLimit: 500, patience: 1 });
      const early = world.up(receiver('early', 1));
      withTable(world, 600);
      world.settle();
      const late = world.up(receiver('late', 2));
      world.turn(1, 1e6, ['late']);
      for (let round = 1; round < 4; round++) {
        withTable(world, 250, 0, round);
        for (let i = 0; i < 40; i++) world.turn(300, 1e6, ['late']);
      }
      expect(late.heard.size).to.equal(0);
      world.settle();
      expect([...late.heard].sort()).to.deep.equal([...early.heard].sort());
    });

    it('keeps no log of prefixes that came and went, always others', () => {
      const table = new FamilyTable(4, 8);
      const parameters = {
        as4: true,
        addPathIpv4: false,
        addPathIpv6: false,
        extendedNextHop: false,
        maxMessageLength: 4096,
      };
      const out = { has: () => false } as unknown as AdjRibOut;
      const group = new UpdateGroup('stalled', {} as ExportRules, parameters, out, {
        table,
        sets: {} as AttributeSets,
        batch: new ExportBatch(),
      });
      table.mayForget = (prefix) => !group.remembers(prefix);
      for (let word = 0; word < 1000; word++) {
        table.log.append(table.intern(Uint32Array.of(word), 0, 32));
        group.loseLongLog();
        table.trimLog(100);
      }
      expect(group.isWalking).to.equal(true);
      expect(table.prefixes.end).to.be.lessThan(20);
      expect(table.log.length).to.be.lessThan(20);
    });

    it('holds back nobody who joins later', () => {
      const world = new RibWorld({ outputLimit: limit });
      world.up(receiver('sleeper', 2));
      withTable(world, 5000);
      for (let i = 0; i < 50; i++) world.turn(1000, 1e6, ['sleeper']);
      const late = world.up(receiver('late', 3));
      for (let i = 0; i < 50; i++) world.turn(1000, 1e6, ['sleeper']);
      expect(late.heard.size).to.equal(5000);
    });
  });

  describe('several paths (7911)', () => {
    const families = (more: object): RibPeer['families'] =>
      ribPeer('', { role: 'ebgp', at: '10.1.0.1' }).families.map((session) => ({ ...session, ...more }));

    it('go out under identifiers that stay, and go when their path goes', () => {
      const world = new RibWorld();
      const to = world.up(receiver('to', 9, { families: families({ addPathSend: true }) }));
      world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
      world.up(ribPeer('b', { role: 'ebgp', at: '10.1.0.2', families: families({ addPathReceive: true }) }));
      world.announce('a', reach('192.0.2.0/24', '10.1.0.1', PATH));
      world.announce(
        'b',
        reach('192.0.2.0/24', '10.1.0.2', PATH, 7),
        reach('192.0.2.0/24', '10.1.0.3', { ...PATH, med: 1 }, 8),
      );
      world.settle();
      const keys = [...to.heard.keys()].sort();
      expect(keys.length).to.equal(3);
      world.withdraw('b', '192.0.2.0/24', 7);
      world.settle();
      expect(to.heard.size).to.equal(2);
      world.announce('b', reach('192.0.2.0/24', '10.1.0.2', PATH, 7));
      world.settle();
      expect([...to.heard.keys()].sort()).to.deep.equal(keys);
      world.down('b', 'drop');
      world.settle();
      expect(to.heard.size).to.equal(1);
    });

    it('go again when their next hop was reachable for a moment only', () => {
      const world = new RibWorld();
      world.connect([{ prefix: parsePrefix('fd01::/64'), interfaceName: 'eth1' }]);
      world.up(ribPeer('far', { role: 'ebgp', at: '10.2.0.3', singleHop: false }));
      world.up(ribPeer('carrier', { role: 'ibgp', at: '10.9.1.1' }));
      const to = world.up(
        ribPeer('to', { role: 'rr-client', at: '10.9.1.4', families: families({ addPathSend: true }) }),
      );
      world.announce('far', reach('2001:db8:1::/48', 'fd09:1::1'));
      world.announce('carrier', reach('fd09:1::/48', 'fd01::1'));
      world.down('carrier', 'drop');
      world.settle();
      expect([...to.heard.keys()]).to.deep.equal([]);
    });

    it('are at most as many as configured, best first', () => {
      const world = new RibWorld();
      const to = world.up(receiver('to', 9, { families: families({ addPathSend: true }), addPathLimit: 2 }));
      for (let i = 1; i <= 4; i++) {
        world.up(ribPeer(`s${i}`, { role: 'ebgp', at: `10.1.0.${i}` }));
        world.announce(
          `s${i}`,
          reach('192.0.2.0/24', `10.1.0.${i}`, { asPath: sequence(...Array.from({ length: 5 - i }, () => 65001)) }),
        );
      }
      world.settle();
      const lengths = (): number[] =>
        [...to.heard.values()].map((text) => text.split('65001').length - 1).sort((a, b) => a - b);
      expect(lengths()).to.deep.equal([1, 2]);
      const change = (addPathLimit: number | undefined, exportPolicy?: RoutePolicy): void => {
        const families4 = families({ addPathSend: true });
        const options = receiver('to', 9, {
          families: families4,
          ...(addPathLimit === undefined ? {} : { addPathLimit }),
          ...(exportPolicy === undefined ? {} : { exportPolicy }),
        });
        world.rib.peerChanged(to.id, options);
        world.settle();
      };
      change(1);
      expect(lengths(), 'of a living session').to.deep.equal([1]);
      change(undefined);
      expect(lengths(), 'without a limit').to.deep.equal([1, 2, 3, 4]);
      const noShort: RoutePolicy = {
        key: 'no short',
        dependsOnPrefix: false,
        dependsOnPeer: false,
        judge: ({ attributes }) =>
          (attributes.asPath[0]?.members.length ?? 0) < 2 ? { type: 'reject' } : { type: 'accept' },
      };
      change(2, noShort);
      expect(lengths(), 'of those that policy lets out').to.deep.equal([2, 3]);
    });
  });

  it('do not mistake a set that policy made for one that has taken its number', () => {
    const world = new RibWorld();
    const exportPolicy: RoutePolicy = {
      key: 'stamp',
      dependsOnPrefix: false,
      dependsOnPeer: false,
      judge: ({ attributes }) => ({
        type: 'accept',
        attributes: { ...attributes, communities: [...(attributes.communities ?? []), 99] },
      }),
    };
    const to = world.up(receiver('to', 9, { exportPolicy }));
    for (const name of ['a', 'b'])
      world.up(ribPeer(name, { role: 'ebgp', at: name === 'a' ? '10.1.0.1' : '10.1.0.2' }));
    const path = (...as: number[]) => ({ asPath: sequence(...as) });
    world.announce('b', reach('192.0.2.0/24', '10.1.0.2', path(65001, 2)));
    world.settle();
    world.announce('a', reach('192.0.2.0/24', '10.1.0.1', path(65001)));
    world.settle();
    for (let i = 0; i < 8; i++) world.announce('a', reach(`20.0.${i}.0/24`, '10.1.0.1', path(65001, 100 + i)));
    world.settle();
    world.withdraw('a', '192.0.2.0/24');
    world.settle();
    expect(to.heard.get('192.0.2.0/24')).to.contain('[65000,65001,2]').and.to.contain('["communities",[99]]');
  });

  it('list what a peer has been told, as it has been told', () => {
    const world = new RibWorld();
    const to = world.up(receiver('to', 1));
    withTable(world, 2500);
    world.settle();
    const slices = [...world.rib.queries.advertised(to.id, 4)];
    expect(slices.every((slice) => slice.length <= 1000)).to.equal(true);
    const listed = slices.flat().map(({ prefix }) => formatPrefix(prefix));
    expect(listed.sort()).to.deep.equal([...to.heard.keys()].sort());
    expect(slices.flat()[0]?.attributes.asPath).to.deep.equal(sequence(65000, 65001, 1));
  });

  it('follow a peer whose parameters change without a flap', () => {
    const world = new RibWorld();
    const options = receiver('to', 1);
    const to = world.up(options);
    withTable(world, 20);
    world.settle();
    world.rib.peerChanged(to.id, { ...options, gracefulShutdown: true });
    world.settle();
    expect([...to.heard.values()].every((text) => text.includes('4294901760'))).to.equal(true);
    const exportPolicy = {
      key: 'odd',
      dependsOnPrefix: true,
      dependsOnPeer: false,
      judge: ({ prefix }: { prefix?: { value: bigint } }) => ({
        type: ((prefix?.value ?? 0n) >> 8n) % 2n === 1n ? ('accept' as const) : ('reject' as const),
      }),
    };
    world.rib.peerChanged(to.id, { ...options, exportPolicy });
    world.settle();
    expect(to.heard.size).to.equal(10);
    expect([...to.heard].sort()).to.deep.equal(
      [
        ...new ReferenceRib({ ...world.state(), peers: [{ ...options, exportPolicy }] }).advertised(
          { ...options, exportPolicy },
          4,
        ),
      ].sort(),
    );
  });

  it('forget everything about prefixes that nobody has any more', () => {
    const world = new RibWorld();
    for (let round = 0; round < 3; round++) {
      world.up(receiver(`r${round}`, 1));
      withTable(world, 2000);
      world.settle();
      world.down('sender', 'drop');
      world.settle();
      world.down(`r${round}`, 'drop');
    }
    world.settle();
    expect(world.rib.queries.totals(4)).to.deep.equal({ prefixes: 0, paths: 0 });
    expect(world.rib.queries.paths(parsePrefix('20.0.0.0/24'))).to.deep.equal([]);
    expect(world.forwarding.size).to.equal(0);
  });
});
