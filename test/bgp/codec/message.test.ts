import { expect } from 'chai';
import fc from 'fast-check';
import type { Capability } from 'node-bgp/codec/capability';
import { formatCapability } from 'node-bgp/codec/capability';
import type { ControlMessage, OpenMessage } from 'node-bgp/codec/control-message';
import { decodeControlMessage, encodeControlMessage } from 'node-bgp/codec/message';
import { checkOpen, openAs, openAsField, type OpenExpectation } from 'node-bgp/codec/open';
import { hex, toHex } from './hex.js';

const MARKER = 'ff'.repeat(16);

const open = (capabilities: readonly Capability[], as = 64512): OpenMessage => ({
  type: 'open',
  version: 4,
  as,
  holdTime: 90,
  identifier: 0x0a000001,
  capabilities,
});

/** Octets as the RFC's diagrams give them, and the message they are; checked both ways. */
const VECTORS: readonly { readonly name: string; readonly hex: string; readonly message: ControlMessage }[] = [
  { name: 'KEEPALIVE, RFC 4271 4.4', hex: `${MARKER} 0013 04`, message: { type: 'keepalive' } },
  {
    name: 'OPEN without parameters, RFC 4271 4.2',
    hex: `${MARKER} 001d 01 | 04 fc00 005a 0a000001 00`,
    message: open([]),
  },
  {
    name: 'OPEN with a four-octet AS, RFC 6793 3',
    hex: `${MARKER} 0025 01 | 04 5ba0 005a 0a000001 08 | 02 06 | 41 04 fa56ea00`,
    message: open([{ type: 'four-octet-as', as: 4200000000 }], 23456),
  },
  {
    name: 'OPEN with multiprotocol and refresh, RFC 4760 8, RFC 2918 2, RFC 7313 3.1, RFC 8654 3',
    hex: `${MARKER} 0031 01 | 04 fc00 005a 0a000001 14 | 02 12 | 01 04 0001 00 01 | 01 04 0002 00 01 | 02 00 | 46 00 | 06 00`,
    message: open([
      { type: 'multiprotocol', afi: 1, safi: 1 },
      { type: 'multiprotocol', afi: 2, safi: 1 },
      { type: 'route-refresh' },
      { type: 'enhanced-route-refresh' },
      { type: 'extended-message' },
    ]),
  },
  {
    name: 'OPEN with graceful restart, RFC 4724 3, RFC 8538 2',
    hex: `${MARKER} 002b 01 | 04 fc00 005a 0a000001 0e | 02 0c | 40 0a c078 | 0001 01 80 | 0002 01 00`,
    message: open([
      {
        type: 'graceful-restart',
        restarting: true,
        notification: true,
        restartTime: 120,
        families: [
          { afi: 1, safi: 1, forwardingPreserved: true },
          { afi: 2, safi: 1, forwardingPreserved: false },
        ],
      },
    ]),
  },
  {
    name: 'OPEN with long-lived graceful restart, RFC 9494 3',
    hex: `${MARKER} 0028 01 | 04 fc00 005a 0a000001 0b | 02 09 | 47 07 0002 01 80 015180`,
    message: open([
      {
        type: 'long-lived-graceful-restart',
        families: [{ afi: 2, safi: 1, forwardingPreserved: true, staleTime: 86400 }],
      },
    ]),
  },
  {
    name: 'OPEN with ADD-PATH, RFC 7911 4',
    hex: `${MARKER} 0029 01 | 04 fc00 005a 0a000001 0c | 02 0a | 45 08 0001 01 03 | 0002 01 01`,
    message: open([
      {
        type: 'add-path',
        families: [
          { afi: 1, safi: 1, receive: true, send: true },
          { afi: 2, safi: 1, receive: true, send: false },
        ],
      },
    ]),
  },
  {
    name: 'OPEN with extended next hop, RFC 8950 4',
    hex: `${MARKER} 0027 01 | 04 fc00 005a 0a000001 0a | 02 08 | 05 06 0001 0001 0002`,
    message: open([{ type: 'extended-next-hop', families: [{ afi: 1, safi: 1, nextHopAfi: 2 }] }]),
  },
  {
    name: 'OPEN with a role, RFC 9234 4.1, and a name',
    hex: `${MARKER} 002c 01 | 04 fc00 005a 0a000001 0f | 02 0d | 09 01 03 | 49 08 02 6e31 04 7261636b`,
    message: open([
      { type: 'role', role: 'customer' },
      { type: 'fqdn', host: 'n1', domain: 'rack' },
    ]),
  },
  {
    name: 'OPEN with a capability nobody knows, RFC 5492 4',
    hex: `${MARKER} 0024 01 | 04 fc00 005a 0a000001 07 | 02 05 | f0 03 010203`,
    message: open([{ type: 'unknown', code: 0xf0, value: hex('010203') }]),
  },
  {
    name: 'NOTIFICATION, RFC 4271 4.5',
    hex: `${MARKER} 0017 03 | 06 02 | 0161`,
    message: { type: 'notification', code: 6, subcode: 2, data: hex('0161') },
  },
  {
    name: 'ROUTE-REFRESH, RFC 2918 3',
    hex: `${MARKER} 0017 05 | 0001 00 01`,
    message: { type: 'route-refresh', afi: 1, safi: 1, subtype: 'request' },
  },
  {
    name: 'BoRR, RFC 7313 3.2',
    hex: `${MARKER} 0017 05 | 0002 01 01`,
    message: { type: 'route-refresh', afi: 2, safi: 1, subtype: 'begin' },
  },
  {
    name: 'EoRR, RFC 7313 3.2',
    hex: `${MARKER} 0017 05 | 0002 02 01`,
    message: { type: 'route-refresh', afi: 2, safi: 1, subtype: 'end' },
  },
];

const decodeBody = (message: Uint8Array) => decodeControlMessage(message[18] ?? 0, message, 19, message.length);

describe('bgp/codec/message', () => {
  for (const vector of VECTORS) {
    it(`encodes ${vector.name}`, () =>
      expect(toHex(encodeControlMessage(vector.message))).to.equal(toHex(hex(vector.hex))));
    it(`decodes ${vector.name}`, () =>
      expect(decodeBody(hex(vector.hex))).to.deep.equal({ type: 'ok', value: vector.message }));
    it(`survives ${vector.name} cut at every octet`, () => {
      const whole = hex(vector.hex);
      for (let end = 19; end < whole.length; end++) {
        const outcome = decodeControlMessage(whole[18] ?? 0, whole.slice(0, end), 19, end);
        // A NOTIFICATION may end anywhere after its subcode; everything else that is cut is an error.
        if (vector.message.type !== 'notification' || end < 21) expect(outcome.type, `cut at ${end}`).to.equal('error');
      }
    });
  }

  it('uses the long parameter format of RFC 9072 when capabilities outgrow 255 octets, and reads it', () => {
    const capabilities: Capability[] = Array.from({ length: 40 }, (_, i) => ({
      type: 'unknown',
      code: 200,
      value: new Uint8Array(10).fill(i),
    }));
    const message = encodeControlMessage(open(capabilities));
    expect(toHex(message.subarray(28, 35))).to.equal('ffff' + '01e3' + '02' + '01e0');
    expect(decodeBody(message)).to.deep.equal({ type: 'ok', value: open(capabilities) });
  });

  it('reads the long format also when it is not needed (RFC 9072 section 2)', () => {
    const body = hex('04 fc00 005a 0a000001 ff ff 0005 02 0002 0200');
    expect(decodeControlMessage(1, body, 0, body.length)).to.deep.equal({
      type: 'ok',
      value: open([{ type: 'route-refresh' }]),
    });
  });

  it('reads capabilities spread over several parameters (RFC 5492 section 4)', () => {
    const body = hex('04 fc00 005a 0a000001 0e | 02 02 0200 | 02 02 4600 | 02 04 0600 0600');
    const outcome = decodeControlMessage(1, body, 0, body.length);
    expect(
      outcome.type === 'ok' && outcome.value.type === 'open' ? outcome.value.capabilities.map((c) => c.type) : outcome,
    ).to.deep.equal(['route-refresh', 'enhanced-route-refresh', 'extended-message', 'extended-message']);
  });

  const nonsense: readonly (readonly [string, string])[] = [
    ['zero-length multiprotocol', '01 00'],
    ['route refresh with a value', '02 01 00'],
    ['three-octet AS', '41 03 010203'],
    ['one-octet graceful restart', '40 01 00'],
    ['graceful restart with half a family', '40 04 0078 0001'],
    ['long-lived with half a family', '47 03 000101'],
    ['role 77', '09 01 4d'],
    ['role of two octets', '09 02 0000'],
    ['empty role', '09 00'],
    ['name that overruns', '49 03 09 6161'],
    ['empty name', '49 00'],
    ['half an ADD-PATH', '45 02 0001'],
    ['half an extended next hop', '05 04 0001 0001'],
  ];
  for (const [name, octets] of nonsense)
    it(`keeps a ${name} as unknown instead of ending the session`, () => {
      const value = hex(octets);
      const body = Uint8Array.of(...hex('04 fc00 005a 0a000001'), value.length + 2, 2, value.length, ...value);
      const outcome = decodeControlMessage(1, body, 0, body.length);
      expect(outcome).to.deep.equal({
        type: 'ok',
        value: open([{ type: 'unknown', code: value[0] ?? 0, value: value.slice(2) }]),
      });
    });

  it('ignores an ADD-PATH entry whose mode is none of 1, 2, 3 (RFC 7911 section 4)', () => {
    const body = hex('04 fc00 005a 0a000001 0c | 02 0a | 45 08 0001 01 04 | 0002 01 02');
    expect(decodeControlMessage(1, body, 0, body.length)).to.deep.equal({
      type: 'ok',
      value: open([{ type: 'add-path', families: [{ afi: 2, safi: 1, receive: false, send: true }] }]),
    });
  });

  const refused: readonly (readonly [
    name: string,
    type: number,
    body: string,
    code: number,
    subcode: number,
    data: string,
  ])[] = [
    ['OPEN of version 3 (RFC 4271 6.2)', 1, '03 fc00 005a 0a000001 00', 2, 1, '0004'],
    ['OPEN from AS 0 (RFC 7607 2)', 1, '04 0000 005a 0a000001 00', 2, 2, ''],
    ['OPEN from four-octet AS 0 (RFC 7607 2)', 1, '04 5ba0 005a 0a000001 08 02 06 41 04 00000000', 2, 2, ''],
    ['OPEN with identifier 0 (RFC 6286 2.1)', 1, '04 fc00 005a 00000000 00', 2, 3, ''],
    ['OPEN with hold time 1 (RFC 4271 6.2)', 1, '04 fc00 0001 0a000001 00', 2, 6, ''],
    ['OPEN with hold time 2 (RFC 4271 6.2)', 1, '04 fc00 0002 0a000001 00', 2, 6, ''],
    ['OPEN with parameter type 1 (RFC 4271 6.2)', 1, '04 fc00 005a 0a000001 02 01 00', 2, 4, ''],
    ['OPEN whose parameters overrun (RFC 4271 6.2)', 1, '04 fc00 005a 0a000001 04 02 00', 2, 0, ''],
    ['OPEN whose parameter overruns', 1, '04 fc00 005a 0a000001 02 02 05', 2, 0, ''],
    ['OPEN whose capability overruns', 1, '04 fc00 005a 0a000001 04 02 02 41 04', 2, 0, ''],
    ['OPEN with octets after its parameters', 1, '04 fc00 005a 0a000001 00 00', 2, 0, ''],
    ['ROUTE-REFRESH that is too long (RFC 4271 6.1)', 5, '0001 00 01 00', 1, 2, '0018'],
    ['BoRR that is too long (RFC 7313 5)', 5, '0001 01 01 00', 7, 1, `${MARKER}0018050001010100`],
    ['type 6', 6, '', 1, 3, '06'],
  ];
  for (const [name, type, octets, code, subcode, data] of refused)
    it(`refuses ${name} with ${code}/${subcode}`, () => {
      const body = hex(octets);
      const outcome = decodeControlMessage(type, body, 0, body.length);
      if (outcome.type === 'ok') throw new Error('It was accepted');
      expect([outcome.error.code, outcome.error.subcode, toHex(outcome.error.data)]).to.deep.equal([
        code,
        subcode,
        data,
      ]);
      expect(outcome.error.severity).to.equal('reset');
      expect(outcome.error.reason).to.match(/^Cannot /);
    });

  it('takes hold time 0 and 3', () => {
    for (const hold of ['0000', '0003'])
      expect(decodeControlMessage(1, hex(`04 fc00 ${hold} 0a000001 00`), 0, 10).type).to.equal('ok');
  });

  it('never throws on any octets of any type', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 80 }), (type, body) => {
        decodeControlMessage(type, body, 0, body.length);
      }),
      { numRuns: 2000 },
    ));

  it('describes every capability', () => {
    const texts = VECTORS.flatMap(({ message }) =>
      message.type === 'open' ? message.capabilities.map(formatCapability) : [],
    );
    expect(texts).to.include.members([
      'multiprotocol ipv6 unicast',
      'four-octet-as 4200000000',
      'graceful-restart 120 s, restarting, notification: ipv4 unicast (forwarding), ipv6 unicast',
      'add-path ipv4 unicast both, ipv6 unicast receive',
      'extended-next-hop ipv4 unicast over ipv6',
      'role customer',
      'fqdn n1.rack',
      'capability 240 010203',
    ]);
  });
});

describe('bgp/codec/open', () => {
  const expected: OpenExpectation = { localAs: 64512, localIdentifier: 0x0a000009, remoteAs: 64512 };
  const subcodeOf = (message: OpenMessage, expectation: Partial<OpenExpectation> = {}): number | undefined =>
    checkOpen(message, { ...expected, ...expectation })?.subcode;

  it('takes the AS from the four-octet capability', () => {
    expect(openAs(open([{ type: 'four-octet-as', as: 70000 }], 23456))).to.equal(70000);
    expect([openAsField(70000), openAsField(65535)]).to.deep.equal([23456, 65535]);
  });
  it('refuses another AS than configured with 2/2', () => {
    expect(subcodeOf(open([]))).to.equal(undefined);
    expect(subcodeOf(open([], 64513))).to.equal(2);
  });
  it('refuses its own identifier inside the AS and takes it from another AS (RFC 6286 section 2.2)', () => {
    expect(subcodeOf(open([]), { localIdentifier: 0x0a000001 })).to.equal(3);
    expect(subcodeOf(open([], 65001), { localIdentifier: 0x0a000001, remoteAs: 65001 })).to.equal(undefined);
  });

  const roles = ['provider', 'customer', 'peer', 'route-server', 'route-server-client'] as const;
  const pairs = new Set([
    'provider customer',
    'customer provider',
    'peer peer',
    'route-server route-server-client',
    'route-server-client route-server',
  ]);
  for (const ours of roles)
    for (const theirs of roles) {
      const fits = pairs.has(`${ours} ${theirs}`);
      it(`${fits ? 'takes' : 'refuses'} a ${theirs} beside our ${ours} (RFC 9234 section 4.2)`, () =>
        expect(subcodeOf(open([{ type: 'role', role: theirs }]), { role: ours })).to.equal(fits ? undefined : 11));
    }
  it('refuses two different roles, an undefined one, and none in strict mode', () => {
    expect(
      subcodeOf(
        open([
          { type: 'role', role: 'peer' },
          { type: 'role', role: 'customer' },
        ]),
        { role: 'peer' },
      ),
    ).to.equal(11);
    expect(subcodeOf(open([{ type: 'unknown', code: 9, value: hex('4d') }]), { role: 'peer' })).to.equal(11);
    expect(subcodeOf(open([]), { role: 'peer' })).to.equal(undefined);
    expect(subcodeOf(open([]), { role: 'peer', requireRole: true })).to.equal(11);
    expect(subcodeOf(open([{ type: 'role', role: 'peer' }]))).to.equal(undefined);
  });
});
