import { expect } from 'chai';
import fc from 'fast-check';
import { containsAddress, formatPrefix, parseAddress, parsePrefix, prefixOf, prefixesOverlap } from 'node-bgp/address';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import { serviceRangesOf } from '../../src/topology/service-ranges.js';

const ranges = (
  services: readonly string[],
  pools: readonly IPPoolSpec[] = [],
  links: readonly string[] = [],
): readonly string[] =>
  serviceRangesOf(
    [{ prefix: '10.65.0.0/26', tags: ['block'] }, ...services.map((prefix) => ({ prefix, tags: ['service'] }))],
    {
      ipPools: pools.map((spec, index) => ({ metadata: { name: String(index) }, spec })),
      links: [{ name: 'eth0', prefixes: links }],
    },
  );

describe('topology/service-ranges', () => {
  it('are what is announced of Services, each address once', () =>
    expect(
      ranges(['198.51.100.7/32', '10.96.0.0/12', '198.51.100.0/24', '10.96.0.0/16', 'fd00:96::/112']),
    ).to.deep.equal(['10.96.0.0/12', '198.51.100.0/24', 'fd00:96::/112']));

  it('leave out pools of pods and the links of the node, not pools of Services', () => {
    expect(ranges(['10.64.0.0/14'], [{ cidr: '10.65.0.0/16' }])).to.deep.equal(['10.64.0.0/16', '10.66.0.0/15']);
    expect(ranges(['10.65.0.0/24'], [{ cidr: '10.65.0.0/16' }])).to.deep.equal([]);
    expect(ranges(['198.51.100.0/24'], [{ cidr: '198.51.100.0/24', allowedUses: ['LoadBalancer'] }])).to.deep.equal([
      '198.51.100.0/24',
    ]);
    expect(ranges(['10.0.0.128/25'], [], ['10.0.0.0/24'])).to.deep.equal([]);
    expect(ranges(['10.0.0.0/23'], [], ['10.0.0.0/24'])).to.deep.equal(['10.0.1.0/24']);
  });

  it('are never a default route', () => expect(ranges(['0.0.0.0/0', '::/0'])).to.deep.equal([]));

  it('hold exactly the addresses that are announced and not routed, for any ranges and holes', () => {
    const prefix = fc
      .tuple(fc.nat(255), fc.integer({ min: 24, max: 32 }))
      .map(([low, length]) => formatPrefix(prefixOf(parseAddress(`192.0.2.${low}`), length)));
    fc.assert(
      fc.property(
        fc.array(prefix, { maxLength: 5 }),
        fc.array(prefix, { maxLength: 5 }),
        fc.array(prefix, { maxLength: 3 }),
        (services, pools, links) => {
          const found = ranges(
            services,
            pools.map((cidr) => ({ cidr })),
            links,
          ).map((text) => parsePrefix(text));
          for (const [index, one] of found.entries())
            for (const other of found.slice(index + 1)) expect(prefixesOverlap(one, other)).to.equal(false);
          const has = (texts: readonly string[], address: string): boolean =>
            texts.some((text) => containsAddress(parsePrefix(text), parseAddress(address)));
          for (let low = 0; low < 256; low++) {
            const address = `192.0.2.${low}`;
            const isIn = found.some((each) => containsAddress(each, parseAddress(address)));
            expect(isIn, address).to.equal(has(services, address) && !has([...pools, ...links], address));
          }
        },
      ),
    );
  });
});
