import { expect } from 'chai';
import fc from 'fast-check';
import { decodeBfdPacket, describeDiagnostic, encodeBfdPacket, type BfdPacket } from 'node-bgp/bfd/packet';
import { hex, toHex } from '../codec/hex.js';

const UP: BfdPacket = {
  diagnostic: 0,
  state: 'up',
  poll: false,
  final: false,
  controlPlaneIndependent: false,
  demand: false,
  detectMultiplier: 3,
  myDiscriminator: 0x01020304,
  yourDiscriminator: 0x05060708,
  desiredMinTx: 50_000,
  requiredMinRx: 50_000,
  requiredMinEchoRx: 0,
};

const VECTORS: readonly { readonly name: string; readonly hex: string; readonly packet: BfdPacket }[] = [
  { name: 'Up', hex: '20 c0 03 18 | 01020304 | 05060708 | 0000c350 | 0000c350 | 00000000', packet: UP },
  {
    name: 'Down, polling',
    hex: '20 60 03 18 | 01020304 | 00000000 | 000f4240 | 0000c350 | 00000000',
    packet: { ...UP, state: 'down', poll: true, yourDiscriminator: 0, desiredMinTx: 1_000_000 },
  },
  {
    name: 'Init, final, control plane independent',
    hex: '20 98 05 18 | 01020304 | 05060708 | 0000c350 | 0000c350 | 00000000',
    packet: { ...UP, state: 'init', final: true, controlPlaneIndependent: true, detectMultiplier: 5 },
  },
  {
    name: 'AdminDown with its diagnostic',
    hex: '27 00 03 18 | 01020304 | 05060708 | 0000c350 | 0000c350 | 00000000',
    packet: { ...UP, state: 'admin-down', diagnostic: 7 },
  },
  {
    name: 'Up in demand mode with echo',
    hex: '21 c2 03 18 | 01020304 | 05060708 | 0000c350 | 0000c350 | 00002710',
    packet: { ...UP, diagnostic: 1, demand: true, requiredMinEchoRx: 10_000 },
  },
];

describe('bgp/bfd/packet', () => {
  for (const vector of VECTORS) {
    it(`encodes ${vector.name} (RFC 5880 section 4.1)`, () =>
      expect(toHex(encodeBfdPacket(vector.packet))).to.equal(toHex(hex(vector.hex))));
    it(`decodes ${vector.name}`, () =>
      expect(decodeBfdPacket(hex(vector.hex))).to.deep.equal({ type: 'ok', packet: vector.packet }));
  }
  it('discards every truncation', () => {
    const whole = encodeBfdPacket(UP);
    for (let end = 0; end < whole.length; end++)
      expect(decodeBfdPacket(whole.subarray(0, end)).type, `cut at ${end}`).to.equal('discard');
  });
  it('takes a packet that lies in a longer datagram', () =>
    expect(decodeBfdPacket(Uint8Array.of(...encodeBfdPacket(UP), 1, 2, 3)).type).to.equal('ok'));

  const refused: readonly (readonly [string, string])[] = [
    ['version 0', '00 c0 03 18 01020304 05060708 0000c350 0000c350 00000000'],
    ['version 2', '40 c0 03 18 01020304 05060708 0000c350 0000c350 00000000'],
    ['a length below 24', '20 c0 03 17 01020304 05060708 0000c350 0000c350 00000000'],
    ['a length beyond the datagram', '20 c0 03 19 01020304 05060708 0000c350 0000c350 00000000'],
    ['detect multiplier 0', '20 c0 00 18 01020304 05060708 0000c350 0000c350 00000000'],
    ['the multipoint bit', '20 c1 03 18 01020304 05060708 0000c350 0000c350 00000000'],
    ['authentication', '20 c4 03 1c 01020304 05060708 0000c350 0000c350 00000000 01040100'],
    ['authentication without room for it', '20 c4 03 18 01020304 05060708 0000c350 0000c350 00000000'],
    ['my discriminator 0', '20 c0 03 18 00000000 05060708 0000c350 0000c350 00000000'],
    ['your discriminator 0 in Up', '20 c0 03 18 01020304 00000000 0000c350 0000c350 00000000'],
    ['your discriminator 0 in Init', '20 80 03 18 01020304 00000000 0000c350 0000c350 00000000'],
    ['nothing but zeros', '00'.repeat(24)],
  ];
  for (const [name, octets] of refused)
    it(`discards ${name} (RFC 5880 section 6.8.6)`, () =>
      expect(decodeBfdPacket(hex(octets)).type).to.equal('discard'));

  it('takes your discriminator 0 in Down and AdminDown', () => {
    for (const second of ['40', '00'])
      expect(decodeBfdPacket(hex(`20 ${second} 03 18 01020304 00000000 0000c350 0000c350 00000000`)).type).to.equal(
        'ok',
      );
  });
  it('gives back what it encoded, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 24, maxLength: 40 }), (bytes) => {
        const decoded = decodeBfdPacket(bytes);
        if (decoded.type === 'ok') expect(decodeBfdPacket(encodeBfdPacket(decoded.packet))).to.deep.equal(decoded);
      }),
      { numRuns: 2000 },
    );
  });
  it('has words for every diagnostic', () => {
    expect([describeDiagnostic(1), describeDiagnostic(7), describeDiagnostic(31)]).to.deep.equal([
      'control detection time expired',
      'administratively down',
      'diagnostic 31',
    ]);
  });
});
