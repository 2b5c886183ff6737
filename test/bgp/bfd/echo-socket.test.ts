/** Echo datagrams: no kernel checks all of this, since the peer only forwards them and the packet socket takes anything. */
import { expect } from 'chai';
import fc from 'fast-check';
import { addressToBytes, parseAddress } from 'node-bgp/address';
import { encodeEchoDatagram } from 'node-bgp/bfd/echo-socket';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const payload = Uint8Array.from({ length: 16 }, (_, index) => index);

describe('bgp/bfd/echo-socket', () => {
  // Made by another implementation.
  const vectors: readonly (readonly [address: string, packet: string])[] = [
    ['10.99.0.1', '45c0002c00004000ff1166390a6300010a6300010ec90ec900189524000102030405060708090a0b0c0d0e0f'],
    [
      'fd99::1',
      '6c000000001811fffd990000000000000000000000000001fd9900000000000000000000000000010ec90ec90018aeb6000102030405060708090a0b0c0d0e0f',
    ],
  ];
  for (const [address, packet] of vectors)
    it(`goes from ${address} to itself, port 3785, TTL 255 (RFC 5881 sections 4 and 5)`, () => {
      expect(hex(encodeEchoDatagram(addressToBytes(parseAddress(address)), payload))).to.equal(packet);
    });

  it('has checksums that a receiver would find right, whatever it carries', () => {
    /** RFC 1071: with the checksum in it, the sum of a correct message is all ones. */
    const sum = (bytes: readonly number[]): number => {
      let total = 0;
      for (let i = 0; i < bytes.length; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
      while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
      return total;
    };
    const octets = (length: number): fc.Arbitrary<Uint8Array> =>
      fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(fc.oneof(octets(4), octets(16)), fc.uint8Array({ maxLength: 40 }), (own, carried) => {
        const packet = encodeEchoDatagram(own, carried);
        const header = own.length === 4 ? 20 : 40;
        const udp = packet.subarray(header);
        if (own.length === 4) expect(sum([...packet.subarray(0, header)])).to.equal(0xffff);
        expect(sum([...own, ...own, 0, 17, udp.length >> 8, udp.length & 255, ...udp])).to.equal(0xffff);
        expect((udp[6] ?? 0) | (udp[7] ?? 0), 'checksum 0 would mean none').to.not.equal(0);
      }),
    );
  });
});
