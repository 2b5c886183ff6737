import { expect } from 'chai';
import { parseAddress } from 'node-bgp/address';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { levelPeeringAddresses } from '../../src/dataplane/peering-address.js';
import { ip, ScratchNamespaces } from './scratch-namespaces.js';

describe('peering addresses', () => {
  const namespaces = new ScratchNamespaces('tpeering');
  let node: string;
  let socket: NetlinkSocket;

  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket());
    for (const name of ['torta', 'tortb', 'tortz']) {
      ip(node, 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      ip(node, 'link', 'set', name, 'addrgenmode', 'none', 'up');
      if (name !== 'tortz') ip(node, 'link', 'set', name, 'alias', `tortie:${name}/eth0 shop/${name}`);
      ip(node, 'address', 'add', 'fe80::ecee:eeff:feee:eeee/64', 'dev', name, 'nodad');
    }
  });
  afterEach(() => socket.close());
  after(() => namespaces.removeAll());

  const level = (...wanted: readonly (readonly [string, string])[]): readonly string[] =>
    levelPeeringAddresses(
      socket,
      wanted.map(([hostInterface, address]) => ({ hostInterface, address: parseAddress(address) })),
    );
  const show = (name: string): readonly string[] =>
    ip(node, '-o', 'address', 'show', 'dev', name)
      .split('\n')
      .flatMap((line) => / inet6? (\S+)/.exec(line)?.[1] ?? [])
      .sort();
  const GATEWAY = 'fe80::ecee:eeff:feee:eeee/64';

  it('puts the same address on several interfaces, and takes it from one of them without the others', () => {
    for (const round of [1, 2])
      expect(
        level(['torta', '169.254.0.179'], ['tortb', '169.254.0.179'], ['tortb', 'fd12::1']),
        `${round}`,
      ).to.deep.equal([]);
    expect(show('torta')).to.deep.equal(['169.254.0.179/32', GATEWAY]);
    expect(show('tortb')).to.deep.equal(['169.254.0.179/32', 'fd12::1/128', GATEWAY]);
    expect(level(['tortb', '169.254.0.179'])).to.deep.equal([]);
    expect([show('torta'), show('tortb')]).to.deep.equal([[GATEWAY], ['169.254.0.179/32', GATEWAY]]);
    expect(ip(node, 'route', 'get', '169.254.0.179')).to.contain('local 169.254.0.179');
    expect(level()).to.deep.equal([]);
    expect(show('tortb')).to.deep.equal([GATEWAY]);
  });

  it('repairs, replaces a former address, and leaves interfaces of others alone', () => {
    ip(node, 'address', 'add', '169.254.0.180/32', 'dev', 'torta');
    ip(node, 'address', 'add', '169.254.0.181/32', 'dev', 'tortz');
    ip(node, 'address', 'add', '10.0.0.1/24', 'dev', 'tortbp');
    expect(level(['torta', '169.254.0.179'], ['tortz', '169.254.0.179'], ['tortx', '169.254.0.179'])).to.deep.equal([]);
    expect(show('torta')).to.deep.equal(['169.254.0.179/32', GATEWAY]);
    expect(show('tortz')).to.deep.equal(['169.254.0.181/32', GATEWAY]);
    expect(show('tortbp')).to.include('10.0.0.1/24');
    ip(node, 'address', 'del', '169.254.0.179/32', 'dev', 'torta');
    expect(level(['torta', '169.254.0.179'])).to.deep.equal([]);
    expect(show('torta')).to.deep.equal(['169.254.0.179/32', GATEWAY]);
  });
});
