/** The kernel's routes of others as next hops see them, read from a real kernel. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { formatAddress, formatPrefix, parseAddress } from 'node-bgp/address';
import type { KernelRoute } from 'node-bgp/rib/contract';
import { RouteWatch, type RouteWatchOptions } from '../../src/bgpd/route-watch.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { NetlinkSocket, watchKernel } from '../../src/dataplane/netlink/index.js';
import { eventually } from '../bgp/bfd/real-peers.js';

class Kernel {
  readonly namespace: string;
  private readonly path: string;
  private watches: { readonly watch: RouteWatch; readonly socket: NetlinkSocket }[] = [];
  /** What the last watch told. */
  told: readonly string[] = [];
  changes = 0;
  targets: readonly string[] = [];

  constructor(name: string) {
    this.namespace = `tortie-rw-${name}-${process.pid}`;
    this.path = `/run/netns/${this.namespace}`;
    execFileSync('ip', ['netns', 'add', this.namespace]);
    for (const [i, device] of ['eth0', 'eth1'].entries()) {
      this.ip('link', 'add', device, 'type', 'veth', 'peer', 'name', `${device}p`);
      this.ip('addr', 'add', `10.0.${i}.1/24`, 'dev', device);
      this.ip('addr', 'add', `fd00:${i}::1/64`, 'dev', device, 'nodad');
      this.ip('link', 'set', device, 'up');
      this.ip('link', 'set', `${device}p`, 'up');
    }
  }

  ip(...argv: readonly string[]): string {
    return execFileSync('ip', ['-n', this.namespace, ...argv], { encoding: 'utf8' });
  }

  /** All at once. */
  batch(lines: readonly string[]): void {
    execFileSync('ip', ['-n', this.namespace, '-batch', '-'], { input: lines.join('\n'), encoding: 'utf8' });
  }

  /** By index. */
  get names(): ReadonlyMap<number, string> {
    return new Map(['eth0', 'eth1'].map((name) => [Number(this.ip('-o', 'link', 'show', name).split(':')[0]), name]));
  }

  watch(more: Partial<RouteWatchOptions> = {}): RouteWatch {
    const { names } = this;
    const socket = inNamespace(this.path, () => new NetlinkSocket());
    const watch = new RouteWatch({
      socket,
      nameOf: (index) => names.get(index),
      targets: () => this.targets.map(parseAddress),
      onChange: (routes) => {
        this.told = routes.map(textOf).sort();
        this.changes++;
      },
      onProblem: (error) => {
        throw error;
      },
      watch: (...topics) => inNamespace(this.path, () => watchKernel(...topics)),
      ...more,
    });
    this.watches.push({ watch, socket });
    watch.start();
    return watch;
  }

  async expect(...routes: readonly string[]): Promise<void> {
    const wanted = [...routes].sort();
    const holds = (): true | undefined => (this.told.join('\n') === wanted.join('\n') ? true : undefined);
    await eventually(`routes to be ${wanted.join(', ')}`, holds, 20_000).catch(() =>
      expect(this.told).to.deep.equal(wanted),
    );
  }

  async clear(): Promise<void> {
    for (const { watch, socket } of this.watches.splice(0)) {
      await watch.stop();
      socket.close();
    }
    this.told = [];
    this.changes = 0;
    this.targets = [];
  }

  remove(): void {
    execFileSync('ip', ['netns', 'del', this.namespace]);
  }
}

const textOf = ({ prefix, metric, hops }: KernelRoute): string =>
  [
    `${formatPrefix(prefix)} ${metric}`,
    ...hops.map(
      ({ address, interfaceName, weight, isOnlink }) =>
        `${address === undefined ? 'link' : formatAddress(address)}%${interfaceName ?? ''}*${weight}${isOnlink === true ? '!' : ''}`,
    ),
  ].join(' ');

describe('bgpd route-watch', function () {
  this.timeout(60_000);
  let kernel: Kernel;
  beforeEach(() => {
    kernel = new Kernel('a');
  });
  afterEach(async () => {
    await kernel.clear();
    kernel.remove();
  });

  it('tells routes to next hops as they come, change and go, in both families', async () => {
    kernel.targets = ['203.0.113.2', '2001:db8:9::2'];
    kernel.watch();
    kernel.ip('route', 'add', '203.0.113.0/24', 'via', '10.0.0.9');
    kernel.ip('route', 'add', '2001:db8:9::/48', 'via', 'fd00:1::9');
    kernel.ip('route', 'add', '192.0.2.0/24', 'via', '10.0.0.9');
    await kernel.expect('203.0.113.0/24 0 10.0.0.9%eth0*1', '2001:db8:9::/48 1024 fd00:1::9%eth1*1');
    kernel.ip('route', 'replace', '203.0.113.0/24', 'via', '10.0.1.9');
    kernel.ip('route', 'del', '2001:db8:9::/48');
    await kernel.expect('203.0.113.0/24 0 10.0.1.9%eth1*1');
    kernel.ip('route', 'del', '203.0.113.0/24');
    await kernel.expect();
  });

  it('reads every kind: metrics, several ways, devices, defaults, onlink gateways, nothing there', async () => {
    kernel.targets = ['203.0.113.2', '198.51.100.1', '2001:db8:9::2'];
    kernel.batch([
      'route add default via 10.0.0.254 metric 100',
      'route add 203.0.113.0/24 nexthop via 10.0.0.9 weight 2 nexthop via 10.0.1.9 weight 3',
      'route add 203.0.113.2/32 dev eth1 scope link proto static',
      'route add unreachable 198.51.100.0/24 metric 7',
      'route add 198.51.100.0/25 via 172.31.0.1 dev eth0 onlink',
      'route add 2001:db8::/32 nexthop via fd00::9 dev eth0 nexthop via fd00:1::9 dev eth1',
      'route add 2001:db8:9::2/128 dev eth1 metric 5',
    ]);
    kernel.watch();
    await kernel.expect(
      '0.0.0.0/0 100 10.0.0.254%eth0*1',
      '203.0.113.0/24 0 10.0.0.9%eth0*2 10.0.1.9%eth1*3',
      '203.0.113.2/32 0 link%eth1*1',
      '198.51.100.0/24 7',
      '198.51.100.0/25 0 172.31.0.1%eth0*1!',
      '2001:db8::/32 1024 fd00::9%eth0*1 fd00:1::9%eth1*1',
      '2001:db8:9::2/128 5 link%eth1*1',
    );
  });

  it('hears nothing of our own routes, and does not count them', async () => {
    kernel.targets = ['203.0.113.2'];
    kernel.batch(['route add 203.0.113.0/25 via 10.0.0.9 proto 172', 'route add 203.0.113.0/24 via 10.0.1.9']);
    kernel.watch();
    await kernel.expect('203.0.113.0/24 0 10.0.1.9%eth1*1');
  });

  it("counts the agent's: to pods, and to routers behind a gateway", async () => {
    kernel.targets = ['203.0.113.2', '10.65.0.7', '10.65.0.8'];
    kernel.batch(['route add 203.0.113.2/32 via 10.0.0.9 proto 171', 'route add blackhole 10.65.0.0/26 proto 171']);
    kernel.watch();
    await kernel.expect('203.0.113.2/32 0 10.0.0.9%eth0*1', '10.65.0.0/26 0');
    kernel.ip('route', 'add', '10.65.0.7', 'dev', 'eth1', 'proto', '171');
    await kernel.expect('203.0.113.2/32 0 10.0.0.9%eth0*1', '10.65.0.0/26 0', '10.65.0.7/32 0 link%eth1*1');
  });

  it('finds routes to next hops that it is told of later', async () => {
    kernel.ip('route', 'add', '203.0.113.0/24', 'via', '10.0.0.9');
    kernel.targets = ['192.0.2.1'];
    const watch = kernel.watch();
    kernel.ip('route', 'add', '192.0.2.0/24', 'via', '10.0.0.8');
    await kernel.expect('192.0.2.0/24 0 10.0.0.8%eth0*1');
    kernel.targets = ['192.0.2.1', '203.0.113.7'];
    watch.retarget();
    await kernel.expect('192.0.2.0/24 0 10.0.0.8%eth0*1', '203.0.113.0/24 0 10.0.0.9%eth0*1');
  });

  it('of a table of many keeps those that lead to a next hop, and reads again for a new one', async () => {
    kernel.batch([
      ...Array.from({ length: 400 }, (_, i) => `route add 172.16.${i >> 8}.${i & 255}/32 via 10.0.0.9`),
      'route add 203.0.113.0/24 via 10.0.0.9',
      ...Array.from({ length: 400 }, (_, i) => `route add 2001:db8:${(i + 1).toString(16)}::/48 via fd00::9`),
    ]);
    kernel.targets = ['203.0.113.2'];
    const watch = kernel.watch({ mostKept: 50 });
    await kernel.expect('203.0.113.0/24 0 10.0.0.9%eth0*1');
    expect(Reflect.get(watch, 'routes')).to.have.length.below(50);
    kernel.targets = ['203.0.113.2', '172.16.1.7', '2001:db8:f::1'];
    watch.retarget();
    await kernel.expect(
      '203.0.113.0/24 0 10.0.0.9%eth0*1',
      '172.16.1.7/32 0 10.0.0.9%eth0*1',
      '2001:db8:f::/48 1024 fd00::9%eth0*1',
    );
    kernel.ip('route', 'del', '172.16.1.7/32');
    await kernel.expect('203.0.113.0/24 0 10.0.0.9%eth0*1', '2001:db8:f::/48 1024 fd00::9%eth0*1');
  });

  it('follows routes that go in silence with their link', async () => {
    kernel.targets = ['203.0.113.2'];
    const watch = kernel.watch();
    kernel.ip('route', 'add', '203.0.113.0/24', 'via', '10.0.0.9');
    await kernel.expect('203.0.113.0/24 0 10.0.0.9%eth0*1');
    kernel.ip('link', 'set', 'eth0', 'down');
    watch.linksChanged();
    await kernel.expect();
  });

  it('tells at once that routes over a link without carrier lead nowhere, and nothing of links that do not matter', async () => {
    kernel.targets = ['203.0.113.2', '10.0.0.9'];
    const running = new Map(kernel.names);
    const watch = kernel.watch({ nameOf: (index) => running.get(index) });
    kernel.ip('route', 'add', '203.0.113.0/24', 'nexthop', 'via', '10.0.0.9', 'nexthop', 'via', '10.0.1.9');
    await kernel.expect('10.0.0.0/24 0 link%eth0*1', '203.0.113.0/24 0 10.0.0.9%eth0*1 10.0.1.9%eth1*1');
    const [eth0 = 0] = running.keys();
    running.delete(eth0);
    watch.linksChanged();
    expect(kernel.told, 'before any reading').to.deep.equal(['203.0.113.0/24 0 10.0.1.9%eth1*1']);
    const { changes } = kernel;
    running.set(99, 'eth99');
    watch.linksChanged();
    expect(kernel.changes).to.equal(changes);
    running.set(eth0, 'eth0');
    watch.linksChanged();
    await kernel.expect('10.0.0.0/24 0 link%eth0*1', '203.0.113.0/24 0 10.0.0.9%eth0*1 10.0.1.9%eth1*1');
  });

  it('follows a nexthop object of somebody else that leads elsewhere', async () => {
    kernel.targets = ['203.0.113.2'];
    kernel.ip('nexthop', 'add', 'id', '7', 'via', '10.0.0.9', 'dev', 'eth0');
    kernel.ip('route', 'add', '203.0.113.0/24', 'nhid', '7');
    kernel.watch();
    await kernel.expect('203.0.113.0/24 0 10.0.0.9%eth0*1');
    kernel.ip('nexthop', 'replace', 'id', '7', 'via', '10.0.1.9', 'dev', 'eth1');
    await kernel.expect('203.0.113.0/24 0 10.0.1.9%eth1*1');
  });
});
