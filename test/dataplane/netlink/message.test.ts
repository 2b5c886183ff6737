import { expect } from 'chai';
import fc from 'fast-check';
import { type IpAddress, parseAddress } from 'node-bgp/address';
import { NetlinkBatch } from '../../../src/dataplane/netlink/batch.js';
import { decodeInterfaceAddress } from '../../../src/dataplane/netlink/interface-address.js';
import { decodeLink } from '../../../src/dataplane/netlink/link.js';
import {
  decodeAnswer,
  forEachAttribute,
  forEachMessage,
  type NetlinkMessage,
  NetlinkProtocolError,
  Octets,
} from '../../../src/dataplane/netlink/message.js';
import { decodeEvents } from '../../../src/dataplane/netlink/monitor.js';
import { decodeNeighbour } from '../../../src/dataplane/netlink/neighbour.js';
import { writeRouteChange } from '../../../src/dataplane/netlink/route-change.js';
import { decodeRoute } from '../../../src/dataplane/netlink/route-message.js';
import * as recorded from './recorded.js';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const bytesOf = (batch: NetlinkBatch): string => Buffer.from(batch.bytes).toString('hex');
const messagesOf = (bytes: Uint8Array): NetlinkMessage[] => {
  const messages: NetlinkMessage[] = [];
  forEachMessage(bytes, (message) => messages.push(message));
  return messages;
};

/** Only NetlinkProtocolError may come out of a decoder, whatever goes in. */
const decodes = (bytes: Uint8Array): void => {
  try {
    forEachMessage(bytes, (message) => {
      for (const decode of [decodeRoute, decodeLink, decodeInterfaceAddress, decodeNeighbour, decodeAnswer])
        attempt(() => decode(message));
    });
  } catch (error) {
    if (!(error instanceof NetlinkProtocolError)) throw error;
  }
  decodeEvents(bytes);
};
const attempt = (work: () => unknown): void => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof NetlinkProtocolError)) throw error;
  }
};

describe('netlink messages', () => {
  it('are written as linux/rtnetlink.h lays them out', () => {
    const batch = new NetlinkBatch(8);
    writeRouteChange(batch, {
      type: 'add',
      route: {
        prefix: { family: 4, value: 0x0a410000n, length: 26 },
        protocol: 172,
        metric: 5,
        nextHops: [{ via: { family: 4, value: 0x0a000002n }, interfaceIndex: 7 }],
      },
    });
    expect(bytesOf(batch)).to.equal(
      Buffer.from(
        hex(`
      3c000000 1800 0106 00000000 00000000
      02 1a 00 00 fe ac 00 01 00000000
      0800 0100 0a410000
      0800 0600 05000000
      0800 0400 07000000
      0800 0500 0a000002`),
      ).toString('hex'),
    );
  });

  it('are split and read back', () => {
    const batch = new NetlinkBatch();
    batch.beginMessage(100, 0x4, () => 'first');
    batch.u8(1);
    batch.endMessage();
    batch.pad();
    batch.beginMessage(200, 0, () => 'second');
    batch.attributeText(3, 'abc');
    const nest = batch.beginNest(4, true);
    batch.attributeU16be(1, 0x1234);
    batch.attributeU64(2, 0x1_0000_0000n);
    batch.attributeFlag(3);
    batch.endNest(nest);
    batch.endMessage();
    expect(batch.count).to.equal(2);
    const [first, second] = messagesOf(batch.bytes);
    expect(first).to.include({ type: 100, flags: 0x5 });
    const seen: unknown[] = [];
    if (second === undefined) throw new Error('There is no second message');
    const { body } = second;
    forEachAttribute(body, 0, body.length, (type, start, end) => {
      if (type === 3) seen.push(body.text(start, end));
      else
        forEachAttribute(body, start, end, (inner, from, to) =>
          seen.push([inner, inner === 1 ? body.u16be(from) : inner === 2 ? body.u64(from) : to - from]),
        );
    });
    expect(seen).to.deep.equal(['abc', [1, 0x1234], [2, 0x1_0000_0000n], [3, 0]]);
  });

  it("carry the kernel's refusal, capped or with the whole request, with and without a sentence", () => {
    const extended = '1900 0100 4e657874686f702068617320696e76616c696420 00 000000 0800 0200 14000000';
    const header = '1c000000 1800 0500 01000000 00000000';
    const error = (flags: string, rest: string): NetlinkMessage => {
      const body = hex(`9bffffff ${header} ${rest}`);
      return { type: 2, flags: parseInt(flags, 16), sequence: 1, portId: 0, body: new Octets(body) };
    };
    expect(decodeAnswer(error('0', ''))).to.deep.equal({ errno: 101 });
    expect(decodeAnswer(error('300', extended))).to.deep.equal({
      errno: 101,
      explanation: 'Nexthop has invalid ',
      offset: 20,
    });
    expect(decodeAnswer(error('200', `02000000 00000000 00000000 ${extended}`))).to.deep.equal({
      errno: 101,
      explanation: 'Nexthop has invalid ',
      offset: 20,
    });
  });

  it('of a wrong length are refused, never read past', () => {
    expect(() => messagesOf(hex('0f000000 0000 0000 00000000 00000000'))).to.throw(
      NetlinkProtocolError,
      'length 15: expected 16 to 16',
    );
    expect(() => messagesOf(hex('14000000 0000 0000 00000000 00000000'))).to.throw(
      NetlinkProtocolError,
      'length 20: expected 16 to 16',
    );
    expect(() => forEachAttribute(new Octets(hex('0300 0100')), 0, 4, () => undefined)).to.throw(
      NetlinkProtocolError,
      'length 3: expected 4 to 4',
    );
    expect(() => forEachAttribute(new Octets(hex('0500 0100')), 0, 4, () => undefined)).to.throw(
      NetlinkProtocolError,
      'length 5: expected 4 to 4',
    );
  });

  describe('of the kernel', () => {
    const only = (text: string): NetlinkMessage => {
      const [message, ...others] = messagesOf(hex(text));
      if (message === undefined || others.length > 0) throw new Error('Expected one message');
      return message;
    };

    it('decode', () => {
      const gateway = (last: number): IpAddress => ({ family: 4, value: 0x0a000000n + BigInt(last) });
      expect(decodeRoute(only(recorded.route))).to.deep.include({
        type: 'unicast',
        table: 254,
        protocol: 172,
        metric: 9,
        prefix: { family: 4, value: 0x0a410000n, length: 26 },
        nextHops: [
          { via: gateway(2), interfaceIndex: 3, weight: 1 },
          { via: gateway(3), interfaceIndex: 3, weight: 3 },
        ],
      });
      expect(decodeInterfaceAddress(only(recorded.address))).to.deep.include({
        interfaceIndex: 3,
        prefixLength: 64,
        scope: 253,
        isTentative: true,
        address: parseAddress('fe80::ecee:eeff:feee:eeee'),
      });
      expect(decodeNeighbour(only(recorded.neighbour))).to.deep.equal({
        interfaceIndex: 3,
        address: parseAddress('169.254.1.1'),
        mac: 'ee:ee:ee:ee:ee:ee',
        isPermanent: true,
        isSilent: false,
      });
      expect(decodeLink(only(recorded.link))).to.include({
        index: 3,
        name: 'v0',
        kind: 'veth',
        peerIndex: 2,
        alias: 'tortie:c1/eth0',
        mac: 'ee:ee:ee:ee:ee:ee',
        mtu: 1500,
        isUp: true,
        state: 'up',
      });
    });

    for (const [name, text] of Object.entries(recorded)) {
      const bytes = hex(text);
      it(`never crash a decoder when cut or mangled: ${name}`, () => {
        for (let cut = 0; cut <= bytes.length; cut++) decodes(bytes.slice(0, cut));
        // A cut message whose header says so.
        for (let cut = 16; cut <= bytes.length; cut++) {
          const shorter = bytes.slice(0, cut);
          new DataView(shorter.buffer).setUint32(0, cut, true);
          decodes(shorter);
        }
        fc.assert(
          fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 }), (edits) => {
            const mangled = Uint8Array.from(bytes);
            for (const [at, value] of edits) mangled[at] = value;
            decodes(mangled);
          }),
          { numRuns: 2_000 },
        );
      });
    }

    it('never crash a decoder when random', () => {
      fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), decodes), { numRuns: 2_000 });
      const type = fc.constantFrom(2, 3, 16, 17, 20, 21, 24, 25, 28, 29);
      fc.assert(
        fc.property(type, fc.uint8Array({ maxLength: 200 }), (kind, body) => {
          const message = new Uint8Array(16 + body.length);
          const view = new DataView(message.buffer);
          view.setUint32(0, message.length, true);
          view.setUint16(4, kind, true);
          message.set(body, 16);
          decodes(message);
        }),
        { numRuns: 5_000 },
      );
    });
  });
});
