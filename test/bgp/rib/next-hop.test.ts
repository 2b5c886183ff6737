/** Next hops: links, recursion, tracking (RFC 4271 section 5.1.3 and 9.1.2.1). */
import { expect } from 'chai';
import { addressToBytes, parseAddress, parsePrefix } from 'node-bgp/address';
import type { ConnectedPrefix, RibPeer } from 'node-bgp/rib/index';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { reach, ribPeer, RibWorld, sequence } from './rib-world.js';

const link = (prefix: string, interfaceName: string): ConnectedPrefix => ({
  prefix: parsePrefix(prefix),
  interfaceName,
});
const BLOCK = '10.65.1.0/26';
const via = (world: RibWorld, prefix: string): string[] =>
  (world.forwarding.get(prefix) ?? '')
    .split(' ')
    .filter((text) => text !== '')
    .map((text) => {
      const [value = '', name] = text.split('%');
      return `${[24n, 16n, 8n, 0n].map((shift) => (BigInt(value) >> shift) & 255n).join('.')} ${name}`;
    });

/** A node of the lab: two ToRs on links of their own, and a mesh peer whose loopback both ToRs tell us. */
function rack(): RibWorld {
  const world = new RibWorld({ localAs: 64512 });
  world.connect([link('10.0.1.0/31', 'eth0'), link('10.0.2.0/31', 'eth1')]);
  const families = ribPeer('', { role: 'ebgp', at: '10.0.1.0' }).families;
  world.up(
    ribPeer('tor1', { role: 'ebgp', at: '10.0.1.0', remoteAs: 65001, localAs: 64512, allowLocalAs: 1, families }),
  );
  world.up(
    ribPeer('tor2', { role: 'ebgp', at: '10.0.2.0', remoteAs: 65002, localAs: 64512, allowLocalAs: 1, families }),
  );
  world.up(ribPeer('node2', { role: 'ibgp', at: '192.168.0.2', remoteAs: 64512, localAs: 64512 }));
  for (const [tor, as] of [
    ['tor1', 65001],
    ['tor2', 65002],
  ] as const) {
    const hop = tor === 'tor1' ? '10.0.1.0' : '10.0.2.0';
    world.announce(
      tor,
      reach('192.168.0.2/32', hop, { asPath: sequence(as, 64512) }),
      reach(BLOCK, hop, { asPath: sequence(as, 64512) }),
    );
  }
  world.announce('node2', reach(BLOCK, '192.168.0.2', { localPreference: 100 }));
  world.settle();
  return world;
}

describe('Next hops', () => {
  it('of the mesh resolve through the routes of both ToRs', () => {
    const world = rack();
    expect(world.rib.queries.lookup({ family: 4, value: BigInt(0x0a410105) })?.source).to.include({ peer: 'node2' });
    expect(via(world, BLOCK)).to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
    expect(via(world, '192.168.0.2/32')).to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
  });

  it('lose a way with a link, and come back with it', () => {
    const world = rack();
    world.connect([link('10.0.2.0/31', 'eth1')]);
    world.settle();
    expect(via(world, BLOCK)).to.deep.equal(['10.0.2.0 eth1']);
    world.connect([]);
    world.settle();
    expect([...world.forwarding]).to.deep.equal([]);
    world.connect([link('10.0.1.0/31', 'eth0'), link('10.0.2.0/31', 'eth1')]);
    world.settle();
    expect(via(world, BLOCK)).to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
  });

  it('lose a way with a session', () => {
    const world = rack();
    world.down('tor1', 'drop');
    world.settle();
    expect(via(world, BLOCK)).to.deep.equal(['10.0.2.0 eth1']);
  });

  it('follow the longest match as it comes and goes', () => {
    const world = rack();
    world.announce('tor1', reach('192.168.0.0/24', '10.0.1.0', { asPath: sequence(65001) }));
    world.withdraw('tor1', '192.168.0.2/32');
    world.withdraw('tor2', '192.168.0.2/32');
    world.settle();
    expect(via(world, BLOCK)).to.deep.equal(['10.0.1.0 eth0']);
    world.withdraw('tor1', '192.168.0.0/24');
    world.settle();
    expect(via(world, BLOCK), "the ToRs' own routes to the block").to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
    expect(world.rib.queries.paths(parsePrefix(BLOCK)).map(({ unusable }) => unusable)).to.deep.equal([
      undefined,
      undefined,
      'next-hop-unreachable',
    ]);
  });

  it('come back together with the link that carries them, whichever was known first', () => {
    for (const order of [
      ['node', 'tor'],
      ['tor', 'node'],
    ]) {
      const world = new RibWorld();
      world.connect([]);
      world.up(ribPeer('node', { role: 'ibgp', at: '192.168.0.2' }));
      world.up(ribPeer('tor', { role: 'ebgp', at: '10.0.1.0' }));
      for (const name of order)
        if (name === 'node') world.announce('node', reach(BLOCK, '192.168.0.2'));
        else world.announce('tor', reach('192.168.0.0/24', '10.0.1.0', { asPath: sequence(65001) }));
      world.settle();
      world.connect([link('10.0.1.0/31', 'eth0')]);
      world.settle();
      expect(via(world, BLOCK), order.join()).to.deep.equal(['10.0.1.0 eth0']);
    }
  });

  it('use a default route only when told so', () => {
    for (const resolveThroughDefault of [false, true]) {
      const world = new RibWorld({ resolveThroughDefault });
      world.connect([link('10.0.1.0/31', 'eth0')]);
      world.up(ribPeer('tor', { role: 'ebgp', at: '10.0.1.0' }));
      world.up(ribPeer('node', { role: 'ibgp', at: '192.168.0.2' }));
      world.announce('tor', reach('0.0.0.0/0', '10.0.1.0', { asPath: sequence(65001) }));
      world.announce('node', reach(BLOCK, '192.168.0.2'));
      world.settle();
      expect(via(world, BLOCK)).to.deep.equal(resolveThroughDefault ? ['10.0.1.0 eth0'] : []);
    }
  });

  it('never resolve through themselves, nor through each other', () => {
    const world = new RibWorld();
    world.connect([link('10.0.1.0/31', 'eth0')]);
    for (const name of ['a', 'b']) world.up(ribPeer(name, { role: 'ibgp', at: `192.168.0.${name === 'a' ? 1 : 2}` }));
    world.announce('a', reach('192.168.0.0/24', '192.168.0.1'), reach('172.16.0.0/16', '172.17.0.1'));
    world.announce('b', reach('172.17.0.0/16', '172.16.0.1'));
    world.settle();
    expect([...world.forwarding]).to.deep.equal([]);
  });

  describe('inside their own prefix', () => {
    const LOOPBACK = '192.168.0.2/32';
    const defaultRoute = {
      prefix: parsePrefix('0.0.0.0/0'),
      metric: 100,
      hops: [{ address: parseAddress('10.0.9.1'), interfaceName: 'eth9', weight: 1 }],
    };
    const bestPeer = (world: RibWorld, prefix: string): string | undefined => {
      const source = world.rib.queries.bestPath(parsePrefix(prefix))?.source;
      return source?.type === 'local' ? 'us' : source?.peer;
    };

    for (const isDefault of [false, true])
      it(`come after every router's route, ${isDefault ? 'with' : 'without'} a default, in any order`, () => {
        for (const isFirst of [true, false]) {
          const world = rack();
          if (isDefault) world.setKernelRoutes([defaultRoute]);
          const told = (): void => world.announce('node2', reach(LOOPBACK, '192.168.0.2', { localPreference: 900 }));
          if (isFirst) {
            for (const tor of ['tor1', 'tor2']) world.withdraw(tor, LOOPBACK);
            told();
            world.settle();
            for (const tor of ['tor1', 'tor2'])
              world.announce(
                tor,
                reach(LOOPBACK, tor === 'tor1' ? '10.0.1.0' : '10.0.2.0', { asPath: sequence(65001, 64512) }),
              );
          } else told();
          world.settle();
          expect(bestPeer(world, LOOPBACK)).to.equal('tor1');
          expect(via(world, LOOPBACK)).to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
          expect(via(world, BLOCK)).to.deep.equal(['10.0.1.0 eth0', '10.0.2.0 eth1']);
        }
      });

    it('never leave the kernel without a route while routers come and go', () => {
      const world = rack();
      world.setKernelRoutes([defaultRoute]);
      world.announce('node2', reach(LOOPBACK, '192.168.0.2', { localPreference: 900 }));
      world.settle();
      const turns = (what: string): void => {
        for (let i = 0; i < 40; i++) {
          world.turn(1, 4096);
          expect(world.forwarding.has(LOOPBACK), what).to.equal(true);
        }
      };
      for (const tor of ['tor1', 'tor2', 'tor1', 'tor2']) {
        world.withdraw(tor, LOOPBACK);
        turns(`without ${tor}`);
        world.announce(
          tor,
          reach(LOOPBACK, tor === 'tor1' ? '10.0.1.0' : '10.0.2.0', { asPath: sequence(65001, 64512) }),
        );
        turns(`with ${tor}`);
      }
      for (const tor of ['tor1', 'tor2']) world.withdraw(tor, LOOPBACK);
      turns('without both');
      world.settle();
      expect(bestPeer(world, LOOPBACK), 'of the last resort').to.equal('node2');
      expect(via(world, LOOPBACK)).to.deep.equal(['10.0.9.1 eth9']);
    });

    it('are as good as others where something longer leads there, or a link as long', () => {
      const world = new RibWorld();
      world.connect([link('10.0.1.0/31', 'eth0'), link('192.0.2.0/24', 'eth1')]);
      world.up(ribPeer('tor', { role: 'ebgp', at: '10.0.1.0' }));
      world.up(ribPeer('node', { role: 'ibgp', at: '192.168.0.2' }));
      world.announce(
        'tor',
        reach('192.168.0.2/32', '10.0.1.0', { asPath: sequence(65001) }),
        reach('192.168.0.0/16', '10.0.1.0', { asPath: sequence(65001) }),
        reach('192.0.2.0/24', '10.0.1.0', { asPath: sequence(65001) }),
      );
      world.announce('node', reach('192.168.0.0/16', '192.168.0.2'), reach('192.0.2.0/24', '192.0.2.7'));
      world.settle();
      expect(bestPeer(world, '192.168.0.0/16')).to.equal('node');
      expect(bestPeer(world, '192.0.2.0/24')).to.equal('node');
    });

    it('say so', () => {
      const world = rack();
      world.setKernelRoutes([defaultRoute]);
      world.announce('node2', reach(LOOPBACK, '192.168.0.2'));
      world.settle();
      const mesh = world.rib.queries.why(parsePrefix(LOOPBACK)).candidates.find(({ source }) => source.type === 'ibgp');
      expect(mesh).to.include({ decidedBy: 'through-itself', isBest: false, isMultipath: false });
      expect(mesh?.reason).to.equal(
        'It has a next hop in its own prefix, which leads through itself, ' +
          'a better path has a next hop that does not lead through itself',
      );
    });
  });

  describe('that cannot be reached say which look-up failed', () => {
    const reasonOf = (
      nextHop: string,
      prepare: (world: RibWorld) => void,
      prefix = '172.20.0.0/16',
    ): string | undefined => {
      const world = rack();
      prepare(world);
      world.up(ribPeer('far', { role: 'ibgp', at: '192.168.0.9' }));
      world.announce('far', reach(prefix, nextHop));
      world.settle();
      return world.rib.queries.why(parsePrefix(prefix)).candidates.find(({ source }) => source.type === 'ibgp')?.reason;
    };
    const said = (nextHop: string, why: string): string => `Its next hop ${nextHop} cannot be reached: ${why}`;
    const fromTor =
      (prefix: string, nextHop = '10.0.1.0') =>
      (world: RibWorld) =>
        world.announce('tor1', reach(prefix, nextHop, { asPath: sequence(65001) }));

    for (const [what, nextHop, prepare, why] of [
      [
        'nothing leads there',
        '172.16.0.1',
        () => undefined,
        'no link, no route of the kernel and no BGP route leads there',
      ],
      [
        'only a default that does not count',
        '172.16.0.1',
        (world: RibWorld) => world.rib.setKernelRoutes([], [4]),
        "only the kernel's default route leads there, and resolveThroughDefault is off",
      ],
      [
        "only BGP's default",
        '172.16.0.1',
        fromTor('0.0.0.0/0'),
        'only a default route from BGP leads there, and that carries no next hop',
      ],
      [
        'our own prefix',
        '172.16.0.1',
        (world: RibWorld) => world.originate([{ prefix: parsePrefix('172.16.0.0/12') }]),
        'it lies in our own prefix 172.16.0.0/12, and nothing leads on from here',
      ],
      [
        "a route of the kernel's into nothing",
        '172.16.0.1',
        (world: RibWorld) => world.setKernelRoutes([{ prefix: parsePrefix('172.16.0.0/24'), metric: 0, hops: [] }]),
        "the kernel's route to it, 172.16.0.0/24, leads nowhere",
      ],
      [
        'a route that needs BGP itself',
        '172.16.0.1',
        (world: RibWorld) => world.announce('node2', reach('172.16.0.0/16', '172.31.0.1')),
        'the route to it, 172.16.0.0/16, has a next hop that BGP would have to reach, too',
      ],
    ] as const)
      it(what, () => expect(reasonOf(nextHop, prepare)).to.equal(said(nextHop, why)));

    it('its own prefix', () =>
      expect(reasonOf('172.20.0.1', () => undefined)).to.equal(
        said(
          '172.20.0.1',
          'the route to it, 172.20.0.0/16, leads through itself: its next hop lies in it, and nothing longer leads there',
        ),
      ));

    it('a neighbour on a link, another link, a link-local address without a link', () => {
      const world = rack();
      fromTor('172.20.0.0/16', '172.16.0.1')(world);
      const [at, families] = [
        'fe80::1',
        [{ family: 6 as const, nextHopSelf: addressToBytes(parseAddress('fe80::9')) }],
      ];
      world.up(ribPeer('gone', { role: 'ebgp', at, remoteAs: 65009, interfaceName: 'eth7', families }));
      world.announce('gone', reach('2001:db8::/32', 'fe80::1', { asPath: sequence(65009) }));
      world.announce('node2', reach('2001:db8::/32', 'fe80::1'));
      world.settle();
      const reasons = (prefix: string) =>
        world.rib.queries.why(parsePrefix(prefix)).candidates.map(({ reason }) => reason);
      expect(reasons('172.20.0.0/16')).to.deep.equal([
        said('172.16.0.1', 'no link has it, and a neighbour on a link is believed about its own link only'),
      ]);
      expect(reasons('2001:db8::/32')).to.have.members([
        said('fe80::1', 'link eth7 is down or not there'),
        said('fe80::1', 'a link-local address is looked for on the link of the session, and this session has none'),
      ]);
    });
  });

  it('inside a prefix of our own lead nowhere', () => {
    const world = rack();
    world.originate([{ prefix: parsePrefix('192.168.0.0/28') }]);
    world.withdraw('tor1', '192.168.0.2/32');
    world.withdraw('tor2', '192.168.0.2/32');
    world.announce('tor1', reach('192.168.0.0/16', '10.0.1.0', { asPath: sequence(65001) }));
    world.settle();
    expect(world.rib.queries.paths(parsePrefix(BLOCK)).find(({ source }) => source.type === 'ibgp')?.unusable).to.equal(
      'next-hop-unreachable',
    );
  });

  it("that are link-local are looked for on the session's interface", () => {
    const world = new RibWorld();
    world.connect([link('fe80::/64', 'eth0'), link('fe80::/64', 'eth1')]);
    world.up(ribPeer('a', { role: 'ebgp', at: 'fe80::1', interfaceName: 'eth1' }));
    world.announce('a', reach('2001:db8::/32', 'fe80::1', { asPath: sequence(65001) }));
    world.settle();
    expect(world.forwarding.get('2001:db8::/32')).to.match(/%eth1$/);
    world.connect([link('fe80::/64', 'eth0')]);
    world.settle();
    expect(world.forwarding.size).to.equal(0);
  });

  it('all count as reached where nobody says what is connected', () => {
    const world = new RibWorld();
    world.up(ribPeer('a', { role: 'ebgp', at: '10.1.0.1' }));
    world.announce('a', reach(BLOCK, '203.0.113.9', { asPath: sequence(65001) }));
    world.settle();
    expect(world.rib.queries.paths(parsePrefix(BLOCK))[0]?.isBest).to.equal(true);
  });

  /** The verdict on a path takes away the very way that brought the verdict: there is no answer that stands. */
  it('come to rest where import policy rejects a route for the interface that it makes its own next hop use', () => {
    const world = new RibWorld({ localAs: 64512 });
    world.connect([link('10.0.0.0/24', 'eth0'), link('10.1.0.0/24', 'eth1')]);
    let asked = 0;
    const importPolicy: RoutePolicy = {
      key: 'not eth0',
      dependsOnPrefix: false,
      dependsOnPeer: false,
      dependsOnInterface: true,
      judge: (route) => {
        asked++;
        return route.interfaceName === 'eth0' ? { type: 'reject' } : { type: 'accept' };
      },
    };
    const from = (name: string, at: string) =>
      world.up(ribPeer(name, { role: 'ibgp', at, remoteAs: 64512, localAs: 64512, importPolicy }));
    from('a', '10.0.0.1');
    from('b', '10.1.0.1');
    // Through 'b' the next hop of 'a' is on eth1, so its path is taken, preferred, and puts it on eth0.
    world.announce('b', reach('10.0.0.1/32', '10.1.0.1', { localPreference: 100 }));
    world.announce('a', reach('10.0.0.1/32', '10.0.0.1', { localPreference: 200 }));
    world.settle();
    expect(asked).to.be.lessThan(100);
    // What stands in its way is gone: now there is an answer, and it is asked for.
    world.connect([link('10.0.0.0/24', 'eth2'), link('10.1.0.0/24', 'eth1')]);
    world.settle();
    expect(via(world, '10.0.0.1/32')).to.deep.equal(['10.0.0.1 eth2']);
  });

  it('that are link-local are ours on our interface, and a neighbour’s on another', () => {
    const world = new RibWorld();
    world.connect([link('10.0.1.0/31', 'eth0'), link('10.0.2.0/31', 'eth1')]);
    const over = (interfaceName: string, own: string, at: string): RibPeer =>
      ribPeer(interfaceName, {
        role: 'ebgp',
        at,
        interfaceName,
        families: [{ family: 6, nextHopSelf: addressToBytes(parseAddress(own)) }],
      });
    // The upper end of each link is fe80::1, as in many fabrics: we are the lower one of eth0, the upper one of eth1.
    world.up(over('eth0', 'fe80::2', 'fe80::1'));
    world.up(over('eth1', 'fe80::1', 'fe80::2'));
    world.announce('eth0', reach('2001:db8:1::/48', 'fe80::1', { asPath: sequence(65001) }));
    world.announce('eth1', reach('2001:db8:2::/48', 'fe80::2', { asPath: sequence(65001) }));
    world.announce('eth1', reach('2001:db8:3::/48', 'fe80::1', { asPath: sequence(65001) }));
    world.settle();
    const unusable = (prefix: string) => world.rib.queries.paths(parsePrefix(prefix))[0]?.unusable;
    expect([unusable('2001:db8:1::/48'), unusable('2001:db8:2::/48'), unusable('2001:db8:3::/48')]).to.deep.equal([
      undefined,
      undefined,
      'next-hop-is-ours',
    ]);
  });

  describe('of a pair (RFC 2545 section 3)', () => {
    const PREFIX6 = '2001:db8:65::/48';
    const GLOBAL = '2001:db8:1::2';
    const LINK_LOCAL = 'fe80::2';
    const pair = { ...reach(PREFIX6, GLOBAL, { asPath: sequence(65001) }), linkLocal: parseAddress(LINK_LOCAL) };
    const hex = (text: string): string => Buffer.from(addressToBytes(parseAddress(text))).toString('hex');
    const toldTo = (world: RibWorld, name: string): string =>
      world.peer(name).heard.get(PREFIX6)?.split(' via ')[1] ?? 'nothing';
    const unchanged = (name: string, at: string, interfaceName: string | undefined) =>
      ribPeer(name, {
        role: 'ebgp',
        at,
        remoteAs: 65002,
        nextHop: { type: 'unchanged' },
        ...(interfaceName === undefined ? {} : { interfaceName }),
      });

    it('are forwarded to by the link-local half, and go on by the global one', () => {
      const world = new RibWorld();
      world.connect([link('2001:db8:1::/64', 'eth0'), link('2001:db8:2::/64', 'eth1')]);
      world.up(ribPeer('from', { role: 'ebgp', at: '2001:db8:1::2', interfaceName: 'eth0' }));
      world.up(unchanged('same', '2001:db8:1::3', 'eth0'));
      world.up(unchanged('other', '2001:db8:2::3', 'eth1'));
      world.up(unchanged('far', '2001:db8:9::3', undefined));
      world.up(ribPeer('inside', { role: 'ibgp', at: '2001:db8:9::4' }));
      world.announce('from', pair);
      world.settle();
      expect(world.forwarding.get(PREFIX6)).to.equal(`${parseAddress(LINK_LOCAL).value}%eth0`);
      expect(toldTo(world, 'same'), 'who shares the link').to.equal(hex(GLOBAL) + hex(LINK_LOCAL));
      for (const name of ['other', 'far', 'inside']) expect(toldTo(world, name), name).to.equal(hex(GLOBAL));
      const shown = world.rib.queries.bestPath(parsePrefix(PREFIX6));
      expect([shown?.nextHop, shown?.linkLocalNextHop]).to.deep.equal([parseAddress(GLOBAL), parseAddress(LINK_LOCAL)]);
      const told = world.rib.queries.why(parsePrefix(PREFIX6)).peers.find(({ peer }) => peer === 'same');
      expect([told?.nextHop, told?.linkLocalNextHop]).to.deep.equal([parseAddress(GLOBAL), parseAddress(LINK_LOCAL)]);
    });

    it('are reached by the global half where the link is not known', () => {
      const world = new RibWorld();
      world.connect([link('2001:db8:1::/64', 'eth0')]);
      world.up(ribPeer('from', { role: 'ibgp', at: '2001:db8:9::2' }));
      world.announce('from', pair);
      world.settle();
      expect(world.forwarding.get(PREFIX6)).to.equal(`${parseAddress(GLOBAL).value}%eth0`);
    });

    for (const second of ['::', '2001:db8:1::7'])
      it(`do without a second half that is no link-local address: ${second}`, () => {
        const world = new RibWorld();
        world.connect([link('2001:db8:1::/64', 'eth0')]);
        world.up(ribPeer('from', { role: 'ebgp', at: '2001:db8:1::2', interfaceName: 'eth0' }));
        world.announce('from', { ...pair, linkLocal: parseAddress(second) });
        world.settle();
        expect(world.forwarding.get(PREFIX6)).to.equal(`${parseAddress(GLOBAL).value}%eth0`);
        expect(world.rib.queries.bestPath(parsePrefix(PREFIX6))?.linkLocalNextHop).to.equal(undefined);
      });

    for (const first of ['::', 'fe80::2'])
      it(`do without a first half that is no global address: ${first}`, () => {
        const world = new RibWorld();
        world.connect([link('2001:db8:1::/64', 'eth0')]);
        world.up(ribPeer('from', { role: 'ebgp', at: 'fe80::2', interfaceName: 'eth0' }));
        world.announce('from', { ...pair, nextHop: parseAddress(first) });
        world.settle();
        expect(world.forwarding.get(PREFIX6)).to.equal(`${parseAddress(LINK_LOCAL).value}%eth0`);
        expect(world.rib.queries.bestPath(parsePrefix(PREFIX6))?.nextHop).to.deep.equal(parseAddress(LINK_LOCAL));
      });
  });

  describe('behind routes of the kernel (RFC 4271 section 5.1.3)', () => {
    const route = (prefix: string, metric: number, ...hops: readonly (readonly [string | undefined, string])[]) => ({
      prefix: parsePrefix(prefix),
      metric,
      hops: hops.map(([address, interfaceName]) => ({
        ...(address === undefined ? {} : { address: parseAddress(address) }),
        interfaceName,
        weight: 1,
      })),
    });
    /** A node with a link to 10.0.1.0/24 and 2001:db8:1::/64, and an iBGP peer further away. */
    function node(): RibWorld {
      const world = new RibWorld();
      world.connect([link('10.0.1.0/24', 'eth0'), link('2001:db8:1::/64', 'eth0')]);
      world.up(ribPeer('far', { role: 'ibgp', at: '203.0.113.2' }));
      world.announce('far', reach(BLOCK, '203.0.113.2'), reach('2001:db8:65::/48', '2001:db8:9::2'));
      world.settle();
      return world;
    }
    const reachable = (world: RibWorld, prefix: string): readonly string[] =>
      (world.forwarding.get(prefix) ?? '').split(' ').filter((text) => text !== '');
    const to = (address: string, interfaceName: string): string => `${parseAddress(address).value}%${interfaceName}`;

    it('are reached over a gateway, in both families, as long as the route is there', () => {
      const world = node();
      expect(world.forwarding.size, 'nothing leads there').to.equal(0);
      const gateways = [
        route('203.0.113.0/24', 0, ['10.0.1.9', 'eth0']),
        route('2001:db8:9::/48', 1024, ['2001:db8:1::9', 'eth0']),
      ];
      world.setKernelRoutes(gateways);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([to('10.0.1.9', 'eth0')]);
      expect(reachable(world, '2001:db8:65::/48')).to.deep.equal([to('2001:db8:1::9', 'eth0')]);
      world.setKernelRoutes([route('203.0.113.0/24', 0, ['10.0.1.8', 'eth0'])]);
      world.settle();
      expect(reachable(world, BLOCK), 'another gateway').to.deep.equal([to('10.0.1.8', 'eth0')]);
      expect(reachable(world, '2001:db8:65::/48'), 'the route is gone').to.deep.equal([]);
      world.setKernelRoutes([]);
      world.settle();
      expect(world.forwarding.size).to.equal(0);
    });

    it('are reached over a device, a default and several gateways', () => {
      const world = node();
      world.setKernelRoutes([
        route('203.0.113.2/32', 0, [undefined, 'eth7']),
        route('::/0', 1024, ['fe80::1', 'eth0'], ['fe80::2', 'eth1']),
      ]);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([to('203.0.113.2', 'eth7')]);
      expect(reachable(world, '2001:db8:65::/48')).to.have.members([to('fe80::1', 'eth0'), to('fe80::2', 'eth1')]);
    });

    it('are not reached where the kernel says that nothing is there', () => {
      const world = node();
      world.setKernelRoutes([route('0.0.0.0/0', 0, ['10.0.1.9', 'eth0']), route('203.0.113.0/24', 0)]);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([]);
      expect(world.rib.queries.paths(parsePrefix(BLOCK))[0]?.unusable).to.equal('next-hop-unreachable');
    });

    it('of BGP routes carry others, too', () => {
      const world = node();
      world.up(ribPeer('router', { role: 'ebgp', at: '198.51.100.1', singleHop: false }));
      world.announce('router', reach('203.0.113.2/32', '198.51.100.1', { asPath: sequence(65001) }));
      world.setKernelRoutes([route('198.51.100.0/24', 7, ['10.0.1.9', 'eth0'])]);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([to('10.0.1.9', 'eth0')]);
    });

    it('count by the metric of their route in the decision (RFC 4271 section 9.1.2.2 e)', () => {
      const world = new RibWorld();
      world.connect([link('10.0.1.0/24', 'eth0')]);
      world.up(ribPeer('a', { role: 'ibgp', at: '203.0.113.1' }));
      world.up(ribPeer('b', { role: 'ibgp', at: '203.0.114.1' }));
      world.announce('a', reach(BLOCK, '203.0.113.1'));
      world.announce('b', reach(BLOCK, '203.0.114.1'));
      const [near, far] = [
        route('203.0.114.0/24', 10, ['10.0.1.2', 'eth0']),
        route('203.0.113.0/24', 20, ['10.0.1.1', 'eth0']),
      ];
      world.setKernelRoutes([near, far]);
      world.settle();
      const ranking = () => world.rib.queries.paths(parsePrefix(BLOCK)).map(({ nextHop }) => nextHop);
      expect(ranking()).to.deep.equal([parseAddress('203.0.114.1'), parseAddress('203.0.113.1')]);
      expect(world.rib.queries.why(parsePrefix(BLOCK)).candidates[1]?.reason).to.equal(
        'It has a next hop at metric 20, a better path has a next hop at metric 10',
      );
      world.setKernelRoutes([{ ...near, metric: 30 }, far]);
      world.settle();
      expect(ranking()).to.deep.equal([parseAddress('203.0.113.1'), parseAddress('203.0.114.1')]);
    });

    it('of a neighbour that has to be next door are reached over a device only', () => {
      const world = new RibWorld();
      world.connect([link('10.0.1.0/24', 'eth0')]);
      world.up(ribPeer('tor', { role: 'ebgp', at: '169.254.1.1' }));
      world.announce('tor', reach(BLOCK, '169.254.1.1', { asPath: sequence(65001) }));
      world.setKernelRoutes([route('169.254.0.0/16', 0, ['10.0.1.9', 'eth0'])]);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([]);
      world.setKernelRoutes([route('169.254.1.1/32', 0, [undefined, 'eth0'])]);
      world.settle();
      expect(reachable(world, BLOCK)).to.deep.equal([to('169.254.1.1', 'eth0')]);
    });

    it('are named to whoever watches the kernel, each new one with a word', () => {
      let words = 0;
      const world = new RibWorld({}, { nextHopAdded: () => void words++ });
      world.connect([]);
      world.up(ribPeer('far', { role: 'ibgp', at: '203.0.113.2' }));
      world.announce('far', reach(BLOCK, '203.0.113.2'), reach('10.66.0.0/24', '203.0.113.2'));
      world.announce('far', reach('2001:db8:65::/48', '2001:db8:9::2'));
      expect(words).to.equal(2);
      expect([...world.rib.nextHopTargets()]).to.deep.equal([
        parseAddress('203.0.113.2'),
        parseAddress('2001:db8:9::2'),
      ]);
    });
  });
});
