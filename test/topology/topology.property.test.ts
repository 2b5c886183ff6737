/** Whatever an API server lets pass: the daemon takes the document, what is not in it is named, and order makes no difference. */
import { expect } from 'chai';
import fc, { type Arbitrary } from 'fast-check';
import { tryParseAddress, tryParsePrefix, formatPrefix } from 'node-bgp/address';
import { formatProblem, validateConfig } from 'node-bgp/config/validate';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { BGPConfiguration, BGPFilter, BGPPeer } from '../../src/api/bgp.js';
import type { Node } from '../../src/api/core.js';
import { customResourceDefinitions } from '../../src/api/crds/index.js';
import type { IPPool } from '../../src/api/ipam.js';
import { topologyOf, type Topology, type TopologyInput } from '../../src/topology/speaker-config.js';
import { valuesOf, type Vocabulary } from './schema-arbitrary.js';

/** By hand: TOPOLOGY_RUNS=100000 npx mocha dist/test/topology/topology.property.test.js */
const RUNS = Number(process.env['TOPOLOGY_RUNS'] ?? 150);

const SELF = 'node1';
const LONG = 'x'.repeat(250);
const NODES = [SELF, 'node2', 'node3', 'b', 'b-c', 'a-b', LONG];
const PEERS = ['a', 'a-b', 'mesh-node2-v4', 'mesh-b-v6', 'node2', 'tortie-export', LONG, 'router'];
const FILTERS = ['a', 'f', 'tortie', 'tortie-export', LONG, 'odd'];
const ADDRESSES = [
  ...['10.0.0.1', '10.0.0.2', '10.0.0.3', '0.0.0.0', '127.0.0.1', '224.0.0.1', '169.254.1.1', '255.255.255.255'],
  ...['fd00::1', 'fd00::2', 'FD00::2', '::', '::1', 'fe80::1', 'ff02::1', '::ffff:10.0.0.2', 'rubbish', ''],
];
const CIDRS = [
  ...[
    '10.65.0.0/16',
    '10.65.0.0/26',
    '10.65.0.64/26',
    '10.65.0.7/16',
    '10.0.0.2/32',
    '0.0.0.0/0',
    '224.0.0.0/8',
    '1.2.3.4/33',
  ],
  ...[
    'fd00:65::/48',
    'fd00:65::/122',
    'FD00:65::1/48',
    'fe80::/64',
    'ff00::/16',
    '::/0',
    '::ffff:10.0.0.0/104',
    'a/b',
    '10.0.0.0/',
  ],
];
const SELECTORS = [
  'all()',
  'rack == "1"',
  'rack == "2"',
  'has(rr)',
  '!has(rr)',
  '((',
  'rack in {"1","2"}',
  '== "1"',
  ' ',
];
const COMMUNITIES = ['64512:100', 'pods', 'odd', '65536:100', '1:2:3', '4294967295:1:2', 'no-export', '', '64512:100:'];

const VOCABULARY: Vocabulary = {
  peerIP: [
    ...ADDRESSES.flatMap((address) => [address, address.includes(':') ? `[${address}]:1790` : `${address}:1790`]),
    ...[
      '10.0.0.2:0',
      '10.0.0.2:65536',
      '192.0.2.1',
      '192.0.2.1:179',
      'fe80::1%eth0',
      'fe80::1%eth0:179',
      'fe80::1%',
      '2001:db8::1',
      '[2001:db8::1]',
    ],
  ],
  node: [...NODES, 'gone'],
  nodeSelector: SELECTORS,
  peerSelector: SELECTORS,
  localWorkloadSelector: SELECTORS,
  filters: [...FILTERS, 'missing', ' '],
  cidr: CIDRS,
  communities: COMMUNITIES,
  values: COMMUNITIES,
  value: COMMUNITIES,
  name: ['pods', 'odd', 'good', 'fine', 'empty', 'long', 'zero', 'line', 'binary', 'missing'],
  key: ['key', 'other'],
  interface: ['eth0', 'eth*', ' ', 'a/b', 'eth[01]'],
  reachableBy: ADDRESSES,
  ignoredInterfaces: ['eth0', 'e h', '', '*', 'eth[01]', 'x'.repeat(70)],
  localWorkloadPeeringIPV4: ADDRESSES,
  localWorkloadPeeringIPV6: ADDRESSES,
};

const SECRETS: Readonly<Record<string, string>> = {
  good: 'sesame',
  fine: 'barley',
  empty: '',
  long: 'ä'.repeat(41),
  zero: 'a\0b',
  line: 'sesame\n',
  binary: 'a\ufffd',
};

interface Definition {
  readonly spec: {
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly schema: { readonly openAPIV3Schema: { readonly properties: { readonly spec: unknown } } };
    }[];
  };
}

/** The spec of a kind as its CustomResourceDefinition has it. */
function specOf(kind: string): unknown {
  const definitions = customResourceDefinitions as readonly unknown[] as readonly Definition[];
  const [version] = definitions.find(({ spec }) => spec.names.kind === kind)?.spec.versions ?? [];
  if (version === undefined) throw new Error(`There is no kind ${kind}`);
  return version.schema.openAPIV3Schema.properties.spec;
}

interface Named<Spec> {
  readonly metadata: { readonly name: string };
  readonly spec: Spec;
}

function objectsOf<T extends Named<unknown>>(kind: string, names: readonly string[]): Arbitrary<readonly T[]> {
  const one = fc.record({
    metadata: fc.record({ name: fc.constantFrom(...names) }),
    spec: valuesOf(specOf(kind), VOCABULARY),
  });
  return fc.uniqueArray(one, {
    maxLength: 5,
    selector: ({ metadata }) => metadata.name,
  }) as Arbitrary<unknown> as Arbitrary<readonly T[]>;
}

const annotated = (name: string, values: readonly string[]) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant({}) },
    fc.constantFrom(...values).map((value) => ({ [`projectcalico.org/${name}`]: value })),
  );

const node: Arbitrary<Node> = fc
  .record({
    name: fc.constantFrom(...NODES),
    labels: fc.record({ rack: fc.constantFrom('1', '2'), rr: fc.constant('') }, { requiredKeys: [] }),
    annotations: fc
      .tuple(
        annotated('IPv4Address', [...ADDRESSES, '10.0.0.1/24', '10.0.0.9/32', '10.0.0.1/33', '0.0.0.0/0']),
        annotated('IPv6Address', [...ADDRESSES, 'fd00::1/64', 'fd00::9/200']),
        annotated('ASNumber', ['64513', '1.10', '0', '23456', 'x', '', '4294967295', '99999999999']),
        annotated('RouteReflectorClusterID', ['10.255.0.1', '0.0.0.0', 'x', '', '1.2.3', '256.1.1.1']),
      )
      .map((all) => Object.assign({}, ...all) as Record<string, string>),
    addresses: fc.array(fc.constantFrom(...ADDRESSES), { maxLength: 3 }),
    ready: fc.constantFrom('True', 'False', 'Unknown', undefined),
    creationTimestamp: fc.constantFrom('2026-01-01T00:00:00Z', '2026-02-01T00:00:00Z', undefined),
  })
  .map(({ name, labels, annotations, addresses, ready, creationTimestamp }) => ({
    metadata: { name, labels, annotations, ...(creationTimestamp === undefined ? {} : { creationTimestamp }) },
    status: {
      addresses: addresses.map((address) => ({ type: 'InternalIP' as const, address })),
      ...(ready === undefined ? {} : { conditions: [{ type: 'Ready', status: ready as 'True' }] }),
    },
  }));

const selfNode: Node = {
  metadata: { name: SELF, labels: { rack: '1' } },
  status: { addresses: ['10.0.0.1', 'fd00::1'].map((address) => ({ type: 'InternalIP' as const, address })) },
};

const world: Arbitrary<TopologyInput> = fc
  .record({
    nodes: fc.uniqueArray(node, { maxLength: 6, selector: ({ metadata }) => metadata.name }),
    keepsSelf: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    bgpConfigurations: objectsOf<BGPConfiguration>('BGPConfiguration', [
      'default',
      `node.${SELF}`,
      'node.node2',
      'other',
    ]),
    bgpPeers: objectsOf<BGPPeer>('BGPPeer', PEERS),
    bgpFilters: objectsOf<BGPFilter>('BGPFilter', FILTERS),
    ipPools: objectsOf<IPPool>('IPPool', ['v4', 'v6', 'other']),
    blocks: fc.uniqueArray(
      fc.record({
        cidr: fc.constantFrom('10.65.0.0/26', '10.65.0.64/26', 'fd00:65::/122'),
        pool: fc.constantFrom('v4', 'v6', 'gone'),
      }),
      { maxLength: 3, selector: ({ cidr }) => cidr },
    ),
    loopback: fc.subarray(['10.0.0.1', 'fd00::1', '127.0.0.1', '::1']),
  })
  .map(({ nodes, keepsSelf, loopback, ...rest }) => ({
    nodeName: SELF,
    ...rest,
    nodes: keepsSelf ? nodes : [...nodes.filter(({ metadata }) => metadata.name !== SELF), selfNode],
    loopbackAddresses: new Set(loopback),
    secret: (name: string, key: string) => (key === 'key' ? SECRETS[name] : undefined),
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
  }));

const shuffled = (input: TopologyInput, seed: number): TopologyInput => {
  const turn = <T>(list: readonly T[]): readonly T[] => {
    const at = list.length === 0 ? 0 : seed % list.length;
    const turned = [...list.slice(at), ...list.slice(0, at)];
    return seed % 2 === 0 ? turned : turned.reverse();
  };
  return {
    ...input,
    nodes: turn(input.nodes),
    bgpConfigurations: turn(input.bgpConfigurations),
    bgpPeers: turn(input.bgpPeers),
    bgpFilters: turn(input.bgpFilters),
    ipPools: turn(input.ipPools),
    blocks: turn(input.blocks),
  };
};

const isTold = ({ problems }: Topology, resource: string): boolean =>
  problems.some((each) => each.resource === resource);

/** Names of all objects, as problems name them. */
function objectNames(input: TopologyInput): ReadonlySet<string> {
  const names = (
    kind: string,
    objects: readonly { readonly metadata: { readonly name: string } }[],
  ): readonly string[] => objects.map(({ metadata }) => `${kind}/${metadata.name}`);
  return new Set([
    // The agent is there before its node may be.
    `Node/${input.nodeName}`,
    ...names('Node', input.nodes),
    ...names('BGPConfiguration', input.bgpConfigurations),
    ...names('BGPPeer', input.bgpPeers),
    ...names('BGPFilter', input.bgpFilters),
    ...names('IPPool', input.ipPools),
  ]);
}

/** What only the daemon calls something. */
const DAEMON_WORDS =
  /\b(remoteAs|localAs\w*|localAddress|ttlSecurityHops|gracefulRestart\w*|allowLocalAs|nextHop(Self|Unchanged)|kernelMetric\w*|logLevel)\b/;

describe('topology, of whatever an API server lets pass', function () {
  this.timeout(Math.max(60_000, RUNS * 50));

  const holds = (check: (input: TopologyInput, result: Topology) => void): void =>
    fc.assert(
      fc.property(world, (input) => check(input, topologyOf(input))),
      { numRuns: RUNS },
    );

  it('makes a document that the daemon takes', () =>
    holds((_, { config }) => {
      if (config === undefined) return;
      // As it comes over the socket.
      const validated = validateConfig(JSON.parse(JSON.stringify(config)));
      expect(validated.type === 'invalid' ? validated.problems.map(formatProblem) : []).to.deep.equal([]);
    }));

  it('names objects that there are, and fields that they have', () =>
    holds((input, { problems }) => {
      const names = objectNames(input);
      for (const { resource, field, message } of problems) {
        expect(names.has(resource), `${resource} ${message}`).to.equal(true);
        expect(message.startsWith(field ?? ''), message).to.equal(true);
        // What stands in quotes is the user's.
        expect(message.replace(/".*"/g, '')).to.not.match(/undefined|NaN|\[object/);
        expect(message).to.not.include('sesame');
        expect(message.replace(/".*"/g, '')).to.not.match(DAEMON_WORDS);
      }
    }));

  it('names every router and every node that it leaves out', () =>
    holds((input, result) => {
      const { config } = result;
      if (config === undefined) return;
      const self = input.nodes.find(({ metadata }) => metadata.name === SELF);
      const labels = new Map(Object.entries(self?.metadata.labels ?? {}));
      for (const { metadata, spec } of input.bgpPeers) {
        const isOurs = spec.node ? spec.node === SELF : !spec.nodeSelector || isSelected(spec.nodeSelector, labels);
        if (!isOurs || spec.peerSelector) continue;
        const [peerIP = ''] = /^[^[\]]+$/.exec(spec.peerIP ?? '') ?? [];
        const isThere =
          config.peers?.some((peer) => peer.address !== undefined && isSame(peer.address, peerIP)) === true ||
          config.peers?.some(({ name }) => name === metadata.name) === true;
        expect(isThere || isTold(result, `BGPPeer/${metadata.name}`), metadata.name).to.equal(true);
      }
      for (const { metadata } of input.nodes) {
        if (
          metadata.name === SELF ||
          config.peers?.some(({ name }) => name?.startsWith(`mesh-${metadata.name.slice(0, 100)}`))
        )
          continue;
        // Outside the mesh, without an address in common, or named.
        expect(hasReason(input, result, metadata.name), metadata.name).to.equal(true);
      }
    }));

  it('names every service range that it leaves out', () =>
    holds((input, result) => {
      const { config, problems } = result;
      const [byDefault, own] = ['default', `node.${SELF}`].map(
        (name) => input.bgpConfigurations.find(({ metadata }) => metadata.name === name)?.spec,
      );
      const ranges = own?.serviceClusterIPs ?? byDefault?.serviceClusterIPs ?? [];
      for (const [index, { cidr = '' }] of ranges.entries()) {
        if (config === undefined) continue;
        const prefix = tryParsePrefix(cidr);
        const isThere =
          prefix !== undefined && config.originate?.some((each) => each.prefix === formatPrefix(prefix)) === true;
        expect(
          isThere || problems.some(({ field }) => field === `spec.serviceClusterIPs[${index}].cidr`),
          cidr,
        ).to.equal(true);
      }
    }));

  it('says the same in whatever order objects come', () =>
    fc.assert(
      fc.property(world, fc.nat(), (input, seed) => {
        const [one, other] = [topologyOf(input), topologyOf(shuffled(input, seed))];
        expect(JSON.stringify(sorted(other.config))).to.equal(JSON.stringify(sorted(one.config)));
        expect(other.problems).to.deep.equal(one.problems);
      }),
      { numRuns: RUNS },
    ));
});

function isSelected(selector: string, labels: ReadonlyMap<string, string>): boolean {
  try {
    return selectorMatches(selector, labels);
  } catch {
    return false;
  }
}

function isSame(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => tryParseAddress(text.split('%')[0] ?? ''));
  return x !== undefined && x.family === y?.family && x.value === y.value;
}

/** Why a node may be without a mesh session, told or of its own nature. */
function hasReason(input: TopologyInput, result: Topology, name: string): boolean {
  const find = (each: string): Node | undefined => input.nodes.find(({ metadata }) => metadata.name === each);
  const isReflector = (each: string): boolean =>
    (find(each)?.metadata.annotations?.['projectcalico.org/RouteReflectorClusterID'] ?? '') !== '';
  const byDefault = input.bgpConfigurations.find(({ metadata }) => metadata.name === 'default')?.spec;
  const isMeshOff = byDefault?.nodeToNodeMeshEnabled === false;
  return (
    isMeshOff ||
    isReflector(SELF) ||
    isReflector(name) ||
    isTold(result, `Node/${name}`) ||
    result.problems.some(
      ({ resource, field = '' }) =>
        resource === 'BGPConfiguration/default' && field.startsWith('spec.nodeMeshPassword'),
    ) ||
    result.problems.some(({ message }) => message.includes(`(Node/${name})`))
  );
}

/** Keys of mappings have no order; neither have peers and prefixes. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, each]) => [
        key,
        key === 'originate' ? [...(each as unknown[])].map(sorted).sort(byText) : sorted(each),
      ]),
  );
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
