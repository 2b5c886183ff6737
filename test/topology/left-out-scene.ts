/** node1 of a rack of three, and what it makes of odd resources. */
import { expect } from 'chai';
import type { FilterConfig, PeerConfig } from 'node-bgp/config';
import { formatProblem, validateConfig } from 'node-bgp/config/validate';
import { compilePolicy } from 'node-bgp/filter/policy';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { selectorMatches } from '../../src/agent/node-selector.js';
import type { BGPConfigurationSpec, BGPFilterSpec, BGPPeer, BGPPeerSpec } from '../../src/api/bgp.js';
import type { Node } from '../../src/api/core.js';
import type { IPPoolSpec } from '../../src/api/ipam.js';
import type { NodeLink } from '../../src/topology/node-side.js';
import { topologyOf, type Topology } from '../../src/topology/speaker-config.js';

export interface World {
  /** With their metadata, in place of peers. */
  readonly bgpPeers?: readonly BGPPeer[];
  readonly links?: readonly NodeLink[];
  readonly self?: string;
  readonly nodes?: readonly Node[];
  readonly configuration?: BGPConfigurationSpec;
  readonly peers?: Readonly<Record<string, BGPPeerSpec>>;
  readonly filters?: Readonly<Record<string, BGPFilterSpec>>;
  readonly pools?: Readonly<Record<string, IPPoolSpec>>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly loopback?: readonly string[];
  readonly heldFilters?: Readonly<Record<string, FilterConfig>>;
  readonly goneFilters?: Readonly<Record<string, BGPFilterSpec>>;
}

export interface NodeWords {
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ready?: 'True' | 'False' | 'Unknown';
  readonly createdAt?: string;
}

export const node = (name: string, addresses: readonly string[], more: NodeWords = {}): Node => ({
  metadata: {
    name,
    labels: more.labels ?? {},
    annotations: more.annotations ?? {},
    ...(more.createdAt === undefined ? {} : { creationTimestamp: more.createdAt }),
  },
  status: {
    addresses: addresses.map((address) => ({ type: 'InternalIP' as const, address })),
    ...(more.ready === undefined ? {} : { conditions: [{ type: 'Ready', status: more.ready }] }),
  },
});

export const RACK: readonly Node[] = [1, 2, 3].map((n) =>
  node(`node${n}`, [`10.0.0.${n}`, `fd00::${n}`], { ready: 'True', labels: { rack: String(n) } }),
);

/** node1 to node3 at 10.0.0.n and fd00::n, labelled rack=n; node1 computes. Whatever is in the world, the daemon takes the document. */
export function topology(world: World): Topology {
  const named = <T>(specs: Readonly<Record<string, T>> = {}): { metadata: { name: string }; spec: T }[] =>
    Object.entries(specs).map(([name, spec]) => ({ metadata: { name }, spec }));
  const result = topologyOf({
    nodeName: world.self ?? 'node1',
    nodes: world.nodes ?? RACK,
    bgpConfigurations: world.configuration === undefined ? [] : named({ default: world.configuration }),
    bgpPeers: world.bgpPeers ?? named(world.peers),
    bgpFilters: named(world.filters),
    ipPools: named(world.pools),
    blocks: [{ cidr: '10.65.0.0/26', pool: 'v4' }],
    loopbackAddresses: new Set(world.loopback ?? ['10.0.0.1', 'fd00::1']),
    ...(world.links === undefined ? {} : { links: world.links }),
    secret: (name, key) => world.secrets?.[`${name}/${key}`],
    secretNamespace: 'tortie-system',
    matches: selectorMatches,
    ...(world.heldFilters === undefined ? {} : { heldFilters: world.heldFilters }),
    goneFilters: named(world.goneFilters),
  });
  if (result.config !== undefined) {
    const validated = validateConfig(result.config);
    expect(validated.type === 'invalid' ? validated.problems.map(formatProblem) : []).to.deep.equal([]);
  }
  return result;
}

export const MESH = ['mesh-node2-v4', 'mesh-node2-v6', 'mesh-node3-v4', 'mesh-node3-v6'];
export const names = (result: Topology): readonly string[] => result.config?.peers?.map(({ name = '' }) => name) ?? [];
export const peer = (result: Topology, name: string): PeerConfig | undefined =>
  result.config?.peers?.find((each) => each.name === name);
export const sentences = (result: Topology, severity?: 'problem' | 'notice'): readonly string[] =>
  result.problems
    .filter((each) => severity === undefined || each.severity === severity)
    .map(({ resource, message }) => `${resource} ${message}`);

/** What the filters of a peer say of a route. */
export function verdict(
  { config }: Topology,
  name: string,
  direction: 'import' | 'export',
  prefix: string,
  source: 'local' | 'ebgp' | 'ibgp',
): string {
  const settings = config?.peers?.find((each) => each.name === name);
  if (settings?.address === undefined) throw new Error(`There is no peer "${name}"`);
  const remoteAs = Number(settings.remoteAs);
  const address = parseAddress(settings.address);
  const policy = compilePolicy(config?.filters ?? {}, settings[direction] ?? [], {
    direction,
    peerType: remoteAs === 64512 ? 'ibgp' : 'ebgp',
    name,
    address,
    remoteAs,
    localAs: 64512,
  });
  return policy.judge({
    family: 4,
    prefix: parsePrefix(prefix),
    tags: source === 'local' ? ['block'] : [],
    source,
    attributes: { origin: 'igp', asPath: [] } as never,
    nextHop: address,
    interfaceName: undefined,
    from: undefined,
    to: undefined,
  }).type;
}
