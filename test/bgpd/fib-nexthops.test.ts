/** Routes through nexthop objects, in a namespace of its own. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import type { Family } from 'node-bgp/address';
import { Changes, fibWorld, NO_NEXTHOPS, watchRoutes } from './fib-world.js';

const isRoot = process.getuid?.() === 0;
const NAMESPACE = `tfnh${process.pid}`;

(isRoot ? describe : describe.skip)('bgpd fib-writer: nexthop objects', () => {
  const { world, ip, routes, writer } = fibWorld(NAMESPACE);

  const objects = (): readonly string[] =>
    ip('nexthop')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  const own = (): readonly string[] => objects().filter((line) => /proto (172|tortie-bgp)/.test(line));
  const idOf = (prefix: string, family: Family = 4): number =>
    Number(/nhid (\d+)/.exec(ip(`-${family}`, 'route', 'show', prefix))?.[1] ?? Number.NaN);
  /** As the tools of old show it, which know nothing of nexthop objects. */
  const procRoutes = (file: 'route' | 'ipv6_route'): string =>
    execFileSync('ip', ['netns', 'exec', NAMESPACE, 'cat', `/proc/net/${file}`], { encoding: 'utf8' });

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
    expect(own()).to.deep.equal([
      own().find((line) => line.includes(`id ${idOf('10.1.0.0/16')} via 10.0.0.9 dev eth0`)),
    ]);
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
    expect(procRoutes('route'))
      .to.match(/^eth0\t0000010A\t0900000A\t/m)
      .and.match(/^eth\d\t0000020A\t090\d000A\t/m);
    expect(procRoutes('ipv6_route'))
      .to.match(/^fd010000000000000000000000000000 30 .* fd000000000000000000000000000009 .* eth0$/m)
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
    expect(routes()).to.deep.equal([
      '10.1.0.0/16 via inet6 fe80::9 dev eth0 metric 20',
      '10.2.0.0/16 metric 20 nexthop via inet6 fe80::9 dev eth0 weight 3 nexthop via 10.0.1.9 dev eth1 weight 1',
    ]);
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
    expect([routes(), routes(6)]).to.deep.equal([
      ['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20'],
      ['fd01::/48 via fd00::9 dev eth0 metric 20'],
    ]);
    fib.stop();
  });

  it('are made for what many routes share; the routes before, and those of a restart, stay as they are', async () => {
    const prefix = (i: number): string => `10.1.${i}.0/24`;
    const fill = (changes: Changes, count: number): void => {
      for (let i = 0; i < count; i++) changes.set(prefix(i), '10.0.0.9%eth0', '10.0.1.9%eth1');
      changes.set('10.9.0.0/16', '10.0.0.8%eth0');
    };
    const named = (count: number): readonly boolean[] =>
      Array.from({ length: count }, (_, i) => !Number.isNaN(idOf(prefix(i))));
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
    expect(fib.status()).to.include({ routes: 1, refused: 0, stale: 0 });
    fib.stop();
  });

  it('of others are never used, changed or deleted, even in our range of numbers', () => {
    const first = 1_720_000_002;
    for (const id of [first, first + 1])
      ip('nexthop', 'add', 'id', String(id), 'via', '10.0.1.7', 'dev', 'eth1', 'proto', 'static');
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

  it('come back with their routes when the kernel dropped them with an interface; a group that lost a member is whole', async () => {
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
    expect([routes(), world().problems]).to.deep.equal([[], []]);
    expect(await fib.resync()).to.equal(2);
    expect(routes()).to.deep.equal([
      '10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20',
      '10.2.0.0/16 via 10.0.0.9 dev eth0 metric 20',
    ]);
    expect([world().problems, fib.status().refused]).to.deep.equal([[], 0]);
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
