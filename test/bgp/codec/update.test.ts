import { expect } from 'chai';
import fc from 'fast-check';
import { decodeUpdate } from 'node-bgp/codec/update';
import { attribute, hex, updateBody } from './hex.js';
import { decodePlain, EBGP, IBGP, type PlainUpdate } from './sessions.js';

const ORIGIN = attribute(0x40, 1, '00');
const AS_PATH = attribute(0x40, 2, '0202 0000fde9 fa56ea00'.replace(/ /g, ''));
const NEXT_HOP = attribute(0x40, 3, '0a000001');
const MED = attribute(0x80, 4, '00000064');
const COMMUNITIES = attribute(0xc0, 8, 'fc000064ffffff01');
const BASE = ORIGIN + AS_PATH + NEXT_HOP;
const PATH = [{ type: 'sequence' as const, members: [65001, 4200000000] }];

const quiet: PlainUpdate = {
  severity: 'ok',
  errors: [],
  attributes: undefined,
  reach: [],
  withdrawn: [],
  endOfRib: undefined,
};

describe('bgp/codec/update', () => {
  it('reads classic announcements and withdrawals (RFC 4271 section 4.3)', () => {
    const body = updateBody({
      withdrawn: '18c0a801 00',
      attributes: BASE + MED + COMMUNITIES,
      nlri: '080a 20ac100105 19c0000280',
    });
    expect(decodePlain(body)).to.deep.equal({
      ...quiet,
      attributes: { origin: 'igp', asPath: PATH, med: 100, communities: [0xfc000064, 0xffffff01] },
      reach: ['10.0.0.0/8 via 0a000001', '172.16.1.5/32 via 0a000001', '192.0.2.128/25 via 0a000001'],
      withdrawn: ['192.168.1.0/24', '0.0.0.0/0'],
    });
  });

  it('ignores bits past the length of a prefix', () => {
    expect(decodePlain(updateBody({ withdrawn: '0cacff' })).withdrawn).to.deep.equal(['172.240.0.0/12']);
  });

  it('reads IPv6 from MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760 sections 3 and 4)', () => {
    const reach = attribute(0x80, 14, '00020110fd000000000000000000000000000001' + '00' + '40fd00006500000001' + '00');
    const unreach = attribute(0x90, 15, '00020120fd000066');
    expect(decodePlain(updateBody({ attributes: reach + unreach + ORIGIN + AS_PATH }))).to.deep.equal({
      ...quiet,
      attributes: { origin: 'igp', asPath: PATH },
      reach: ['fd00:65:0:1::/64 via fd000000000000000000000000000001', '::/0 via fd000000000000000000000000000001'],
      withdrawn: ['fd00:66::/32'],
    });
  });

  it('reads a pair of next hops (RFC 2545 section 3), and IPv4 from MP_REACH_NLRI', () => {
    const pair = 'fd000000000000000000000000000001fe800000000000000000000000000001';
    const six = attribute(0x80, 14, `00020120${pair}0010fd00`);
    const four = attribute(0x80, 14, '000101040a000002' + '00' + '080b');
    expect(decodePlain(updateBody({ attributes: six + ORIGIN + AS_PATH })).reach).to.deep.equal([
      `fd00::/16 via ${pair}`,
    ]);
    expect(decodePlain(updateBody({ attributes: four + ORIGIN + AS_PATH })).reach).to.deep.equal([
      '11.0.0.0/8 via 0a000002',
    ]);
  });

  it('keeps MP_REACH_NLRI and classic NLRI of one message apart, each with its next hop', () => {
    const reach = attribute(0x80, 14, '00020110fd000000000000000000000000000001' + '00' + '10fd00');
    expect(decodePlain(updateBody({ attributes: reach + BASE, nlri: '080a' })).reach).to.deep.equal([
      '10.0.0.0/8 via 0a000001',
      'fd00::/16 via fd000000000000000000000000000001',
    ]);
  });

  it('takes an IPv6 next hop for IPv4 only when that was negotiated (RFC 8950)', () => {
    const body = updateBody({
      attributes: attribute(0x80, 14, '00010110fe80000000000000000000000000000100080a') + ORIGIN + AS_PATH,
    });
    expect(decodePlain(body, { ...EBGP, extendedNextHop: true }).reach).to.deep.equal([
      '10.0.0.0/8 via fe800000000000000000000000000001',
    ]);
  });

  for (const [name, hop] of [
    ['global', 'fd000000000000000000000000000001'],
    ['link-local', 'fe800000000000000000000000000001'],
    ['pair', 'fd000000000000000000000000000001fe800000000000000000000000000001'],
  ] as const)
    it(`withdraws IPv4 routes with an IPv6 next hop that was not negotiated, and keeps the session: ${name}`, () => {
      const length = (hop.length / 2).toString(16).padStart(2, '0');
      const body = updateBody({
        attributes: attribute(0x80, 14, `000101${length}${hop}00080a`) + ORIGIN + AS_PATH,
      });
      const update = decodePlain(body);
      expect(update).to.deep.include({ severity: 'withdraw', reach: [], withdrawn: ['10.0.0.0/8'] });
      expect(decodeUpdate(body, 0, body.length, EBGP).errors[0]?.reason).to.include('did not negotiate');
    });

  for (const afi of ['0001', '0002'])
    for (const length of ['18', '30'])
      it(`withdraws routes of AFI ${afi} whose next hop has a Route Distinguisher, of 0x${length} octets`, () => {
        const hop = `0000000000000000fd000000000000000000000000000001`.repeat(length === '18' ? 1 : 2);
        const attributes = attribute(0x90, 14, `${afi}01${length}${hop}00080a`) + ORIGIN + AS_PATH;
        const update = decodePlain(updateBody({ attributes }), { ...EBGP, extendedNextHop: true });
        expect([update.severity, update.reach, update.withdrawn.length]).to.deep.equal(['withdraw', [], 1]);
      });

  for (const [second, family] of [
    ['0'.repeat(32), 6],
    ['0'.repeat(32), 4],
    ['fd000000000000000000000000000002', 6],
    ['00000000000000000000ffff0a000001', 4],
  ] as const)
    it(`leaves out a second half that is no link-local address: ${second} for IPv${family} (RFC 2545 section 3)`, () => {
      const [afi, prefix] = family === 4 ? ['0001', '080a'] : ['0002', '10fd00'];
      const attributes =
        attribute(0x80, 14, `${afi}0120fd000000000000000000000000000001${second}00${prefix}`) + ORIGIN + AS_PATH;
      expect(decodePlain(updateBody({ attributes }), { ...EBGP, extendedNextHop: true }).reach).to.deep.equal([
        `${family === 4 ? '10.0.0.0/8' : 'fd00::/16'} via fd000000000000000000000000000001`,
      ]);
    });

  it('withdraws routes whose pair of next hops has neither a global nor a link-local address', () => {
    const attributes =
      attribute(0x80, 14, `00020120${'0'.repeat(32)}fd000000000000000000000000000002` + '0010fd00') + ORIGIN + AS_PATH;
    expect(decodePlain(updateBody({ attributes }))).to.deep.include({
      severity: 'withdraw',
      withdrawn: ['fd00::/16'],
    });
  });

  it('reads path identifiers in the families that have them (RFC 7911 section 3)', () => {
    const parameters = { ...EBGP, addPathIpv4: true };
    const body = updateBody({ withdrawn: '00000007080b', attributes: BASE, nlri: '00000001080a00000002080a' });
    expect(decodePlain(body, parameters)).to.include.deep.keys('reach');
    expect(decodePlain(body, parameters).reach).to.deep.equal([
      '10.0.0.0/8#1 via 0a000001',
      '10.0.0.0/8#2 via 0a000001',
    ]);
    expect(decodePlain(body, parameters).withdrawn).to.deep.equal(['11.0.0.0/8#7']);
    const six = updateBody({ attributes: attribute(0x80, 15, '00020110fd00') });
    expect(decodePlain(six, parameters).withdrawn).to.deep.equal(['fd00::/16']);
    expect(decodePlain(six, { ...parameters, addPathIpv6: true }).severity).to.equal('reset');
  });

  it('knows End-of-RIB of both families (RFC 4724 section 2)', () => {
    expect(decodePlain(hex('00000000'))).to.deep.equal({ ...quiet, endOfRib: 4 });
    expect(decodePlain(updateBody({ attributes: attribute(0x80, 15, '000201') }))).to.deep.equal({
      ...quiet,
      endOfRib: 6,
    });
    expect(decodePlain(updateBody({ attributes: attribute(0x90, 15, '000101') }))).to.deep.equal({
      ...quiet,
      endOfRib: 4,
    });
    expect(decodePlain(hex('00000000'), { ...EBGP, ipv4: false }).endOfRib).to.equal(undefined);
    expect(decodePlain(updateBody({ withdrawn: '080a' })).endOfRib).to.equal(undefined);
    expect(decodePlain(updateBody({ attributes: ORIGIN })).endOfRib).to.equal(undefined);
  });

  it('takes routes from an internal peer without LOCAL_PREF', () => {
    expect(decodePlain(updateBody({ attributes: BASE, nlri: '080a' }), IBGP).severity).to.equal('ok');
  });

  it('makes equal blocks of equal attributes, however they were framed and ordered', () => {
    const blockOf = (attributes: string): string => {
      const body = updateBody({ attributes, nlri: '080a' });
      const update = decodeUpdate(body, 0, body.length, IBGP);
      expect(update.severity).to.equal('ok');
      return Buffer.from(update.attributes.subarray(0, update.attributesLength)).toString('hex');
    };
    const preference = attribute(0x40, 5, '00000064');
    const plain = blockOf(ORIGIN + AS_PATH + NEXT_HOP + MED + preference + COMMUNITIES);
    expect(plain).to.equal(ORIGIN + AS_PATH + MED + preference + COMMUNITIES);
    expect(blockOf(COMMUNITIES + preference + NEXT_HOP + AS_PATH + MED + ORIGIN)).to.equal(plain);
    expect(
      blockOf(
        ORIGIN +
          AS_PATH +
          NEXT_HOP +
          attribute(0x90, 4, '00000064') +
          attribute(0x4f & ~0x10, 5, '00000064') +
          attribute(0xd0, 8, 'fc000064ffffff01'),
      ),
    ).to.equal(plain);
  });

  it('passes unknown transitive attributes on as Partial and drops unknown others (RFC 4271 section 5)', () => {
    const body = updateBody({
      attributes: BASE + attribute(0xc0, 99, 'aabb') + attribute(0x80, 98, 'cc'),
      nlri: '080a',
    });
    expect(decodePlain(body)).to.deep.equal({
      ...quiet,
      attributes: { origin: 'igp', asPath: PATH, unknown: [{ flags: 0xe0, code: 99, value: hex('aabb') }] },
      reach: ['10.0.0.0/8 via 0a000001'],
    });
  });

  it('keeps the Partial bit of known optional transitive attributes', () => {
    const body = updateBody({ attributes: BASE + attribute(0xe0, 8, 'fc000064'), nlri: '080a' });
    const update = decodeUpdate(body, 0, body.length, EBGP);
    expect(Buffer.from(update.attributes.subarray(0, update.attributesLength)).toString('hex')).to.include(
      'e00804fc000064',
    );
  });

  it('reads every attribute', () => {
    const all =
      BASE +
      MED +
      attribute(0x40, 5, '000000c8') +
      attribute(0x40, 6, '') +
      attribute(0xc0, 7, 'fa56ea000a000009') +
      COMMUNITIES +
      attribute(0x80, 9, '0a000007') +
      attribute(0x80, 10, '0a0000080a000009') +
      attribute(0xc0, 16, '0002fc0000000064') +
      attribute(0xc0, 25, '000212340000000000000000000000000000abcd') +
      attribute(0xc0, 32, 'fa56ea000000000100000002') +
      attribute(0xc0, 35, '0000fde9');
    expect(decodePlain(updateBody({ attributes: all, nlri: '080a' }), IBGP).attributes).to.deep.equal({
      origin: 'igp',
      asPath: PATH,
      med: 100,
      localPreference: 200,
      atomicAggregate: true,
      aggregator: { as: 4200000000, address: 0x0a000009 },
      communities: [0xfc000064, 0xffffff01],
      originatorId: 0x0a000007,
      clusterList: [0x0a000008, 0x0a000009],
      extendedCommunities: [0x0002fc0000000064n],
      ipv6ExtendedCommunities: [hex('000212340000000000000000000000000000abcd')],
      largeCommunities: [{ global: 4200000000, local1: 1, local2: 2 }],
      otc: 65001,
    });
  });

  it('reads the message where it lies in a larger buffer', () => {
    const body = updateBody({ attributes: BASE, nlri: '080a' });
    const buffer = new Uint8Array(body.length + 20).fill(0xee);
    buffer.set(body, 7);
    const update = decodeUpdate(buffer, 7, 7 + body.length, EBGP);
    expect([update.severity, update.reach.length, update.reach[0]?.count]).to.deep.equal(['ok', 1, 1]);
    // The octets behind the message must not be looked at: a message cut by one is an error, though they would complete it.
    expect(decodeUpdate(buffer, 7, 6 + body.length, EBGP).severity).to.equal('reset');
  });

  it('yields a verdict for every truncation, and keeps no route of a cut message that it cannot trust', () => {
    const body = updateBody({ withdrawn: '18c0a801', attributes: BASE + MED + COMMUNITIES, nlri: '080a20ac100105' });
    for (let end = 0; end < body.length; end++) {
      const update = decodePlain(body.slice(0, end));
      // Between two prefixes of the NLRI a cut is invisible; so is one right after the attributes.
      const isClean = end >= body.length - 7 && [7, 5].includes(body.length - end);
      expect(update.severity, `cut at ${end}`).to.equal(isClean ? 'ok' : 'reset');
    }
  });

  it('never throws, and never points outside the message, for any octets', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), fc.boolean(), (body, as4, addPathIpv4) => {
        const update = decodeUpdate(body, 0, body.length, { ...EBGP, as4, addPathIpv4 });
        for (const block of [...update.reach, ...update.withdrawn]) expect(block.end).to.be.at.most(body.length);
      }),
      { numRuns: 3000 },
    ));
});
