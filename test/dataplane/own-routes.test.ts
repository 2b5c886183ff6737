import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { type OwnRoute, OwnRouteTable } from '../../src/dataplane/own-routes.js';
import { ip, ScratchNamespaces } from './scratch-namespaces.js';

describe('own routes', () => {
  const namespaces = new ScratchNamespaces('troutes');
  let node: string;
  let socket: NetlinkSocket;
  let table: OwnRouteTable;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
    table = new OwnRouteTable(socket);
    for (const name of ['torta', 'tortb']) {
      ip(node, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      for (const end of [name, `${name}p`]) ip(node, 'link', 'set', end, 'up');
    }
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  const pod = (prefix: string, hostInterface: string): OwnRoute => ({
    type: 'pod',
    prefix: parsePrefix(prefix),
    hostInterface,
  });
  const blackhole = (prefix: string): OwnRoute => ({ type: 'blackhole', prefix: parsePrefix(prefix) });
  const gateway = (prefix: string, via: string): OwnRoute => ({
    type: 'gateway',
    prefix: parsePrefix(prefix),
    gateway: parseAddress(via),
    field: 'BGPPeer/far spec.reachableBy',
  });
  const show = (family: 4 | 6): string[] =>
    ip(node, `-${family}`, 'route', 'show', 'proto', '171')
      .split('\n')
      .map((line) => line.trim().replace(/ (metric|pref) .*$/, ''))
      .filter((line) => line !== '')
      .sort();

  const desired = [
    pod('10.65.0.1/32', 'torta'),
    pod('10.65.0.2/32', 'tortb'),
    blackhole('10.65.0.0/26'),
    pod('fd00:65::1/128', 'torta'),
    blackhole('fd00:65::/122'),
  ];

  it('installs pod routes and blackholes of both families, and nothing the second time', () => {
    for (const round of [1, 2]) {
      expect(table.level(desired), `round ${round}`).to.deep.equal([]);
      expect(show(4)).to.deep.equal([
        '10.65.0.1 dev torta scope link',
        '10.65.0.2 dev tortb scope link',
        'blackhole 10.65.0.0/26',
      ]);
      expect(show(6)).to.deep.equal(['blackhole fd00:65::/122 dev lo', 'fd00:65::1 dev torta']);
    }
  });

  it('repairs what was deleted or changed, and sweeps what is stale', () => {
    table.level(desired);
    ip(node, 'route', 'del', '10.65.0.1');
    ip(node, 'route', 'replace', '10.65.0.2', 'dev', 'torta', 'proto', '171');
    ip(node, 'route', 'add', '10.65.0.9', 'dev', 'torta', 'proto', '171');
    ip(node, 'route', 'add', 'blackhole', '10.99.0.0/26', 'proto', '171');
    ip(node, '-6', 'route', 'add', 'blackhole', 'fd00:99::/122', 'proto', '171');
    expect(table.level(desired)).to.deep.equal([]);
    expect(show(4)).to.deep.equal([
      '10.65.0.1 dev torta scope link',
      '10.65.0.2 dev tortb scope link',
      'blackhole 10.65.0.0/26',
    ]);
    expect(show(6)).to.deep.equal(['blackhole fd00:65::/122 dev lo', 'fd00:65::1 dev torta']);
  });

  it('removes everything of its own and nothing else', () => {
    table.level(desired);
    ip(node, 'route', 'add', '10.99.0.1', 'dev', 'torta');
    ip(node, 'route', 'add', '10.98.0.1', 'dev', 'torta', 'proto', '172');
    expect(table.level([])).to.deep.equal([]);
    expect([show(4), show(6)]).to.deep.equal([[], []]);
    expect(ip(node, 'route')).to.include('10.99.0.1 dev torta').and.to.include('10.98.0.1 dev torta proto');
  });

  it('leaves a foreign route in its place and says who is in the way', () => {
    ip(node, 'route', 'add', '10.65.0.1', 'dev', 'tortb', 'proto', 'static');
    const [problem, ...others] = table.level(desired);
    expect(others).to.deep.equal([]);
    expect(problem).to.equal(
      'Cannot add route 10.65.0.1/32: file already exists (EEXIST); ' +
        'somebody has the route "10.65.0.1/32 dev tortb proto static"',
    );
    expect(ip(node, 'route', 'show', '10.65.0.1')).to.include('dev tortb proto static');
    expect(show(4)).to.include('10.65.0.2 dev tortb scope link');
  });

  it('waits for an interface that is not there yet, without complaint', () => {
    expect(table.level([pod('10.65.0.3/32', 'tortc')])).to.deep.equal([]);
    ip(node, 'link', 'add', 'tortc', 'type', 'veth', 'peer', 'name', 'tortcp');
    ip(node, 'link', 'set', 'tortc', 'up');
    expect(table.level([pod('10.65.0.3/32', 'tortc')])).to.deep.equal([]);
    expect(show(4)).to.deep.equal(['10.65.0.3 dev tortc scope link linkdown']);
  });

  it('follows an interface that was made anew under its name', () => {
    expect(table.level(desired)).to.deep.equal([]);
    ip(node, 'link', 'del', 'torta');
    expect(table.level(desired)).to.deep.equal([]);
    expect(show(4)).to.deep.equal(['10.65.0.2 dev tortb scope link', 'blackhole 10.65.0.0/26']);
    ip(node, 'link', 'add', 'torta', 'type', 'veth', 'peer', 'name', 'tortap');
    for (const end of ['torta', 'tortap']) ip(node, 'link', 'set', end, 'up');
    // Somebody sends the pod's address elsewhere meanwhile, in our name.
    ip(node, 'route', 'add', '10.65.0.1', 'dev', 'tortb', 'proto', '171');
    expect(table.level(desired)).to.deep.equal([]);
    expect(show(4)).to.deep.equal([
      '10.65.0.1 dev torta scope link',
      '10.65.0.2 dev tortb scope link',
      'blackhole 10.65.0.0/26',
    ]);
  });

  it('says what the kernel refuses', () => {
    ip(node, 'link', 'set', 'torta', 'down');
    expect(table.level([pod('10.65.0.1/32', 'torta')])).to.deep.equal([
      'Cannot add route 10.65.0.1/32: network is down (ENETDOWN): Device for nexthop is not up',
    ]);
  });

  it('keeps a route to a peer behind a gateway, in both families, whatever happens to it', () => {
    ip(node, 'address', 'add', '10.0.1.1/24', 'dev', 'torta');
    ip(node, 'address', 'add', 'fd00:1::1/64', 'dev', 'torta', 'nodad');
    const wanted = [gateway('10.0.255.2/32', '10.0.1.254'), gateway('fd00:255::2/128', 'fd00:1::254')];
    const there = [['10.0.255.2 via 10.0.1.254 dev torta'], ['fd00:255::2 via fd00:1::254 dev torta']];
    for (const spoil of [
      () => undefined,
      () => ip(node, 'route', 'del', '10.0.255.2'),
      () => ip(node, '-6', 'route', 'del', 'fd00:255::2'),
      () => ip(node, 'route', 'replace', '10.0.255.2', 'via', '10.0.1.9', 'proto', '171'),
      () => ip(node, 'route', 'replace', '10.0.255.2', 'dev', 'torta', 'proto', '171'),
    ]) {
      spoil();
      expect(table.level(wanted)).to.deep.equal([]);
      expect([show(4), show(6)]).to.deep.equal(there);
    }
    expect(table.level([gateway('10.0.255.2/32', '10.0.1.253')])).to.deep.equal([]);
    expect([show(4), show(6)]).to.deep.equal([['10.0.255.2 via 10.0.1.253 dev torta'], []]);
    expect(table.level([])).to.deep.equal([]);
    expect([show(4), show(6)]).to.deep.equal([[], []]);
  });

  it('names the field of a gateway that is on no link, and keeps the other routes', () => {
    ip(node, 'address', 'add', '10.0.1.1/24', 'dev', 'torta');
    for (const [prefix, far] of [
      ['10.0.255.2/32', '192.0.2.1'],
      ['fd00:255::2/128', '2001:db8::1'],
    ] as const) {
      const [problem, ...others] = table.level([pod('10.65.0.1/32', 'torta'), gateway(prefix, far)]);
      expect(problem).to.match(
        new RegExp(
          `^BGPPeer/far spec\\.reachableBy is "${far}"; expected a gateway on a link of this node: Cannot add route`,
        ),
      );
      expect(others).to.deep.equal([]);
      expect(show(4)).to.deep.equal(['10.65.0.1 dev torta scope link']);
    }
  });

  it('makes no blackhole for a block of one address', () => {
    expect(table.level([blackhole('10.65.0.1/32'), blackhole('fd00::1/128')])).to.deep.equal([]);
    expect([show(4), show(6)]).to.deep.equal([[], []]);
  });

  it('are put back at once a few times when somebody takes one away, then more rarely, and that is told; others are not held up', () => {
    expect(table.level(desired)).to.deep.equal([]);
    const all = [show(4), show(6)];
    for (let i = 0; i < 6; i++) {
      ip(node, 'route', 'del', '10.65.0.1');
      ip(node, '-6', 'route', 'del', 'blackhole', 'fd00:65::/122');
      expect(table.level(desired), `repair ${i + 1}`).to.deep.equal([]);
      expect([show(4), show(6)]).to.deep.equal(all);
    }
    ip(node, 'route', 'del', '10.65.0.1');
    ip(node, 'route', 'del', '10.65.0.2');
    expect(table.level(desired)).to.deep.equal([
      'Cannot keep the route to 10.65.0.1/32: somebody else keeps changing or removing it; ' +
        'it is put right ever more rarely, up to once a minute',
    ]);
    expect(show(4)).to.deep.equal(all[0]?.filter((line) => !line.startsWith('10.65.0.1 ')));
    // Who wants another route has not lost one.
    const moved = [pod('10.65.0.1/32', 'tortb'), ...desired.slice(1)];
    expect(table.level(moved)).to.deep.equal([]);
    expect(show(4)).to.include('10.65.0.1 dev tortb scope link');
  });
});
