/** The kernel side, in a namespace of its own. */
import { expect } from 'chai';
import { setImmediate as turn } from 'node:timers/promises';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { applyRouteChanges, PROTOCOL_TORTIE_BGP } from '../../src/dataplane/netlink/index.js';
import { Changes, fibWorld, NO_NEXTHOPS, watchRoutes } from './fib-world.js';

const isRoot = process.getuid?.() === 0;
const NAMESPACE = `tfib${process.pid}`;

(isRoot ? describe : describe.skip)('bgpd fib-writer', () => {
  const { world, ip, routes, writer } = fibWorld(NAMESPACE);

  it('writes, replaces and deletes single and multipath routes of both families', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
    changes.set('fd01::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal([
      '10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20',
      '10.2.0.0/16 metric 20 nexthop via 10.0.0.9 dev eth0 weight 1 nexthop via 10.0.1.9 dev eth1 weight 1',
    ]);
    expect(routes(6)).to.deep.equal([
      'fd01::/48 metric 20 nexthop via fd00::9 dev eth0 weight 1 nexthop via fd00:1::9 dev eth1 weight 1',
    ]);
    changes.set('10.1.0.0/16', '10.0.1.9%eth1');
    changes.set('10.2.0.0/16');
    changes.set('fd01::/48', 'fd00:1::9%eth1');
    fib.sweep();
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.1.9 dev eth1 metric 20']);
    expect(routes(6)).to.deep.equal(['fd01::/48 via fd00:1::9 dev eth1 metric 20']);
    expect(fib.status()).to.include({ routes: 2, refused: 0, stale: 0 });
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
    expect(routes()).to.deep.equal([
      '10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20',
      '10.2.0.0/16 via 10.0.1.9 dev eth1 metric 20',
    ]);
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

  it('gives routes of both families their source back, which IPv6 ones lose in silence', async () => {
    const sources = { 4: '10.0.9.1', 6: 'fd00:9::1' } as const;
    const own = (verb: 'add' | 'del'): void => {
      ip('addr', verb, `${sources[4]}/32`, 'dev', 'eth0');
      ip('addr', verb, `${sources[6]}/128`, 'dev', 'eth0', ...(verb === 'add' ? ['nodad'] : []));
    };
    own('add');
    const changes = new Changes();
    const fib = writer(changes, 20, {
      nexthopsFrom: 1_000,
      context: () => ({
        metric: 20,
        preferredSource: { 4: parseAddress(sources[4]), 6: parseAddress(sources[6]) },
        indexOf: (name) => world().indexes.get(name),
      }),
    });
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('fd01::/48', 'fd00:0::9%eth0');
    fib.sweep();
    const wanted = [
      ['10.1.0.0/16 via 10.0.0.9 dev eth0 src 10.0.9.1 metric 20'],
      ['fd01::/48 via fd00::9 dev eth0 src fd00:9::1 metric 20'],
    ];
    expect([routes(), routes(6)]).to.deep.equal(wanted);
    own('del');
    own('add');
    expect([routes(), routes(6)]).to.deep.equal([[], ['fd01::/48 via fd00::9 dev eth0 metric 20']]);
    expect(await fib.resync()).to.equal(2);
    expect([routes(), routes(6)]).to.deep.equal(wanted);
    own('del');
  });

  it('leaves a prefix at our metric to somebody else, says so, and takes it when it is free', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    applyRouteChanges(world().socket, [
      {
        type: 'add',
        route: {
          prefix: parsePrefix('10.1.0.0/16'),
          protocol: 4,
          metric: 20,
          nextHops: [{ via: parseAddress('10.0.1.9') }],
        },
      },
    ]);
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    expect(world().problems).to.deep.equal([
      { prefix: '10.1.0.0/16', type: 'refused', reason: 'somebody else has a route to it with metric 20' },
    ]);
    expect([routes(), fib.status().refused]).to.deep.equal([[], 1]);
    expect(ip('route', 'show', '10.1.0.0/16')).to.contain('proto static');
    ip('route', 'del', '10.1.0.0/16');
    await fib.resync();
    expect(world().problems.at(-1)).to.deep.equal({ prefix: '10.1.0.0/16', type: 'refused', reason: undefined });
    expect(routes()).to.deep.equal(['10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20']);
    fib.stop();
  });

  it('says in words what the kernel refuses', () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '172.16.0.1%eth0');
    fib.sweep();
    expect(world().problems[0]?.reason)
      .to.match(/(unreachable|gateway)/i)
      .and.not.contain('10.1.0.0/16');
    changes.set('10.1.0.0/16');
    fib.sweep();
    expect(fib.status()).to.include({ routes: 0, refused: 0, stale: 0 });
    fib.stop();
  });

  it('tries again what the kernel refused as soon as something has come, not when the minute is over', async () => {
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '172.16.0.1%eth0');
    fib.sweep();
    expect([world().problems.length, fib.status().refused]).to.deep.equal([1, 1]);
    ip('addr', 'add', '172.16.0.2/24', 'dev', 'eth0');
    fib.gain();
    for (let i = 0; fib.status().refused > 0 && i < 200; i++) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(world().problems.at(-1)).to.deep.equal({ prefix: '10.1.0.0/16', type: 'refused', reason: undefined });
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

  for (const nexthopsFrom of [1, 1_000])
    it(`keeps 256 next hops so few that \`ip route\` lists what follows, objects from ${nexthopsFrom} routes on`, () => {
      const changes = new Changes();
      const cuts: unknown[] = [];
      const fib = writer(changes, 20, { nexthopsFrom, onCut: (cut) => cuts.push(cut) });
      ip('addr', 'add', '10.8.0.1/16', 'dev', 'eth0');
      fib.start();
      const four = Array.from({ length: 256 }, (_, n) => `10.8.${1 + (n >> 7)}.${1 + (n & 127)}%eth0`);
      const six = Array.from({ length: 256 }, (_, n) => `fd00:0::${(n + 2).toString(16)}%eth0`);
      changes.set('9.1.0.0/16', ...four);
      changes.set('9.2.0.0/16', '10.0.0.9%eth0');
      changes.set('9.3.0.0/16', ...six);
      changes.set('9.4.0.0/16', '10.0.0.9%eth0');
      changes.set('2001::/48', ...six);
      changes.set('3001::/48', 'fd00:0::9%eth0');
      fib.sweep();
      expect(world().problems).to.deep.equal([]);
      const briefly = (line: string): string => `${line.split(' ')[0] ?? ''} ${line.split('nexthop').length - 1}`;
      expect(routes().map(briefly)).to.deep.equal(['9.1.0.0/16 218', '9.2.0.0/16 0', '9.3.0.0/16 109', '9.4.0.0/16 0']);
      expect(routes(6).map(briefly)).to.deep.equal(['2001::/48 125', '3001::/48 0']);
      expect(cuts).to.deep.equal([
        { family: 4, wanted: 256, kept: 218 },
        { family: 4, wanted: 256, kept: 109 },
        { family: 6, wanted: 256, kept: 125 },
      ]);
      fib.sweep();
      fib.stop();
      ip('addr', 'del', '10.8.0.1/16', 'dev', 'eth0');
    });
});
