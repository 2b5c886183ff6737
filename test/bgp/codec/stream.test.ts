/** From messages to a byte stream and back: the writer, the framer, and what negotiation makes of two OPENs. */
import { expect } from 'chai';
import fc from 'fast-check';
import { addressToBytes, formatPrefix, type Family, type IpPrefix } from 'node-bgp/address';
import type { BgpError } from 'node-bgp/codec/bgp-error';
import type { Capability } from 'node-bgp/codec/capability';
import { MessageFramer } from 'node-bgp/codec/framer';
import type { OpenMessage } from 'node-bgp/codec/control-message';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { negotiate } from 'node-bgp/codec/negotiated';
import {
  decodeShutdownText,
  describeNotification,
  encodeHardReset,
  encodeNotification,
  encodeShutdownText,
} from 'node-bgp/codec/notification';
import { encodeAttributes } from 'node-bgp/codec/parse';
import { UpdateWriter } from 'node-bgp/codec/update-writer';
import { prefixIn } from './arbitraries.js';
import { hex, toHex } from './hex.js';
import { decodePlain, IBGP, PLAIN } from './sessions.js';

const BLOCK = encodeAttributes({
  origin: 'igp',
  asPath: [{ type: 'sequence', members: [65001] }],
  med: 5,
  localPreference: 100,
});
const HOP4 = hex('0a000001');
const HOP6 = hex('fd000000000000000000000000000001');

/** The bodies of a stream of UPDATEs. */
function bodiesOf(stream: Uint8Array): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  const framer = new MessageFramer((_type, bytes, start, end) => void bodies.push(bytes.slice(start, end)), true);
  expect(framer.push(stream)).to.equal(undefined);
  expect(framer.pending).to.equal(0);
  return bodies;
}

describe('bgp/codec/update-writer', () => {
  const hopOf = (family: Family, extended: boolean): Uint8Array => (family === 4 && !extended ? HOP4 : HOP6);

  it('packs any number of prefixes into messages the decoder gives back', () =>
    fc.assert(
      fc.property(
        fc.constantFrom<Family>(4, 6),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom(120, 4096, 65535),
        fc.array(prefixIn(4), { maxLength: 300 }),
        fc.array(prefixIn(6), { maxLength: 300 }),
        (family, addPath, extendedNextHop, maxMessageLength, four, six) => {
          const prefixes: readonly IpPrefix[] = family === 4 ? four : six;
          const parameters = {
            ...PLAIN,
            addPathIpv4: addPath,
            addPathIpv6: addPath,
            extendedNextHop,
            maxMessageLength,
          };
          const writer = new UpdateWriter(parameters);
          const out = new Uint8Array(200_000);
          writer.into(out, 0);
          const hop = hopOf(family, extendedNextHop);
          const writeAll = (begin: () => boolean): number => {
            const from = writer.at;
            for (let i = 0; i < prefixes.length; ) {
              const message = writer.at;
              expect(begin()).to.equal(true);
              const first = i;
              while (i < prefixes.length && writer.addPrefix(prefixes[i] as IpPrefix, i + 1)) i++;
              expect(i, 'a message without a prefix').to.be.above(first);
              expect(writer.finish() - message).to.be.at.most(maxMessageLength);
            }
            return from;
          };
          writeAll(() => writer.beginReach(family, hop, BLOCK, 0, BLOCK.length));
          const withdrawnFrom = writeAll(() => writer.beginWithdraw(family));
          const decode = { ...IBGP, addPathIpv4: addPath, addPathIpv6: addPath, extendedNextHop };
          const updates = bodiesOf(out.slice(0, writer.at)).map((body) => decodePlain(body, decode));
          const texts = prefixes.map((prefix, i) => `${formatPrefix(prefix)}${addPath ? `#${i + 1}` : ''}`);
          expect(updates.flatMap(({ errors }) => errors)).to.deep.equal([]);
          expect(updates.flatMap(({ reach }) => reach)).to.deep.equal(texts.map((text) => `${text} via ${toHex(hop)}`));
          expect(updates.flatMap(({ withdrawn }) => withdrawn)).to.deep.equal(texts);
          expect(withdrawnFrom).to.be.at.most(writer.at);
        },
      ),
      { numRuns: 60 },
    ));

  it('writes exactly these octets', () => {
    const out = new Uint8Array(4096);
    const writer = new UpdateWriter(PLAIN);
    const written = (write: () => void): string => {
      writer.into(out, 3);
      write();
      return toHex(out.subarray(3, writer.finish())).slice(32);
    };
    const block = hex('40010100' + '40020602010000fde9' + '80040400000005');
    expect(
      written(() => {
        writer.beginReach(4, HOP4, block, 0, block.length);
        writer.addIpv4(0xac100000, 12, 0);
      }),
    ).to.equal(
      '0035' +
        '02' +
        '0000' +
        '001b' +
        '40010100' +
        '40020602010000fde9' +
        '4003040a000001' +
        '80040400000005' +
        '0cac10',
    );
    expect(
      written(() => {
        writer.beginReach(6, HOP6, block, 0, block.length);
        writer.addOctets(hex('fd00'), 0, 16, 0);
      }),
    ).to.equal(
      '0047' +
        '02' +
        '0000' +
        '0030' +
        '900e0018' +
        '00020110' +
        toHex(HOP6) +
        '00' +
        '10fd00' +
        '40010100' +
        '40020602010000fde9' +
        '80040400000005',
    );
    expect(
      written(() => {
        writer.beginWithdraw(4);
        writer.addIpv4(0x0a000000, 8, 0);
      }),
    ).to.equal('0019' + '02' + '0002' + '080a' + '0000');
    expect(
      written(() => {
        writer.beginWithdraw(6);
        writer.addOctets(hex('fd00'), 0, 9, 0);
      }),
    ).to.equal('0021' + '02' + '0000' + '000a' + '900f0006' + '000201' + '09fd00');
  });

  it('writes End-of-RIB of both families', () => {
    const out = new Uint8Array(64);
    const writer = new UpdateWriter(PLAIN);
    writer.into(out, 0);
    expect([writer.endOfRib(4), writer.endOfRib(6)]).to.deep.equal([true, true]);
    expect(bodiesOf(out.slice(0, writer.at)).map((body) => decodePlain(body).endOfRib)).to.deep.equal([4, 6]);
  });

  it('refuses attributes that leave no room for a prefix, and a buffer that is full', () => {
    const writer = new UpdateWriter(PLAIN);
    const out = new Uint8Array(5000);
    const fits = (length: number): boolean => {
      writer.into(out, 0);
      return writer.beginReach(4, HOP4, new Uint8Array(length), 0, length);
    };
    const most = 4096 - 19 - 4 - 7 - 5;
    expect([fits(most), fits(most + 1)]).to.deep.equal([true, false]);
    writer.into(out, 4990);
    expect([
      writer.beginReach(4, HOP4, BLOCK, 0, BLOCK.length),
      writer.beginWithdraw(6),
      writer.endOfRib(4),
    ]).to.deep.equal([false, false, false]);
    expect(writer.at).to.equal(4990);
  });

  it('adds octets and numbers alike', () =>
    fc.assert(
      fc.property(prefixIn(4), (prefix) => {
        const write = (add: (writer: UpdateWriter) => boolean): string => {
          const out = new Uint8Array(200);
          const writer = new UpdateWriter(PLAIN);
          writer.into(out, 0);
          writer.beginWithdraw(4);
          expect(add(writer)).to.equal(true);
          return toHex(out.subarray(0, writer.finish()));
        };
        const want = write((writer) => writer.addPrefix(prefix, 0));
        expect(write((writer) => writer.addIpv4(Number(prefix.value), prefix.length, 0))).to.equal(want);
        expect(write((writer) => writer.addOctets(addressToBytes(prefix), 0, prefix.length, 0))).to.equal(want);
      }),
    ));
});

describe('bgp/codec/framer', () => {
  const MESSAGES = [
    encodeControlMessage({
      type: 'open',
      version: 4,
      as: 64512,
      holdTime: 90,
      identifier: 1,
      capabilities: [{ type: 'route-refresh' }],
    }),
    encodeControlMessage({ type: 'keepalive' }),
    hex('ff'.repeat(16) + '001b' + '02' + '00000000' + '080a080b'),
    encodeControlMessage({ type: 'route-refresh', afi: 1, safi: 1, subtype: 'request' }),
    encodeControlMessage({ type: 'notification', code: 6, subcode: 2, data: hex('00') }),
  ];
  const STREAM = Uint8Array.from(MESSAGES.flatMap((message) => [...message]));
  const frame = (
    chunks: readonly Uint8Array[],
    extended = false,
  ): { readonly seen: string[]; readonly error: BgpError | undefined } => {
    const seen: string[] = [];
    const framer = new MessageFramer(
      (type, bytes, start, end) => void seen.push(`${type} ${toHex(bytes.subarray(start, end))}`),
      extended,
    );
    let error: BgpError | undefined;
    for (const chunk of chunks) error ??= framer.push(chunk);
    return { seen, error };
  };
  const WHOLE = frame([STREAM]).seen;

  it('hands on whole messages where they lie', () => {
    let copies = 0;
    const framer = new MessageFramer((_type, bytes) => {
      if (bytes !== STREAM) copies++;
    });
    expect(framer.push(STREAM)).to.equal(undefined);
    expect([copies, WHOLE.length]).to.deep.equal([0, MESSAGES.length]);
  });
  it('does not care how the stream is cut', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: STREAM.length }), { maxLength: 12 }), (cuts) => {
        const edges = [0, ...cuts.sort((a, b) => a - b), STREAM.length];
        const chunks = edges.slice(1).map((edge, i) => STREAM.slice(edges[i], edge));
        expect(frame(chunks)).to.deep.equal({ seen: WHOLE, error: undefined });
      }),
    ));
  it('takes one octet at a time', () =>
    expect(frame(Array.from(STREAM, (octet) => Uint8Array.of(octet)))).to.deep.equal({
      seen: WHOLE,
      error: undefined,
    }));
  it('holds no more than the message at hand', () => {
    const framer = new MessageFramer(() => undefined);
    const head = hex('ff'.repeat(16) + '1000' + '02');
    framer.push(head);
    for (let i = 0; i < 4076; i++) framer.push(Uint8Array.of(0));
    expect(framer.pending).to.equal(4095);
    framer.push(Uint8Array.of(0));
    expect(framer.pending).to.equal(0);
  });
  it('stops when the receiver says so', () => {
    let count = 0;
    const framer = new MessageFramer(() => {
      count++;
      return false;
    });
    framer.push(STREAM);
    framer.push(STREAM);
    expect(count).to.equal(1);
  });

  const header = (length: number, type: number, marker = 'ff'.repeat(16)): Uint8Array =>
    Uint8Array.of(...hex(marker), length >> 8, length & 255, type, ...new Uint8Array(Math.max(length - 19, 0)));
  const errors: readonly (readonly [string, Uint8Array, string])[] = [
    ['a marker that is not all ones', header(19, 4, `${'ff'.repeat(15)}fe`), '1/1 '],
    ['a length below 19', header(18, 4), '1/2 0012'],
    ['a length of 0', header(0, 2), '1/2 0000'],
    ['a length above 4096', header(4097, 2), '1/2 1001'],
    ['an OPEN below 29', header(28, 1), '1/2 001c'],
    ['an UPDATE below 23', header(22, 2), '1/2 0016'],
    ['a NOTIFICATION below 21', header(20, 3), '1/2 0014'],
    ['a KEEPALIVE with a body', header(20, 4), '1/2 0014'],
    ['a ROUTE-REFRESH below 23', header(22, 5), '1/2 0016'],
    ['type 0', header(19, 0), '1/3 00'],
    ['type 6', header(40, 6), '1/3 06'],
  ];
  for (const [name, octets, want] of errors)
    it(`refuses ${name} (RFC 4271 section 6.1)`, () => {
      for (const chunks of [[octets], Array.from(octets, (octet) => Uint8Array.of(octet))]) {
        const { error, seen } = frame([MESSAGES[1] as Uint8Array, ...chunks]);
        expect(`${error?.code}/${error?.subcode} ${toHex(error?.data ?? new Uint8Array())}`).to.equal(want);
        expect(seen.length).to.equal(1);
      }
    });
  it('takes long messages when we announced them, but no long OPEN (RFC 8654 section 4)', () => {
    expect(frame([header(65535, 2)], true).seen.length).to.equal(1);
    expect(frame([header(4097, 1)], true).error?.subcode).to.equal(2);
  });
  it('takes nothing after an error', () => {
    let count = 0;
    const framer = new MessageFramer(() => void count++);
    expect(framer.push(header(18, 4))).to.not.equal(undefined);
    expect(framer.push(STREAM)).to.equal(undefined);
    expect(count).to.equal(0);
  });
});

describe('bgp/codec/notification', () => {
  const words: readonly (readonly [number, number, string, string])[] = [
    [6, 2, `09${Buffer.from('moving on').toString('hex')}`, 'Cease / Administrative Shutdown (6/2): moving on'],
    [6, 4, '00', 'Cease / Administrative Reset (6/4): data 00'],
    [6, 1, '00020100002710', 'Cease / Maximum Number of Prefixes Reached (6/1): ipv6 unicast, at most 10000'],
    [6, 9, '0400', 'Hold Timer Expired (4/0), as a Hard Reset (6/9)'],
    [6, 9, '060204646f6f72', 'Cease / Administrative Shutdown (6/2), as a Hard Reset (6/9): door'],
    [
      6,
      9,
      '060100010100000001',
      'Cease / Maximum Number of Prefixes Reached (6/1), as a Hard Reset (6/9): ipv4 unicast, at most 1',
    ],
    [6, 9, '', 'Cease / Hard Reset (6/9)'],
    [6, 9, '06', 'Cease / Hard Reset (6/9): data 06'],
    [6, 9, '06090609', 'Cease / Hard Reset (6/9): data 06090609'],
    [6, 10, '', 'Cease / BFD Down (6/10)'],
    [4, 0, '', 'Hold Timer Expired (4/0)'],
    [1, 2, '1001', 'Message Header Error / Bad Message Length (1/2): length 4097'],
    [1, 3, '06', 'Message Header Error / Bad Message Type (1/3): type 6'],
    [2, 1, '0004', 'OPEN Message Error / Unsupported Version Number (2/1): version 4 is supported'],
    [2, 2, 'fde9', 'OPEN Message Error / Bad Peer AS (2/2): data fde9'],
    [2, 11, '', 'OPEN Message Error / Role Mismatch (2/11)'],
    [3, 3, '02', 'UPDATE Message Error / Missing Well-known Attribute (3/3): AS_PATH'],
    [3, 5, '40010200ff', 'UPDATE Message Error / Attribute Length Error (3/5): ORIGIN, 40010200ff'],
    [5, 2, '', 'Finite State Machine Error / Unexpected Message in OpenConfirm State (5/2)'],
    [8, 0, '', 'Send Hold Timer Expired (8/0)'],
    [77, 5, 'aa', 'Error code 77 / subcode 5 (77/5): data aa'],
    [6, 99, '', 'Cease / subcode 99 (6/99)'],
  ];
  for (const [code, subcode, data, text] of words)
    it(`says "${text}"`, () => expect(describeNotification(code, subcode, hex(data))).to.equal(text));

  it('cuts a shutdown text between characters at 255 octets (RFC 9003 section 2)', () => {
    const data = encodeShutdownText('é'.repeat(200));
    expect([data.length, data[0], decodeShutdownText(data)]).to.deep.equal([255, 254, 'é'.repeat(127)]);
    expect(decodeShutdownText(encodeShutdownText(''))).to.equal(undefined);
  });
  it('shows no control characters of a peer, and no text whose length is a lie', () => {
    expect(decodeShutdownText(hex('04 1b5b324a'))).to.equal('\\u001b[2J');
    expect(decodeShutdownText(hex('05 61'))).to.equal(undefined);
  });
  it('wraps a Hard Reset (RFC 8538 section 3.1)', () =>
    expect(encodeHardReset({ type: 'notification', code: 6, subcode: 3, data: hex('aa') })).to.deep.equal({
      type: 'notification',
      code: 6,
      subcode: 9,
      data: hex('0603aa'),
    }));
  it('cuts data that does not fit a message', () =>
    expect(
      encodeNotification({ type: 'notification', code: 3, subcode: 5, data: new Uint8Array(5000) }).length,
    ).to.equal(4096 - 19));
  it('describes anything', () =>
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.uint8Array({ maxLength: 300 }), (code, subcode, data) => {
        expect(describeNotification(code, subcode, data)).to.match(/\(\d+\/\d+\)/);
      }),
    ));
});

describe('bgp/codec/negotiated', () => {
  const open = (as: number, capabilities: readonly Capability[], holdTime = 90): OpenMessage => ({
    type: 'open',
    version: 4,
    as,
    holdTime,
    identifier: as,
    capabilities,
  });
  const MP4: Capability = { type: 'multiprotocol', afi: 1, safi: 1 };
  const MP6: Capability = { type: 'multiprotocol', afi: 2, safi: 1 };
  const settle = (ours: readonly Capability[], theirs: readonly Capability[]) =>
    negotiate(open(64512, ours), open(65001, theirs), { localAs: 64512 });

  it('implies IPv4 only where no family is announced (RFC 4760 section 8)', () => {
    expect(settle([], []).families).to.deep.equal([4]);
    expect(settle([MP4, MP6], []).families).to.deep.equal([4]);
    expect(settle([MP4, MP6], [MP6]).families).to.deep.equal([6]);
    expect(settle([MP4], [MP6]).families).to.deep.equal([]);
  });
  it('takes the smaller hold time and the real AS', () => {
    const session = negotiate(open(64512, [], 90), open(23456, [{ type: 'four-octet-as', as: 70000 }], 9), {
      localAs: 64512,
    });
    expect([session.holdTime, session.peerAs, session.decode.as4, session.decode.external]).to.deep.equal([
      9,
      70000,
      false,
      true,
    ]);
  });
  it('uses four octets only when both can', () => {
    const as4: Capability = { type: 'four-octet-as', as: 65001 };
    expect([settle([as4], [as4]).encode.as4, settle([as4], []).encode.as4, settle([], [as4]).decode.as4]).to.deep.equal(
      [true, false, false],
    );
  });
  it('sends path identifiers from who can send to who can receive (RFC 7911 section 4)', () => {
    const mode = (send: boolean, receive: boolean): Capability => ({
      type: 'add-path',
      families: [{ afi: 1, safi: 1, send, receive }],
    });
    const result = settle([MP4, mode(true, false)], [MP4, mode(true, true)]);
    expect([result.encode.addPathIpv4, result.decode.addPathIpv4, result.encode.addPathIpv6]).to.deep.equal([
      true,
      false,
      false,
    ]);
  });
  it('sends long messages to who announced them (RFC 8654 section 4)', () => {
    expect(settle([], [{ type: 'extended-message' }]).encode.maxMessageLength).to.equal(65535);
    expect(settle([{ type: 'extended-message' }], []).encode.maxMessageLength).to.equal(4096);
  });
  it('needs both sides for IPv6 next hops of IPv4 (RFC 8950 section 4)', () => {
    const enh: Capability = { type: 'extended-next-hop', families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] };
    expect([settle([enh], [enh]).encode.extendedNextHop, settle([enh], []).decode.extendedNextHop]).to.deep.equal([
      true,
      false,
    ]);
  });
  it('restarts gracefully when both can; long-lived only on top of that (RFC 9494 section 4.2)', () => {
    const gr = (notification: boolean): Capability => ({
      type: 'graceful-restart',
      restarting: false,
      notification,
      restartTime: 60,
      families: [],
    });
    const llgr: Capability = { type: 'long-lived-graceful-restart', families: [] };
    expect(settle([gr(true)], [gr(true)]).notificationRestart).to.equal(true);
    expect(settle([gr(true)], [gr(false)]).notificationRestart).to.equal(false);
    expect(settle([gr(true)], []).gracefulRestart).to.equal(undefined);
    expect(settle([llgr], [llgr]).longLivedGracefulRestart).to.equal(undefined);
    expect(settle([gr(true), llgr], [gr(true), llgr]).longLivedGracefulRestart).to.deep.equal(llgr);
  });
});
