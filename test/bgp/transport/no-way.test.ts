/** What stands in a peer's error when its route says no: the kernel's own answers to TCP and UDP, in words. */
import { expect } from 'chai';
import { noWay } from 'node-bgp/transport/no-way';
import { Cable, eventually } from '../bfd/real-peers.js';

const ROUTES = [
  ['blackhole', 1, 'the route to it is a blackhole (EINVAL)'],
  ['unreachable', 2, 'the route to it is an unreachable one, or nobody answers there (EHOSTUNREACH)'],
  ['prohibit', 3, 'the route to it is a prohibit one, or a router prohibits it (EACCES)'],
  [undefined, 4, 'no route leads there (ENETUNREACH)'],
] as const;
const peers = ROUTES.flatMap(([type, last, words]) =>
  [`198.51.100.${last}`, `2001:db8::${last}`].map((address) => ({ type, address, words })),
);

/** Says why it could not connect to each of its arguments; "connected" where it could. */
const CONNECT = `
  import { tcpTransport } from ${JSON.stringify(import.meta.resolve('node-bgp/transport/tcp-transport'))};
  const reasons = await Promise.all(process.argv.slice(1).map((address) => new Promise((resolve) =>
    tcpTransport.connect({ remote: { address, port: 179 } }, ({ type, reason }) => resolve(reason ?? type)))));
  console.log(JSON.stringify(reasons));
`;

describe('bgp/transport/no-way', function () {
  this.timeout(30_000);
  let cable: Cable;
  beforeEach(() => {
    cable = new Cable();
    cable.up();
    for (const { type, address } of peers) if (type !== undefined) cable.here('ip', 'route', 'add', type, address);
  });
  afterEach(() => cable.down());

  it('is why BGP cannot connect, by each kind of route and family', () => {
    const addresses = peers.map(({ address }) => address);
    const said: unknown = JSON.parse(cable.here(process.execPath, '--input-type=module', '-e', CONNECT, ...addresses));
    expect(said).to.deep.equal(peers.map(({ address, words }) => `No route to peer ${address} port 179: ${words}`));
  });

  it('is why BFD cannot send, by each kind of route and family', async () => {
    const node = cable.speaker();
    node.set(
      ...peers.map(({ address }) => ({ peer: address, transmitInterval: 50, receiveInterval: 50, multiplier: 3 })),
    );
    const said = await eventually('every session to have failed', async () => {
      const sessions = await node.status();
      return sessions.length === peers.length && sessions.every(({ sendError }) => sendError !== undefined)
        ? new Map(sessions.map(({ config, sendError }) => [config.peer, sendError]))
        : undefined;
    });
    expect(peers.map(({ address }) => said.get(address))).to.deep.equal(peers.map(({ words }) => words));
  });
});

describe('bgp/transport/no-way, of what is meant as it stands', () => {
  for (const [what, code, address, localAddress] of [
    ['a link-local address without its link', 'EINVAL', 'fe80::1', undefined],
    ['a source on the loopback', 'EINVAL', '192.0.2.1', '127.0.0.1'],
    ['a port that is taken', 'EADDRINUSE', '192.0.2.1', undefined],
    ['no code', '', '192.0.2.1', undefined],
  ] as const)
    it(`says nothing of routes: ${what}`, () => expect(noWay(code, address, localAddress)).to.equal(undefined));

  it('knows a blackhole from a link-local address with its link', () =>
    expect(noWay('EINVAL', 'fe80::1%eth0')).to.equal('the route to it is a blackhole (EINVAL)'));
});
