/** Every condition and every action of filters through living sessions: source -> b -> sink, all eBGP; the filter is at b. */
import { expect } from 'chai';
import { formatAddress } from 'node-bgp/address';
import { formatCommunity, formatExtendedCommunity, formatLargeCommunity } from 'node-bgp/codec/community';
import type { FilterMatch, FilterRule, FilterSet, PeerConfig, SpeakerConfig } from 'node-bgp/config';
import type { ForwardingEntry } from 'node-bgp/rib/forwarding-entry';
import { World, type Node } from '../speaker/world.js';

const PREFIX = '10.65.0.0/24';
const OTHER = '10.66.0.0/16';

interface Scene {
  readonly b: Node;
  readonly sink: Node;
  readonly forwarding: Map<string, ForwardingEntry>;
}

async function scene(
  filters: { readonly import?: readonly FilterRule[]; readonly export?: readonly FilterRule[] },
  second = false,
): Promise<Scene> {
  const world = new World();
  let wanted = false;
  const [source, b, sink] = [
    world.speaker('10.0.0.1'),
    world.speaker('10.0.0.2', {
      onForwarding: () => {
        wanted = true;
      },
    }),
    world.speaker('10.0.0.3'),
  ];
  const peer = (address: string, remoteAs: number, more: Partial<PeerConfig> = {}): PeerConfig =>
    ({ address, port: 1790, remoteAs, ...more }) as PeerConfig;
  const tagging: SpeakerConfig['filters'] = {
    tag: { rules: [{ set: { med: 40, prependAs: [64999] }, action: 'accept' }] },
  };
  await source.configure(
    source.config(65001, [peer('10.0.0.2', 65002, { export: ['tag'] })], {
      filters: tagging,
      originate: [{ prefix: PREFIX, communities: ['65001:7', '65001:8:9', 'target:65001:1'] }, { prefix: OTHER }],
    }),
  );
  await b.configure(
    b.config(
      65002,
      [
        peer('10.0.0.1', 65001, { name: 'source', import: ['in'] }),
        peer('10.0.0.3', 65003, { name: 'sink', export: ['out'] }),
        ...(second ? [peer('10.0.0.4', 65004, { name: 'second' })] : []),
      ],
      {
        filters: { in: { rules: filters.import ?? [] }, out: { rules: filters.export ?? [] } },
        originate: [{ prefix: '10.67.0.0/24', tags: ['own'] }],
      },
    ),
  );
  await sink.configure(sink.config(65003, [peer('10.0.0.2', 65002)]));
  if (second) {
    const other = world.speaker('10.0.0.4');
    await other.configure(other.config(65004, [peer('10.0.0.2', 65002)], { originate: [{ prefix: PREFIX }] }));
  }
  world.seconds(10);
  const forwarding = new Map<string, ForwardingEntry>();
  expect(wanted).to.equal(true);
  while (
    b.speaker.takeForwarding((family, words, offset, length, entry) => {
      const word = words[offset] ?? 0;
      const text = `${[24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')}/${length}`;
      if (family === 4 && entry !== undefined) forwarding.set(text, entry);
      else forwarding.delete(text);
    })
  );
  return { b, sink, forwarding };
}

const received = (node: Node): string => node.prefixes().join(' ');
const ALL = `${PREFIX} ${OTHER} 10.67.0.0/24`;

describe('bgp/filter in sessions', () => {
  /** Each rejects PREFIX, and only that, when it matches. */
  const imports: readonly (readonly [FilterMatch, boolean])[] = [
    [{ prefixes: [{ prefix: '10.65.0.0/16', minLength: 20, maxLength: 24 }] }, true],
    [{ prefixes: [{ prefix: '10.65.0.0/16', minLength: 25 }] }, false],
    [{ asPath: ['^65001 64999$'], communities: ['65001:7'] }, true],
    [{ asPath: ['^64999'], communities: ['65001:7'] }, false],
    [{ asPathPrefix: [65001, 64999], communities: ['65001:*'] }, true],
    [{ asPathPrefix: [64999], communities: ['65001:*'] }, false],
    [{ communities: ['65001:8:*'] }, true],
    [{ communities: ['65001:9:*'] }, false],
    [{ communities: ['target:*:1'] }, true],
    [{ communities: ['target:*:2'] }, false],
    [{ nextHops: ['10.0.0.1'], communities: ['65001:7'] }, true],
    [{ nextHops: ['10.0.9.0/24'], communities: ['65001:7'] }, false],
    [{ med: { min: 40, max: 40 }, communities: ['65001:7'] }, true],
    [{ med: { min: 41 }, communities: ['65001:7'] }, false],
    [{ localPreference: { min: 100, max: 100 }, communities: ['65001:7'] }, true],
    [{ localPreference: { min: 101 }, communities: ['65001:7'] }, false],
    [{ origins: ['igp'], communities: ['65001:7'] }, true],
    [{ origins: ['egp'], communities: ['65001:7'] }, false],
    [{ asPathLength: { min: 2, max: 2 }, communities: ['65001:7'] }, true],
    [{ asPathLength: { min: 3 }, communities: ['65001:7'] }, false],
    [{ source: ['ebgp'], communities: ['65001:7'] }, true],
    [{ source: ['local', 'ibgp'], communities: ['65001:7'] }, false],
    [{ peerTypes: ['ebgp'], communities: ['65001:7'] }, true],
    [{ peerTypes: ['ibgp'], communities: ['65001:7'] }, false],
    [{ peers: ['sour*'], communities: ['65001:7'] }, true],
    [{ peers: ['sink'], communities: ['65001:7'] }, false],
    [{ peerAs: [65001], communities: ['65001:7'] }, true],
    [{ peerAs: [65003], communities: ['65001:7'] }, false],
    [{ families: ['ipv4'], communities: ['65001:7'] }, true],
    [{ families: ['ipv6'], communities: ['65001:7'] }, false],
  ];
  for (const [match, isMatch] of imports)
    it(`import ${JSON.stringify(match)} ${isMatch ? 'rejects' : 'lets pass'}`, async () => {
      const { b, sink } = await scene({ import: [{ match, action: 'reject' }] });
      const want = isMatch ? ALL.replace(`${PREFIX} `, '') : ALL;
      expect([received(b), received(sink)]).to.deep.equal([want, want]);
      expect(b.paths(PREFIX).map(({ unusable }) => unusable)).to.deep.equal([
        isMatch ? 'rejected-by-policy' : undefined,
      ]);
    });

  it('export decides by what import policy made of a route, and by tags', async () => {
    const { b, sink } = await scene({
      import: [{ match: { communities: ['65001:7'] }, set: { kernelMetric: 77 }, action: 'next' }],
      export: [
        { match: { kernelMetric: 77 }, action: 'reject' },
        { match: { tags: ['own'] }, action: 'reject' },
      ],
    });
    expect([received(b), received(sink)]).to.deep.equal([ALL, OTHER]);
  });

  /** What import and export each make of PREFIX, as b and the sink have it. */
  const actions: readonly (readonly [FilterSet, string, string])[] = [
    [
      { addCommunities: ['1:1', '1:2:3', 'target:1:1'] },
      '65001:7 1:1 65001:8:9 1:2:3 target:65001:1 target:1:1',
      '65001:7 1:1 65001:8:9 1:2:3 target:65001:1 target:1:1',
    ],
    [{ setCommunities: ['1:1'] }, '1:1', '1:1'],
    [{ removeCommunities: ['65001:*', 'target:*:*'] }, '65001:8:9', '65001:8:9'],
  ];
  const communities = (node: Node): string => {
    const {
      communities: standard = [],
      largeCommunities = [],
      extendedCommunities = [],
    } = node.best(PREFIX)?.attributes ?? {};
    return [
      ...standard.map(formatCommunity),
      ...largeCommunities.map(formatLargeCommunity),
      ...extendedCommunities.map(formatExtendedCommunity),
    ].join(' ');
  };
  for (const [set, atB, atSink] of actions)
    it(`set ${JSON.stringify(set)}`, async () => {
      const onImport = await scene({ import: [{ set, action: 'accept' }] });
      expect([communities(onImport.b), communities(onImport.sink)]).to.deep.equal([atB, atSink]);
      const onExport = await scene({ export: [{ set, action: 'accept' }] });
      expect([communities(onExport.b), communities(onExport.sink)]).to.deep.equal([
        '65001:7 65001:8:9 target:65001:1',
        atSink,
      ]);
    });

  it('set prepend, prependAs, MED and ORIGIN', async () => {
    const set: FilterSet = { prepend: 1, prependAs: [7], med: 5, origin: 'egp' };
    const onImport = (await scene({ import: [{ set, action: 'accept' }] })).b;
    expect([
      onImport.asPath(PREFIX),
      onImport.best(PREFIX)?.attributes.med,
      onImport.best(PREFIX)?.attributes.origin,
    ]).to.deep.equal(['7 65002 65001 64999', 5, 'egp']);
    const { sink } = await scene({ export: [{ set, action: 'accept' }] });
    expect([
      sink.asPath(PREFIX),
      sink.best(PREFIX)?.attributes.med,
      sink.best(PREFIX)?.attributes.origin,
    ]).to.deep.equal(['65002 7 65002 65001 64999', 5, 'egp']);
    const removed = await scene({ import: [{ set: { med: 'remove' }, action: 'accept' }] });
    expect(removed.b.best(PREFIX)?.attributes.med).to.equal(undefined);
  });

  it('set next hop: on import for forwarding, on export for the peer', async () => {
    const set: FilterSet = { nextHop: '10.0.0.9' };
    const onImport = await scene({ import: [{ set, action: 'accept' }] });
    expect(onImport.forwarding.get(PREFIX)?.hops.map(({ address }) => address && formatAddress(address))).to.deep.equal(
      ['10.0.0.9'],
    );
    const { sink, forwarding } = await scene({ export: [{ set, action: 'accept' }] });
    const hop = sink.best(PREFIX)?.nextHop;
    expect(hop && formatAddress(hop)).to.equal('10.0.0.9');
    expect(forwarding.get(PREFIX)?.hops.map(({ address }) => address && formatAddress(address))).to.deep.equal([
      '10.0.0.1',
    ]);
  });

  it('set kernel metric: only of routes that matched', async () => {
    const { forwarding } = await scene({
      import: [{ match: { prefixes: [{ prefix: PREFIX }] }, set: { kernelMetric: 77 }, action: 'accept' }],
    });
    expect([forwarding.get(PREFIX)?.metric, forwarding.get(OTHER)?.metric]).to.deep.equal([77, undefined]);
  });

  it('set weight and LOCAL_PREF: either turns the decision', async () => {
    const from = async (set: FilterSet | undefined): Promise<string | undefined> => {
      const { b } = await scene({ import: [{ ...(set === undefined ? {} : { set }), action: 'accept' }] }, true);
      const best = b.best(PREFIX);
      return best?.source.type === 'local' ? 'local' : best?.source.peer;
    };
    // The second peer's path is shorter.
    expect([
      await from(undefined),
      await from({ weight: 1 }),
      await from({ localPreference: 101 }),
      await from({ localPreference: 99 }),
    ]).to.deep.equal(['second', 'source', 'source', 'second']);
  });
});
