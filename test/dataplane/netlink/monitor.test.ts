import { expect } from 'chai';
import { formatAddress, formatPrefix, parsePrefix } from 'node-bgp/address';
import { findLink } from '../../../src/dataplane/netlink/link.js';
import { type KernelEvent, type KernelWatch, watchKernel } from '../../../src/dataplane/netlink/monitor.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import type { RouteChange } from '../../../src/dataplane/netlink/route.js';
import { applyRouteChanges } from '../../../src/dataplane/netlink/route-change.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { ip, ScratchNamespaces, until } from '../scratch-namespaces.js';

describe('netlink monitor', () => {
  const namespaces = new ScratchNamespaces('tmonitor');
  let node: string;
  let watch: KernelWatch | undefined;
  let events: KernelEvent[];

  beforeEach(() => {
    node = namespaces.create();
    events = [];
  });
  afterEach(() => watch?.close());
  after(() => namespaces.removeAll());

  const start = (topics: Parameters<typeof watchKernel>[0], options: Parameters<typeof watchKernel>[2] = {}): void => {
    watch = inNamespace(node, () => watchKernel(topics, (event) => events.push(event), options));
  };
  const brief = (event: KernelEvent): string => {
    switch (event.type) {
      case 'link':
        return `${event.isGone ? '-' : '+'}link ${event.link.name}${event.link.isUp ? ' up' : ''}`;
      case 'address':
        return `${event.isGone ? '-' : '+'}address ${formatAddress(event.address.address)}`;
      case 'route':
        return `${event.isGone ? '-' : '+'}route ${formatPrefix(event.route.prefix)}`;
      case 'neighbour':
        return `${event.isGone ? '-' : '+'}neighbour ${formatAddress(event.neighbour.address)}`;
      case 'nexthop':
        return `${event.isGone ? '-' : '+'}nexthop ${event.nexthop.id}`;
      case 'resync':
        return 'resync';
    }
  };
  const seen = (text: string): boolean => events.some((event) => brief(event) === text);

  it('tells what came from what went', async () => {
    start({ link: true, address: true, route: true, neighbour: true });
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    ip(node, 'addr', 'add', '10.0.0.1/24', 'dev', 'v0');
    ip(node, 'addr', 'add', 'fd00::1/64', 'dev', 'v0', 'nodad');
    ip(node, 'route', 'add', '10.65.0.0/26', 'via', '10.0.0.2');
    ip(node, '-6', 'route', 'add', 'fd00:65::/122', 'via', 'fd00::2');
    ip(node, 'neigh', 'add', '10.0.0.2', 'lladdr', '02:00:00:00:00:01', 'dev', 'v0', 'nud', 'permanent');
    ip(node, 'route', 'del', '10.65.0.0/26');
    ip(node, 'addr', 'del', '10.0.0.1/24', 'dev', 'v0');
    ip(node, 'link', 'del', 'v0');
    await until('the last event', () => seen('-link v0'));
    const all = events.map(brief);
    for (const text of [
      'link v0',
      'address fd00::1',
      'route 10.65.0.0/26',
      'route fd00:65::/122',
      'neighbour 10.0.0.2',
      'address 10.0.0.1',
    ]) {
      const came = all.findIndex((line) => line.startsWith(`+${text}`));
      expect(came, `+${text} in ${all.join('; ')}`).to.be.at.least(0);
      expect(all.lastIndexOf(`-${text}`), `-${text} in ${all.join('; ')}`).to.be.greaterThan(came);
    }
    expect(all).not.to.include('resync');
  });

  it('tells only what was asked for', async () => {
    start({ route: true });
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    ip(node, 'route', 'add', '10.65.0.0/26', 'dev', 'v0');
    await until('the route', () => seen('+route 10.65.0.0/26'));
    expect(new Set(events.map(({ type }) => type))).to.deep.equal(new Set(['route']));
  });

  it('asks for a resync when events were lost, and goes on', async () => {
    start({ route: true }, { receiveBufferSize: 8_192 });
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    const socket = inNamespace(node, () => new NetlinkSocket());
    const interfaceIndex = findLink(socket, { name: 'v0' })?.index ?? 0;
    const routes = Array.from(
      { length: 2_000 },
      (_, i): RouteChange => ({
        type: 'add',
        route: {
          prefix: { family: 4, value: 0x0a410000n + BigInt(i), length: 32 },
          protocol: 172,
          nextHops: [{ interfaceIndex }],
        },
      }),
    );
    for (const round of [1, 2]) {
      // Synchronous: the event loop, and with it the monitor, does not get a turn until the buffer has overflowed.
      applyRouteChanges(socket, round === 1 ? routes : routes.map(({ route }) => ({ type: 'delete', route })));
      await until('the resync', () => events.filter(({ type }) => type === 'resync').length >= round);
    }
    ip(node, 'route', 'add', '10.99.0.0/26', 'dev', 'v0');
    await until('an event after the resync', () => seen('+route 10.99.0.0/26'));
    socket.close();
  });

  it('delivers a burst of events whole when its buffer can hold it', async () => {
    start({ route: true });
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    const socket = inNamespace(node, () => new NetlinkSocket());
    const interfaceIndex = findLink(socket, { name: 'v0' })?.index ?? 0;
    const routes = Array.from(
      { length: 5_000 },
      (_, i): RouteChange => ({
        type: 'add',
        route: {
          prefix: { family: 4, value: 0x0a410000n + BigInt(i), length: 32 },
          protocol: 172,
          nextHops: [{ interfaceIndex }],
        },
      }),
    );
    applyRouteChanges(socket, routes);
    await until(
      'all of them',
      () => events.filter((event) => event.type === 'route' && event.route.protocol === 172).length === routes.length,
    );
    expect(seen('resync')).to.equal(false);
    socket.close();
  });

  it('resumes promises that an event resolves, at once', async () => {
    let resolve = (_: KernelEvent): void => undefined;
    const first = new Promise<KernelEvent>((done) => (resolve = done));
    watch = inNamespace(node, () => watchKernel({ link: true }, (event) => resolve(event), { isUnref: false }));
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    // Nothing else wakes the event loop here: a promise resolved outside Node's callback scope would never go on.
    expect((await first).type).to.equal('link');
  });

  it('is silent once closed, and may be closed again', async () => {
    start({ link: true });
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    watch?.close();
    watch?.close();
    await new Promise((done) => setTimeout(done, 50));
    expect(events).to.deep.equal([]);
  });

  it('leaves out what our own sockets did and routes of protocols that nobody asked for, of both families', async () => {
    ip(node, 'link', 'set', 'lo', 'up');
    const [own, other] = inNamespace(node, () => [new NetlinkSocket(), new NetlinkSocket()]);
    try {
      start({ route: true, nexthop: true }, { notBy: [0xffff_fff0, own.portId], notOfProtocols: [99] });
      const add = (socket: NetlinkSocket, prefix: string, protocol: number): void =>
        void applyRouteChanges(socket, [
          { type: 'add', route: { prefix: parsePrefix(prefix), protocol, type: 'blackhole', nextHops: [] } },
        ]);
      add(own, '10.1.0.0/16', 172);
      add(own, 'fd01::/48', 172);
      add(other, '10.2.0.0/16', 99);
      add(other, 'fd02::/48', 99);
      add(other, '10.3.0.0/16', 172);
      add(other, 'fd03::/48', 172);
      ip(node, 'route', 'del', 'blackhole', '10.1.0.0/16');
      ip(node, 'nexthop', 'add', 'id', '99', 'blackhole', 'proto', '99');
      ip(node, 'nexthop', 'del', 'id', '99');
      await until('the last event', () => seen('-nexthop 99'));
      expect(events.map(brief)).to.deep.equal([
        '+route 10.3.0.0/16',
        '+route fd03::/48',
        '-route 10.1.0.0/16',
        '+nexthop 99',
        '-nexthop 99',
      ]);
    } finally {
      own.close();
      other.close();
    }
  });

  it('says when a route took the place of another', async () => {
    ip(node, 'link', 'set', 'lo', 'up');
    start({ route: true });
    ip(node, 'route', 'add', 'blackhole', '10.1.0.0/16', 'metric', '20', 'proto', '172');
    ip(node, 'route', 'replace', 'blackhole', '10.1.0.0/16', 'metric', '20', 'proto', 'static');
    await until('both', () => events.length === 2);
    expect(events.map((event) => event.type === 'route' && event.replaces)).to.deep.equal([undefined, true]);
  });
});
