import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatPrefix, parseAddress, parsePrefix, type Family, type IpPrefix } from 'node-bgp/address';
import { BmpExporter, type BmpSession, type BmpSource, type BmpStation } from 'node-bgp/bmp/exporter';
import {
  initiation,
  peerDown,
  peerUp,
  routeMonitoring,
  statisticsReport,
  termination,
  type BmpTable,
} from 'node-bgp/bmp/message';
import { announcements, tableParameters } from 'node-bgp/bmp/route-stream';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { encodeControlMessage } from 'node-bgp/codec/message';
import type { RouteView } from 'node-bgp/rib/answers';
import { systemClock } from 'node-bgp/session/clock';
import { eventually } from '../bfd/real-peers.js';
import { prefixIn } from '../codec/arbitraries.js';
import { hex, toHex } from '../codec/hex.js';
import { decodePlain, IBGP } from '../codec/sessions.js';
import { Station, tlvs } from './station.js';
import fc from 'fast-check';

const TIME = 0x65000000 + 0.5;
const STAMP = '65000000' + '0007a120';
const TOR1: BmpTable = {
  type: 'adj-rib-in',
  postPolicy: false,
  peer: { address: parseAddress('10.0.0.2'), as: 65001, identifier: 5 },
};
const HEADER = '00' + '00' + '00'.repeat(8) + '00'.repeat(12) + '0a000002' + '0000fde9' + '00000005' + STAMP;
const ATTRIBUTES: PathAttributes = {
  origin: 'igp',
  asPath: [{ type: 'sequence', members: [65001] }],
  localPreference: 100,
};

describe('bgp/bmp/message', () => {
  const vectors: readonly (readonly [string, Uint8Array, string])[] = [
    [
      'Initiation (RFC 7854 4.3)',
      initiation('n1', 'd'),
      '03' + '00000011' + '04' + '0001' + '0001' + '64' + '0002' + '0002' + '6e31',
    ],
    [
      'Termination (4.5)',
      termination(0, 'x'),
      '03' + '00000011' + '05' + '0000' + '0001' + '78' + '0001' + '0002' + '0000',
    ],
    ['Route Monitoring (4.6)', routeMonitoring(TOR1, TIME, hex('aabb')), '03' + '00000032' + '00' + HEADER + 'aabb'],
    [
      'Peer Up (4.10)',
      peerUp(TOR1, TIME, {
        localAddress: parseAddress('10.0.0.1'),
        localPort: 179,
        remotePort: 40000,
        sentOpen: hex('01'),
        receivedOpen: hex('02'),
      }),
      '03' + '00000046' + '03' + HEADER + '00'.repeat(12) + '0a000001' + '00b3' + '9c40' + '01' + '02',
    ],
    [
      'Peer Down after our NOTIFICATION (4.9)',
      peerDown(TOR1, TIME, { type: 'notification', sent: true, message: hex('aa') }),
      '03' + '00000032' + '02' + HEADER + '01' + 'aa',
    ],
    [
      'Peer Down in our silence',
      peerDown(TOR1, TIME, { type: 'local', fsmEvent: 24 }),
      '03' + '00000033' + '02' + HEADER + '02' + '0018',
    ],
    [
      'Peer Down after their NOTIFICATION',
      peerDown(TOR1, TIME, { type: 'notification', sent: false, message: hex('aa') }),
      '03' + '00000032' + '02' + HEADER + '03' + 'aa',
    ],
    ['Peer Down in their silence', peerDown(TOR1, TIME, { type: 'remote' }), '03' + '00000031' + '02' + HEADER + '04'],
    [
      'Peer Down of one no longer monitored',
      peerDown(TOR1, TIME, { type: 'deconfigured' }),
      '03' + '00000031' + '02' + HEADER + '05',
    ],
    [
      'Statistics (4.8)',
      statisticsReport(TOR1, TIME, [
        { type: 'rejectedPrefixes', count: 7 },
        { type: 'adjRibIn', count: 9 },
        { type: 'adjRibInByFamily', family: 6, count: 8 },
      ]),
      '03' +
        '00000057' +
        '01' +
        HEADER +
        '00000003' +
        '0000' +
        '0004' +
        '00000007' +
        '0007' +
        '0008' +
        '0000000000000009' +
        '0009' +
        '000b' +
        '0002' +
        '01' +
        '0000000000000008',
    ],
    [
      'Adj-RIB-Out after policy, over IPv6, two-octet AS (RFC 8671 4)',
      routeMonitoring(
        {
          type: 'adj-rib-out',
          postPolicy: true,
          peer: { address: parseAddress('fd00::2'), as: 65001, identifier: 5, isOld: true },
        },
        TIME,
        hex('aa'),
      ),
      '03' +
        '00000031' +
        '00' +
        '00' +
        'f0' +
        '00'.repeat(8) +
        'fd000000000000000000000000000002' +
        '0000fde9' +
        '00000005' +
        STAMP +
        'aa',
    ],
    [
      'Loc-RIB (RFC 9069 4.1)',
      routeMonitoring({ type: 'loc-rib', localAs: 64512, routerId: 0x0a000001 }, TIME, hex('aa')),
      '03' + '00000031' + '00' + '03' + '00' + '00'.repeat(24) + '0000fc00' + '0a000001' + STAMP + 'aa',
    ],
  ];
  for (const [name, message, want] of vectors) it(`writes ${name}`, () => expect(toHex(message)).to.equal(want));
});

describe('bgp/bmp/route-stream', () => {
  it('writes any routes as UPDATEs that say the same', () =>
    fc.assert(
      fc.property(
        fc
          .constantFrom<Family>(4, 6)
          .chain((family) => fc.array(fc.tuple(prefixIn(family), fc.nat(2), fc.nat(9)), { maxLength: 60 })),
        fc.boolean(),
        (entries, addPath) => {
          const routes = entries.map(([prefix, med, pathId]) => ({
            prefix,
            attributes: { ...ATTRIBUTES, med },
            nextHop: parseAddress(prefix.family === 4 ? '10.0.0.2' : 'fd00::2'),
            pathId,
          }));
          const said = [...announcements(routes, tableParameters(addPath, addPath))].flatMap((message) => {
            const update = decodePlain(message.slice(19), {
              ...IBGP,
              addPathIpv4: addPath,
              addPathIpv6: addPath,
              extendedNextHop: true,
            });
            expect(update.errors).to.deep.equal([]);
            return update.reach.map((text) => `${text.split(' ')[0]} ${update.attributes?.med}`);
          });
          expect(said).to.deep.equal(
            routes.map(
              ({ prefix, attributes, pathId }) =>
                `${formatPrefix(prefix)}${addPath ? `#${pathId}` : ''} ${attributes.med}`,
            ),
          );
        },
      ),
      { numRuns: 100 },
    ));

  it('writes both halves of a next hop (RFC 2545 section 3)', () => {
    const route = {
      prefix: parsePrefix('fd00:65::/64'),
      attributes: ATTRIBUTES,
      nextHop: parseAddress('fd00::2'),
      linkLocalNextHop: parseAddress('fe80::2'),
    };
    const said = [...announcements([route], tableParameters(false, false))].flatMap(
      (message) => decodePlain(message.slice(19), IBGP).reach,
    );
    expect(said).to.deep.equal(['fd00:65::/64 via fd000000000000000000000000000002fe800000000000000000000000000002']);
  });
});

describe('bgp/bmp/exporter', () => {
  const open = encodeControlMessage({
    type: 'open',
    version: 4,
    as: 64512,
    holdTime: 90,
    identifier: 1,
    capabilities: [],
  });
  const session: BmpSession = {
    name: 'tor1',
    id: 1,
    peer: { address: parseAddress('10.0.0.2'), as: 65001, identifier: 5 },
    families: [4, 6],
    addPathReceive: [],
    addPathSend: [],
    treatedAsWithdraw: 3,
    up: {
      localAddress: parseAddress('10.0.0.1'),
      localPort: 179,
      remotePort: 40000,
      sentOpen: open,
      receivedOpen: open,
    },
  };
  const view = (prefix: string): RouteView => ({
    prefix: parsePrefix(prefix),
    attributes: ATTRIBUTES,
    isBest: true,
    isMultipath: false,
    isStale: false,
    weight: 0,
    source: { type: 'ebgp', peer: 'tor1', address: parseAddress('10.0.0.2') },
    nextHop: parseAddress(prefix.includes(':') ? 'fd00::2' : '10.0.0.2'),
  });

  class Bench {
    readonly station = new Station();
    readonly events: string[] = [];
    table: RouteView[] = [view('10.65.0.0/18'), view('10.66.0.0/24'), view('fd00::/64')];
    sessions: BmpSession[] = [session];
    exporter: BmpExporter | undefined;

    readonly #find = (prefix: IpPrefix): RouteView | undefined =>
      this.table.find((route) => formatPrefix(route.prefix) === formatPrefix(prefix));

    #slice(family: Family): IterableIterator<readonly RouteView[]> {
      return [this.table.filter(({ prefix }) => prefix.family === family)].values();
    }

    async start(options: Partial<BmpStation> = {}, port?: number): Promise<BmpExporter> {
      const source: BmpSource = {
        localAs: 64512,
        routerId: 0x0a000001,
        sysName: 'n1',
        sysDescr: 'tortie',
        clock: systemClock,
        rib: {
          received: (_id, family) => this.#slice(family),
          advertised: (_id, family) => this.#slice(family),
          best: (family) => this.#slice(family),
          offered: (_id, family) => this.#slice(family),
          bestPath: this.#find,
          offeredPath: (_id, prefix) => this.#find(prefix),
          receivedPath: (_id, prefix) => this.#find(prefix),
          counts: () => ({ received: 2, accepted: 2, stale: 0, advertised: 1 }),
          totals: () => ({ prefixes: 3, paths: 3 }),
        },
        sessions: () => this.sessions,
        event: ({ type, reason }) => void this.events.push(`${type} ${reason}`),
      };
      const actual = port ?? (await this.station.listen());
      this.exporter = new BmpExporter({ host: '127.0.0.1', port: actual, statisticsInterval: 0, ...options }, source);
      return this.exporter;
    }

    /** Prefixes told about a peer, withdrawn ones with a minus, End-of-RIB as "EoR4". */
    routes(peer: string): string[] {
      return this.station
        .of('route-monitoring')
        .filter((message) => message.peer === peer)
        .flatMap(({ body }) => {
          const update = decodePlain(body.subarray(19), { ...IBGP, extendedNextHop: true });
          return [
            ...update.reach.map((text) => text.split(' ')[0] ?? ''),
            ...update.withdrawn.map((text) => `-${text}`),
            ...(update.endOfRib === undefined ? [] : [`EoR${update.endOfRib}`]),
          ];
        });
    }

    async stop(): Promise<void> {
      this.exporter?.stop();
      await this.station.close();
    }
  }
  let bench: Bench;
  beforeEach(() => {
    bench = new Bench();
  });
  afterEach(() => bench.stop());
  const heard = (count: number, type = 'route-monitoring'): Promise<true> =>
    eventually(`${count} messages of ${type}`, () => (bench.station.of(type).length >= count ? true : undefined));

  it('introduces itself, its peers and all its tables, each ended by End-of-RIB', async () => {
    await bench.start();
    await heard(7);
    expect(bench.station.heard[0]?.type).to.equal('initiation');
    expect(tlvs(bench.station.heard[0]?.body ?? Buffer.alloc(0))).to.deep.equal([
      [1, 'tortie'],
      [2, 'n1'],
    ]);
    expect(bench.station.of('peer-up').map(({ peer, identifier }) => `${peer} ${identifier}`)).to.deep.equal([
      '10.0.0.2 AS65001 0.0.0.5',
      'loc-rib AS64512 10.0.0.1',
    ]);
    const all = ['10.65.0.0/18', '10.66.0.0/24', 'EoR4', 'fd00::/64', 'EoR6'];
    expect([bench.routes('10.0.0.2 AS65001'), bench.routes('loc-rib AS64512')]).to.deep.equal([all, all]);
    expect(bench.events).to.deep.equal(['bmp-up connected']);
  });

  it('tells what changes: UPDATEs in and out, best paths, peers', async () => {
    const exporter = await bench.start({ monitor: ['adj-rib-in', 'adj-rib-out', 'loc-rib'] });
    await heard(10);
    bench.station.heard.length = 0;
    const [update = new Uint8Array()] = announcements([view('10.1.0.0/16')], tableParameters(false, false));
    exporter.received(session, Uint8Array.of(1, 2, 3, ...update), 3 + 19, 3 + update.length);
    exporter.sent(session, Uint8Array.of(...update, ...update));
    bench.table = [view('10.65.0.0/18')];
    exporter.bestChanged(parsePrefix('10.65.0.0/18'));
    exporter.bestChanged(parsePrefix('fd00::/64'));
    exporter.bestChanged(parsePrefix('fd00::/64'));
    exporter.peerDown(session, { type: 'remote' });
    await heard(5);
    await heard(1, 'peer-down');
    expect(bench.station.of('route-monitoring').map(({ peer, flags }) => `${peer} ${flags}`)).to.deep.equal([
      '10.0.0.2 AS65001 0',
      '10.0.0.2 AS65001 80',
      '10.0.0.2 AS65001 80',
      'loc-rib AS64512 0',
      'loc-rib AS64512 0',
    ]);
    expect(bench.routes('10.0.0.2 AS65001')).to.deep.equal(['10.1.0.0/16', '10.1.0.0/16', '10.1.0.0/16']);
    expect(bench.routes('loc-rib AS64512')).to.deep.equal(['10.65.0.0/18', '-fd00::/64']);
    exporter.peerUp(session);
    await heard(1, 'peer-up');
  });

  it('monitors only what it is asked to', async () => {
    const exporter = await bench.start({ monitor: ['loc-rib'] });
    await heard(4);
    exporter.received(session, new Uint8Array(40), 19, 40);
    exporter.bestChanged(parsePrefix('10.65.0.0/18'));
    await heard(5);
    expect(new Set(bench.station.of('route-monitoring').map(({ peer }) => peer))).to.deep.equal(
      new Set(['loc-rib AS64512']),
    );
  });

  it('reports statistics', async () => {
    await bench.start({ statisticsInterval: 0.05 });
    await heard(2, 'statistics');
    expect(bench.station.of('statistics')[0]?.body.toString('hex')).to.equal(
      '00000007' +
        '00070008' +
        '0000000000000004' +
        '000f0008' +
        '0000000000000002' +
        '0009000b' +
        '000101' +
        '0000000000000002' +
        '0011000b' +
        '000101' +
        '0000000000000001' +
        '0009000b' +
        '000201' +
        '0000000000000002' +
        '0011000b' +
        '000201' +
        '0000000000000001' +
        '000b0004' +
        '00000003',
    );
    expect(bench.station.of('statistics')[1]?.peer).to.equal('loc-rib AS64512');
    expect(bench.station.of('statistics')[1]?.body.toString('hex')).to.equal(
      '00000003' +
        '00080008' +
        '0000000000000006' +
        '000a000b' +
        '000101' +
        '0000000000000003' +
        '000a000b' +
        '000201' +
        '0000000000000003',
    );
  });

  it('says goodbye', async () => {
    const exporter = await bench.start();
    await heard(7);
    exporter.stop('maintenance');
    await heard(1, 'termination');
    expect(tlvs(bench.station.of('termination')[0]?.body ?? Buffer.alloc(0))).to.deep.equal([
      [0, 'maintenance'],
      [1, '\0\0'],
    ]);
  });

  it('comes back after the station was away, and tells everything anew', async () => {
    const exporter = await bench.start();
    await heard(7);
    bench.station.heard.length = 0;
    bench.station.sockets[0]?.destroy();
    await eventually('the loss', () => (exporter.isUp ? undefined : true));
    // Nobody listens: this is forgotten, and what holds then is told later.
    exporter.bestChanged(parsePrefix('10.65.0.0/18'));
    await heard(7);
    expect(bench.events.map((event) => event.split(' ')[0])).to.deep.equal(['bmp-up', 'bmp-down', 'bmp-up']);
  });

  it('says once that there is no station, and goes on trying', async () => {
    const port = await bench.station.listen();
    await bench.station.close();
    bench.station.sockets.length = 0;
    await bench.start({}, port);
    await eventually('the failure', () => (bench.events.length > 0 ? true : undefined));
    expect(bench.events.join()).to.match(/^bmp-down .*ECONNREFUSED/);
    const second = new Station();
    await second.listen('127.0.0.1', port);
    await eventually('the station', () => (second.of('initiation').length > 0 ? true : undefined));
    expect(bench.events.length).to.equal(2);
    bench.exporter?.stop();
    await second.close();
  });

  it('drops a station that does not keep up, instead of memory', async () => {
    const exporter = await bench.start({ maxPending: 100_000 });
    await heard(7);
    bench.station.sockets[0]?.pause();
    const big = new Uint8Array(60_000).fill(0xff);
    await eventually('the loss', () => {
      if (!exporter.isUp) return true;
      exporter.received(session, big, 19, big.length);
      return undefined;
    });
    expect(bench.events.at(-1)).to.match(/^bmp-down the station does not keep up: \d+ octets wait/);
  });
});

describe('bgp/bmp: the station of these tests', function () {
  this.timeout(60_000);
  it('reads GoBGP', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tortie-bmp-'));
    const namespace = `tbmp-${process.pid}`;
    const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
    const children: ChildProcess[] = [];
    try {
      ip('netns', 'add', namespace);
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      const station = spawn(
        'ip',
        ['netns', 'exec', namespace, process.execPath, fileURLToPath(new URL('./station-process.js', import.meta.url))],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      children.push(station);
      let output = '';
      station.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
      await eventually('the station', () => (output.includes('ready') ? true : undefined));
      const config = join(folder, 'gobgp.toml');
      writeFileSync(
        config,
        `[global.config]\n  as = 64900\n  router-id = "10.9.9.9"\n  port = -1\n[[bmp-servers]]\n  ` +
          `[bmp-servers.config]\n    address = "127.0.0.1"\n    port = 11019\n    route-monitoring-policy = "local-rib"\n`,
      );
      children.push(
        spawn('ip', ['netns', 'exec', namespace, 'gobgpd', '-f', config, '--log-level', 'error'], { stdio: 'ignore' }),
      );
      await eventually('the initiation', () => (/^initiation/m.test(output) ? true : undefined));
      ip('netns', 'exec', namespace, 'gobgp', 'global', 'rib', 'add', '10.65.0.0/18', 'nexthop', '10.0.0.2');
      await eventually('the route', () => (/^route-monitoring .*10\.65\.0\.0\/18/m.test(output) ? true : undefined));
    } finally {
      for (const child of children) child.kill('SIGKILL');
      ip('netns', 'del', namespace);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
