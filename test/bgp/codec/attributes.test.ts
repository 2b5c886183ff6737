import { expect } from 'chai';
import fc from 'fast-check';
import type { AsPathSegment, PathAttributes } from 'node-bgp/codec/attribute';
import { formatAsPath, mergeAs4Path, parseAsPath, asPathLength, countAs, scanAsPath } from 'node-bgp/codec/as-path';
import {
  formatCommunity,
  formatExtendedCommunity,
  parseCommunity,
  parseExtendedCommunity,
} from 'node-bgp/codec/community';
import { encodeAttributes, formatAttributes, parseAttributes } from 'node-bgp/codec/parse';
import { rewriteAttributes, REWRITE_GROWTH, type AttributeRewrite } from 'node-bgp/codec/rewrite';
import { UpdateWriter } from 'node-bgp/codec/update-writer';
import { anyAs, anyAttributes } from './arbitraries.js';
import { attribute, hex, toHex, updateBody } from './hex.js';
import { decodePlain, EBGP, IBGP, PLAIN } from './sessions.js';

const rewrite = (attributes: PathAttributes, how: AttributeRewrite): Uint8Array => {
  const block = encodeAttributes(attributes);
  const out = new Uint8Array(2 * (block.length + REWRITE_GROWTH + 4 * (how.prepend?.length ?? 0)));
  return out.slice(0, rewriteAttributes(block, 0, block.length, how, out, 0));
};

describe('bgp/codec/parse', () => {
  it('gives back what it encoded, and equal attributes as equal bytes', () =>
    fc.assert(
      fc.property(anyAttributes, (attributes) => {
        const block = encodeAttributes(attributes);
        expect(parseAttributes(block)).to.deep.equal(attributes);
        expect(toHex(encodeAttributes(parseAttributes(block)))).to.equal(toHex(block));
      }),
    ));

  it('gives an internal peer’s UPDATE back as the decoder of the other side sees it', () =>
    fc.assert(
      fc.property(anyAttributes, (attributes) => {
        const block = encodeAttributes(attributes);
        const out = new Uint8Array(65535);
        const writer = new UpdateWriter({ ...PLAIN, maxMessageLength: 65535 });
        writer.into(out, 0);
        expect(writer.beginReach(4, hex('0a000001'), block, 0, block.length)).to.equal(true);
        writer.addIpv4(0x0a000000, 8, 0);
        const plain = decodePlain(out.slice(19, writer.finish()), IBGP);
        expect(plain.errors).to.deep.equal([]);
        expect(plain.attributes).to.deep.equal(attributes);
      }),
    ));

  it('does not send an empty list, which would be malformed', () => {
    expect(
      toHex(encodeAttributes({ origin: 'igp', asPath: [], communities: [], largeCommunities: [], clusterList: [] })),
    ).to.equal('400101' + '00' + '400200');
  });

  it('splits a segment of more than 255 members (RFC 4271 section 5.1.2)', () => {
    const members = Array.from({ length: 300 }, (_, i) => i + 1);
    expect(
      parseAttributes(encodeAttributes({ origin: 'igp', asPath: [{ type: 'sequence', members }] })).asPath,
    ).to.deep.equal([
      { type: 'sequence', members: members.slice(0, 255) },
      { type: 'sequence', members: members.slice(255) },
    ]);
  });

  it('says every attribute in words', () => {
    expect(
      formatAttributes({
        origin: 'igp',
        asPath: [
          { type: 'sequence', members: [65001, 4200000000] },
          { type: 'set', members: [1, 2] },
        ],
        med: 5,
        localPreference: 100,
        atomicAggregate: true,
        aggregator: { as: 65001, address: 0x0a000001 },
        communities: [0xfc000064, 0xffffff01],
        originatorId: 0x0a000002,
        clusterList: [0x0a000003],
        extendedCommunities: [0x0002fc0000000064n],
        largeCommunities: [{ global: 1, local1: 2, local2: 3 }],
        otc: 7,
        unknown: [{ flags: 0xe0, code: 99, value: hex('0aff') }],
      }).map(({ name, text }) => `${name} ${text}`),
    ).to.deep.equal([
      'ORIGIN igp',
      'AS_PATH 65001 4200000000 {1,2}',
      'MULTI_EXIT_DISC 5',
      'LOCAL_PREF 100',
      'ATOMIC_AGGREGATE yes',
      'AGGREGATOR 65001 10.0.0.1',
      'COMMUNITIES 64512:100 no-export',
      'ORIGINATOR_ID 10.0.0.2',
      'CLUSTER_LIST 10.0.0.3',
      'EXTENDED COMMUNITIES target:64512:100',
      'LARGE_COMMUNITY 1:2:3',
      'ONLY_TO_CUSTOMER 7',
      'attribute 99 0x0aff',
    ]);
  });
});

describe('bgp/codec/as-path: RFC 6793', () => {
  const old = { ...EBGP, as4: false, enforceFirstAs: false };
  const pathOf = (asPath: string, as4Path?: string, more = ''): string => {
    const attributes =
      attribute(0x40, 1, '00') +
      attribute(0x40, 2, asPath) +
      attribute(0x40, 3, '0a000001') +
      more +
      (as4Path === undefined ? '' : attribute(0xc0, 17, as4Path));
    const plain = decodePlain(updateBody({ attributes, nlri: '080a' }), old);
    expect(plain.severity).to.equal('ok');
    return formatAsPath(plain.attributes?.asPath ?? []);
  };

  it('widens a path without AS4_PATH', () => expect(pathOf('0202fde9fdea')).to.equal('65001 65002'));
  it('puts AS4_PATH in the place of AS_TRANS (section 4.2.3)', () =>
    expect(pathOf('0203fde95ba05ba0', '0202000111700001117a')).to.equal('65001 70000 70010'));
  it('takes AS4_PATH alone when it is as long', () => expect(pathOf('02015ba0', '020100011170')).to.equal('70000'));
  it('ignores an AS4_PATH that is longer than AS_PATH', () =>
    expect(pathOf('0201fde9', '02020001117000011171')).to.equal('65001'));
  it('counts a set as one', () => expect(pathOf('0201fde9010200010002', '020100011170')).to.equal('65001 70000'));
  it('keeps a leading set whole', () => expect(pathOf('01020001000202015ba0', '020100011170')).to.equal('{1,2} 70000'));
  it('leaves the AS4 attributes out when AGGREGATOR was rewritten by an old router (section 4.2.3)', () => {
    const stale = attribute(0xc0, 7, 'fde90a000001') + attribute(0xc0, 18, '000111700a000002');
    expect(pathOf('0202fde95ba0', '020100011170', stale)).to.equal('65001 23456');
  });
  it('finds AS4_PATH in front of AS_PATH', () => {
    const attributes =
      attribute(0xc0, 17, '020100011170') +
      attribute(0x40, 2, '0202fde95ba0') +
      attribute(0x40, 1, '00') +
      attribute(0x40, 3, '0a000001');
    const plain = decodePlain(updateBody({ attributes, nlri: '080a' }), old);
    expect([plain.severity, formatAsPath(plain.attributes?.asPath ?? [])]).to.deep.equal(['ok', '65001 70000']);
  });
  it('restores AGGREGATOR from AS4_AGGREGATOR', () => {
    const attributes =
      attribute(0x40, 1, '00') +
      attribute(0x40, 2, '0201fde9') +
      attribute(0x40, 3, '0a000001') +
      attribute(0xc0, 7, '5ba00a000001') +
      attribute(0xc0, 18, '000111700a000002');
    expect(decodePlain(updateBody({ attributes, nlri: '080a' }), old).attributes?.aggregator).to.deep.equal({
      as: 70000,
      address: 0x0a000002,
    });
  });
  it('checks the first AS of an old session against AS_TRANS when the peer’s does not fit', () => {
    const attributes =
      attribute(0x40, 1, '00') +
      attribute(0x40, 2, '02015ba0') +
      attribute(0x40, 3, '0a000001') +
      attribute(0xc0, 17, '020100011170');
    const severityFrom = (peerAs: number): string =>
      decodePlain(updateBody({ attributes, nlri: '080a' }), { ...EBGP, as4: false, peerAs }).severity;
    expect([severityFrom(70000), severityFrom(65001)]).to.deep.equal(['ok', 'withdraw']);
  });
  it('treats a two-octet path that cannot be widened within an attribute as withdrawn', () => {
    const segment = `02ff${'fde9'.repeat(255)}`;
    const attributes =
      attribute(0x40, 1, '00') + attribute(0x50, 2, segment.repeat(70)) + attribute(0x40, 3, '0a000001');
    expect(decodePlain(updateBody({ attributes, nlri: '080a' }), old).severity).to.equal('withdraw');
  });

  it('carries any path through an old session unchanged (section 4.2.2 and back)', () =>
    fc.assert(
      fc.property(anyAttributes, (attributes) => {
        const block = rewrite(attributes, { as4: false });
        const out = new Uint8Array(65535);
        const writer = new UpdateWriter({ ...PLAIN, maxMessageLength: 65535 });
        writer.into(out, 0);
        writer.beginReach(4, hex('0a000001'), block, 0, block.length);
        writer.addIpv4(0x0a000000, 8, 0);
        const plain = decodePlain(out.slice(19, writer.finish()), { ...IBGP, as4: false });
        expect(plain.errors).to.deep.equal([]);
        expect(plain.attributes).to.deep.equal(attributes);
      }),
    ));

  it('sends old peers AS_TRANS and AS4_PATH only where they are needed', () => {
    expect(
      toHex(rewrite({ origin: 'igp', asPath: [{ type: 'sequence', members: [65001] }] }, { as4: false })),
    ).to.equal('40010100' + '4002040201fde9');
    expect(
      toHex(
        rewrite(
          {
            origin: 'igp',
            asPath: [{ type: 'sequence', members: [65001, 70000] }],
            aggregator: { as: 70000, address: 1 },
          },
          { as4: false },
        ),
      ),
    ).to.equal(
      '40010100' +
        '4002060202fde95ba0' +
        'c007065ba000000001' +
        'c0110a02020000fde900011170' +
        'c012080001117000000001',
    );
  });

  it('counts hops and occurrences', () => {
    const path: readonly AsPathSegment[] = [
      { type: 'sequence', members: [1, 2, 1] },
      { type: 'set', members: [1, 9] },
    ];
    const block = encodeAttributes({ origin: 'igp', asPath: path });
    expect([
      asPathLength(path),
      countAs(block, 7, block.length, 1),
      countAs(block, 7, block.length, 5),
      scanAsPath(block, 7, block.length, 4),
    ]).to.deep.equal([4, 3, 0, 4]);
  });

  it('merges nothing into nothing', () => expect(mergeAs4Path(hex(''), 0, 0, 0, 0, new Uint8Array(8), 0)).to.equal(0));
  it('parses two-octet paths', () =>
    expect(parseAsPath(hex('0202fde90001'), 0, 6, 2)).to.deep.equal([{ type: 'sequence', members: [65001, 1] }]));
});

describe('bgp/codec/rewrite', () => {
  /** The same on readable attributes, by the obvious means. */
  function model(attributes: PathAttributes, how: AttributeRewrite): PathAttributes {
    const result = { ...attributes } as { -readonly [K in keyof PathAttributes]: PathAttributes[K] };
    if (how.prepend !== undefined) {
      const [first, ...rest] = result.asPath;
      result.asPath =
        first?.type === 'sequence' && first.members.length + how.prepend.length <= 255
          ? [{ type: 'sequence', members: [...how.prepend, ...first.members] }, ...rest]
          : [{ type: 'sequence', members: [...how.prepend] }, ...result.asPath];
    }
    if (how.med === 'remove') delete result.med;
    else if (how.med !== undefined) result.med = how.med;
    if (how.localPreference === 'remove') delete result.localPreference;
    else if (typeof how.localPreference === 'number') result.localPreference = how.localPreference;
    else if (how.localPreference !== undefined) result.localPreference ??= how.localPreference.default;
    if (how.reflection === 'remove') {
      delete result.originatorId;
      delete result.clusterList;
    } else if (how.reflection !== undefined) {
      result.originatorId ??= how.reflection.originatorId;
      result.clusterList = [how.reflection.clusterId, ...(result.clusterList ?? [])];
    }
    if (how.otc !== undefined) result.otc ??= how.otc;
    if (how.transitiveOnly === true) {
      result.extendedCommunities = result.extendedCommunities?.filter((value) => ((value >> 62n) & 1n) === 0n);
      result.ipv6ExtendedCommunities = result.ipv6ExtendedCommunities?.filter(
        (value) => ((value[0] ?? 0) & 0x40) === 0,
      );
    }
    return result;
  }

  const anyRewrite: fc.Arbitrary<AttributeRewrite> = fc.record({
    prepend: fc.option(fc.array(anyAs, { minLength: 1, maxLength: 5 }), { nil: undefined }),
    localPreference: fc.constantFrom(undefined, 'remove' as const, 7, { default: 100 }),
    med: fc.constantFrom(undefined, 'remove' as const, 9),
    reflection: fc.constantFrom(undefined, 'remove' as const, { originatorId: 5, clusterId: 6 }),
    otc: fc.constantFrom(undefined, 65001),
    transitiveOnly: fc.boolean(),
  });

  it('does on bytes what it says it does', () =>
    fc.assert(
      fc.property(anyAttributes, anyRewrite, (attributes, how) => {
        expect(toHex(rewrite(attributes, how))).to.equal(toHex(encodeAttributes(model(attributes, how))));
      }),
      { numRuns: 500 },
    ));

  it('stays within the room it asks for', () =>
    fc.assert(
      fc.property(anyAttributes, anyRewrite, fc.boolean(), (attributes, how, as4) => {
        const { length } = encodeAttributes(attributes);
        const room = length + REWRITE_GROWTH + 4 * (how.prepend?.length ?? 0);
        expect(rewrite(attributes, { ...how, as4 }).length).to.be.at.most(as4 ? room : 2 * room);
      }),
    ));

  it('begins a new segment when the first is full (RFC 4271 section 5.1.2)', () => {
    const members = new Array<number>(254).fill(7);
    const block = rewrite({ origin: 'igp', asPath: [{ type: 'sequence', members }] }, { prepend: [1, 2] });
    expect(parseAttributes(block).asPath).to.deep.equal([
      { type: 'sequence', members: [1, 2] },
      { type: 'sequence', members },
    ]);
  });
});

describe('bgp/codec/community', () => {
  const texts = [
    '64512:100',
    '0:0',
    '65535:9',
    'no-export',
    'no-advertise',
    'graceful-shutdown',
    'blackhole',
    '4200000000:1:4294967295',
    'target:64512:100',
    'target:10.0.0.1:5',
    'origin:4200000000:7',
    '0x4303000000000001',
  ];
  it('parses what it formats', () => {
    for (const text of texts) {
      const community = parseCommunity(text);
      if (community === undefined) throw new Error(`"${text}" was refused`);
      const again =
        community.type === 'standard'
          ? formatCommunity(community.value)
          : community.type === 'extended'
            ? formatExtendedCommunity(community.value)
            : `${community.value.global}:${community.value.local1}:${community.value.local2}`;
      expect(again).to.equal(text);
    }
  });
  it('refuses what is no community', () => {
    for (const text of [
      '',
      ':',
      '65536:1',
      '1',
      '1:2:3:4',
      '01:1',
      '-1:1',
      '1:',
      'none',
      'target:1',
      'target:10.0.0.1:65536',
      'target:70000:65536',
      '4294967296:1:1',
      '0x12',
      ' 1:1',
      'constructor',
    ])
      expect(parseCommunity(text), text).to.equal(undefined);
  });
  it('gives every extended community one text of its own', () =>
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
        fc.constantFrom(0n, 1n, 2n, 0x40n),
        fc.constantFrom(2n, 3n, 9n),
        (bits, type, subtype) => {
          const value = (type << 56n) | (subtype << 48n) | (bits & ((1n << 48n) - 1n));
          expect(parseExtendedCommunity(formatExtendedCommunity(value))).to.equal(value);
        },
      ),
    ));
});
