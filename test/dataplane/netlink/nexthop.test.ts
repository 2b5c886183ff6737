import { expect } from 'chai';
import { formatPrefix, parseAddress, parsePrefix } from 'node-bgp/address';
import { NetlinkError } from '../../../src/dataplane/netlink/netlink-error.js';
import { findLink } from '../../../src/dataplane/netlink/link.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import {
  createNexthop,
  deleteNexthop,
  isUnsupported,
  listNexthops,
  type Nexthop,
} from '../../../src/dataplane/netlink/nexthop.js';
import { applyRouteChanges } from '../../../src/dataplane/netlink/route-change.js';
import { listRoutes, visitRoutes } from '../../../src/dataplane/netlink/route-list.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { ip, ScratchNamespaces } from '../scratch-namespaces.js';

describe('netlink nexthops', () => {
  const namespaces = new ScratchNamespaces('tnlnexthop');
  let node: string;
  let socket: NetlinkSocket;
  let interfaceIndex: number;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    for (const name of ['v0', 'v1']) ip(node, 'link', 'set', name, 'up');
    ip(node, 'addr', 'add', '10.0.0.1/24', 'dev', 'v0');
    ip(node, 'addr', 'add', 'fd00::1/64', 'dev', 'v0', 'nodad');
    interfaceIndex = findLink(socket, { name: 'v0' })?.index ?? 0;
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  const way = (
    id: number,
    via: string | undefined,
    more: Partial<Extract<Nexthop, { type: 'way' }>> = {},
  ): Extract<Nexthop, { type: 'way' }> => {
    const address = via === undefined ? undefined : parseAddress(via);
    return {
      type: 'way',
      id,
      family: address?.family ?? 4,
      interfaceIndex,
      protocol: 172,
      ...(address === undefined ? {} : { via: address }),
      ...more,
    };
  };

  it('are read as they were made, and as `ip` shows them', () => {
    const made = [
      way(7, '10.0.0.2'),
      way(8, 'fd00::2'),
      way(9, 'fe80::3'),
      way(10, undefined),
      way(11, undefined, { family: 6 }),
      way(12, '192.0.2.1', { isOnlink: true }),
      {
        type: 'group',
        id: 20,
        members: [
          { id: 7, weight: 1 },
          { id: 9, weight: 255 },
        ],
        protocol: 172,
      },
    ] as const;
    for (const nexthop of made) createNexthop(socket, nexthop);
    expect(listNexthops(socket)).to.deep.equal(made);
    expect(ip(node, 'nexthop', 'show', 'id', '7').trim()).to.match(
      /^id 7 via 10\.0\.0\.2 dev v0 scope link proto (172|tortie-bgp)$/,
    );
    expect(ip(node, 'nexthop', 'show', 'id', '20').trim()).to.match(/^id 20 group 7\/9,255 proto (172|tortie-bgp)$/);
    for (const { id } of made) deleteNexthop(socket, id);
    deleteNexthop(socket, 7);
    expect(listNexthops(socket)).to.deep.equal([]);
  });

  it('of other kinds are known for what they are not', () => {
    ip(node, 'nexthop', 'add', 'id', '1', 'blackhole', 'proto', '172');
    ip(node, 'nexthop', 'add', 'id', '2', 'via', '10.0.0.2', 'dev', 'v0');
    ip(node, 'nexthop', 'add', 'id', '3', 'group', '2', 'type', 'resilient', 'buckets', '8', 'proto', '172');
    expect(listNexthops(socket).filter(({ protocol }) => protocol === 172)).to.deep.equal([
      { type: 'other', id: 1, protocol: 172 },
      { type: 'other', id: 3, protocol: 172 },
    ]);
  });

  it('are refused with a reason', () => {
    createNexthop(socket, way(7, '10.0.0.2'));
    const refusal = (work: () => void): NetlinkError => {
      try {
        work();
      } catch (error) {
        if (error instanceof NetlinkError) return error;
      }
      throw new Error('The kernel took it');
    };
    expect(refusal(() => createNexthop(socket, way(7, '10.0.0.3'))).code).to.equal('EEXIST');
    expect(refusal(() => createNexthop(socket, way(8, '172.16.0.1'))).message).to.match(
      /^Cannot add nexthop 8: .*gateway/,
    );
    expect(isUnsupported(new NetlinkError('list nexthops', { errno: 95 }))).to.equal(true);
    expect(isUnsupported(refusal(() => createNexthop(socket, way(7, '10.0.0.3'))))).to.equal(false);
  });

  it('lead routes of both families, which say so when they are read, and go with them', async () => {
    createNexthop(socket, way(7, '10.0.0.2'));
    createNexthop(socket, way(8, 'fd00::2'));
    createNexthop(socket, {
      type: 'group',
      id: 20,
      members: [
        { id: 7, weight: 1 },
        { id: 8, weight: 2 },
      ],
      protocol: 172,
    });
    const add = (prefix: string, nexthopId: number) =>
      ({
        type: 'add',
        route: { prefix: parsePrefix(prefix), protocol: 172, metric: 20, nextHops: [], nexthopId },
      }) as const;
    expect(
      applyRouteChanges(socket, [add('10.1.0.0/16', 7), add('10.2.0.0/16', 20), add('fd01::/48', 8)]),
    ).to.deep.equal([]);
    expect(applyRouteChanges(socket, [add('10.3.0.0/16', 99)]).map(({ error }) => error.message)).to.deep.equal([
      'Cannot add route 10.3.0.0/16: invalid argument (EINVAL): Nexthop id does not exist',
    ]);
    const brief = listRoutes(socket, { protocol: 172 }).map(
      ({ prefix, nexthopId, nextHops }) => `${formatPrefix(prefix)} ${nexthopId ?? ''} ${nextHops.length}`,
    );
    expect(brief).to.deep.equal(['10.1.0.0/16 7 1', '10.2.0.0/16 20 2', 'fd01::/48 8 1']);
    const visited: string[] = [];
    await visitRoutes(
      socket,
      { protocol: 172 },
      ({ prefix, nexthopId, nextHops }) =>
        visited.push(`${formatPrefix(prefix)} ${nexthopId ?? ''} ${nextHops.length}`),
      () => visited.splice(0),
    );
    expect(visited).to.deep.equal(brief);
    // What was read, deleted as it stands: through another object it is another route.
    const [first] = listRoutes(socket, { family: 4, protocol: 172 });
    expect(
      first &&
        applyRouteChanges(socket, [{ type: 'delete', route: { ...first, nexthopId: 20 } }]).map(
          ({ error }) => error.code,
        ),
    ).to.deep.equal(['ESRCH']);
    expect(first && applyRouteChanges(socket, [{ type: 'delete', route: first }])).to.deep.equal([]);
    for (const id of [20, 8]) deleteNexthop(socket, id);
    expect(listRoutes(socket, { protocol: 172 })).to.deep.equal([]);
  });
});
