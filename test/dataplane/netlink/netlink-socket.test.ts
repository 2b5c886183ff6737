import { expect } from 'chai';
import { NetlinkBatch } from '../../../src/dataplane/netlink/batch.js';
import {
  findLink,
  listLinks,
  RTM_GETLINK,
  writeLinkQuery,
  writeLinkSettings,
  writeVeth,
} from '../../../src/dataplane/netlink/link.js';
import { NetlinkError } from '../../../src/dataplane/netlink/netlink-error.js';
import { NetlinkOverflowError } from '../../../src/dataplane/netlink/netlink-loss.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import type { RouteChange } from '../../../src/dataplane/netlink/route.js';
import { applyRouteChanges } from '../../../src/dataplane/netlink/route-change.js';
import { listRoutes } from '../../../src/dataplane/netlink/route-list.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { newDescriptors, ownDescriptors } from '../own-descriptors.js';
import { ip, ScratchNamespaces } from '../scratch-namespaces.js';

describe('netlink socket', () => {
  const namespaces = new ScratchNamespaces('tnlsock');
  let node: string;
  let socket: NetlinkSocket;
  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  it('belongs to the namespace that it was made in', () => {
    ip(node, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    expect(
      listLinks(socket)
        .map((link) => link.name)
        .sort(),
    ).to.deep.equal(['lo', 'v0', 'v1']);
  });

  it('tells which message of a batch was refused, and applies the others', () => {
    const { batch } = socket;
    batch.clear();
    writeVeth(batch, { name: 'v0', peer: { name: 'v1' } });
    writeVeth(batch, { name: 'v0', peer: { name: 'v2' } });
    writeLinkSettings(batch, { name: 'nonesuch' }, { isUp: true });
    writeLinkSettings(batch, { name: 'v0' }, { isUp: true, alias: 'mine' });
    expect(socket.transact(batch).map(({ index, error }) => [index, error.message])).to.deep.equal([
      [1, 'Cannot create veth "v0" with peer "v2": file already exists (EEXIST)'],
      [2, 'Cannot change interface "nonesuch": no such device (ENODEV)'],
    ]);
    expect(findLink(socket, { name: 'v0' })).to.include({ isUp: true, alias: 'mine' });
  });

  it("throws the first refusal of a request, with the kernel's own sentence", () => {
    socket.batch.clear();
    writeLinkSettings(socket.batch, { name: 'lo' }, { isUp: true });
    writeVeth(socket.batch, { name: 'v0', peer: { name: 'v1' } });
    writeLinkSettings(socket.batch, { name: 'v0' }, { mtu: 10 });
    expect(() => socket.request(socket.batch))
      .to.throw(NetlinkError, 'Cannot change interface "v0": invalid argument (EINVAL): mtu less than device minimum')
      .with.property('explanation', 'mtu less than device minimum');
  });

  it('does the same on a pool thread', async () => {
    const batch = new NetlinkBatch();
    writeVeth(batch, { name: 'v0', peer: { name: 'v1' } });
    writeVeth(batch, { name: 'v0', peer: { name: 'v2' } });
    const failures = await socket.transactAsync(batch);
    expect(failures.map(({ index, error }) => [index, error.code])).to.deep.equal([[1, 'EEXIST']]);
  });

  it('says that the outcome is unknown when answers were lost, and works on', () => {
    const small = inNamespace(node, () => new NetlinkSocket({ receiveBufferSize: 2_048 }));
    // 256 refusals of a send do not fit into the smallest buffer that the kernel gives.
    const refused = Array.from(
      { length: 256 },
      (_, i): RouteChange => ({
        type: 'delete',
        route: { prefix: { family: 4, value: BigInt(i), length: 32 }, protocol: 172, nextHops: [] },
      }),
    );
    expect(() => applyRouteChanges(small, refused)).to.throw(
      NetlinkOverflowError,
      'Cannot tell whether the kernel did "delete route 0.0.0.0/32": its answers overflowed the receive buffer',
    );
    // What is left of the lost exchange must not be taken for an answer to the next one.
    expect(findLink(small, { name: 'lo' })?.index).to.equal(1);
    expect(listRoutes(small)).to.deep.equal([]);
    small.close();
  });

  it('reads a dump to its end when the reader throws, so that the next one can start', () => {
    const { batch } = socket;
    const begin = (): void => {
      batch.clear();
      batch.beginMessage(RTM_GETLINK, 0, () => 'list interfaces');
      for (let i = 0; i < 4; i++) batch.u32(0);
      batch.endMessage();
    };
    for (let i = 0; i < 200; i++) ip(node, 'link', 'add', `a${i}`, 'type', 'bridge');
    begin();
    expect(() =>
      socket.dump(
        batch,
        () => {
          throw new Error('I have seen enough');
        },
        () => undefined,
      ),
    ).to.throw('I have seen enough');
    expect(listLinks(socket)).to.have.length(201);
  }).timeout(60_000);

  it('reports a refused dump', () => {
    const { batch } = socket;
    batch.clear();
    batch.beginMessage(9_999, 0, () => 'list what nobody knows');
    batch.u32(0);
    batch.endMessage();
    expect(() =>
      socket.dump(
        batch,
        () => undefined,
        () => undefined,
      ),
    ).to.throw(NetlinkError, 'Cannot list what nobody knows: operation not supported on socket (ENOTSUP)');
  });

  it('takes one message where one is meant', () => {
    socket.batch.clear();
    for (const name of ['a', 'b']) writeLinkQuery(socket.batch, { name });
    expect(() => socket.query(socket.batch, () => undefined)).to.throw(RangeError, 'A query has one message, not 2');
  });

  it('may be closed twice, and leaks no descriptor', () => {
    const before = ownDescriptors();
    for (let i = 0; i < 50; i++) {
      const one = inNamespace(node, () => new NetlinkSocket());
      one.close();
      one.close();
    }
    expect(newDescriptors(before)).to.deep.equal([]);
  });
});
