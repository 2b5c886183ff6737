/** RFC 7606 class by class: each malformed UPDATE, and which of discard, treat-as-withdraw and reset it must end in. */
import { expect } from 'chai';
import type { DecodeParameters } from 'node-bgp/codec/negotiated';
import { decodeUpdate } from 'node-bgp/codec/update';
import { strongest } from 'node-bgp/codec/bgp-error';
import { attribute, toHex, updateBody } from './hex.js';
import { decodePlain, EBGP, IBGP } from './sessions.js';

const ORIGIN = attribute(0x40, 1, '00');
const AS_PATH = attribute(0x40, 2, '02010000fde9');
const NEXT_HOP = attribute(0x40, 3, '0a000001');
const BASE = ORIGIN + AS_PATH + NEXT_HOP;
const OLD: DecodeParameters = { ...EBGP, as4: false };
const OLD_PATH = attribute(0x40, 2, '0201fde9');

interface Case {
  readonly name: string;
  readonly clause: string;
  readonly attributes: string;
  readonly approach: 'discard' | 'withdraw' | 'reset';
  readonly subcode?: number;
  readonly parameters?: DecodeParameters;
  /** Default: one prefix in the classic field. */
  readonly nlri?: string;
}

const REACH6 = attribute(0x80, 14, '00020110fd00000000000000000000000000000100' + '10fd00');

const CASES: readonly Case[] = [
  // Section 3: flags, presence, repetition.
  {
    name: 'ORIGIN flagged optional',
    clause: '3c',
    attributes: attribute(0xc0, 1, '00') + AS_PATH + NEXT_HOP,
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'AS_PATH flagged non-transitive',
    clause: '3c',
    attributes: ORIGIN + attribute(0x00, 2, '02010000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'NEXT_HOP flagged optional',
    clause: '3c',
    attributes: ORIGIN + AS_PATH + attribute(0xc0, 3, '0a000001'),
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'MULTI_EXIT_DISC flagged transitive',
    clause: '3c',
    attributes: BASE + attribute(0xc0, 4, '00000001'),
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'COMMUNITIES flagged non-transitive',
    clause: '3c',
    attributes: BASE + attribute(0x80, 8, '00000001'),
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'MP_REACH_NLRI flagged transitive',
    clause: '3c',
    attributes: attribute(0xc0, 14, REACH6.slice(6)) + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'MP_UNREACH_NLRI flagged transitive, alone',
    clause: '3c',
    attributes: attribute(0xc0, 15, '00020110fd00'),
    nlri: '',
    approach: 'withdraw',
    subcode: 4,
  },
  {
    name: 'AGGREGATOR flagged non-transitive',
    clause: '3f',
    attributes: BASE + attribute(0x80, 7, '0000fde90a000001'),
    approach: 'discard',
    subcode: 4,
  },
  { name: 'no ORIGIN', clause: '3d', attributes: AS_PATH + NEXT_HOP, approach: 'withdraw', subcode: 3 },
  { name: 'no AS_PATH', clause: '3d', attributes: ORIGIN + NEXT_HOP, approach: 'withdraw', subcode: 3 },
  { name: 'no NEXT_HOP', clause: '3d', attributes: ORIGIN + AS_PATH, approach: 'withdraw', subcode: 3 },
  {
    name: 'no AS_PATH beside MP_REACH_NLRI',
    clause: '3d',
    attributes: REACH6 + ORIGIN,
    nlri: '',
    approach: 'withdraw',
    subcode: 3,
  },
  {
    name: 'COMMUNITIES twice',
    clause: '3g',
    attributes: BASE + attribute(0xc0, 8, '00000001') + attribute(0xc0, 8, '00000002'),
    approach: 'discard',
    subcode: 1,
  },
  {
    name: 'an unknown attribute twice',
    clause: '3g',
    attributes: BASE + attribute(0xc0, 99, '01') + attribute(0xc0, 99, '02'),
    approach: 'discard',
    subcode: 1,
  },
  {
    name: 'MP_REACH_NLRI twice',
    clause: '3g',
    attributes: REACH6 + REACH6 + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 1,
  },
  {
    name: 'MP_UNREACH_NLRI twice',
    clause: '3g',
    attributes: attribute(0x80, 15, '000201') + attribute(0x80, 15, '000201'),
    nlri: '',
    approach: 'reset',
    subcode: 1,
  },
  {
    name: 'an unknown attribute that claims to be well-known',
    clause: 'RFC 4271 6.3',
    attributes: BASE + attribute(0x40, 99, '01'),
    approach: 'reset',
    subcode: 2,
  },
  // Section 4: lengths of attributes.
  {
    name: 'an attribute that overruns the attributes',
    clause: '4',
    attributes: BASE + '8004ff00000001',
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'one octet where an attribute should begin',
    clause: '4',
    attributes: `${BASE}80`,
    approach: 'withdraw',
    subcode: 1,
  },
  {
    name: 'two octets where an attribute should begin',
    clause: '4',
    attributes: `${BASE}8004`,
    approach: 'withdraw',
    subcode: 1,
  },
  {
    name: 'three octets of an attribute with extended length',
    clause: '4',
    attributes: `${BASE}900400`,
    approach: 'withdraw',
    subcode: 1,
  },
  {
    name: 'MP_REACH_NLRI that overruns the attributes',
    clause: '3j',
    attributes: `${BASE}800eff000201`,
    approach: 'reset',
    subcode: 5,
  },
  {
    name: 'an overrun and no reachable prefix',
    clause: '5.2',
    attributes: `${BASE}8004ff00000001`,
    nlri: '',
    approach: 'reset',
    subcode: 5,
  },
  {
    name: 'a malformed attribute and no reachable prefix',
    clause: '5.2',
    attributes: attribute(0x40, 1, '07'),
    nlri: '',
    approach: 'reset',
    subcode: 6,
  },
  {
    name: 'an attribute to discard and no reachable prefix',
    clause: '5.2',
    attributes: attribute(0xc0, 7, '00'),
    nlri: '',
    approach: 'discard',
    subcode: 5,
  },
  // Section 5.3 and RFC 4271 6.3: prefixes.
  {
    name: 'a prefix of 33 bits',
    clause: '5.3',
    attributes: BASE,
    nlri: '210a00000000',
    approach: 'reset',
    subcode: 10,
  },
  {
    name: 'a prefix that overruns the message',
    clause: '5.3',
    attributes: BASE,
    nlri: '200a0000',
    approach: 'reset',
    subcode: 10,
  },
  {
    name: 'an IPv6 prefix of 129 bits',
    clause: '5.3',
    attributes: attribute(0x80, 15, `000201${'81'}${'00'.repeat(17)}`),
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'an IPv6 prefix that overruns MP_REACH_NLRI',
    clause: '5.3',
    attributes: attribute(0x80, 14, '00020110fd00000000000000000000000000000100' + '20fd00') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  // Section 7, attribute by attribute.
  {
    name: 'ORIGIN of no octets',
    clause: '7.1',
    attributes: attribute(0x40, 1, '') + AS_PATH + NEXT_HOP,
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'ORIGIN of two octets',
    clause: '7.1',
    attributes: attribute(0x40, 1, '0000') + AS_PATH + NEXT_HOP,
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'ORIGIN of value 3',
    clause: '7.1',
    attributes: attribute(0x40, 1, '03') + AS_PATH + NEXT_HOP,
    approach: 'withdraw',
    subcode: 6,
  },
  {
    name: 'AS_PATH with a segment type 9',
    clause: '7.2',
    attributes: ORIGIN + attribute(0x40, 2, '09010000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH whose segment overruns',
    clause: '7.2',
    attributes: ORIGIN + attribute(0x40, 2, '02020000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH with one octet left over',
    clause: '7.2',
    attributes: ORIGIN + attribute(0x40, 2, '02010000fde902') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH with an empty segment',
    clause: '7.2',
    attributes: ORIGIN + attribute(0x40, 2, '02010000fde90200') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH with a confederation segment',
    clause: 'RFC 5065 4',
    attributes: ORIGIN + attribute(0x40, 2, '03010000fde902010000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH with AS 0',
    clause: 'RFC 7607 2',
    attributes: ORIGIN + attribute(0x40, 2, '02020000fde900000000') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH of two-octet numbers on a four-octet session',
    clause: '7.2',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH of an external peer that begins with another AS',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + attribute(0x40, 2, '02010000fdea') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'empty AS_PATH of an external peer',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + attribute(0x40, 2, '') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH of an external peer that begins with a set',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + attribute(0x40, 2, '01010000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
  },
  {
    name: 'AS_PATH longer than the bound',
    clause: 'ours',
    attributes: ORIGIN + attribute(0x40, 2, '02030000fde90000fde90000fde9') + NEXT_HOP,
    approach: 'withdraw',
    subcode: 11,
    parameters: { ...EBGP, maxAsPathLength: 2 },
  },
  {
    name: 'more octets of attributes than the bound',
    clause: 'ours',
    attributes: BASE + attribute(0xc0, 99, '00'.repeat(50)),
    approach: 'withdraw',
    subcode: 1,
    parameters: { ...EBGP, maxAttributesLength: 60 },
  },
  {
    name: 'NEXT_HOP of three octets',
    clause: '7.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, '0a0000'),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'NEXT_HOP of 16 octets',
    clause: '7.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, '00'.repeat(15) + '01'),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'NEXT_HOP of no octets',
    clause: '7.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, ''),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'NEXT_HOP 0.0.0.0',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, '00000000'),
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'NEXT_HOP 224.0.0.5',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, 'e0000005'),
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'NEXT_HOP 0.0.0.1',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, '00000001'),
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'NEXT_HOP 255.255.255.255',
    clause: 'RFC 4271 6.3',
    attributes: ORIGIN + AS_PATH + attribute(0x40, 3, 'ffffffff'),
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'MULTI_EXIT_DISC of three octets',
    clause: '7.4',
    attributes: BASE + attribute(0x80, 4, '000001'),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'LOCAL_PREF from an external peer',
    clause: '7.5',
    attributes: BASE + attribute(0x40, 5, '00000064'),
    approach: 'discard',
  },
  {
    name: 'malformed LOCAL_PREF from an external peer',
    clause: '7.5',
    attributes: BASE + attribute(0x40, 5, '64'),
    approach: 'discard',
  },
  {
    name: 'LOCAL_PREF of five octets from an internal peer',
    clause: '7.5',
    attributes: BASE + attribute(0x40, 5, '0000000064'),
    approach: 'withdraw',
    subcode: 5,
    parameters: IBGP,
  },
  {
    name: 'ATOMIC_AGGREGATE of one octet',
    clause: '7.6',
    attributes: BASE + attribute(0x40, 6, '00'),
    approach: 'discard',
    subcode: 5,
  },
  {
    name: 'AGGREGATOR of six octets on a four-octet session',
    clause: '7.7',
    attributes: BASE + attribute(0xc0, 7, 'fde90a000001'),
    approach: 'discard',
    subcode: 5,
  },
  {
    name: 'AGGREGATOR of eight octets on a two-octet session',
    clause: '7.7',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP + attribute(0xc0, 7, '0000fde90a000001'),
    approach: 'discard',
    subcode: 5,
    parameters: OLD,
  },
  {
    name: 'AGGREGATOR with AS 0',
    clause: 'RFC 7607 2',
    attributes: BASE + attribute(0xc0, 7, '000000000a000001'),
    approach: 'discard',
  },
  {
    name: 'COMMUNITIES of no octets',
    clause: '7.8',
    attributes: BASE + attribute(0xc0, 8, ''),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'COMMUNITIES of five octets',
    clause: '7.8',
    attributes: BASE + attribute(0xc0, 8, '0000000100'),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'ORIGINATOR_ID from an external peer',
    clause: '7.9',
    attributes: BASE + attribute(0x80, 9, '0a000001'),
    approach: 'discard',
  },
  {
    name: 'ORIGINATOR_ID of three octets from an internal peer',
    clause: '7.9',
    attributes: BASE + attribute(0x80, 9, '0a0000'),
    approach: 'withdraw',
    subcode: 5,
    parameters: IBGP,
  },
  {
    name: 'CLUSTER_LIST from an external peer',
    clause: '7.10',
    attributes: BASE + attribute(0x80, 10, '0a000001'),
    approach: 'discard',
  },
  {
    name: 'CLUSTER_LIST of no octets from an internal peer',
    clause: '7.10',
    attributes: BASE + attribute(0x80, 10, ''),
    approach: 'withdraw',
    subcode: 5,
    parameters: IBGP,
  },
  {
    name: 'CLUSTER_LIST of six octets from an internal peer',
    clause: '7.10',
    attributes: BASE + attribute(0x80, 10, '0a0000010a00'),
    approach: 'withdraw',
    subcode: 5,
    parameters: IBGP,
  },
  {
    name: 'MP_REACH_NLRI of four octets',
    clause: '7.11',
    attributes: attribute(0x80, 14, '00020100') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'MP_REACH_NLRI of no octets',
    clause: '7.11',
    attributes: attribute(0x80, 14, '') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'MP_REACH_NLRI whose next hop has five octets',
    clause: '7.11',
    attributes: attribute(0x80, 14, '000201050a0000010200') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'MP_REACH_NLRI of IPv6 whose next hop has four octets',
    clause: '7.11',
    attributes: attribute(0x80, 14, '000201040a0000010010fd00') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'MP_REACH_NLRI whose next hop overruns it',
    clause: '7.11',
    attributes: attribute(0x80, 14, '000201200a000001') + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'MP_REACH_NLRI whose next hop is ::',
    clause: 'RFC 4271 6.3',
    attributes: attribute(0x80, 14, `00020110${'00'.repeat(16)}0010fd00`) + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'MP_REACH_NLRI whose next hop is multicast',
    clause: 'RFC 4271 6.3',
    attributes: attribute(0x80, 14, `00020110ff${'00'.repeat(15)}0010fd00`) + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'MP_REACH_NLRI whose next hop is an IPv4-mapped address',
    clause: 'RFC 4271 6.3',
    attributes: attribute(0x80, 14, `00020110${'00'.repeat(10)}ffff0a0000010010fd00`) + ORIGIN + AS_PATH,
    nlri: '',
    approach: 'withdraw',
    subcode: 8,
  },
  {
    name: 'MP_UNREACH_NLRI of two octets',
    clause: '7.12',
    attributes: attribute(0x80, 15, '0002'),
    nlri: '',
    approach: 'reset',
    subcode: 9,
  },
  {
    name: 'EXTENDED COMMUNITIES of no octets',
    clause: '7.14',
    attributes: BASE + attribute(0xc0, 16, ''),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'EXTENDED COMMUNITIES of nine octets',
    clause: '7.14',
    attributes: BASE + attribute(0xc0, 16, '0002fc000000006400'),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'IPv6 EXTENDED COMMUNITIES of 19 octets',
    clause: '7.15',
    attributes: BASE + attribute(0xc0, 25, '00'.repeat(19)),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'LARGE_COMMUNITY of no octets',
    clause: 'RFC 8092 5',
    attributes: BASE + attribute(0xc0, 32, ''),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'LARGE_COMMUNITY of 13 octets',
    clause: 'RFC 8092 5',
    attributes: BASE + attribute(0xc0, 32, '00'.repeat(13)),
    approach: 'withdraw',
    subcode: 5,
  },
  {
    name: 'OTC of three octets',
    clause: 'RFC 9234 5',
    attributes: BASE + attribute(0xc0, 35, '000001'),
    approach: 'withdraw',
    subcode: 5,
  },
  // RFC 6793 section 6.
  {
    name: 'AS4_PATH on a four-octet session',
    clause: 'RFC 6793 6',
    attributes: BASE + attribute(0xc0, 17, '02010000fde9'),
    approach: 'discard',
  },
  {
    name: 'AS4_AGGREGATOR on a four-octet session',
    clause: 'RFC 6793 6',
    attributes: BASE + attribute(0xc0, 18, '0000fde90a000001'),
    approach: 'discard',
  },
  {
    name: 'malformed AS4_PATH',
    clause: 'RFC 6793 6',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP + attribute(0xc0, 17, '0202fde9'),
    approach: 'discard',
    parameters: OLD,
  },
  {
    name: 'empty AS4_PATH',
    clause: 'RFC 6793 6',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP + attribute(0xc0, 17, ''),
    approach: 'discard',
    parameters: OLD,
  },
  {
    name: 'AS4_PATH with AS 0',
    clause: 'RFC 7607 2',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP + attribute(0xc0, 17, '020100000000'),
    approach: 'discard',
    parameters: OLD,
  },
  {
    name: 'AS4_AGGREGATOR of six octets',
    clause: 'RFC 6793 6',
    attributes: ORIGIN + OLD_PATH + NEXT_HOP + attribute(0xc0, 18, 'fde90a000001'),
    approach: 'discard',
    parameters: OLD,
  },
  {
    name: 'malformed AS4_PATH before AS_PATH',
    clause: 'RFC 6793 6',
    attributes: attribute(0xc0, 17, '0202fde9') + ORIGIN + OLD_PATH + NEXT_HOP,
    approach: 'discard',
    parameters: OLD,
  },
  // Families nobody agreed on.
  {
    name: 'MP_REACH_NLRI of VPNv4',
    clause: 'RFC 4760 6',
    attributes: attribute(0x80, 14, '0001800c00000000000000000a000001000000') + BASE,
    approach: 'discard',
  },
  {
    name: 'MP_UNREACH_NLRI of an unknown AFI',
    clause: 'RFC 4760 6',
    attributes: attribute(0x80, 15, '4004470102') + BASE,
    approach: 'discard',
  },
  {
    name: 'IPv6 where only IPv4 was agreed',
    clause: 'RFC 4760 6',
    attributes: REACH6 + BASE,
    approach: 'discard',
    parameters: { ...EBGP, ipv6: false },
  },
  {
    name: 'IPv4 where only IPv6 was agreed',
    clause: 'RFC 4760 6',
    attributes: REACH6 + BASE,
    approach: 'discard',
    parameters: { ...EBGP, ipv4: false },
  },
];

describe('bgp/codec/update: RFC 7606', () => {
  for (const { name, clause, attributes, approach, subcode, parameters = EBGP, nlri = '080a' } of CASES)
    it(`${approach}s on ${name} (${/^[0-9]/.test(clause) ? `section ${clause}` : clause})`, () => {
      const body = updateBody({ attributes, nlri });
      const update = decodeUpdate(body, 0, body.length, parameters);
      const worst = strongest(update.errors);
      expect([update.severity, worst?.severity], worst?.reason).to.deep.equal([approach, approach]);
      if (subcode !== undefined) expect([worst?.code, worst?.subcode]).to.deep.equal([3, subcode]);
      const plain = decodePlain(body, parameters);
      if (approach === 'reset') expect([plain.reach, plain.withdrawn]).to.deep.equal([[], []]);
      if (approach === 'withdraw') {
        expect(plain.reach).to.deep.equal([]);
        expect(plain.withdrawn).to.deep.equal(nlri === '080a' ? ['10.0.0.0/8'] : ['fd00::/16']);
      }
      if (approach === 'discard') expect(plain.withdrawn).to.deep.equal([]);
      for (const error of update.errors) expect(error.reason).to.match(/^(Cannot|Discard|Ignore) .*[a-zA-Z0-9_]$/);
    });

  it('keeps the route of a discarded attribute, without it', () => {
    const { attributes, reach } = decodePlain(
      updateBody({ attributes: BASE + attribute(0x40, 5, '00000064') + attribute(0xc0, 7, '00'), nlri: '080a' }),
    );
    expect(reach).to.deep.equal(['10.0.0.0/8 via 0a000001']);
    expect(attributes).to.deep.equal({ origin: 'igp', asPath: [{ type: 'sequence', members: [65001] }] });
  });

  it('keeps the first of two equal attributes (section 3g)', () => {
    const body = updateBody({
      attributes: BASE + attribute(0xc0, 8, '00010001') + attribute(0xc0, 8, '00020002'),
      nlri: '080a',
    });
    expect(decodePlain(body).attributes?.communities).to.deep.equal([0x00010001]);
  });

  it('takes the strongest of several approaches (section 3h)', () => {
    const weak = attribute(0xc0, 7, '00');
    const middle = attribute(0x80, 4, '00');
    const strong = attribute(0x40, 99, '');
    const severityOf = (attributes: string): string =>
      decodePlain(updateBody({ attributes: BASE + attributes, nlri: '080a' })).severity;
    expect([
      severityOf(weak),
      severityOf(weak + middle),
      severityOf(middle + weak),
      severityOf(middle + weak + strong),
    ]).to.deep.equal(['discard', 'withdraw', 'withdraw', 'reset']);
  });

  it('withdraws what the message withdraws besides, and both kinds of NLRI', () => {
    const body = updateBody({
      withdrawn: '080b',
      attributes: REACH6 + attribute(0x40, 1, '07') + AS_PATH + NEXT_HOP,
      nlri: '080a',
    });
    expect(decodePlain(body).withdrawn).to.deep.equal(['11.0.0.0/8', '10.0.0.0/8', 'fd00::/16']);
  });

  it('says nothing of NEXT_HOP when only MP_REACH_NLRI has routes (RFC 4760 section 3)', () => {
    const body = updateBody({ attributes: REACH6 + ORIGIN + AS_PATH + attribute(0x40, 3, '0a') });
    expect([decodePlain(body).severity, decodePlain(body).reach.length]).to.deep.equal(['ok', 1]);
  });

  it('resets when the lengths of the message disagree (section 3b)', () => {
    for (const octets of [
      [0, 9, 0, 0],
      [0, 0, 0, 9],
      [0, 0, 0, 9, 64],
      [255, 255, 0, 0],
      [0, 0, 255, 255],
      [0, 0, 0],
      [0],
    ]) {
      const update = decodePlain(Uint8Array.from(octets));
      expect(update.severity, octets.join()).to.equal('reset');
      expect(update.errors[0]).to.match(/^reset 3\/1 /);
    }
  });

  it('resets on malformed withdrawn routes like on malformed NLRI (section 3i)', () => {
    expect(decodePlain(updateBody({ withdrawn: '210a00000000' })).errors[0]).to.match(/^reset 3\/10 /);
  });

  it('answers with the attribute as data (RFC 4271 section 6.3)', () => {
    const bad = attribute(0x40, 99, 'aabbcc');
    const body = updateBody({ attributes: BASE + bad, nlri: '080a' });
    const [error] = decodeUpdate(body, 0, body.length, EBGP).errors;
    expect(toHex(error?.data ?? new Uint8Array())).to.equal(bad);
    const missing = updateBody({ attributes: ORIGIN + AS_PATH, nlri: '080a' });
    expect(toHex(decodeUpdate(missing, 0, missing.length, EBGP).errors[0]?.data ?? new Uint8Array())).to.equal('03');
  });

  it('does not let one message’s errors or repetitions reach into the next', () => {
    const bad = updateBody({ attributes: attribute(0x40, 1, '07') + AS_PATH + NEXT_HOP, nlri: '080a' });
    const good = updateBody({ attributes: BASE, nlri: '080a' });
    decodeUpdate(bad, 0, bad.length, EBGP);
    const update = decodeUpdate(good, 0, good.length, EBGP);
    expect([update.severity, update.errors.length, update.reach.length, update.withdrawn.length]).to.deep.equal([
      'ok',
      0,
      1,
      0,
    ]);
  });

  it('leaves first-AS checking off where it is off (route servers)', () => {
    const body = updateBody({ attributes: ORIGIN + attribute(0x40, 2, '02010000fdea') + NEXT_HOP, nlri: '080a' });
    expect(decodePlain(body, { ...EBGP, enforceFirstAs: false }).severity).to.equal('ok');
  });
});
