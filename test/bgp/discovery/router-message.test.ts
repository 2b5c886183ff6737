/** Router Solicitations and Advertisements as octets: vectors both ways, every cut, and whatever a stranger may send. */
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeRouterMessage, encodeAdvertisement, encodeSolicitation } from 'node-bgp/discovery/router-message';
import { hex as bytesOf, toHex as hexOf } from '../codec/hex.js';

const MAC = Uint8Array.of(0x02, 0x42, 0xac, 0x11, 0x00, 0x02);

describe('bgp/discovery router-message', () => {
  it('says that we are a router, and nobody’s default router', () => {
    expect(hexOf(encodeAdvertisement(MAC))).to.equal(
      '86000000' + '00000000' + '00000000' + '00000000' + '01010242ac110002',
    );
    expect(hexOf(encodeAdvertisement())).to.equal('86000000000000000000000000000000');
    expect(decodeRouterMessage(encodeAdvertisement(MAC))).to.deep.equal({ type: 'advertisement', lifetime: 0 });
  });

  it('asks who is there', () => {
    expect(hexOf(encodeSolicitation(MAC))).to.equal('85000000' + '00000000' + '01010242ac110002');
    expect(decodeRouterMessage(encodeSolicitation(MAC))).to.deep.equal({ type: 'solicitation' });
  });

  it('pads a link-layer address of any length (RFC 4861 section 4.6.1)', () => {
    expect(hexOf(encodeSolicitation(new Uint8Array(20).fill(0xaa)).subarray(8))).to.equal(`0103${'aa'.repeat(20)}0000`);
  });

  it('reads what FRR 8.4 sends', () => {
    // Captured: hop limit 64, router lifetime 30 s (three intervals), source link-layer address.
    expect(decodeRouterMessage(bytesOf('86003950 4000001e 00000000 00000000 0101de3afaa5a97b'))).to.deep.equal({
      type: 'advertisement',
      lifetime: 30,
    });
  });

  for (const [what, hex, reason] of [
    ['nothing', '', 'type none'],
    ['a neighbour solicitation', '8700000000000000', 'type 135'],
    ['an advertisement of 8 octets', '8600000040000000', '8 octets; expected at least 16'],
    ['a solicitation of 7 octets', '85000000000000', '7 octets; expected at least 8'],
    ['a code', '86010000400000000000000000000000', 'code 1; expected 0'],
    ['an option of length 0', '860000004000000000000000000000000100000000000000', 'an option of length 0'],
    [
      'an option that overruns',
      '860000004000000000000000000000000102000000000000',
      'an option that overruns the message',
    ],
    ['an option cut after its type', '8600000040000000000000000000000001', 'an option of length 0'],
  ] as const)
    it(`drops ${what} (RFC 4861 sections 6.1.1 and 6.1.2)`, () =>
      expect(decodeRouterMessage(bytesOf(hex))).to.deep.equal({ type: 'invalid', reason }));

  it('drops every cut of a good message, but the one that only loses an option', () => {
    const whole = encodeAdvertisement(MAC);
    for (let length = 0; length < whole.length; length++)
      expect(decodeRouterMessage(whole.subarray(0, length)).type, `${length} octets`).to.equal(
        length === 16 ? 'advertisement' : 'invalid',
      );
  });

  it('bounds the options it walks', () => {
    const bytes = new Uint8Array(16 + 8 * 257);
    bytes[0] = 134;
    for (let at = 16; at < bytes.length; at += 8) bytes[at + 1] = 1;
    expect(decodeRouterMessage(bytes)).to.deep.equal({ type: 'invalid', reason: 'more than 256 options' });
    expect(decodeRouterMessage(bytes.subarray(0, -8)).type).to.equal('advertisement');
  });

  it('keeps its promises on 20,000 inputs: never throws, and takes only what the RFC allows', () => {
    // Mostly whole options, and now and then one whose length lies.
    const option = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 3 }), fc.constantFrom(0, 0, 0, 0, 0, -8, 3, 8))
      .map(([type, units, lie]) => [type, units, ...new Array<number>(Math.max(0, 8 * units + lie - 2)).fill(type)]);
    const structured = fc
      .tuple(
        fc.constantFrom(133, 134),
        fc.constantFrom(0, 0, 0, 1),
        fc.constantFrom(0, 0, 0, -1, 8),
        fc.array(option, { maxLength: 4 }),
      )
      .map(([type, code, lie, options]) =>
        Uint8Array.from([
          type,
          code,
          ...new Array<number>((type === 133 ? 6 : 14) + Math.max(-6, lie)).fill(7),
          ...options.flat(),
        ]),
      );
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(structured, fc.uint8Array({ maxLength: 80 })), (bytes) => {
        const message = decodeRouterMessage(bytes);
        if (message.type === 'invalid') return;
        taken++;
        const header = message.type === 'solicitation' ? 8 : 16;
        expect(bytes.length).to.be.at.least(header);
        expect(bytes[0]).to.equal(message.type === 'solicitation' ? 133 : 134);
        expect(bytes[1]).to.equal(0);
        // Options fill the rest exactly.
        let at = header;
        while (at < bytes.length) at += 8 * (bytes[at + 1] ?? 0);
        expect(at).to.equal(bytes.length);
      }),
      { numRuns: 20_000 },
    );
    expect(taken).to.be.above(500);
  });
});
