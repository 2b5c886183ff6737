/** What the daemon makes of links that go and return, on a real kernel. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { formatAddress } from 'node-bgp/address';
import { InterfaceWatch } from '../../src/bgpd/interface-watch.js';
import { listNeighbours, NetlinkSocket } from '../../src/dataplane/netlink/index.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { eventually } from '../bgp/bfd/real-peers.js';

const NODE = `tortie-iw-n-${process.pid}`;
const ROUTER = `tortie-iw-r-${process.pid}`;
const ROUTER_ADDRESSES = ['fe80::2', 'fd00::2', '10.0.0.2'];

const ip = (...argv: readonly string[]): string => execFileSync('ip', argv, { encoding: 'utf8' });

describe('bgpd, interface watch', function () {
  this.timeout(30_000);
  let socket: NetlinkSocket | undefined;
  let watch: InterfaceWatch | undefined;

  beforeEach(() => {
    for (const name of [NODE, ROUTER]) ip('netns', 'add', name);
    ip('-n', NODE, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'node', 'netns', ROUTER);
    for (const [name, device, end] of [
      [NODE, 'eth0', 1],
      [ROUTER, 'node', 2],
    ] as const) {
      ip('-n', name, 'link', 'set', device, 'addrgenmode', 'none');
      ip('-n', name, 'address', 'add', `10.0.0.${end}/24`, 'dev', device);
      ip('-n', name, 'address', 'add', `fd00::${end}/64`, 'dev', device, 'nodad');
      ip('-n', name, 'address', 'add', `fe80::${end}/64`, 'dev', device, 'nodad');
      ip('-n', name, 'link', 'set', device, 'up');
    }
  });

  afterEach(() => {
    watch?.stop();
    socket?.close();
    [watch, socket] = [undefined, undefined];
    for (const name of [NODE, ROUTER]) ip('netns', 'delete', name);
  });

  const start = (): { readonly socket: NetlinkSocket; readonly seen: boolean[] } => {
    const seen: boolean[] = [];
    const open = inNamespace(`/run/netns/${NODE}`, () => new NetlinkSocket());
    socket = open;
    watch = new InterfaceWatch({
      socket: open,
      onChange: (interfaces) => seen.push(interfaces.find(({ name }) => name === 'eth0')?.isUp === true),
      onLoss: () => undefined,
      onGain: () => undefined,
    });
    inNamespace(`/run/netns/${NODE}`, () => watch?.start());
    return { socket: open, seen };
  };

  const router = (state: 'down' | 'up'): void => {
    ip('-n', ROUTER, 'link', 'set', 'node', state);
    // The kernel takes these away with the link, unlike the IPv4 address.
    if (state === 'up')
      for (const address of ['fd00::2/64', 'fe80::2/64'])
        ip('-n', ROUTER, 'address', 'replace', address, 'dev', 'node', 'nodad');
  };

  for (const state of ['incomplete', 'failed'])
    it(`asks for next hops that were silent when their link returns (${state}), and waits for nobody's packet`, async () => {
      const { socket: open, seen } = start();
      expect(seen).to.deep.equal([true]);
      router('down');
      await eventually('the carrier to be gone', () => seen.at(-1) === false || undefined);
      for (const address of ROUTER_ADDRESSES)
        ip('-n', NODE, 'neighbour', 'replace', address, 'dev', 'eth0', 'nud', state);
      router('up');
      await eventually('the carrier to be back', () => seen.at(-1) === true || undefined);
      const answered = (): readonly string[] =>
        listNeighbours(open)
          .filter(({ isSilent, mac }) => !isSilent && mac !== '')
          .map(({ address }) => formatAddress(address))
          .filter((address) => ROUTER_ADDRESSES.includes(address))
          .sort();
      const wanted = [...ROUTER_ADDRESSES].sort();
      await eventually('all to have answered', () => answered().length === wanted.length || undefined).catch(() =>
        expect(answered()).to.deep.equal(wanted),
      );
    });

  it('lets neighbours that somebody set, or that answer, stand as they are', async () => {
    const { socket: open, seen } = start();
    router('down');
    await eventually('the carrier to be gone', () => seen.at(-1) === false || undefined);
    ip('-n', NODE, 'neighbour', 'replace', 'fe80::2', 'lladdr', '02:00:00:00:00:09', 'dev', 'eth0', 'nud', 'permanent');
    ip('-n', NODE, 'neighbour', 'replace', '10.0.0.2', 'lladdr', '02:00:00:00:00:08', 'dev', 'eth0', 'nud', 'stale');
    router('up');
    await eventually('the carrier to be back', () => seen.at(-1) === true || undefined);
    expect(
      listNeighbours(open)
        .filter(({ address }) => ['fe80::2', '10.0.0.2'].includes(formatAddress(address)))
        .map(({ mac }) => mac)
        .sort(),
    ).to.deep.equal(['02:00:00:00:00:08', '02:00:00:00:00:09']);
  });
});
