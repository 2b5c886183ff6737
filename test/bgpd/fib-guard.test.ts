/** What others do to our routes, in a namespace of its own: nobody asks for a resync here, and the one of each minute never comes. */
import { expect } from 'chai';
import { type KernelEvent, PROTOCOL_TORTIE_BGP, watchKernel } from '../../src/dataplane/netlink/index.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { Changes, fibWorld } from './fib-world.js';

const isRoot = process.getuid?.() === 0;
const NAMESPACE = `tfibg${process.pid}`;
const PROTO = String(PROTOCOL_TORTIE_BGP);

(isRoot ? describe : describe.skip)('bgpd fib-guard', function () {
  this.timeout(30_000);
  const { world, ip, routes, writer } = fibWorld(NAMESPACE);

  /** The kernel keeps an order of its own among next hops. */
  const inOrder = (line: string): string => {
    const [head, ...hops] = line.split(' nexthop ');
    return [head, ...hops.sort()].join(' nexthop ');
  };
  const WANTED = [
    [
      '10.1.0.0/16 via 10.0.0.9 dev eth0 metric 20',
      '10.2.0.0/16 metric 20 nexthop via 10.0.0.9 dev eth0 weight 1 nexthop via 10.0.1.9 dev eth1 weight 1',
    ],
    [
      'fd01::/48 via fd00::9 dev eth0 metric 20',
      'fd02::/48 metric 20 nexthop via fd00::9 dev eth0 weight 1 nexthop via fd00:1::9 dev eth1 weight 1',
    ],
  ].map((lines) => lines.map(inOrder));
  const held = (): readonly (readonly string[])[] => [routes().map(inOrder), routes(6).map(inOrder)];
  const started = (nexthopsFrom: number): ReturnType<typeof writer> => {
    const changes = new Changes();
    const fib = writer(changes, 20, { nexthopsFrom });
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('10.2.0.0/16', '10.0.0.9%eth0', '10.0.1.9%eth1');
    changes.set('fd01::/48', 'fd00:0::9%eth0');
    changes.set('fd02::/48', 'fd00:0::9%eth0', 'fd00:1::9%eth1');
    fib.sweep();
    expect(held()).to.deep.equal(WANTED);
    return fib;
  };
  const until = async (what: string, condition: () => boolean): Promise<void> => {
    for (const end = Date.now() + 20_000; !condition(); await new Promise((resolve) => setTimeout(resolve, 20)))
      if (Date.now() > end) throw new Error(`Not within 20 s: ${what}\n${held().flat().join('\n')}`);
  };

  const objects = (): readonly string[] => ip('nexthop', 'show', 'proto', PROTO).trim().split('\n');
  const idOf = (pattern: RegExp): string =>
    objects()
      .find((line) => pattern.test(line))
      ?.split(' ')[1] ?? 'none';
  const both = (...argv: readonly string[]): void => {
    ip('-4', ...argv);
    ip('-6', ...argv);
  };

  const plain: Readonly<Record<string, () => void>> = {
    '`ip route flush` by protocol': () => both('route', 'flush', 'proto', PROTO),
    '`ip route del` of each': () => {
      for (const prefix of ['10.1.0.0/16', '10.2.0.0/16']) ip('route', 'del', prefix);
      for (const prefix of ['fd01::/48', 'fd02::/48']) ip('-6', 'route', 'del', prefix);
    },
    'the loss of one of two next hops': () => {
      ip('-6', 'route', 'del', 'fd02::/48', 'via', 'fd00:1::9', 'dev', 'eth1');
    },
    'the loss of both next hops by name, which IPv6 tells in two messages': () => {
      const hops = ['nexthop', 'via', 'fd00::9', 'dev', 'eth0', 'nexthop', 'via', 'fd00:1::9', 'dev', 'eth1'];
      ip('-6', 'route', 'del', 'fd02::/48', ...hops);
    },
    'a next hop that somebody appends': () => {
      ip('-6', 'route', 'append', 'fd01::/48', 'via', 'fd00:1::8', 'dev', 'eth1', 'metric', '20', 'proto', 'static');
    },
    'a change that keeps our protocol': () => {
      ip('route', 'change', '10.1.0.0/16', 'via', '10.0.1.8', 'metric', '20', 'proto', PROTO);
      ip('-6', 'route', 'change', 'fd01::/48', 'via', 'fd00:1::8', 'metric', '20', 'proto', PROTO);
    },
    'routes of our protocol that nobody wants': () => {
      ip('route', 'add', '10.9.0.0/16', 'via', '10.0.0.9', 'proto', PROTO);
      ip('-6', 'route', 'add', 'fd09::/48', 'via', 'fd00::9', 'proto', PROTO);
    },
  };
  for (const [what, spoil] of Object.entries(plain))
    it(`puts right ${what}`, async () => {
      const fib = started(1_000);
      spoil();
      expect(held()).to.not.deep.equal(WANTED);
      await until('all routes', () => JSON.stringify(held()) === JSON.stringify(WANTED));
      expect(fib.status().repaired).to.be.at.least(1);
      fib.stop();
      await fib.whenIdle();
    });

  const throughObjects: Readonly<Record<string, () => void>> = {
    '`ip nexthop flush`, of whose IPv4 routes the kernel says nothing': () => ip('nexthop', 'flush', 'proto', PROTO),
    '`ip nexthop del` of a way': () => ip('nexthop', 'del', 'id', idOf(/via 10\.0\.0\.9 dev eth0/)),
    '`ip nexthop del` of a group': () => ip('nexthop', 'del', 'id', idOf(/group/)),
    'an object that leads elsewhere': () =>
      ip(
        'nexthop',
        'replace',
        'id',
        idOf(/via 10\.0\.0\.9 dev eth0/),
        'via',
        '10.0.1.7',
        'dev',
        'eth1',
        'proto',
        PROTO,
      ),
  };
  for (const [what, spoil] of Object.entries(throughObjects))
    it(`puts right ${what}`, async () => {
      const fib = started(1);
      spoil();
      expect(held()).to.not.deep.equal(WANTED);
      await until('all routes', () => JSON.stringify(held()) === JSON.stringify(WANTED));
      fib.stop();
      await fib.whenIdle();
    });

  it('takes a place as soon as somebody else has left it', async () => {
    ip('route', 'add', '10.1.0.0/16', 'via', '10.0.1.9', 'metric', '20', 'proto', 'static');
    ip('-6', 'route', 'add', 'fd01::/48', 'via', 'fd00:1::9', 'metric', '20', 'proto', 'static');
    const changes = new Changes();
    const fib = writer(changes);
    fib.start();
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    changes.set('fd01::/48', 'fd00:0::9%eth0');
    fib.sweep();
    expect([fib.status().refused, held()]).to.deep.equal([2, [[], []]]);
    ip('route', 'del', '10.1.0.0/16');
    ip('-6', 'route', 'del', 'fd01::/48', 'metric', '20');
    await until('both routes', () => fib.status().refused === 0);
    expect(held()).to.deep.equal([WANTED[0]?.slice(0, 1), WANTED[1]?.slice(0, 1)]);
    fib.stop();
    await fib.whenIdle();
  });

  it('leaves the place to whoever replaced our route, and says so', async () => {
    const fib = started(1_000);
    ip('route', 'replace', '10.1.0.0/16', 'via', '10.0.1.9', 'metric', '20', 'proto', 'static');
    await until('a word about it', () => fib.status().refused === 1);
    expect(world().problems.at(-1)).to.deep.equal({
      prefix: '10.1.0.0/16',
      type: 'refused',
      reason: 'somebody else has a route to it with metric 20',
    });
    expect(ip('route', 'show', '10.1.0.0/16')).to.contain('proto static');
    fib.stop();
    await fib.whenIdle();
    ip('route', 'del', '10.1.0.0/16');
  });

  it('does not trust what a former process left when it has gone before it was confirmed', async () => {
    const former = started(1_000);
    former.stop();
    await former.whenIdle();
    const changes = new Changes();
    const fib = writer(changes, 20, { nexthopsFrom: 1_000 });
    expect(fib.start()).to.equal(4);
    ip('route', 'del', '10.1.0.0/16');
    await until('the event', () => fib.status().stale === 3);
    changes.set('10.1.0.0/16', '10.0.0.9%eth0');
    fib.sweep();
    expect(routes()).to.deep.equal(WANTED[0]?.slice(0, 1));
    fib.stop();
    await fib.whenIdle();
  });

  it('hears nothing of what it writes itself', async () => {
    const events: KernelEvent[] = [];
    const changes = new Changes();
    const fib = writer(changes, 20, {
      nexthopsFrom: 10,
      watch: (topics, onEvent, options) =>
        inNamespace(`/run/netns/${NAMESPACE}`, () =>
          watchKernel(
            topics,
            (event) => {
              events.push(event);
              onEvent(event);
            },
            options,
          ),
        ),
    });
    fib.start();
    for (const hops of [['10.0.0.9%eth0'], ['10.0.0.9%eth0', '10.0.1.9%eth1'], []]) {
      for (let i = 0; i < 300; i++) changes.set(`10.1.${i & 255}.${(i >> 8) * 128}/25`, ...hops);
      fib.sweep();
    }
    await fib.resync();
    ip('route', 'add', 'blackhole', '10.200.0.0/16');
    await until('the event that is not ours', () => events.length > 0);
    expect(events).to.have.length(1);
    expect(fib.status().repaired).to.equal(0);
    fib.stop();
    await fib.whenIdle();
    ip('route', 'del', 'blackhole', '10.200.0.0/16');
  });

  it('does not run a race with whoever takes a route away again and again, and says so', async () => {
    const fib = started(1_000);
    const isThere = (): boolean => routes().some((line) => line.startsWith('10.1.0.0/16'));
    const contest = (): boolean => world().problems.some(({ type }) => type === 'contested');
    while (!contest()) {
      await until('the route again', () => isThere() || contest());
      if (isThere()) ip('route', 'del', '10.1.0.0/16');
    }
    const { contested, repaired } = fib.status();
    expect([contested, repaired]).to.deep.equal([1, 6]);
    expect(world().problems.at(-1)?.reason).to.match(/^put back 6 times, the next time in 1 s/);
    // Others are put back at once all the same, and this one when its time has come.
    ip('-6', 'route', 'del', 'fd01::/48');
    await until('all routes', () => JSON.stringify(held()) === JSON.stringify(WANTED));
    fib.stop();
    await fib.whenIdle();
  });
});
