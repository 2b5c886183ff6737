/** The kernel side, in a namespace of its own. */
import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { parseAddress, parsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { ForwardingEntry, ForwardingSink } from 'node-bgp/rib/contract';
import { FibWriter, type FibProblem, type FibWriterOptions } from '../../src/bgpd/fib-writer.js';
import type { NexthopKernel } from '../../src/bgpd/nexthop-objects.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { applyRouteChanges, NetlinkError, NetlinkSocket, PROTOCOL_TORTIE_BGP, type NetlinkSocketOptions } from '../../src/dataplane/netlink/index.js';

const NAMESPACE = `tfib${process.pid}`;

class Changes {
  private queue: { readonly prefix: IpPrefix; readonly entry: ForwardingEntry | undefined }[] = [];

  set(prefix: string, ...hops: readonly string[]): void {
    this.setWeighted(prefix, ...hops.map((hop) => [hop, 1] as const));
  }

  setWeighted(prefix: string, ...hops: readonly (readonly [string, number])[]): void {
    const entry = hops.length === 0 ? undefined : { hops: hops.map(([hop, weight]) => {
      const [address = '', interfaceName] = hop.split('%');
      return { address: parseAddress(address), interfaceName, weight };
    }) };
    this.queue.push({ prefix: parsePrefix(prefix), entry });
  }

  onTake: (() => void) | undefined;

  readonly take = (sink: ForwardingSink, limit: number): boolean => {
    this.onTake?.();
    for (const { prefix, entry } of this.queue.splice(0, limit)) sink(prefix.family, wordsOf(prefix), 0, prefix.length, entry);
    return this.queue.length > 0;
  };
}

function wordsOf({ family, value }: IpPrefix): Uint32Array {
  return family === 4 ? Uint32Array.of(Number(value)) : Uint32Array.from([96n, 64n, 32n, 0n], (shift) => Number((value >> shift) & 0xffffffffn));
}

/** A kernel before 5.3. */
const NO_NEXTHOPS: NexthopKernel = {
  list: () => { throw new NetlinkError('list nexthops', { errno: 95 }); },
  create: () => { throw new Error('Unexpected'); },
  remove: () => { throw new Error('Unexpected'); },
};

const isRoot = process.getuid?.() === 0;

(isRoot ? describe : describe.skip)('bgpd fib-writer', () => {
  let socket: NetlinkSocket;
  const sockets: NetlinkSocket[] = [];
  const indexes = new Map<string, number>();
  const ip = (...argv: readonly string[]): string => execFileSync('ip', ['-n', NAMESPACE, ...argv], { encoding: 'utf8' });
  const routes = (family: Family = 4): readonly string[] =>
    ip(family === 4 ? '-4' : '-6', '-o', 'route', 'show', 'proto', String(PROTOCOL_TORTIE_BGP)).split('\n').map((line) => line.replace(/\\\t/g, ' ').replace(/ +/g, ' ').replace(' pref medium', '').trim()).filter((line) => line !== '').map((line) => line.replace(/nhid \d+ /, '')).sort();
  let problems: FibProblem[];

  before(() => {
    execFileSync('ip', ['netns', 'add', NAMESPACE]);
    for (const [index, name] of ['eth0', 'eth1'].entries()) {
      ip('link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}p`);
      ip('addr', 'add', `10.0.${index}.1/24`, 'dev', name);
      ip('addr', 'add', `fd00:${index}::1/64`, 'dev', name, 'nodad');
      ip('link', 'set', name, 'up');
      ip('link', 'set', `${name}p`, 'up');
      indexes.set(name, Number(ip('-o', 'link', 'show', name).split(':')[0]));
    }
    socket = inNamespace(`/run/netns/${NAMESPACE}`, () => new NetlinkSocket());
  });
  after(() => {
    socket.close();
    execFileSync('ip', ['netns', 'del', NAMESPACE]);
  });

  function opened(options?: NetlinkSocketOptions): NetlinkSocket {
    const made = inNamespace(`/run/netns/${NAMESPACE}`, () => new NetlinkSocket(options));
    sockets.push(made);
    return made;
  }

  function writer(changes: Changes, metric = 20, more: Partial<FibWriterOptions> = {}): FibWriter {
    problems = [];
    return new FibWriter({
      open: opened, nexthopsFrom: 1, onNoNexthops: (reason) => { throw new Error(reason); }, ...more,
      context: () => ({ metric, preferredSource: {}, indexOf: (name) => indexes.get(name) }), take: changes.take, onProblem: (problem) => problems.push(problem),
    });
  }
  afterEach(() => {
    writer(new Changes()).removeAll();
    for (const made of sockets.splice(0)) made.close();
  });

  it('writes, replaces and deletes single and multipath routes of both families', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
    changes.set('fd01::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20', '10.2.0.0/16 metric 20 nexthop via 10.0.0.9 dev eth0 weight 1 nexthop via 10.0.1.9 dev eth1 weight 1']);
    expect(routes(6)).to.deep.equal(['fd01::/48 metric 20 nexthop via fd00::9 dev eth0 weight 1 nexthop via fd00:1::9 dev eth1 weight 1']);
    changes.set('10.1.0.0/16', '10.0.1.9%eth1');
    changes.set('10.2.0.0/16');
    changes.set('fd01::/48', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
    expect(routes(6)).to.deep.equal(['fd01::/48 via fd00:1::9 dev eth1 metric 20']);
    expect(fib.status()).to.deep.equal({ routes: 2, refused: 0, stale: 0 });
    fib.removeAll();
    expect([routes(), routes(6)]).to.deep.equal([[], []]);
  });

  it('adopts what a former process left without a write, corrects what differs, and sweeps the rest', async () => {
    const first = new Changes();
    const killed = writer(first);
    killed.start();
    for (const prefix of ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16']) first.set(prefix, '10.0.0.9%eth0');
    killed.sweep();
    killed.stop();

    const second = new Changes();
    const fib = writer(second);
    expect(fib.start()).to.equal(3);
    second.set('10.1.0.0/16', '10.0.0.9%eth0');
    second.set('10.2.0.0/16', '10.0.1.9%eth1');
    const monitor = await watchRoutes(NAMESPACE);
    expect(fib.sweep()).to.equal(1);
    expect(await monitor.changes()).to.deep.equal(['10.2.0.0/16', 'Deleted 10.3.0.0/16']);
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20', '10.2.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
    fib.stop();
  });

  it('puts back what the kernel dropped with an interface, and deletes what is not wanted', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    ip('link', 'set', 'eth0', 'down');
    ip('link', 'set', 'eth0', 'up');
    ip('addr', 'add', 'fd00:0::1/64', 'dev', 'eth0', 'nodad'); // IPv6 addresses go with the link
    expect(routes()).to.deep.equal([]);
    ip('route', 'add', '10.9.0.0/16', 'via', '10.0.1.9', 'proto', String(PROTOCOL_TORTIE_BGP));
    expect(await fib.resync()).to.equal(2);
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    expect(await fib.resync()).to.equal(0);
    fib.stop();
  });

  it('leaves a prefix at our metric to somebody else, says so, and takes it when it is free', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    applyRouteChanges(socket, [{ type: 'add', route: { prefix: parsePrefix('10.1.0.0/16'), protocol: 4, metric: 20, nextHops: [{ via: parseAddress('10.0.1.9') }] } }]);
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    expect(problems).to.deep.equal([{ prefix: '10.1.0.0/16', reason: 'somebody else has a route to it with metric 20' }]);
    expect([routes(), fib.status().refused]).to.deep.equal([[], 1]);
    expect(ip('route', 'show', '10.1.0.0/16')).to.contain('proto static');
    ip('route', 'del', '10.1.0.0/16');
    await fib.resync();
    expect(problems.at(-1)).to.deep.equal({ prefix: '10.1.0.0/16', reason: undefined });
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    fib.stop();
  });

  it('says in words what the kernel refuses', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '172.16.0.1%eth0');
    fib.sweep();
    expect(problems[0]?.reason).to.match(/(unreachable|gateway)/i).and.not.contain('10.1.0.0/16');
    changes.set('10.1.0.0/16');
    fib.sweep();
    expect(fib.status()).to.deep.equal({ routes: 0, refused: 0, stale: 0 });
    fib.stop();
  });

  it('tries again what the kernel refused as soon as something has come, not when the minute is over', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '172.16.0.1%eth0');
    fib.sweep();
    expect([problems.length, fib.status().refused]).to.deep.equal([1, 1]);
    ip('addr', 'add', '172.16.0.2/24', 'dev', 'eth0');
    fib.gain();
    for (let i = 0; fib.status().refused > 0 && i < 200; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(problems.at(-1)).to.deep.equal({ prefix: '10.1.0.0/16', reason: undefined });
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 172.16.0.1 dev eth0 metric 20']);
    fib.stop();
    ip('addr', 'del', '172.16.0.2/24', 'dev', 'eth0');
  });

  it('never touches a foreign route, also when it sweeps', async () => {
    ip('route', 'add', '10.8.0.0/16', 'via', '10.0.0.9', 'proto', 'static');
    const fib = writer(new Changes());
    fib.start();
    fib.sweep();
    await fib.resync();
    fib.removeAll();
    expect(ip('route', 'show', '10.8.0.0/16')).to.contain('proto static');
    ip('route', 'del', '10.8.0.0/16');
    fib.stop();
  });

  describe('nexthop objects', () => {
    const objects = (): readonly string[] => ip('nexthop').split('\n').map((line) => line.trim()).filter((line) => line !== '');
    const own = (): readonly string[] => objects().filter((line) => /proto (172|tortie-bgp)/.test(line));
    const idOf = (prefix: string, family: Family = 4): number => Number(/nhid (\d+)/.exec(ip(`-${family}`, 'route', 'show', prefix))?.[1] ?? Number.NaN);
    /** As the tools of old show it, which know nothing of nexthop objects. */
    const procRoutes = (file: 'route' | 'ipv6_route'): string => execFileSync('ip', ['netns', 'exec', NAMESPACE, 'cat', `/proc/net/${file}`], { encoding: 'utf8' });

    it('are one for each next hop and one group for each set, whatever its order, and go when no route needs them', async () => {
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      changes.set('10.2.0.0/16', '10.0.0.9%eth0');
      changes.set('10.3.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
      changes.set('10.4.0.0/16', '10.0.1.9%eth1', '10.0.0.9%eth0');
      changes.set('fd01::/48', 'fd00:0::9%eth0');
      fib.sweep();
      expect(own()).to.have.length(4);
      expect(idOf('10.1.0.0/16')).to.equal(idOf('10.2.0.0/16'));
      expect(idOf('10.3.0.0/16')).to.equal(idOf('10.4.0.0/16')).and.not.equal(idOf('10.1.0.0/16'));
      for (const prefix of ['10.3.0.0/16', '10.4.0.0/16', 'fd01::/48']) changes.set(prefix);
      fib.sweep();
      await fib.resync();
      expect(own()).to.deep.equal([own().find((line) => line.includes(`id ${idOf('10.1.0.0/16')} via 10.0.0.9 dev eth0`))]);
      expect(routes()).to.have.length(2);
      fib.removeAll();
      expect(own()).to.deep.equal([]);
    });

    it('leave every route in sight of `route -n` and `route -6 -n`', () => {
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
      changes.set('fd01::/48', 'fd00:0::9%eth0');
      changes.set('fd02::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
      fib.sweep();
      expect(procRoutes('route')).to.match(/^eth0\t0000010A\t0900000A\t/m).and.match(/^eth\d\t0000020A\t090\d000A\t/m);
      expect(procRoutes('ipv6_route')).to.match(/^fd010000000000000000000000000000 30 .* fd000000000000000000000000000009 .* eth0$/m)
        .and.match(/^fd020000000000000000000000000000 30 .* fd00000\d000000000000000000000009 .* eth\d$/m);
      fib.stop();
    });

    it('lead IPv4 through IPv6 neighbours, and keep weights', () => {
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', 'fe80::9%eth0');
      changes.setWeighted('10.2.0.0/16', ['fe80::9%eth0', 3], ['10.0.1.9%eth1', 1]);
      fib.sweep();
      expect(routes()).to.deep.equal(['10.1.0.0/16 via inet6 fe80::9 dev eth0 metric 20', '10.2.0.0/16 metric 20 nexthop via inet6 fe80::9 dev eth0 weight 3 nexthop via 10.0.1.9 dev eth1 weight 1']);
      expect(own()).to.have.length(3);
      fib.stop();
    });

    it('leave what an older version wrote without them as it is, both families', async () => {
      const prefixes = { 4: '10.1.0.0/16', 6: 'fd01::/48' } as const;
      const hops = { 4: ['10.0.0.9%eth0', '10.0.1.9%eth1'], 6: ['fd00:0::9%eth0', 'fd00:1::9%eth1'] } as const;
      const told: string[] = [];
      const older = new Changes();
      const plain = writer(older, 20, { nexthops: NO_NEXTHOPS, onNoNexthops: (reason) => told.push(reason) });
      plain.start();
      for (const family of [4, 6] as const) older.set(prefixes[family], ...hops[family]);
      plain.sweep();
      plain.stop();
      const before = [routes(), routes(6)];
      expect(own()).to.deep.equal([]);
      expect(told).to.have.length(1);

      const monitor = await watchRoutes(NAMESPACE);
      const changes = new Changes();
      const fib = writer(changes);
      expect(fib.start()).to.equal(2);
      for (const family of [4, 6] as const) changes.set(prefixes[family], ...hops[family]);
      fib.sweep();
      expect(await fib.resync()).to.equal(0);
      expect([routes(), routes(6)]).to.deep.equal(before);
      expect(await monitor.changes()).to.deep.equal([]);
      for (const family of [4, 6] as const) changes.set(prefixes[family], hops[family][0]);
      fib.sweep();
      expect([Number.isNaN(idOf(prefixes[4])), Number.isNaN(idOf(prefixes[6], 6))]).to.deep.equal([false, false]);
      expect([routes(), routes(6)]).to.deep.equal([['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20'], ['fd01::/48 via fd00::9 dev eth0 metric 20']]);
      fib.stop();
    });

    it('are made for what many routes share; the routes before, and those of a restart, stay as they are', async () => {
      const prefix = (i: number): string => `10.1.${i}.0/24`;
      const fill = (changes: Changes, count: number): void => {
        for (let i = 0; i < count; i++) changes.set(prefix(i), '10.0.0.9%eth0', '10.0.1.9%eth1');
        changes.set('10.9.0.0/16', '10.0.0.8%eth0');
      };
      const named = (count: number): readonly boolean[] => Array.from({ length: count }, (_, i) => !Number.isNaN(idOf(prefix(i))));
      const first = new Changes();
      const killed = writer(first, 20, { nexthopsFrom: 3 });
      killed.start();
      fill(first, 5);
      killed.sweep();
      expect(named(5)).to.deep.equal([false, false, false, true, true]);
      expect(Number.isNaN(idOf('10.9.0.0/16'))).to.equal(true);
      const before = routes();
      expect([before.length, await killed.resync(), own().length]).to.deep.equal([6, 0, 3]);
      killed.stop();

      const monitor = await watchRoutes(NAMESPACE);
      const changes = new Changes();
      const fib = writer(changes, 20, { nexthopsFrom: 3 });
      fib.start();
      fill(changes, 5);
      fib.sweep();
      expect([routes(), await fib.resync()]).to.deep.equal([before, 0]);
      expect(await monitor.changes()).to.deep.equal([]);
      for (let i = 3; i < 5; i++) changes.set(prefix(i));
      fib.sweep();
      expect([named(3), routes().length]).to.deep.equal([[false, false, false], 4]);
      fib.stop();
    });

    it('of a former process are used as they are', async () => {
      const first = new Changes();
      const killed = writer(first);
      killed.start();
      first.set('10.1.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
      first.set('10.2.0.0/16', '10.0.1.9%eth1');
      killed.sweep();
      killed.stop();
      const before = own();
      const second = new Changes();
      const fib = writer(second);
      fib.start();
      second.set('10.1.0.0/16', '10.0.1.9%eth1', '10.0.0.9%eth0');
      expect(await fib.resync(), 'nothing is touched before the sweep').to.equal(0);
      expect(fib.sweep()).to.equal(1);
      expect(own()).to.deep.equal(before);
      expect(fib.status()).to.deep.equal({ routes: 1, refused: 0, stale: 0 });
      fib.stop();
    });

    it('of others are never used, changed or deleted, even in our range of numbers', () => {
      const first = 1_720_000_002;
      for (const id of [first, first + 1]) ip('nexthop', 'add', 'id', String(id), 'via', '10.0.1.7', 'dev', 'eth1', 'proto', 'static');
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      ip('nexthop', 'add', 'id', String(first + 3), 'via', '10.0.1.7', 'dev', 'eth1', 'proto', 'static'); // later than our reading
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      fib.sweep();
      expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
      fib.removeAll();
      expect(objects()).to.have.length(3);
      for (const id of [first, first + 1, first + 3]) ip('nexthop', 'del', 'id', String(id));
    });

    it('come back with their routes after the kernel dropped them with an interface, and a group that lost a member is whole again', async () => {
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
      fib.sweep();
      // The kernel shows a group's members in the order of their numbers.
      const shown = (): readonly string[] => routes().map((line) => line.split(' nexthop ').sort().join(' nexthop '));
      const before = shown();
      ip('link', 'set', 'eth0', 'down');
      expect(routes()).to.deep.equal(['10.2.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
      ip('link', 'set', 'eth0', 'up');
      ip('addr', 'add', 'fd00:0::1/64', 'dev', 'eth0', 'nodad'); // IPv6 addresses go with the link
      expect(await fib.resync()).to.equal(2);
      expect(shown()).to.deep.equal(before);
      expect(await fib.resync()).to.equal(0);
      expect(own(), 'the broken group is gone').to.have.length(3);
      fib.stop();
    });

    it('that vanished unseen cost a resync, not the route', async () => {
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      fib.sweep();
      ip('nexthop', 'del', 'id', String(idOf('10.1.0.0/16')));
      changes.set('10.2.0.0/16', '10.0.0.9%eth0');
      fib.sweep();
      expect([routes(), problems]).to.deep.equal([[], []]);
      expect(await fib.resync()).to.equal(2);
      expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20', '10.2.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
      expect([problems, fib.status().refused]).to.deep.equal([[], 0]);
      fib.stop();
    });

    it('are done without where the kernel has none, and where a route names no interface', () => {
      const told: string[] = [];
      const changes = new Changes();
      const fib = writer(changes, 20, { nexthops: NO_NEXTHOPS, onNoNexthops: (reason) => told.push(reason) });
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
      fib.sweep();
      expect(routes()).to.have.length(2);
      expect([own(), told]).to.deep.equal([[], ['Cannot list nexthops: operation not supported on socket (ENOTSUP)']]);
      fib.removeAll();
      const others = new Changes();
      const another = writer(others);
      another.start();
      others.set('10.1.0.0/16', '10.0.0.9');
      another.sweep();
      expect([routes(), own()]).to.deep.equal([['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20'], []]);
      another.stop();
    });

    it('stand when the kernel shows no next hops with them (nexthop_compat_mode=0)', async () => {
      execFileSync('ip', ['netns', 'exec', NAMESPACE, 'sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=0']);
      const changes = new Changes();
      const fib = writer(changes);
      fib.start();
      changes.set('10.1.0.0/16', '10.0.0.9%eth0');
      changes.set('fd01::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
      fib.sweep();
      expect(await fib.resync()).to.equal(0);
      expect(procRoutes('route')).to.match(/^eth0\t0000010A\t0900000A\t/m);
      execFileSync('ip', ['netns', 'exec', NAMESPACE, 'sysctl', '-qw', 'net.ipv4.nexthop_compat_mode=1']);
      fib.stop();
    });
  });

  it('forgets what a resync found about a prefix that the RIB changes before it is put right', async () => {
    const changes = new Changes();
    // With nexthop objects, a route written by mistake would go again with its object.
    const fib = writer(changes, 20, { nexthops: NO_NEXTHOPS, onNoNexthops: () => undefined });
    fib.start();
    const prefixes = Array.from({ length: 3000 }, (_, i) => `10.${100 + (i >> 8)}.${i & 255}.0/24`);
    for (const prefix of prefixes) changes.set(prefix, '10.0.0.9%eth0');
    fib.sweep();
    ip('route', 'flush', 'proto', String(PROTOCOL_TORTIE_BGP));
    // Asked first when the first slice of corrections is on its way; the second is still to come, and withdrawn first.
    changes.onTake = () => {
      changes.onTake = undefined;
      for (const prefix of [...prefixes].reverse()) changes.set(prefix);
    };
    await fib.resync();
    await fib.whenIdle();
    expect(routes()).to.deep.equal([]);
    expect(fib.status().routes).to.equal(0);
    fib.stop();
  });

  it('writes at once after a loss that took nexthop objects, without waiting for the resync', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    ip('nexthop', 'flush', 'proto', String(PROTOCOL_TORTIE_BGP));
    fib.loss();
    changes.set('10.2.0.0/16', '10.0.0.9%eth0');
    fib.wake();
    await turn();
    await turn();
    expect(routes()).to.deep.equal(['10.2.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    expect(await fib.resync()).to.equal(1);
    expect(routes()).to.have.length(2);
    fib.stop();
  });

  it('takes many routes in slices', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    for (let i = 0; i < 5000; i++) changes.set(`10.${100 + (i >> 8)}.${i & 255}.0/24`, '10.0.0.9%eth0');
    fib.sweep();
    expect(routes()).to.have.length(5000);
    fib.removeAll();
    expect(routes()).to.deep.equal([]);
  });
});

/** What happens to routes in 10.0.0.0/8 from here on, by `ip monitor`. */
async function watchRoutes(namespace: string): Promise<{ changes(): Promise<readonly string[]> }> {
  const child = spawn('ip', ['-n', namespace, '-o', '-4', 'monitor', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString(); });
  await new Promise((resolve) => setTimeout(resolve, 300)); // it says nothing when it is ready
  return {
    changes: async () => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      child.kill();
      await once(child, 'exit');
      return text.split('\n').filter((line) => line.includes('10.')).map((line) => line.split(/ (nhid|via) /)[0]?.trim() ?? '').sort();
    },
  };
}
