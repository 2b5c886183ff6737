/** What tor-config prints for FRR and BIRD, given to real ones, with two real bgpds that hold what the same resources make of them. */
import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BgpdClient } from '../../src/bgpd/client.js';
import type { RouteJson } from '../../src/bgpd/route-view.js';
import type { SummaryAnswer } from '../../src/bgpd/show/summary-text.js';
import { selectorMatches } from '../../src/agent/node-selector.js';
import { planOf, type TorObjects } from '../../src/tor/plan.js';
import { renderBird } from '../../src/tor/bird.js';
import { renderFrr } from '../../src/tor/frr.js';
import { topologyOf } from '../../src/topology/speaker-config.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';
import { peers, rack } from './world.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const SOON = 45_000;
const BLOCKS = { a: ['10.65.1.0/26', 'fd00:65::100/120'], b: ['10.65.2.0/26', 'fd00:65::200/120'] } as const;
const STRAY = '192.168.99.0/24';
type Name = keyof typeof BLOCKS;
const NAMES = ['a', 'b'] as const;
const key = (): string => 'k3y';

describe('tor-config with real daemons', function () {
  this.timeout(120_000);
  const namespaces = new ScratchNamespaces('tor');
  let children: ChildProcess[] = [];
  let directory = '';
  let router = '';
  const nodes = new Map<Name, string>();

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-tor-'));
    chmodSync(directory, 0o755);
    router = namespaces.create();
    ip(router, 'link', 'add', 'br0', 'type', 'bridge');
    for (const [index, name] of NAMES.entries()) {
      const own = namespaces.create();
      nodes.set(name, own);
      ip(router, 'link', 'add', `to-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', nameOf(own));
      ip(router, 'link', 'set', `to-${name}`, 'master', 'br0', 'up');
      ip(own, 'link', 'set', 'eth0', 'up');
      ip(own, 'addr', 'add', `10.1.1.${index + 1}/24`, 'dev', 'eth0');
      ip(own, 'addr', 'add', `fd00:1::${index + 1}/64`, 'dev', 'eth0', 'nodad');
    }
    ip(router, 'link', 'set', 'br0', 'up');
    ip(router, 'addr', 'add', '10.1.1.254/24', 'dev', 'br0');
    ip(router, 'addr', 'add', 'fd00:1::254/64', 'dev', 'br0', 'nodad');
  });
  afterEach(async () => {
    const gone = children.map((child) =>
      child.exitCode !== null || child.signalCode !== null
        ? undefined
        : new Promise((resolve) => {
            child.once('exit', resolve);
            child.kill('SIGKILL');
          }),
    );
    await Promise.all(gone);
    children = [];
    namespaces.removeAll();
    rmSync(directory, { recursive: true, force: true });
  });

  function run(netns: string, ...argv: readonly string[]): void {
    children.push(spawn('nsenter', [`--net=${netns}`, ...argv], { stdio: 'ignore' }));
  }

  /** Our side, with an origin that nobody should believe, and nothing that would hold it back. */
  function startNode(name: Name, objects: TorObjects): BgpdClient {
    const { config } = topologyOf({
      ...objects,
      nodeName: name,
      blocks: BLOCKS[name].map((cidr) => ({ cidr, pool: 'four' })),
      loopbackAddresses: new Set(),
      secret: key,
      secretNamespace: 'tortie-system',
      matches: selectorMatches,
    });
    const own = join(directory, name);
    mkdirSync(own);
    const open = {
      ...config,
      installRoutes: false,
      filters: {},
      peers: (config?.peers ?? []).map(({ export: _e, import: _i, ...peer }) => peer),
      originate: [...(config?.originate ?? []), ...(name === 'a' ? [{ prefix: STRAY }] : [])],
    };
    writeFileSync(join(own, 'bgpd.json'), JSON.stringify(open));
    const args = ['bgpd', '--config', join(own, 'bgpd.json'), '--run-dir', own, '--state-dir', own];
    run(nodes.get(name) ?? '', process.execPath, CLI, ...args);
    return new BgpdClient(own);
  }

  function startBird(text: string): void {
    const file = join(directory, 'bird.conf');
    const own = [
      'router id 10.1.1.254;',
      'protocol device { }',
      'protocol direct { ipv4; ipv6; }',
      'protocol static { ipv4; route 0.0.0.0/0 unreachable; }',
    ];
    writeFileSync(file, `${own.join('\n')}\n${text}`);
    execFileSync('bird', ['-p', '-c', file]);
    run(router, 'bird', '-f', '-c', file, '-s', join(directory, 'bird.ctl'));
  }

  async function startFrr(text: string): Promise<void> {
    const own = join(directory, 'frr');
    mkdirSync(own);
    writeFileSync(join(own, 'zebra.conf'), 'ip route 0.0.0.0/0 blackhole\n');
    writeFileSync(join(own, 'staticd.conf'), 'ip route 0.0.0.0/0 blackhole\n');
    // As vtysh would deal the file out among the daemons.
    const [profiles = ''] = /^bfd\n[\s\S]*?^exit\n/m.exec(text) ?? [];
    const router = text
      .replace(profiles, '')
      .replace(' address-family ipv4 unicast\n', ' address-family ipv4 unicast\n  redistribute static\n');
    writeFileSync(join(own, 'bgpd.conf'), router);
    writeFileSync(join(own, 'bfdd.conf'), profiles);
    execFileSync('chown', ['-R', 'frr:frr', own]);
    // Our words alone, as an operator would try them first.
    execFileSync('/usr/lib/frr/bgpd', ['-C', '-f', join(own, 'bgpd.conf')]);
    startFrrDaemon('zebra', own);
    // The others give up for seconds on a zebra that is not there yet.
    await eventually('zebra', async () => existsSync(join(own, 'zserv.api')));
    for (const name of ['staticd', 'bfdd', 'bgpd']) startFrrDaemon(name, own);
  }

  function startFrrDaemon(name: string, own: string): void {
    const socket = join(own, 'zserv.api');
    run(
      router,
      `/usr/lib/frr/${name}`,
      '-f',
      join(own, `${name}.conf`),
      '-i',
      join(own, `${name}.pid`),
      ...(name === 'bfdd' ? ['--bfdctl', join(own, 'bfdd.sock')] : []),
      '-z',
      socket,
      '--vty_socket',
      own,
      '-A',
      '127.0.0.1',
    );
  }

  /** Lines of a configuration that a running FRR does not show. */
  function leftOutByFrr(text: string): readonly string[] {
    const lines = (of: string): readonly string[] => of.split('\n').map((line) => line.trim());
    const show = ['-c', 'show running-config'];
    const shown = new Set(lines(exec(router, 'vtysh', '--vty_socket', join(directory, 'frr'), ...show)));
    return lines(text).filter((line) => line !== '' && !line.startsWith('!') && !shown.has(line));
  }

  async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + SOON;
    let last = '';
    while (Date.now() < end) {
      try {
        if (await check()) return;
        last = 'not yet';
      } catch (error) {
        last = String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`Waited ${SOON / 1000} s in vain for ${what}: ${last}`);
  }

  const isEstablished = async (client: BgpdClient, count: number): Promise<boolean> => {
    const summary = await client.get<SummaryAnswer>('/v1/summary');
    return summary.isConfigured && summary.peers.filter((peer) => peer.isEstablished).length === count;
  };
  const routesTo = async (client: BgpdClient, prefix: string): Promise<readonly RouteJson[]> =>
    (await client.get<{ readonly routes: readonly RouteJson[] }>('/v1/routes', { prefix })).routes;

  for (const [vendor, render, start] of [
    ['BIRD', renderBird, startBird],
    ['FRR', renderFrr, startFrr],
  ] as const)
    for (const [how, spec, ranges] of [
      ['neighbours of one AS, which it replaces, with keys and BFD', { bfd: {} }, []],
      ['timers of BFD that are not its own', { bfd: { multiplier: 4, intervalMilliseconds: 250 } }, []],
      [
        'a range, whose nodes accept their own AS',
        { sourceAddress: 'None', numAllowedLocalASNumbers: 1, password: undefined },
        ['10.1.1.0/24', 'fd00:1::/64'],
      ],
    ] as const)
      it(`${vendor}: ${how}`, async () => {
        const objects = { ...rack, bgpPeers: peers(spec as Parameters<typeof peers>[0]) };
        const plan = planOf(objects, { addresses: [], ranges, advertise: 'pods' }, key, selectorMatches);
        await start(render(plan));
        const a = startNode('a', objects);
        const b = startNode('b', objects);
        await eventually(
          'two sessions of each node',
          async () => (await isEstablished(a, 2)) && (await isEstablished(b, 2)),
        );
        for (const prefix of BLOCKS.a)
          await eventually(`b to hear of ${prefix}`, async () => (await routesTo(b, prefix)).length > 0);
        for (const prefix of BLOCKS.b)
          await eventually(`a to hear of ${prefix}`, async () => (await routesTo(a, prefix)).length > 0);
        await eventually('b to hear of the default route', async () =>
          (await routesTo(b, '0.0.0.0/0')).some((route) => route.prefix === '0.0.0.0/0'),
        );
        // It was announced before the blocks that have come, or with them.
        expect((await routesTo(b, STRAY)).filter(({ prefix }) => prefix === STRAY)).to.deep.equal([]);
        const [route] = await routesTo(b, BLOCKS.a[0]);
        if (ranges.length > 0) expect(route?.asPath).to.equal('65001 64512');
        else expect(route?.asPath).to.match(/^65001( 65001)?$/);
        if (ranges.length === 0)
          await eventually('BFD to be up', async () => {
            const { sessions } = await a.get<{ readonly sessions: readonly { readonly state: string }[] }>('/v1/bfd');
            return sessions.length > 0 && sessions.every(({ state }) => state === 'up');
          });
        // What FRR does not show it does not save either, and frr-reload takes away and gives back each time.
        if (vendor === 'FRR') expect(leftOutByFrr(render(plan))).to.deep.equal([]);
      });

  it('what FRR and BIRD would refuse, they refuse here', () => {
    const file = join(directory, 'bad.conf');
    writeFileSync(file, 'protocol bgp x { nonsense; }\n');
    expect(() => execFileSync('bird', ['-p', '-c', file], { stdio: 'ignore' })).to.throw();
    expect(exec(router, 'true')).to.equal('');
  });
});
