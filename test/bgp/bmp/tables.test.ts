/** What a station puts together out of BMP, table by table, against the tables themselves: two speakers over TCP. */
import { expect } from 'chai';
import { formatAddress, formatPrefix, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { formatAttributes } from 'node-bgp/codec/parse';
import { BmpExporter, type BmpSession } from 'node-bgp/bmp/exporter';
import type { BmpMonitoring } from 'node-bgp/bmp/route-feed';
import { parseConfig, type ParsedConfig } from 'node-bgp/config/validate';
import type { RouteView } from 'node-bgp/rib/answers';
import { systemClock } from 'node-bgp/session/clock';
import { Speaker } from 'node-bgp/speaker/speaker';
import { decodePlain, IBGP } from '../codec/sessions.js';
import { Station } from './station.js';

const PORT = 32_000 + (process.pid % 2_000);
const ALL: readonly BmpMonitoring[] = [
  'adj-rib-in',
  'adj-rib-in-post-policy',
  'adj-rib-out-pre-policy',
  'adj-rib-out',
  'loc-rib',
];
/** RFC 7854 section 4.2, RFC 8671 section 4. */
const FLAGS: Readonly<Record<BmpMonitoring, number>> = {
  'adj-rib-in': 0,
  'adj-rib-in-post-policy': 0x40,
  'adj-rib-out-pre-policy': 0x10,
  'adj-rib-out': 0x50,
  'loc-rib': 0,
};

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !holds(); i++) await new Promise((resolve) => setTimeout(resolve, 25));
  expect(holds(), what).to.equal(true);
}

/** "10.0.0.0/8#1 via 127.0.0.1 origin igp ...", as the station has it by now. */
function heardOf(station: Station, table: BmpMonitoring, peer: string, addPath: boolean): string[] {
  const routes = new Map<string, string>();
  const parameters = { ...IBGP, extendedNextHop: true, addPathIpv4: addPath, addPathIpv6: addPath };
  for (const message of station.heard) {
    if (message.type === 'peer-up' && message.peer === peer) routes.clear();
    if (message.type !== 'route-monitoring' || message.peer !== peer || (message.flags & ~0x80) !== FLAGS[table])
      continue;
    const update = decodePlain(withHost(message.body.subarray(19)), parameters);
    expect(update.errors).to.deep.equal([]);
    for (const prefix of update.withdrawn) routes.delete(prefix);
    for (const text of update.reach) {
      const [prefix = '', , hop = ''] = text.split(' ');
      routes.set(prefix, `${hop.slice(0, 32)} ${attributesText(update.attributes)}`);
    }
  }
  return [...routes].map(([prefix, rest]) => `${prefix} ${rest}`).sort();
}

/** Prefixes of our own have the next hop 0.0.0.0 in BMP, which no session may send (RFC 4271 section 6.3): 10.254.254.254 for this test. */
const OWN_HOP = '0afefefe';
const withHost = (update: Buffer): Buffer =>
  Buffer.from(update.toString('hex').replace('40030400000000', `400304${OWN_HOP}`), 'hex');

const attributesText = (attributes: RouteView['attributes'] | undefined): string =>
  attributes === undefined
    ? ''
    : formatAttributes(attributes)
        .map(({ name, text }) => `${name} ${text}`)
        .join(' ');

function shownOf(slices: Iterable<readonly RouteView[]>, addPath: boolean): string[] {
  return [...slices]
    .flat()
    .map(({ prefix, pathId, nextHop, attributes }) => {
      const hop = nextHop === undefined ? OWN_HOP : nextHop.value.toString(16).padStart(8, '0');
      return `${formatPrefix(prefix)}${addPath ? `#${pathId ?? 0}` : ''} ${hop} ${attributesText(attributes)}`;
    })
    .sort();
}

class Pair {
  readonly station = new Station();
  readonly a = new Speaker();
  readonly b = new Speaker();
  stationPort = 0;

  constructor(readonly addPath: boolean) {}

  async listen(): Promise<void> {
    this.stationPort = await this.station.listen();
  }

  /** Of a. */
  configOf(more: object, peers: readonly object[]): ParsedConfig {
    return parseConfig({
      localAs: 64502,
      routerId: '10.0.0.2',
      listen: [{ address: '127.0.2.2', port: PORT }],
      peers,
      ...more,
    });
  }

  async start(): Promise<void> {
    await this.listen();
    await this.configureA([], {});
    await this.b.configure(this.#config(3, 2, { originate: [] }));
    await until(
      'a session',
      () => this.a.summary().peers[0]?.isEstablished === true && this.b.summary().peers[0]?.isEstablished === true,
    );
  }

  #config(self: number, other: number, more: object, peer: object = {}): ParsedConfig {
    return parseConfig({
      localAs: 64500 + self,
      routerId: `10.0.0.${self}`,
      listen: [{ address: `127.0.2.${self}`, port: PORT }],
      peers: [
        {
          address: `127.0.2.${other}`,
          port: PORT,
          localAddress: `127.0.2.${self}`,
          remoteAs: 64500 + other,
          multihop: 2,
          families: ['ipv4'],
          ...(this.addPath ? { addPath: 'both' } : {}),
          ...peer,
        },
      ],
      ...more,
    });
  }

  configureA(
    monitor: readonly BmpMonitoring[],
    {
      reject,
      originate = ['10.64.1.0/24', '10.64.2.0/24'],
    }: { readonly reject?: string; readonly originate?: readonly string[] },
  ): Promise<unknown> {
    const filters = {
      in: {
        rules: [
          ...(reject === undefined ? [] : [{ match: { prefixes: [{ prefix: reject }] }, action: 'reject' }]),
          { set: { localPreference: 150 }, action: 'accept' },
        ],
      },
      out: {
        rules: [
          { match: { prefixes: [{ prefix: '10.64.2.0/24' }] }, action: 'reject' },
          { set: { med: 9 }, action: 'accept' },
        ],
      },
    };
    const bmp =
      monitor.length === 0 ? [] : [{ address: '127.0.0.1', port: this.stationPort, monitor, statisticsInterval: 0 }];
    return this.a.configure(
      this.#config(
        2,
        3,
        { filters, bmp, originate: originate.map((prefix) => ({ prefix })) },
        { import: ['in'], export: ['out'] },
      ),
    );
  }

  /** Prefixes that the station has in Adj-RIB-In after policy. */
  accepted(): string[] {
    return heardOf(this.station, 'adj-rib-in-post-policy', '127.0.2.3 AS64503', this.addPath).map(
      (text) => text.split(/[ #]/)[0] ?? '',
    );
  }

  /** Is every table at the station what the speaker shows of it? */
  agrees(tables: readonly BmpMonitoring[] = ALL): boolean {
    const { rib } = this.a;
    const id = rib?.peerId('127.0.2.3');
    if (rib === undefined || id === undefined) return false;
    const shown: Readonly<Record<BmpMonitoring, () => Iterable<readonly RouteView[]>>> = {
      'adj-rib-in': () => rib.received(id, 4, 'before-policy'),
      'adj-rib-in-post-policy': () => rib.received(id, 4, 'after-policy'),
      'adj-rib-out-pre-policy': () => rib.offered(id, 4),
      'adj-rib-out': () => rib.advertised(id, 4),
      'loc-rib': () => rib.best(4),
    };
    return tables.every((table) => {
      const isLocal = table === 'loc-rib';
      const addPath = this.addPath && !isLocal;
      const views =
        table === 'adj-rib-out-pre-policy' || isLocal
          ? [[...shown[table]()].flat().map((view) => ({ ...view, pathId: undefined }))]
          : shown[table]();
      return (
        JSON.stringify(heardOf(this.station, table, isLocal ? 'loc-rib AS64502' : '127.0.2.3 AS64503', addPath)) ===
        JSON.stringify(shownOf(views, addPath))
      );
    });
  }

  get sessionsMade(): number {
    return this.a.neighbor('127.0.2.3')?.establishedCount ?? 0;
  }

  async stop(): Promise<void> {
    await Promise.all([this.a.stop(), this.b.stop(), this.station.close()]);
  }
}

describe('bgp/bmp tables', function () {
  this.timeout(30_000);
  const prefixes = (...thirds: readonly number[]): { prefix: string }[] =>
    thirds.map((third) => ({ prefix: `10.66.${third}.0/24` }));

  for (const addPath of [false, true])
    it(`keep up at the station with what the speaker has${addPath ? ', with ADD-PATH' : ''}`, async () => {
      const pair = new Pair(addPath);
      try {
        await pair.start();
        pair.b.originate(prefixes(1, 2, 3, 4));
        await until('routes', () => pair.a.summary().tables.ipv4.prefixes === 6);
        // The station comes while the session is up: a dump, and nobody's session notices.
        await pair.configureA(ALL, { reject: '10.66.1.0/24' });
        await until('the tables at the start', () => pair.agrees());
        expect(heardOf(pair.station, 'adj-rib-in', '127.0.2.3 AS64503', addPath).length).to.equal(4);
        expect(heardOf(pair.station, 'adj-rib-in-post-policy', '127.0.2.3 AS64503', addPath).length).to.equal(3);
        expect(heardOf(pair.station, 'adj-rib-out-pre-policy', '127.0.2.3 AS64503', addPath).length).to.equal(2);
        expect(heardOf(pair.station, 'adj-rib-out', '127.0.2.3 AS64503', addPath).length).to.equal(1);
        expect(heardOf(pair.station, 'loc-rib', 'loc-rib AS64502', false).length).to.equal(5);
        // Routes of the peer come and go.
        pair.b.originate([
          ...prefixes(1, 4, 5),
          { prefix: '10.66.2.0/24', communities: ['64503:7'] } as { prefix: string },
        ]);
        await until(
          'new routes',
          () => pair.accepted().join() === '10.66.2.0/24,10.66.4.0/24,10.66.5.0/24' && pair.agrees(),
        );
        // Policy changes: no UPDATE comes, and tables after it change all the same.
        await pair.configureA(ALL, { reject: '10.66.4.0/24' });
        await until(
          'another policy',
          () => pair.accepted().join() === '10.66.1.0/24,10.66.2.0/24,10.66.5.0/24' && pair.agrees(),
        );
        // Our own prefixes.
        await pair.configureA(ALL, { originate: ['10.64.2.0/24', '10.64.3.0/24'] });
        await until(
          'other prefixes',
          () =>
            heardOf(pair.station, 'loc-rib', 'loc-rib AS64502', false).some((text) =>
              text.startsWith('10.64.3.0/24'),
            ) && pair.agrees(),
        );
        expect(pair.sessionsMade, 'sessions').to.equal(1);
      } finally {
        await pair.stop();
      }
    });

  it('are chosen anew without a session noticing', async () => {
    const pair = new Pair(false);
    try {
      await pair.start();
      pair.b.originate(prefixes(1, 2));
      for (const monitor of [
        ['loc-rib'],
        ['adj-rib-in'],
        ['adj-rib-in-post-policy', 'loc-rib'],
        ['adj-rib-out-pre-policy'],
      ] as const) {
        pair.station.heard.length = 0;
        await pair.configureA(monitor, {});
        await until(`${monitor.join()} at the start`, () => pair.agrees(monitor));
        pair.b.originate(prefixes(1, monitor.length + 2));
        await pair.configureA(monitor, { originate: [`10.64.${monitor.length + 9}.0/24`] });
        await until(`${monitor.join()} after a change`, () => pair.agrees(monitor));
      }
      await pair.configureA([], {});
      await until('the end', () => pair.station.of('termination').length > 0);
      expect(pair.sessionsMade).to.equal(1);
    } finally {
      await pair.stop();
    }
  });

  it('follow a change of what a peer may be told', async () => {
    const [pair, third] = [new Pair(false), new Speaker()];
    const client = (isClient: boolean): ParsedConfig =>
      pair.configOf(
        {
          originate: [{ prefix: '10.64.1.0/24' }],
          bmp: [
            {
              address: '127.0.0.1',
              port: pair.stationPort,
              monitor: ['adj-rib-out-pre-policy'],
              statisticsInterval: 0,
            },
          ],
        },
        [3, 4].map((n) => ({
          address: `127.0.2.${n}`,
          port: PORT,
          localAddress: '127.0.2.2',
          remoteAs: 64502,
          families: ['ipv4'],
          routeReflectorClient: isClient,
        })),
      );
    const internal = (n: number): ParsedConfig =>
      parseConfig({
        localAs: 64502,
        routerId: `10.0.0.${n}`,
        listen: [{ address: `127.0.2.${n}`, port: PORT }],
        originate: [{ prefix: `10.66.${n}.0/24` }],
        peers: [{ address: '127.0.2.2', port: PORT, localAddress: `127.0.2.${n}`, remoteAs: 64502 }],
      });
    const heard = (): string =>
      heardOf(pair.station, 'adj-rib-out-pre-policy', '127.0.2.3 AS64502', false)
        .map((text) => text.split(' ')[0])
        .join(' ');
    try {
      await pair.listen();
      await Promise.all([pair.a.configure(client(false)), pair.b.configure(internal(3)), third.configure(internal(4))]);
      await until('both routes', () => pair.a.summary().tables.ipv4.prefixes === 3);
      await until('only our own', () => heard() === '10.64.1.0/24');
      await pair.a.configure(client(true));
      await until("the other client's too", () => heard() === '10.64.1.0/24 10.66.4.0/24');
      await pair.a.configure(client(false));
      await until('only our own again', () => heard() === '10.64.1.0/24');
      expect(pair.sessionsMade).to.equal(1);
    } finally {
      await Promise.all([pair.stop(), third.stop()]);
    }
  });

  it('say of routes that no UPDATE took back, and of UPDATEs with errors, what the speaker made of them', async () => {
    const station = new Station();
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
      families: [4],
      addPathReceive: [],
      addPathSend: [],
      treatedAsWithdraw: 0,
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
      attributes: { origin: 'igp', asPath: [{ type: 'sequence', members: [65001] }], localPreference: 100 },
      isBest: true,
      isMultipath: false,
      isStale: false,
      weight: 0,
      source: { type: 'ebgp', peer: 'tor1', address: parseAddress('10.0.0.2') },
      nextHop: parseAddress('10.0.0.2'),
    });
    let table = [view('10.1.0.0/16'), view('10.2.0.0/16')];
    const slices = (family: Family): IterableIterator<readonly RouteView[]> =>
      [table.filter(({ prefix }) => prefix.family === family)].values();
    const exporter = new BmpExporter(
      { host: '127.0.0.1', port: await station.listen(), monitor: ['adj-rib-in'], statisticsInterval: 0 },
      {
        localAs: 64512,
        routerId: 1,
        sysName: 'n',
        sysDescr: 'n',
        clock: systemClock,
        sessions: () => [session],
        event: () => undefined,
        rib: {
          received: (_id, family) => slices(family),
          advertised: (_id, family) => slices(family),
          offered: (_id, family) => slices(family),
          best: slices,
          bestPath: () => undefined,
          offeredPath: () => undefined,
          receivedPath: (_id, wanted) => table.find(({ prefix }) => prefix.value === wanted.value),
          counts: () => ({ received: 0, accepted: 0, stale: 0, advertised: 0 }),
          totals: () => ({ prefixes: 0, paths: 0 }),
        },
      },
    );
    const heard = (): string[] =>
      heardOf(station, 'adj-rib-in', `${formatAddress(session.peer.address)} AS65001`, false).map(
        (text) => text.split(' ')[0] ?? '',
      );
    try {
      await until('the table', () => heard().join() === '10.1.0.0/16,10.2.0.0/16');
      table = [view('10.2.0.0/16'), view('10.3.0.0/16')];
      exporter.pathChanged(session, parsePrefix('10.1.0.0/16'), 0, false);
      exporter.pathChanged(session, parsePrefix('10.3.0.0/16'), 0, false);
      await until('the changes', () => heard().join() === '10.2.0.0/16,10.3.0.0/16');
      const before = station.heard.length;
      exporter.pathChanged(session, parsePrefix('10.3.0.0/16'), 0, true);
      table = [];
      exporter.pathChanged(session, parsePrefix('10.2.0.0/16'), 0, false);
      await until('one change', () => heard().join() === '10.3.0.0/16');
      expect(station.heard.length).to.equal(before + 1);
    } finally {
      exporter.stop();
      await station.close();
    }
  });
});
