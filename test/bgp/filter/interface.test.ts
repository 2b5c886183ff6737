/** `interfaces` in filters: the way out to a route's next hop, through real RIBs, followed when it changes. */
import { expect } from 'chai';
import { formatPrefix, parseAddress, parsePrefix } from 'node-bgp/address';
import type { FilterMatch } from 'node-bgp/config';
import { compilePolicy } from 'node-bgp/filter/policy';
import type { ConnectedPrefix } from 'node-bgp/rib/index';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { reach, ribPeer, RibWorld, sequence } from '../rib/rib-world.js';

const link = (prefix: string, interfaceName: string): ConnectedPrefix => ({
  prefix: parsePrefix(prefix),
  interfaceName,
});

/** Rejects what matches. */
const rejecting = (match: FilterMatch, direction: 'import' | 'export'): RoutePolicy =>
  compilePolicy({ f: { rules: [{ match, action: 'reject' }] } }, ['f'], {
    direction,
    peerType: 'ebgp',
    name: 'p',
    address: parseAddress('10.0.1.1'),
    remoteAs: 65001,
    localAs: 65000,
  });

const received = (world: RibWorld, name: string): string[] =>
  [...world.rib.queries.received(world.peer(name).id, 4, 'after-policy')]
    .flat()
    .map(({ prefix }) => formatPrefix(prefix))
    .sort();

/** The sending peer is on eth0; it names next hops behind eth0, eth1 and eth2, and one behind both of the latter. */
function world(
  peer: { readonly importPolicy?: RoutePolicy },
  other: { readonly exportPolicy?: RoutePolicy } = {},
): RibWorld {
  const made = new RibWorld();
  made.connect([link('10.0.0.0/24', 'eth0'), link('10.0.1.0/24', 'eth1'), link('10.0.2.0/24', 'eth2')]);
  made.up(ribPeer('source', { role: 'ibgp', at: '10.0.0.1', interfaceName: 'eth0', ...peer }));
  made.up(ribPeer('sink', { role: 'ebgp', at: '10.0.2.9', remoteAs: 65009, ...other }));
  made.announce(
    'source',
    reach('10.65.0.0/24', '10.0.0.5'),
    reach('10.65.1.0/24', '10.0.1.5'),
    reach('10.65.2.0/24', '10.0.2.5'),
  );
  made.settle();
  return made;
}

describe('bgp/filter: interfaces', () => {
  it('are those of the next hop on import, and followed when links move', () => {
    const made = world({ importPolicy: rejecting({ interfaces: ['eth1'] }, 'import') });
    expect(received(made, 'source')).to.deep.equal(['10.65.0.0/24', '10.65.2.0/24']);
    made.connect([link('10.0.0.0/24', 'eth0'), link('10.0.1.0/24', 'eth2'), link('10.0.2.0/24', 'eth1')]);
    made.settle();
    expect(received(made, 'source')).to.deep.equal(['10.65.0.0/24', '10.65.1.0/24']);
  });

  it('are those of the next hop on export, and followed when links move', () => {
    const made = world(
      {},
      {
        exportPolicy: rejecting(
          { interfaces: ['eth*'], prefixes: [{ prefix: '10.65.0.0/16', maxLength: 32 }] },
          'export',
        ),
      },
    );
    expect([...made.peer('sink').heard.keys()]).to.deep.equal([]);
    made.connect([link('10.0.0.0/24', 'eth0'), link('10.0.1.0/24', 'up1'), link('10.0.2.0/24', 'eth2')]);
    made.settle();
    expect([...made.peer('sink').heard.keys()]).to.deep.equal(['10.65.1.0/24']);
    const bySetAlone = world({}, { exportPolicy: rejecting({ interfaces: ['eth1'] }, 'export') });
    expect([...bySetAlone.peer('sink').heard.keys()].sort()).to.deep.equal(['10.65.0.0/24', '10.65.2.0/24']);
    bySetAlone.connect([link('10.0.0.0/24', 'eth1'), link('10.0.1.0/24', 'eth0'), link('10.0.2.0/24', 'eth2')]);
    bySetAlone.settle();
    expect([...bySetAlone.peer('sink').heard.keys()].sort()).to.deep.equal(['10.65.1.0/24', '10.65.2.0/24']);
  });

  it('of a recursive next hop are those of the way it takes; none where ways differ, or where there is none', () => {
    const made = world({ importPolicy: rejecting({ interfaces: ['*'] }, 'import') });
    const carrier = { role: 'ebgp', remoteAs: 65001 } as const;
    made.up(ribPeer('tor1', { ...carrier, at: '10.0.1.1' }));
    made.up(ribPeer('tor2', { ...carrier, at: '10.0.2.1', remoteAs: 65002 }));
    made.announce('source', reach('10.66.0.0/24', '192.168.0.1'));
    made.settle();
    expect(received(made, 'source'), 'out of reach').to.deep.equal(['10.66.0.0/24']);
    made.announce('tor1', reach('192.168.0.1/32', '10.0.1.1', { asPath: sequence(65001) }));
    made.settle();
    expect(received(made, 'source'), 'over eth1').to.deep.equal([]);
    made.announce('tor2', reach('192.168.0.1/32', '10.0.2.1', { asPath: sequence(65002) }));
    made.settle();
    expect(received(made, 'source'), 'over eth1 and eth2').to.deep.equal(['10.66.0.0/24']);
  });

  it('are none for prefixes of our own', () => {
    const made = world({}, { exportPolicy: rejecting({ interfaces: ['*'] }, 'export') });
    made.originate([{ prefix: parsePrefix('10.64.0.0/24') }]);
    made.settle();
    expect([...made.peer('sink').heard.keys()]).to.deep.equal(['10.64.0.0/24']);
  });
});
