import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { OwnRouteTable } from '../../src/dataplane/own-routes.js';
import { levelTunnels, type Tunnel } from '../../src/dataplane/tunnel-devices.js';
import { exec, ip, ScratchNamespaces } from './scratch-namespaces.js';

describe('tunnel devices', () => {
  const namespaces = new ScratchNamespaces('ttunnels');
  let node: string;
  let socket: NetlinkSocket;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
    ip(node, 'addr', 'add', '10.0.0.1/24', 'dev', 'lo');
    ip(node, 'addr', 'add', 'fd00::1/64', 'dev', 'lo', 'nodad');
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  const peer = (address: string, gateway: string, mac: string): Tunnel['peers'][number] => ({
    address: parseAddress(address),
    gateway: parseAddress(gateway),
    mac,
  });
  const vxlan: Tunnel = {
    name: 'vxlan.tortie',
    kind: 'vxlan',
    local: parseAddress('10.0.0.1'),
    mac: '02:00:00:00:00:01',
    mtu: 1450,
    addresses: [parseAddress('10.65.0.9')],
    peers: [peer('10.0.0.2', '10.0.0.2', '02:00:00:00:00:02'), peer('10.0.1.3', '10.0.1.3', '02:00:00:00:00:03')],
  };
  const vxlan6: Tunnel = {
    ...vxlan,
    name: 'vxlan-v6.tortie',
    local: parseAddress('fd00::1'),
    mtu: 1430,
    addresses: [parseAddress('fd00:65::9')],
    peers: [peer('fd00::2', 'fe80::2', '02:00:00:00:00:02')],
  };
  /** All that is there of both, as iproute2 sees it. */
  const seen = (): string =>
    ['vxlan.tortie', 'vxlan-v6.tortie']
      .flatMap((name) => [
        ip(node, '-d', 'link', 'show', name),
        ip(node, 'addr', 'show', name),
        ip(node, 'neigh', 'show', 'dev', name, 'nud', 'permanent').split('\n').sort().join('\n'),
        exec(node, 'bridge', 'fdb', 'show', 'dev', name).split('\n').sort().join('\n'),
      ])
      .join('\n');

  it('has what pods of other nodes are reached by, in both families, and changes nothing the second time', () => {
    expect(levelTunnels(socket, [vxlan, vxlan6])).to.deep.equal([]);
    const first = seen();
    expect(first)
      .to.match(/vxlan id 4096 local 10\.0\.0\.1 .*dstport 4789 nolearning/)
      .and.match(/vxlan id 4096 local fd00::1 .*dstport 4789 nolearning/)
      .and.match(/vxlan\.tortie: <[^>]*UP.* mtu 1450 /)
      .and.include('mtu 1430 ')
      .and.include('inet 10.65.0.9/32 scope global vxlan.tortie')
      .and.include('inet6 fd00:65::9/128 scope global')
      .and.include('10.0.1.3 lladdr 02:00:00:00:00:03 PERMANENT')
      .and.include('fe80::2 lladdr 02:00:00:00:00:02 PERMANENT')
      .and.include('02:00:00:00:00:03 dst 10.0.1.3 self permanent')
      .and.include('02:00:00:00:00:02 dst fd00::2 self permanent');
    expect(first).to.not.match(/inet6 fe80/);
    expect(levelTunnels(socket, [vxlan, vxlan6])).to.deep.equal([]);
    expect(seen()).to.equal(first);
  });

  it('takes the routes of own-routes, in both families, whatever else leads to the nodes', () => {
    levelTunnels(socket, [vxlan, vxlan6]);
    // As BGP has it where nodes are known by the addresses of their loopbacks.
    ip(node, 'route', 'add', '10.0.1.3/32', 'dev', 'lo');
    ip(node, '-6', 'route', 'add', 'fd00::2/128', 'dev', 'lo');
    const table = new OwnRouteTable(socket);
    const routes = [
      {
        type: 'overlay',
        prefix: parsePrefix('10.65.1.0/26'),
        gateway: parseAddress('10.0.1.3'),
        interfaceName: 'vxlan.tortie',
      },
      {
        type: 'overlay',
        prefix: parsePrefix('fd00:65::40/122'),
        gateway: parseAddress('fe80::2'),
        interfaceName: 'vxlan-v6.tortie',
      },
    ] as const;
    for (const round of [1, 2]) {
      expect(table.level(routes), `round ${round}`).to.deep.equal([]);
      expect(ip(node, 'route', 'show', 'proto', '171')).to.match(
        /^10\.65\.1\.0\/26 via 10\.0\.1\.3 dev vxlan\.tortie metric 5 onlink/,
      );
      expect(ip(node, '-6', 'route', 'show', 'proto', '171')).to.match(
        /^fd00:65::40\/122 via fe80::2 dev vxlan-v6\.tortie metric 5/,
      );
    }
    expect(ip(node, 'route', 'get', '10.65.1.7')).to.include('src 10.65.0.9');
    expect(ip(node, '-6', 'route', 'get', 'fd00:65::41')).to.include('src fd00:65::9');
    // The kernel has thrown them away with the interface; the index of a new one is another.
    ip(node, 'link', 'del', 'vxlan.tortie');
    expect(table.level(routes)).to.deep.equal([]);
    levelTunnels(socket, [vxlan, vxlan6]);
    expect(table.level(routes)).to.deep.equal([]);
    expect(ip(node, 'route', 'show', 'proto', '171')).to.include('dev vxlan.tortie');
    // A node that is near now: the same prefix over the link.
    ip(node, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far');
    ip(node, 'addr', 'add', '192.0.2.1/24', 'dev', 'eth0');
    for (const end of ['eth0', 'far']) ip(node, 'link', 'set', end, 'up');
    const near = { type: 'overlay', prefix: parsePrefix('10.65.1.0/26'), gateway: parseAddress('192.0.2.3') } as const;
    for (const round of [1, 2]) {
      expect(table.level([near]), `round ${round}`).to.deep.equal([]);
      expect(ip(node, 'route', 'show', 'proto', '171')).to.match(
        /^10\.65\.1\.0\/26 via 192\.0\.2\.3 dev eth0 metric 5 ?\n$/,
      );
    }
  });

  it('puts right what somebody changed, and follows nodes that come, go and move', () => {
    levelTunnels(socket, [vxlan, vxlan6]);
    const right = seen();
    ip(node, 'neigh', 'del', '10.0.0.2', 'dev', 'vxlan.tortie');
    exec(node, 'bridge', 'fdb', 'del', '02:00:00:00:00:03', 'dst', '10.0.1.3', 'dev', 'vxlan.tortie');
    exec(node, 'bridge', 'fdb', 'add', '02:00:00:00:00:77', 'dst', '10.0.7.7', 'dev', 'vxlan.tortie');
    ip(node, 'addr', 'add', '192.0.2.77/32', 'dev', 'vxlan.tortie');
    ip(node, 'link', 'set', 'vxlan.tortie', 'down', 'mtu', '1300');
    ip(node, 'link', 'del', 'vxlan-v6.tortie');
    expect(levelTunnels(socket, [vxlan, vxlan6])).to.deep.equal([]);
    const withoutIndex = (text: string): string => text.replace(/^\d+: /gm, '');
    expect(withoutIndex(seen())).to.equal(withoutIndex(right));

    const moved = { ...vxlan, peers: [peer('10.0.5.2', '10.0.5.2', '02:00:00:00:00:02')] };
    expect(levelTunnels(socket, [moved])).to.deep.equal([]);
    const entries = exec(node, 'bridge', 'fdb', 'show', 'dev', 'vxlan.tortie');
    expect(entries)
      .to.include('02:00:00:00:00:02 dst 10.0.5.2')
      .and.not.include('10.0.1.3')
      .and.not.include('10.0.0.2');
    expect(ip(node, 'neigh', 'show', 'dev', 'vxlan.tortie')).to.equal('10.0.5.2 lladdr 02:00:00:00:00:02 PERMANENT \n');
    expect(ip(node, 'link')).to.not.include('vxlan-v6.tortie');

    ip(node, 'addr', 'add', '10.0.0.8/24', 'dev', 'lo');
    expect(levelTunnels(socket, [{ ...moved, local: parseAddress('10.0.0.8') }])).to.deep.equal([]);
    expect(ip(node, '-d', 'link', 'show', 'vxlan.tortie')).to.include('local 10.0.0.8');
    expect(levelTunnels(socket, [])).to.deep.equal([]);
    expect(ip(node, 'link')).to.not.include('tortie');
  });

  it('says who is in the way, and leaves him there', () => {
    ip(node, 'link', 'add', 'vxlan.calico', 'type', 'vxlan', 'id', '4096', 'dstport', '4789');
    const [failure] = levelTunnels(socket, [vxlan]);
    expect(failure?.name).to.equal('vxlan.tortie');
    expect(failure?.message).to.match(
      /interface "vxlan\.calico" is in the way, with the same identifier and port; remove it$/,
    );
    expect(ip(node, 'link')).to.include('vxlan.calico');
  });

  it('IP in IP: makes it, or says what the kernel lacks', () => {
    const tunnel: Tunnel = { ...vxlan, name: 'ipip.tortie', kind: 'ipip', mtu: 1480 };
    const failures = levelTunnels(socket, [tunnel]);
    if (failures.length === 0) {
      expect(ip(node, '-d', 'link', 'show', 'ipip.tortie')).to.match(/mtu 1480 .*ipip .*local 10\.0\.0\.1/s);
      expect(levelTunnels(socket, [])).to.deep.equal([]);
      return;
    }
    expect(failures).to.have.length(1);
    expect(failures[0]?.message).to.match(
      /^Cannot create ipip interface "ipip\.tortie": .*; expected a kernel with IP in IP \(module ipip\)$/,
    );
  });
});
