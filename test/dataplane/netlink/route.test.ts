import { expect } from 'chai';
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from 'node-bgp/address';
import { findLink } from '../../../src/dataplane/netlink/link.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import type { NextHop, Route, RouteChange, RouteRequest } from '../../../src/dataplane/netlink/route.js';
import { applyRouteChanges } from '../../../src/dataplane/netlink/route-change.js';
import { listRoutes } from '../../../src/dataplane/netlink/route-list.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { ip, ScratchNamespaces, until } from '../scratch-namespaces.js';

describe('netlink routes', () => {
  const namespaces = new ScratchNamespaces('tnlroute');
  let node: string;
  let socket: NetlinkSocket;
  let index: number;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    ip(node, 'addr', 'add', '10.0.0.1/24', 'dev', 'v0');
    ip(node, 'addr', 'add', 'fd00::1/64', 'dev', 'v0', 'nodad');
    index = findLink(socket, { name: 'v0' })?.index ?? 0;
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  const via = (text: string, more: Partial<NextHop> = {}): NextHop => ({
    via: parseAddress(text),
    interfaceIndex: index,
    ...more,
  });
  const apply = (...changes: readonly RouteChange[]): readonly string[] =>
    applyRouteChanges(socket, changes).map(({ index: at, error }) => `${at}: ${error.message}`);
  const add = (route: Partial<RouteRequest> & { readonly prefix: RouteRequest['prefix'] }): RouteChange => ({
    type: 'add',
    route: { protocol: 172, nextHops: [], ...route },
  });
  const shown = (...argv: readonly string[]): string[] =>
    ip(node, ...argv, 'route', 'show', 'proto', '172')
      .trim()
      .split('\n')
      .map((line) => line.trim().replace(/\s+/g, ' '));
  const briefHop = ({ via, weight, isOnlink }: Route['nextHops'][number]): string =>
    `${via === undefined ? '-' : formatAddress(via)}*${weight ?? 1}${isOnlink === true ? ' onlink' : ''}`;
  const brief = (route: Route): string =>
    `${route.type} ${formatPrefix(route.prefix)} ` + `${route.nextHops.map(briefHop).join(',')} metric ${route.metric}`;

  const cases: readonly {
    readonly name: string;
    readonly route: () => Partial<RouteRequest> & { readonly prefix: RouteRequest['prefix'] };
    readonly shows: RegExp;
    readonly reads: string;
  }[] = [
    {
      name: 'a gateway',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('10.0.0.2')] }),
      shows: /^10\.65\.0\.0\/26 via 10\.0\.0\.2 dev v0$/,
      reads: 'unicast 10.65.0.0/26 10.0.0.2*1 metric 0',
    },
    {
      name: 'a gateway whose interface the kernel finds',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [{ via: parseAddress('10.0.0.2') }] }),
      shows: /^10\.65\.0\.0\/26 via 10\.0\.0\.2 dev v0$/,
      reads: 'unicast 10.65.0.0/26 10.0.0.2*1 metric 0',
    },
    {
      name: 'an interface alone',
      route: () => ({ prefix: parsePrefix('10.65.0.7/32'), nextHops: [{ interfaceIndex: index }] }),
      shows: /^10\.65\.0\.7 dev v0 scope link$/,
      reads: 'unicast 10.65.0.7/32 -*1 metric 0',
    },
    {
      name: 'a gateway off its subnet',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('192.0.2.1', { isOnlink: true })] }),
      shows: /^10\.65\.0\.0\/26 via 192\.0\.2\.1 dev v0 onlink$/,
      reads: 'unicast 10.65.0.0/26 192.0.2.1*1 onlink metric 0',
    },
    {
      name: 'a metric',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('10.0.0.2')], metric: 77 }),
      shows: /metric 77$/,
      reads: 'unicast 10.65.0.0/26 10.0.0.2*1 metric 77',
    },
    {
      name: 'a source address',
      route: () => ({
        prefix: parsePrefix('10.65.0.0/26'),
        nextHops: [via('10.0.0.2')],
        preferredSource: parseAddress('10.0.0.1'),
      }),
      shows: /src 10\.0\.0\.1$/,
      reads: 'unicast 10.65.0.0/26 10.0.0.2*1 metric 0',
    },
    {
      name: 'several next hops',
      route: () => ({
        prefix: parsePrefix('10.65.0.0/26'),
        nextHops: [via('10.0.0.2'), via('10.0.0.3', { weight: 3 })],
      }),
      shows: /^10\.65\.0\.0\/26$/,
      reads: 'unicast 10.65.0.0/26 10.0.0.2*1,10.0.0.3*3 metric 0',
    },
    {
      name: 'an IPv6 gateway for IPv4',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('fe80::2')] }),
      shows: /via inet6 fe80::2 dev v0/,
      reads: 'unicast 10.65.0.0/26 fe80::2*1 metric 0',
    },
    {
      name: 'several IPv6 gateways for IPv4',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('fe80::2'), via('fe80::3')] }),
      shows: /^10\.65\.0\.0\/26$/,
      reads: 'unicast 10.65.0.0/26 fe80::2*1,fe80::3*1 metric 0',
    },
    {
      name: 'nowhere',
      route: () => ({ prefix: parsePrefix('10.65.0.0/26'), type: 'blackhole' }),
      shows: /^blackhole 10\.65\.0\.0\/26$/,
      reads: 'blackhole 10.65.0.0/26  metric 0',
    },
    {
      name: 'the default',
      route: () => ({ prefix: parsePrefix('0.0.0.0/0'), nextHops: [via('10.0.0.2')] }),
      shows: /^default via 10\.0\.0\.2 dev v0$/,
      reads: 'unicast 0.0.0.0/0 10.0.0.2*1 metric 0',
    },
    {
      name: 'IPv6, a gateway',
      route: () => ({ prefix: parsePrefix('fd00:65::/122'), nextHops: [via('fd00::2')] }),
      shows: /^fd00:65::\/122 via fd00::2 dev v0 metric 1024/,
      reads: 'unicast fd00:65::/122 fd00::2*1 metric 1024',
    },
    {
      name: 'IPv6, several next hops',
      route: () => ({
        prefix: parsePrefix('fd00:65::/122'),
        nextHops: [via('fe80::2'), via('fe80::3', { weight: 2 })],
      }),
      shows: /^fd00:65::\/122 metric 1024/,
      reads: 'unicast fd00:65::/122 fe80::2*1,fe80::3*2 metric 1024',
    },
    {
      name: 'IPv6, nowhere',
      route: () => ({ prefix: parsePrefix('fd00:65::/122'), type: 'unreachable' }),
      shows: /^unreachable fd00:65::\/122 dev lo metric 1024/,
      reads: 'unreachable fd00:65::/122  metric 1024',
    },
  ];
  for (const { name, route, shows, reads } of cases)
    it(`lead to ${name}`, () => {
      const change = add(route());
      expect(apply(change)).to.deep.equal([]);
      expect(shown(change.route.prefix.family === 6 ? '-6' : '-4')[0]).to.match(shows);
      const [found, ...others] = listRoutes(socket, { protocol: 172 });
      expect(others).to.deep.equal([]);
      expect(found && brief(found)).to.equal(reads);
      // What was read, deleted as it stands.
      expect(found && apply({ type: 'delete', route: found })).to.deep.equal([]);
      expect(listRoutes(socket, { protocol: 172 })).to.deep.equal([]);
    });

  it('live in any table', () => {
    const prefix = parsePrefix('10.65.0.0/26');
    expect(
      apply(
        add({ prefix, nextHops: [via('10.0.0.2')], table: 100 }),
        add({ prefix, nextHops: [via('10.0.0.3')], table: 100_000 }),
      ),
    ).to.deep.equal([]);
    expect(listRoutes(socket, { protocol: 172 })).to.deep.equal([]);
    expect([100, 100_000].map((table) => listRoutes(socket, { protocol: 172, table }).map(brief))).to.deep.equal([
      ['unicast 10.65.0.0/26 10.0.0.2*1 metric 0'],
      ['unicast 10.65.0.0/26 10.0.0.3*1 metric 0'],
    ]);
  });

  it('are filtered by family, protocol and interface', () => {
    apply(
      add({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('10.0.0.2')] }),
      add({ prefix: parsePrefix('fd00:65::/122'), nextHops: [via('fd00::2')] }),
      add({ prefix: parsePrefix('10.65.1.0/26'), type: 'blackhole', protocol: 171 }),
    );
    expect(listRoutes(socket, { protocol: 171 }).map(brief)).to.deep.equal(['blackhole 10.65.1.0/26  metric 0']);
    expect(listRoutes(socket, { family: 6, protocol: 172 }).map(brief)).to.deep.equal([
      'unicast fd00:65::/122 fd00::2*1 metric 1024',
    ]);
    expect(
      listRoutes(socket, { family: 4, interfaceIndex: index }).map((route) => formatPrefix(route.prefix)),
    ).to.deep.equal(['10.0.0.0/24', '10.65.0.0/26']);
  });

  it('show which next hop lost its carrier', async () => {
    apply(add({ prefix: parsePrefix('10.65.0.0/26'), nextHops: [via('10.0.0.2')] }));
    ip(node, 'link', 'set', 'v1', 'down');
    // The kernel takes notice of carriers in its own time.
    await until('the lost carrier', () => listRoutes(socket, { protocol: 172 })[0]?.nextHops[0]?.isLinkDown === true);
  });

  it('are refused one by one, each with its sentence, and the others are applied', () => {
    const good = (third: number): RouteChange =>
      add({ prefix: parsePrefix(`10.65.${third}.0/26`), nextHops: [via('10.0.0.2')] });
    expect(
      apply(
        good(0),
        good(0),
        add({ prefix: parsePrefix('10.66.0.0/16'), nextHops: [via('192.0.2.1')] }),
        { type: 'delete', route: good(9).route },
        add({ prefix: parsePrefix('10.67.0.0/16'), nextHops: [{ interfaceIndex: 9999 }] }),
        good(1),
      ),
    ).to.deep.equal([
      '1: Cannot add route 10.65.0.0/26: file already exists (EEXIST)',
      '2: Cannot add route 10.66.0.0/16: network is unreachable (ENETUNREACH): Nexthop has invalid gateway',
      '3: Cannot delete route 10.65.9.0/26: no such process (ESRCH)',
      '4: Cannot add route 10.67.0.0/16: no such device (ENODEV)',
    ]);
    expect(shown()).to.deep.equal(['10.65.0.0/26 via 10.0.0.2 dev v0', '10.65.1.0/26 via 10.0.0.2 dev v0']);
  });

  it('go by the thousands, and refusals among them keep their places', () => {
    const changes = Array.from(
      { length: 2_000 },
      (_, i): RouteChange =>
        add({
          prefix: { family: 4, value: 0x0a410000n + BigInt(i === 1_999 ? 0 : i), length: 32 },
          nextHops: [via(i % 500 === 7 ? '192.0.2.1' : '10.0.0.2')],
        }),
    );
    expect(applyRouteChanges(socket, changes).map(({ index: at, error }) => [at, error.code])).to.deep.equal([
      [7, 'ENETUNREACH'],
      [507, 'ENETUNREACH'],
      [1007, 'ENETUNREACH'],
      [1507, 'ENETUNREACH'],
      [1999, 'EEXIST'],
    ]);
    expect(listRoutes(socket, { protocol: 172 })).to.have.length(1_995);
  });

  it('are replaced whole, one next hop by many and back', () => {
    for (const [prefix, first, second] of [
      ['10.65.0.0/26', '10.0.0.2', '10.0.0.3'],
      ['fd00:65::/122', 'fd00::2', 'fd00::3'],
    ] as const) {
      const route = (...hops: readonly string[]): RouteRequest => ({
        prefix: parsePrefix(prefix),
        protocol: 172,
        nextHops: hops.map((hop) => via(hop)),
      });
      for (const hops of [[first], [first, second], [second]]) {
        expect(apply({ type: 'replace', route: route(...hops) })).to.deep.equal([]);
        const found = listRoutes(socket, { protocol: 172 }).filter((item) => formatPrefix(item.prefix) === prefix);
        expect(found.map((item) => item.nextHops.map((hop) => hop.via && formatAddress(hop.via)))).to.deep.equal([
          hops,
        ]);
      }
    }
  });

  it('of another protocol are never deleted', () => {
    ip(node, 'route', 'add', '10.65.0.0/26', 'via', '10.0.0.2', 'proto', 'static');
    expect(
      apply({ type: 'delete', route: { prefix: parsePrefix('10.65.0.0/26'), protocol: 172, nextHops: [] } }),
    ).to.deep.equal(['0: Cannot delete route 10.65.0.0/26: no such process (ESRCH)']);
  });

  for (const [family, first, second, hop] of [
    [4, '9.0.0.0/24', '30.0.0.0/24', (n: number) => `10.0.${1 + (n >> 7)}.${1 + (n & 127)}`],
    [6, '2001::/48', '3001::/48', (n: number) => `fd00::${n.toString(16)}`],
  ] as const)
    it(`of 256 next hops are read by a socket that has not read before, and those after them, IPv${family}`, () => {
      ip(node, 'addr', 'add', '10.0.0.1/16', 'dev', 'v0');
      const many = Array.from({ length: 256 }, (_, n) => via(hop(n + 2)));
      expect(
        apply(
          add({ prefix: parsePrefix(first), nextHops: many }),
          add({ prefix: parsePrefix(second), nextHops: [via(hop(2))] }),
        ),
      ).to.deep.equal([]);
      const fresh = inNamespace(node, () => new NetlinkSocket());
      try {
        const routes = listRoutes(fresh, { family, protocol: 172 });
        expect(routes.map(({ prefix, nextHops }) => [formatPrefix(prefix), nextHops.length])).to.deep.equal([
          [first, 256],
          [second, 1],
        ]);
      } finally {
        fresh.close();
      }
    });
});
