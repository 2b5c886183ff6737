import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import { encodeAttributes } from 'node-bgp/codec/parse';
import {
  messageRecord,
  peerIndexRecord,
  ribRecord,
  stateChangeRecord,
  type MrtPath,
  type MrtSession,
} from 'node-bgp/mrt/record';
import { dumpTable } from 'node-bgp/mrt/table-dump';
import type { RouteView } from 'node-bgp/rib/answers';
import { eventually } from '../bfd/real-peers.js';
import { hex, toHex } from '../codec/hex.js';

const ATTRIBUTES: PathAttributes = {
  origin: 'igp',
  asPath: [{ type: 'sequence', members: [65001, 4200000000] }],
  med: 5,
  communities: [0xfc000064],
};
const BLOCK = encodeAttributes(ATTRIBUTES);
const TIME = 0x65000000;
const SESSION: MrtSession = {
  peerAs: 65001,
  localAs: 64512,
  peerAddress: parseAddress('10.0.0.2'),
  localAddress: parseAddress('10.0.0.1'),
  interfaceIndex: 3,
};

const path = (nextHop: string, more: Partial<MrtPath> = {}): MrtPath => ({
  peerIndex: 1,
  originatedAt: TIME,
  attributes: BLOCK,
  nextHop: parseAddress(nextHop),
  ...more,
});

describe('bgp/mrt/record', () => {
  it('writes a message (RFC 6396 section 4.4.3, with microseconds section 3)', () =>
    expect(toHex(messageRecord(TIME + 0.5, SESSION, hex('ffff'), { as4: true, addPath: false }))).to.equal(
      '65000000' +
        '0011' +
        '0004' +
        '0000001a' +
        '0007a120' +
        '0000fde9' +
        '0000fc00' +
        '0003' +
        '0001' +
        '0a000002' +
        '0a000001' +
        'ffff',
    ));
  it('writes a message of a two-octet session, and one with path identifiers (RFC 8050)', () => {
    expect(toHex(messageRecord(TIME, SESSION, hex('ffff'), { as4: false, addPath: false }))).to.equal(
      '65000000' +
        '0011' +
        '0001' +
        '00000016' +
        '00000000' +
        'fde9' +
        'fc00' +
        '0003' +
        '0001' +
        '0a000002' +
        '0a000001' +
        'ffff',
    );
    const subtype = (as4: boolean): string =>
      toHex(messageRecord(TIME, SESSION, hex('ffff'), { as4, addPath: true })).slice(12, 16);
    expect([subtype(false), subtype(true)]).to.deep.equal(['0008', '0009']);
  });
  it('writes a change of state (section 4.4.1)', () =>
    expect(
      toHex(
        stateChangeRecord(
          TIME,
          { ...SESSION, peerAddress: parseAddress('fd00::2'), localAddress: parseAddress('fd00::1') },
          'OpenConfirm',
          'Established',
        ),
      ),
    ).to.equal(
      '65000000' +
        '0011' +
        '0005' +
        '00000034' +
        '00000000' +
        '0000fde9' +
        '0000fc00' +
        '0003' +
        '0002' +
        'fd000000000000000000000000000002' +
        'fd000000000000000000000000000001' +
        '0005' +
        '0006',
    ));
  it('writes a peer index (section 4.3.1)', () =>
    expect(
      toHex(
        peerIndexRecord(TIME, 0x0a000001, 'v', [
          { identifier: 0x0a000002, address: parseAddress('10.0.0.2'), as: 65001 },
          { identifier: 7, address: parseAddress('fd00::2'), as: 4200000000 },
        ]),
      ),
    ).to.equal(
      '65000000' +
        '000d' +
        '0001' +
        '0000002f' +
        '0a000001' +
        '0001' +
        '76' +
        '0002' +
        '02' +
        '0a000002' +
        '0a000002' +
        '0000fde9' +
        '03' +
        '00000007' +
        'fd000000000000000000000000000002' +
        'fa56ea00',
    ));
  it('writes an IPv4 prefix with NEXT_HOP in its place (section 4.3.2)', () => {
    const attributes =
      '40010100' + '40020a0202' + '0000fde9fa56ea00' + '4003040a000002' + '80040400000005' + 'c00804fc000064';
    expect(toHex(ribRecord(TIME, 9, parsePrefix('10.65.0.0/18'), [path('10.0.0.2')]))).to.equal(
      '65000000' +
        '000d' +
        '0002' +
        '00000038' +
        '00000009' +
        '120a4100' +
        '0001' +
        '0001' +
        '65000000' +
        (attributes.length / 2).toString(16).padStart(4, '0') +
        attributes,
    );
  });
  it('writes both halves of a next hop (RFC 2545 section 3)', () => {
    const record = ribRecord(TIME, 0, parsePrefix('fd00:65::/64'), [
      path('fd00::2', { linkLocalNextHop: parseAddress('fe80::2') }),
    ]);
    expect(toHex(record)).to.include(
      '800e21' + '20' + 'fd000000000000000000000000000002' + 'fe800000000000000000000000000002',
    );
  });
  it('writes an IPv6 prefix with an abbreviated MP_REACH_NLRI (section 4.3.4), octet by octet as BIRD does', () =>
    // From "mrt dump" of BIRD 2.0.12, with the attribute flags that it leaves out of static routes put in.
    expect(
      toHex(
        ribRecord(0x6b00a512, 0, parsePrefix('fd00:65::/64'), [
          path('fd00::2', { peerIndex: 0, originatedAt: 0x6b00a511 }),
        ]),
      ),
    ).to.equal(
      '6b00a512' +
        '000d' +
        '0004' +
        '0000004a' +
        '00000000' +
        '40fd00006500000000' +
        '0001' +
        '0000' +
        '6b00a511' +
        '0033' +
        '40010100' +
        '40020a02020000fde9fa56ea00' +
        '80040400000005' +
        'c00804fc000064' +
        '800e1110fd000000000000000000000000000002',
    ));
  it('writes path identifiers when there are any (RFC 8050 section 4)', () => {
    const record = toHex(
      ribRecord(TIME, 0, parsePrefix('10.0.0.0/8'), [path('10.0.0.2', { pathId: 7 }), path('10.0.0.3')]),
    );
    expect(record.slice(12, 16)).to.equal('0008');
    expect(record)
      .to.include('0001' + '65000000' + '00000007')
      .and.to.include('0001' + '65000000' + '00000000');
  });
});

describe('bgp/mrt/table-dump', function () {
  this.timeout(60_000);
  const view = (prefix: string, peer: string | undefined, nextHop: string | undefined): RouteView => ({
    prefix: parsePrefix(prefix),
    attributes: ATTRIBUTES,
    isBest: true,
    isMultipath: false,
    isStale: false,
    weight: 0,
    source: peer === undefined ? { type: 'local' } : { type: 'ebgp', peer, address: parseAddress('10.0.0.2') },
    nextHop: nextHop === undefined ? undefined : parseAddress(nextHop),
  });
  const TABLE: readonly RouteView[] = [
    view('10.65.0.0/18', 'tor1', '10.0.0.2'),
    view('10.66.0.0/24', undefined, undefined),
    view('192.0.2.1/32', 'gone', '10.0.0.9'),
    view('fd00:65::/64', 'tor1', 'fd00::2'),
  ];
  const dump = (): Uint8Array[] => [
    ...dumpTable({
      rib: {
        *best(family) {
          yield TABLE.filter(({ prefix }) => prefix.family === family);
        },
        paths: (prefix) => TABLE.filter((route) => route.prefix === prefix),
      },
      localAs: 64512,
      routerId: 0x0a000001,
      seconds: TIME,
      peers: new Map([['tor1', { identifier: 5, address: parseAddress('10.0.0.2'), as: 65001 }]]),
    }),
  ];

  it('writes the peers, then every prefix whose peers are among them', () => {
    const subtypes = dump().map((record) => toHex(record).slice(12, 16));
    expect(subtypes).to.deep.equal(['0001', '0002', '0002', '0004']);
  });

  it('is read by GoBGP, IPv4', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tortie-mrt-'));
    const namespace = `tmrt-${process.pid}`;
    const ip = (...args: readonly string[]): string => execFileSync('ip', args, { encoding: 'utf8' });
    const gobgp = (...args: readonly string[]): string => ip('netns', 'exec', namespace, 'gobgp', ...args);
    let daemon: ChildProcess | undefined;
    try {
      ip('netns', 'add', namespace);
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      const [config, file] = [join(folder, 'gobgp.toml'), join(folder, 'table.mrt')];
      writeFileSync(config, '[global.config]\n  as = 64900\n  router-id = "10.9.9.9"\n  port = -1\n');
      // GoBGP 3.10 takes a next hop for granted, which our own routes have not, does not know the form of IPv6 next hops, and loses
      // the last records of a file.
      const [index = new Uint8Array(), route = new Uint8Array()] = dump();
      writeFileSync(file, Buffer.concat([index, ...new Array<Uint8Array>(100).fill(route)]));
      daemon = spawn('ip', ['netns', 'exec', namespace, 'gobgpd', '-f', config, '--log-level', 'error'], {
        stdio: 'ignore',
      });
      await eventually('gobgpd', () => {
        try {
          return gobgp('global');
        } catch {
          return undefined;
        }
      });
      // Its client may hang up before the daemon has read any of them: then it is asked again.
      const four = await eventually('the IPv4 route', () => {
        gobgp('mrt', 'inject', 'global', file);
        const table = gobgp('global', 'rib');
        return table.includes('10.65.0.0/18') ? table : undefined;
      });
      expect(four).to.match(
        /10\.65\.0\.0\/18\s+10\.0\.0\.2\s+65001 4200000000\s+\S+\s+\[.*Origin: i.*Med: 5.*Communities: 64512:100/,
      );
    } finally {
      daemon?.kill('SIGKILL');
      ip('netns', 'del', namespace);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
