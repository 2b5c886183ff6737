/** Random histories of a RIB: peers that come, go and talk, links, own prefixes, slow readers; in slices of any size. */
import fc from 'fast-check';
import { parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { ConnectedPrefix, KernelRoute, LocalRoute, RibPeer } from 'node-bgp/rib/index';
import type { RoutePolicy } from 'node-bgp/rib/policy';
import { reach, ribPeer, sequence, type RibWorld } from './rib-world.js';

/** Prefixes some of which hold next hops, so that recursion and its withdrawal happen a lot. */
export const PREFIXES = [
  '10.9.0.0/16',
  '10.9.1.0/24',
  '10.9.1.1/32',
  '10.9.2.0/24',
  '10.1.0.0/24',
  '10.1.0.9/32',
  '192.0.2.0/24',
  '198.51.100.0/24',
  '198.51.0.0/16',
  '203.0.113.7/32',
  '0.0.0.0/0',
  'fd09::/32',
  'fd09:1::/48',
  'fd09:1::1/128',
  '2001:db8:1::/48',
  '2001:db8:2::/47',
];
const NEXT_HOPS: Readonly<Record<Family, readonly string[]>> = {
  4: ['10.1.0.1', '10.1.0.9', '10.2.0.1', '10.9.1.1', '10.9.2.7', '172.16.0.1', '10.0.0.254'],
  6: ['fd01::1', 'fd01::9', 'fd02::1', 'fd09:1::1', 'fd09::7'],
};
export const LINKS: readonly ConnectedPrefix[] = [
  { prefix: parsePrefix('10.1.0.0/24'), interfaceName: 'eth1' },
  { prefix: parsePrefix('10.2.0.0/24'), interfaceName: 'eth2' },
  { prefix: parsePrefix('10.9.2.0/25'), interfaceName: 'eth3' },
  { prefix: parsePrefix('fd01::/64'), interfaceName: 'eth1' },
  { prefix: parsePrefix('fd02::/64'), interfaceName: 'eth2' },
];

/** What others have told the kernel: some over a gateway, some on a link, one into nothing, two of a prefix, a default. */
export const KERNEL_ROUTES: readonly KernelRoute[] = (
  [
    ['10.9.0.0/16', 20, [['10.1.0.5', 'eth1']]],
    ['10.9.0.0/16', 10, [['10.2.0.5', 'eth2']]],
    ['10.9.1.1/32', 0, [[undefined, 'eth2']]],
    [
      '172.16.0.0/12',
      5,
      [
        ['10.1.0.5', 'eth1'],
        ['10.2.0.5', 'eth2'],
      ],
    ],
    ['10.9.2.0/28', 0, []],
    ['10.2.0.0/25', 3, [['10.1.0.6', 'eth1']]],
    ['0.0.0.0/0', 100, [['10.1.0.254', 'eth1']]],
    ['fd09::/32', 1024, [['fd01::5', 'eth1']]],
    ['fd09:1::1/128', 1024, [[undefined, 'eth2']]],
    ['::/0', 1024, [['fd02::fe', 'eth2']]],
  ] as const
).map(([prefix, metric, hops]) => ({
  prefix: parsePrefix(prefix),
  metric,
  hops: hops.map(([address, interfaceName]) => ({
    ...(address === undefined ? {} : { address: parseAddress(address) }),
    interfaceName,
    weight: 1,
  })),
}));

/** Looks at communities only: once per attribute set. */
const byCommunity: RoutePolicy = {
  key: 'by-community',
  explain: ({ attributes }) => ({ text: `communities ${attributes.communities?.join(' ') ?? ''}` }),
  dependsOnPrefix: false,
  dependsOnPeer: false,
  judge: ({ attributes }) => {
    if (attributes.communities?.includes(1) === true) return { type: 'reject' };
    if (attributes.communities?.includes(2) === true)
      return { type: 'accept', attributes: { ...attributes, localPreference: 300 }, weight: 7 };
    return { type: 'accept' };
  },
};
const byPrefix: RoutePolicy = {
  key: 'by-prefix',
  explain: ({ prefix }) => ({ text: `a length of ${prefix?.length ?? 'none'}` }),
  dependsOnPrefix: true,
  dependsOnPeer: false,
  judge: ({ prefix, attributes, tags }) => {
    if (prefix === undefined) throw new Error('A policy by prefix was not given one');
    if (tags.includes('hidden')) return { type: 'reject' };
    if (prefix.length > 24 && prefix.family === 4) return { type: 'reject' };
    return prefix.length === 24
      ? { type: 'accept', attributes: { ...attributes, communities: [...(attributes.communities ?? []), 99] } }
      : { type: 'accept' };
  },
};

const both = (addPathReceive: boolean, addPathSend: boolean): RibPeer['families'] =>
  ribPeer('', { role: 'ebgp', at: '10.1.0.1' }).families.map((session) => ({
    ...session,
    addPathReceive,
    addPathSend,
  }));

export const PEERS: readonly RibPeer[] = [
  ribPeer('e1', { role: 'ebgp', at: '10.1.0.1', remoteAs: 65001 }),
  ribPeer('e2', { role: 'ebgp', at: '10.2.0.1', remoteAs: 65002, importPolicy: byCommunity }),
  ribPeer('e3', {
    role: 'ebgp',
    at: '10.2.0.3',
    remoteAs: 65001,
    singleHop: false,
    exportPolicy: byPrefix,
    allowLocalAs: 1,
  }),
  ribPeer('i1', { role: 'ibgp', at: '10.9.1.1', weight: 3 }),
  ribPeer('i2', { role: 'ibgp', at: '10.9.1.2', exportPolicy: byCommunity }),
  ribPeer('c1', { role: 'rr-client', at: '10.9.1.3', families: both(true, false) }),
  ribPeer('c2', { role: 'rr-client', at: '10.9.1.4', importPolicy: byPrefix, families: both(false, true) }),
  ribPeer('c3', { role: 'rr-client', at: '10.9.1.5' }),
];

const ATTRIBUTES = fc.record({
  origin: fc.constantFrom('igp', 'incomplete'),
  asPath: fc.constantFrom([], sequence(65001), sequence(65002), sequence(65001, 65003), sequence(65002, 65000), [
    ...sequence(65001),
    { type: 'set', members: [1, 2] },
  ]),
  med: fc.constantFrom(0, 10, 20, undefined),
  communities: fc.constantFrom(undefined, [1], [2], [0xffffff01], [0xffffff02], [0xffff0000]),
  localPreference: fc.constantFrom(undefined, 100, 200),
  clusterList: fc.constantFrom(undefined, [5], [0x0a0000fe]),
});

const peerName = fc.constantFrom(...PEERS.map(({ name }) => name));
/** A few prefixes get most of the paths, so that the late steps of the decision are reached. */
const prefix = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...PREFIXES) },
  { weight: 1, arbitrary: fc.constantFrom('10.9.1.0/24', '192.0.2.0/24', 'fd09:1::/48') },
);
const pathId = fc.constantFrom(0, 1, 2);
export const EVENT = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constant('announce' as const),
      peer: peerName,
      prefix,
      hop: fc.nat(6),
      attributes: ATTRIBUTES,
      pathId,
    }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('withdraw' as const), peer: peerName, prefix, pathId }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('up' as const), peer: peerName }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('down' as const),
      peer: peerName,
      keep: fc.constantFrom<'drop' | readonly Family[]>('drop', [4, 6], [4]),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('sweep' as const), peer: peerName }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('end-of-rib' as const),
      peer: peerName,
      family: fc.constantFrom<Family>(4, 6),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('refresh' as const), peer: peerName, demarcated: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('links' as const), up: fc.subarray([...LINKS]) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('kernel' as const), routes: fc.subarray([...KERNEL_ROUTES]) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('originate' as const),
      prefixes: fc.subarray(PREFIXES),
      tag: fc.constantFrom('hidden', 'shown'),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'replay' as const }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('turn' as const),
      steps: fc.integer({ min: 1, max: 40 }),
      octets: fc.constantFrom(1, 200, 100_000),
      deaf: fc.subarray(PEERS.map(({ name }) => name)),
    }),
  },
);
export type HistoryEvent = typeof EVENT extends fc.Arbitrary<infer T> ? T : never;

export function apply(world: RibWorld, event: HistoryEvent): void {
  switch (event.type) {
    case 'announce': {
      const peer = world.peers.get(event.peer);
      if (peer === undefined) return;
      const { family } = parsePrefix(event.prefix);
      const hops = NEXT_HOPS[family];
      const isInternal = peer.options.role !== 'ebgp';
      const { localPreference, clusterList, med, communities, ...rest } = event.attributes;
      const optional = {
        localPreference: isInternal ? localPreference : undefined,
        clusterList: isInternal ? clusterList : undefined,
        med,
        communities,
      };
      const attributes = {
        ...rest,
        ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
      };
      const hasPaths = peer.options.families.some(
        (session) => session.family === family && session.addPathReceive === true,
      );
      return world.announce(
        event.peer,
        reach(event.prefix, hops[event.hop % hops.length] as string, attributes as object, hasPaths ? event.pathId : 0),
      );
    }
    case 'withdraw': {
      const peer = world.peers.get(event.peer);
      const hasPaths = peer?.options.families[0]?.addPathReceive === true;
      return peer === undefined ? undefined : world.withdraw(event.peer, event.prefix, hasPaths ? event.pathId : 0);
    }
    case 'up': {
      const options = PEERS.find(({ name }) => name === event.peer);
      if (options !== undefined && !world.peers.has(event.peer)) world.up(options);
      return;
    }
    case 'down':
      return world.peers.has(event.peer) ? world.down(event.peer, event.keep) : undefined;
    case 'end-of-rib':
      return world.peers.has(event.peer) ? world.endOfRib(event.peer, event.family) : undefined;
    case 'sweep': {
      const kept = world.kept.get(event.peer);
      if (kept === undefined) return;
      world.kept.delete(event.peer);
      for (const family of [4, 6] as const)
        if (world.rib.queries.peerId(event.peer) === kept.id) world.rib.sweepStale(kept.id, family);
      return;
    }
    case 'refresh': {
      const peer = world.peers.get(event.peer);
      if (peer === undefined) return;
      // Everything is to come again, so nothing of before may be needed.
      peer.heard.clear();
      for (const family of [4, 6] as const) world.rib.refresh(peer.id, family, event.demarcated);
      return;
    }
    case 'links':
      return world.connect(event.up);
    case 'kernel':
      return world.setKernelRoutes(event.routes);
    case 'originate':
      return world.originate(
        event.prefixes.map((each): LocalRoute => ({ prefix: parsePrefix(each), tags: [event.tag] })),
      );
    case 'replay':
      world.forwarding.clear();
      return world.rib.replayForwarding();
    case 'turn':
      return world.turn(event.steps, event.octets, event.deaf);
  }
}
