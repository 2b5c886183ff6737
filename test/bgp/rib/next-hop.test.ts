/** Next hops: links, recursion, tracking (RFC 4271 section 5.1.3 and 9.1.2.1). */
import { expect } from 'chai';
import { parsePrefix } from 'node-bgp/address';
import type { ConnectedPrefix } from 'node-bgp/rib/index';
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
});
