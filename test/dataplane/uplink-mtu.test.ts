import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { lookUpRoute } from '../../src/dataplane/netlink/route-lookup.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { uplinkMtu } from '../../src/dataplane/uplink-mtu.js';
import { ip, ScratchNamespaces } from './scratch-namespaces.js';

describe('uplink MTU', () => {
  const namespaces = new ScratchNamespaces('tmtu');
  let node: string;
  const own = [parseAddress('10.0.0.1')];
  const mtu = (): number | undefined =>
    inNamespace(node, () => {
      const socket = new NetlinkSocket();
      try {
        return uplinkMtu(socket, own);
      } finally {
        socket.close();
      }
    });

  beforeEach(() => {
    node = namespaces.create();
    for (const [index, size] of [1500, 1400, 9000].entries()) {
      ip(node, 'link', 'add', `eth${index}`, 'mtu', String(size), 'type', 'veth', 'peer', 'name', `far${index}`);
      for (const name of [`eth${index}`, `far${index}`]) ip(node, 'link', 'set', name, 'up');
      ip(node, 'addr', 'add', `10.1.${index}.1/24`, 'dev', `eth${index}`);
    }
  });
  after(() => namespaces.removeAll());

  it('is the least of the links that the default routes leave by', () => {
    ip(node, 'route', 'add', 'default', 'nexthop', 'via', '10.1.0.2', 'nexthop', 'via', '10.1.2.2');
    expect(mtu()).to.equal(1500);
    ip(node, 'route', 'replace', 'default', 'nexthop', 'via', '10.1.1.2', 'nexthop', 'via', '10.1.2.2');
    expect(mtu()).to.equal(1400);
    ip(node, 'link', 'set', 'eth1', 'mtu', '1300');
    expect(mtu()).to.equal(1300);
  });

  it("is that of the link with the node's address where there is no default route, and nothing without either", () => {
    expect(mtu()).to.equal(undefined);
    ip(node, 'addr', 'add', '10.0.0.1/24', 'dev', 'eth2');
    expect(mtu()).to.equal(9000);
  });

  it('never that of the loopback', () => {
    ip(node, 'addr', 'add', '10.0.0.1/32', 'dev', 'lo');
    expect(mtu()).to.equal(undefined);
  });

  it('comes from whole routes, also through nexthop objects, and from IPv6', () => {
    ip(node, 'nexthop', 'add', 'id', '1', 'via', '10.1.0.2', 'dev', 'eth0');
    ip(node, 'nexthop', 'add', 'id', '2', 'via', '10.1.1.2', 'dev', 'eth1');
    ip(node, 'nexthop', 'add', 'id', '3', 'group', '1/2');
    ip(node, 'route', 'add', 'default', 'nhid', '3');
    ip(node, '-6', 'route', 'add', 'default', 'dev', 'eth2');
    expect(mtu()).to.equal(1400);
    const routes = inNamespace(node, () => {
      const socket = new NetlinkSocket();
      try {
        return ['203.0.113.1', '2001:db8::9', '10.1.2.9'].map((text) => lookUpRoute(socket, parseAddress(text)));
      } finally {
        socket.close();
      }
    });
    expect(routes.map((route) => [route?.prefix.length, route?.nextHops.length])).to.deep.equal([
      [0, 2],
      [0, 1],
      [24, 1],
    ]);
  });
});
