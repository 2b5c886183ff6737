/**
 * kube-proxy's rules, row by row: a Service, its endpoints, and what a connection from a pod, from the node and from outside comes
 * to. The same rows are asked of the model (rows.test.ts) and of packets in the kernel.
 */
import type { Family } from 'node-bgp/address';
import { parsePrefix } from 'node-bgp/address';
import type { ServiceEvent, ServiceKubeObject, ServicesOptions } from '@tortie/services';

export type Place = 'L1' | 'L2' | 'R1' | 'R2';
export type From = 'L1' | 'pod' | 'node' | 'outside' | 'other outside';
export type To = 'cluster-ip' | 'external-ip' | 'load-balancer' | 'node-port' | 'node-address';

export interface RowEndpoint {
  readonly at: Place;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly zones?: readonly string[];
  readonly nodes?: readonly string[];
  /** Its slice does not say on which node it is. */
  readonly isAnywhere?: boolean;
  /** Of its slice. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface Row {
  readonly title: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ipMode?: string;
  readonly options?: Partial<ServicesOptions>;
  readonly knowsPods?: boolean;
  readonly zone?: string;
  readonly endpoints: readonly RowEndpoint[];
  /** "L1 R1": one of these, by chance; "masq" for the node's address as source; or reject, drop, none. */
  readonly probes: readonly (readonly [from: From, to: To, outcome: string])[];
}

const { 4: V4, 6: V6 } = {
  4: {
    node: '192.0.2.1',
    client: '203.0.113.9',
    other: '203.0.114.9',
    cluster: '10.96.0.1',
    external: '198.51.100.1',
    balancer: '198.51.100.2',
    pod: (host: number) => `10.65.0.${host}`,
    remote: (host: number) => `10.65.1.${host}`,
    range: '203.0.113.0/24',
    nodeRange: '192.0.2.0/24',
  },
  6: {
    node: '2001:db8::1',
    client: '2001:db8:9::9',
    other: '2001:db8:a::9',
    cluster: 'fd00:96::1',
    external: '2001:db8:100::1',
    balancer: '2001:db8:100::2',
    pod: (host: number) => `fd00:65::${host}`,
    remote: (host: number) => `fd00:65::1:${host}`,
    range: '2001:db8:9::/64',
    nodeRange: '2001:db8::/64',
  },
};
export const NET = { 4: V4, 6: V6 } as const;
export const POD_RANGES = ['10.65.0.0/16', 'fd00:65::/64'].map((text) => parsePrefix(text));
export const NODE_PORT = 30_080;
export const TARGET_PORT = 8_080;

export const addressOf = (family: Family, place: Place): string =>
  place.startsWith('L') ? NET[family].pod(Number(place[1])) : NET[family].remote(Number(place[1]));

export function sourceOf(family: Family, from: From): string {
  switch (from) {
    case 'L1':
      return addressOf(family, 'L1');
    case 'pod':
      return NET[family].pod(9);
    case 'node':
      return NET[family].node;
    case 'outside':
      return NET[family].client;
    case 'other outside':
      return NET[family].other;
  }
}

export function destinationOf(family: Family, to: To): string {
  const { cluster, external, balancer, node } = NET[family];
  return {
    'cluster-ip': cluster,
    'external-ip': external,
    'load-balancer': balancer,
    'node-port': node,
    'node-address': node,
  }[to];
}

export const isToNode = (to: To): boolean => to === 'node-port' || to === 'node-address';

/** Every row holds for each of them. */
export const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;

/** The row's cluster in one family; "$RANGE" and the like in its spec stand for that family's. */
export function eventsOf(row: Row, family: Family): readonly ServiceEvent[] {
  const net = NET[family];
  const spec = JSON.parse(
    JSON.stringify(row.spec ?? {})
      .replaceAll('$RANGE', net.range)
      .replaceAll('$NODE"', `${net.node}"`)
      .replaceAll('$BALANCER', net.balancer)
      .replaceAll('$NODERANGE', net.nodeRange),
  ) as Record<string, unknown>;
  const service: ServiceKubeObject = {
    metadata: { namespace: 'shop', name: 'web', ...(row.labels === undefined ? {} : { labels: row.labels }) },
    ...{
      spec: {
        type: 'LoadBalancer',
        clusterIP: net.cluster,
        clusterIPs: [net.cluster],
        ports: PROTOCOLS.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 80, nodePort: NODE_PORT })),
        externalIPs: [net.external],
        ...spec,
      },
      status: {
        loadBalancer: {
          ingress: [{ ip: net.balancer, ...(row.ipMode === undefined ? {} : { ipMode: row.ipMode }) }],
        },
      },
    },
  };
  const slices = row.endpoints.map(
    (endpoint, index): ServiceKubeObject => ({
      metadata: {
        namespace: 'shop',
        name: `web-${index}`,
        labels: { 'kubernetes.io/service-name': 'web', ...endpoint.labels },
      },
      ...{
        addressType: `IPv${family}`,
        ports: PROTOCOLS.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: TARGET_PORT })),
        endpoints: [
          {
            addresses: [addressOf(family, endpoint.at)],
            nodeName: endpoint.isAnywhere === true ? undefined : endpoint.at.startsWith('L') ? 'n1' : 'n2',
            conditions: { ready: endpoint.ready, serving: endpoint.serving, terminating: endpoint.terminating },
            hints: {
              forZones: endpoint.zones?.map((name) => ({ name })),
              forNodes: endpoint.nodes?.map((name) => ({ name })),
            },
          },
        ],
      },
    }),
  );
  const node: ServiceKubeObject = {
    metadata: { name: 'n1', labels: row.zone === undefined ? {} : { 'topology.kubernetes.io/zone': row.zone } },
    ...{ status: { addresses: [{ type: 'InternalIP', address: net.node }] } },
  };
  return [
    { type: 'pod-ranges', ranges: row.knowsPods === false ? [] : POD_RANGES },
    { type: 'upsert', kind: 'Node', object: node },
    { type: 'upsert', kind: 'Service', object: service },
    ...slices.map((object): ServiceEvent => ({ type: 'upsert', kind: 'EndpointSlice', object })),
  ];
}

const LOCAL = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 } as const;
const TERMINATING = { ready: false, serving: true, terminating: true } as const;
const EXTERNALS = ['external-ip', 'load-balancer', 'node-port'] as const;
const all = (from: From, outcome: string): Row['probes'] => EXTERNALS.map((to) => [from, to, outcome]);

export const ROWS: readonly Row[] = [
  {
    title: 'a cluster IP spreads over ready endpoints; only outside is masqueraded',
    endpoints: [{ at: 'L1' }, { at: 'R1' }, { at: 'R2', ready: false }],
    probes: [
      ['pod', 'cluster-ip', 'L1 R1'],
      ['node', 'cluster-ip', 'L1 R1'],
      ['outside', 'cluster-ip', 'L1 R1 masq'],
    ],
  },
  {
    title: 'without pod ranges nothing of a cluster IP is masqueraded',
    knowsPods: false,
    endpoints: [{ at: 'L1' }, { at: 'R1' }],
    probes: [['outside', 'cluster-ip', 'L1 R1']],
  },
  {
    title: 'masqueradeAll masquerades what goes through a cluster IP, pods too',
    options: { masqueradeAll: true },
    spec: LOCAL,
    endpoints: [{ at: 'R1' }],
    probes: [
      ['pod', 'cluster-ip', 'R1 masq'],
      ['node', 'cluster-ip', 'R1 masq'],
      ['pod', 'load-balancer', 'R1'],
    ],
  },
  {
    title: 'a pod that is its own endpoint sees another source',
    endpoints: [{ at: 'L1' }],
    probes: [
      ['L1', 'cluster-ip', 'L1 masq'],
      ['pod', 'cluster-ip', 'L1'],
    ],
  },
  {
    title: 'external addresses and node ports reach every endpoint, masqueraded',
    endpoints: [{ at: 'L1' }, { at: 'R1' }],
    probes: [...all('outside', 'L1 R1 masq'), ...all('pod', 'L1 R1 masq'), ...all('node', 'L1 R1 masq')],
  },
  {
    title: 'externalTrafficPolicy Local keeps the source and the node; pods and the node take the short-cut',
    spec: LOCAL,
    endpoints: [{ at: 'L1' }, { at: 'R1' }],
    probes: [...all('outside', 'L1'), ...all('pod', 'L1 R1'), ...all('node', 'L1 R1 masq')],
  },
  {
    title: 'externalTrafficPolicy Local without a local endpoint drops outside and serves pods and the node',
    spec: LOCAL,
    endpoints: [{ at: 'R1' }],
    probes: [
      ...all('outside', 'drop'),
      ...all('pod', 'R1'),
      ...all('node', 'R1 masq'),
      ['outside', 'cluster-ip', 'R1 masq'],
    ],
  },
  {
    title: 'internalTrafficPolicy Local stays on the node, external addresses do not',
    spec: { internalTrafficPolicy: 'Local' },
    endpoints: [{ at: 'L1' }, { at: 'R1' }],
    probes: [['pod', 'cluster-ip', 'L1'], ['node', 'cluster-ip', 'L1'], ...all('outside', 'L1 R1 masq')],
  },
  {
    title: 'internalTrafficPolicy Local without a local endpoint drops',
    spec: { internalTrafficPolicy: 'Local' },
    endpoints: [{ at: 'R1' }],
    probes: [
      ['pod', 'cluster-ip', 'drop'],
      ['outside', 'load-balancer', 'R1 masq'],
    ],
  },
  {
    title: 'no endpoint anywhere is a refusal, under every policy',
    spec: LOCAL,
    endpoints: [{ at: 'L1', ready: false }],
    probes: [['pod', 'cluster-ip', 'reject'], ...all('outside', 'reject'), ...all('node', 'reject')],
  },
  {
    title: 'endpoints that end serve while no other does',
    endpoints: [
      { at: 'L1', ...TERMINATING },
      { at: 'R1', ...TERMINATING, serving: false },
    ],
    probes: [
      ['pod', 'cluster-ip', 'L1'],
      ['outside', 'node-port', 'L1 masq'],
    ],
  },
  {
    title: 'endpoints that end are left alone while another is ready',
    endpoints: [{ at: 'L1', ...TERMINATING }, { at: 'R1' }],
    probes: [['pod', 'cluster-ip', 'R1']],
  },
  {
    title: 'under Local the last local endpoint serves to its end, though others are ready elsewhere',
    spec: LOCAL,
    endpoints: [{ at: 'L1', ...TERMINATING }, { at: 'R1' }],
    probes: [
      ['outside', 'load-balancer', 'L1'],
      ['pod', 'load-balancer', 'R1'],
    ],
  },
  {
    title: 'internalTrafficPolicy Local: the last local endpoint serves to its end, though others are ready elsewhere',
    spec: { internalTrafficPolicy: 'Local' },
    endpoints: [{ at: 'L1', ...TERMINATING }, { at: 'R1' }],
    probes: [
      ['pod', 'cluster-ip', 'L1'],
      ['outside', 'node-port', 'R1 masq'],
    ],
  },
  {
    title: 'an endpoint that is ready counts, though it ends or does not serve (publishNotReadyAddresses)',
    spec: LOCAL,
    endpoints: [
      { at: 'L1', ready: true, serving: false, terminating: true },
      { at: 'R1', ready: true, serving: false },
      { at: 'R2', ...TERMINATING },
    ],
    probes: [
      ['pod', 'cluster-ip', 'L1 R1'],
      ['outside', 'load-balancer', 'L1'],
    ],
  },
  {
    title: 'an endpoint on no node is nobody local',
    spec: LOCAL,
    endpoints: [{ at: 'R1', isAnywhere: true }],
    probes: [
      ['pod', 'cluster-ip', 'R1'],
      ['outside', 'load-balancer', 'drop'],
    ],
  },
  {
    title: 'both policies Local: pods and the node reach external addresses by every endpoint',
    spec: { ...LOCAL, internalTrafficPolicy: 'Local' },
    endpoints: [{ at: 'R1' }],
    probes: [['pod', 'cluster-ip', 'drop'], ...all('pod', 'R1'), ...all('outside', 'drop')],
  },
  {
    title: 'endpoints that end are chosen without regard to zone hints',
    zone: 'a',
    endpoints: [
      { at: 'L1', ...TERMINATING, zones: ['a'] },
      { at: 'R1', ...TERMINATING, zones: ['b'] },
    ],
    probes: [['pod', 'cluster-ip', 'L1 R1']],
  },
  {
    title: 'zone hints do not narrow what is Local',
    zone: 'a',
    spec: LOCAL,
    endpoints: [
      { at: 'L1', zones: ['b'] },
      { at: 'R1', zones: ['a'] },
    ],
    probes: [
      ['pod', 'cluster-ip', 'R1'],
      ['outside', 'load-balancer', 'L1'],
    ],
  },
  {
    title: "an external IP may be the node's own address",
    spec: { externalIPs: ['$NODE'] },
    endpoints: [{ at: 'L1' }, { at: 'R1' }],
    probes: [
      ['outside', 'node-address', 'L1 R1 masq'],
      ['pod', 'node-address', 'L1 R1 masq'],
      ['node', 'node-address', 'L1 R1 masq'],
      ['outside', 'node-port', 'L1 R1 masq'],
    ],
  },
  {
    title: "an external IP that is the load balancer's address has its source ranges",
    spec: { externalIPs: ['$BALANCER'], loadBalancerSourceRanges: ['$RANGE'] },
    endpoints: [{ at: 'L1' }],
    probes: [
      ['outside', 'load-balancer', 'L1 masq'],
      ['other outside', 'load-balancer', 'drop'],
    ],
  },
  {
    title: 'without nodePorts (allocateLoadBalancerNodePorts false) the other addresses serve',
    spec: {
      allocateLoadBalancerNodePorts: false,
      ports: PROTOCOLS.map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 80 })),
    },
    endpoints: [{ at: 'L1' }],
    probes: [['outside', 'load-balancer', 'L1 masq']],
  },
  {
    title: 'zone hints hold where all ready endpoints have them and one is for this zone',
    zone: 'a',
    endpoints: [
      { at: 'L1', zones: ['a'] },
      { at: 'R1', zones: ['b'] },
      { at: 'R2', ready: false },
    ],
    probes: [
      ['pod', 'cluster-ip', 'L1'],
      ['outside', 'node-port', 'L1 masq'],
    ],
  },
  {
    title: 'zone hints are ignored when one endpoint has none',
    zone: 'a',
    endpoints: [{ at: 'L1', zones: ['a'] }, { at: 'R1' }],
    probes: [['pod', 'cluster-ip', 'L1 R1']],
  },
  {
    title: 'zone hints are ignored when none is for this zone, or the node has none',
    zone: 'c',
    endpoints: [
      { at: 'L1', zones: ['a'] },
      { at: 'R1', zones: ['b'] },
    ],
    probes: [['pod', 'cluster-ip', 'L1 R1']],
  },
  {
    title: 'node hints come before zone hints',
    zone: 'a',
    endpoints: [
      { at: 'L1', nodes: ['n1'], zones: ['a'] },
      { at: 'R1', nodes: ['n2'], zones: ['a'] },
    ],
    probes: [['pod', 'cluster-ip', 'L1']],
  },
  {
    title: 'without a hint for this node the zone decides',
    zone: 'a',
    endpoints: [
      { at: 'R1', nodes: ['n2'], zones: ['a'] },
      { at: 'R2', nodes: ['n3'], zones: ['b'] },
    ],
    probes: [['pod', 'cluster-ip', 'R1']],
  },
  {
    title: 'loadBalancerSourceRanges close the load balancer alone',
    spec: { loadBalancerSourceRanges: ['$RANGE'] },
    endpoints: [{ at: 'L1' }],
    probes: [
      ['outside', 'load-balancer', 'L1 masq'],
      ['other outside', 'load-balancer', 'drop'],
      ['pod', 'load-balancer', 'drop'],
      ['node', 'load-balancer', 'drop'],
      ['other outside', 'external-ip', 'L1 masq'],
      ['other outside', 'node-port', 'L1 masq'],
    ],
  },
  {
    title: 'source ranges with the node in them let the node through',
    spec: { loadBalancerSourceRanges: [' $NODERANGE '] },
    endpoints: [{ at: 'L1' }],
    probes: [
      ['node', 'load-balancer', 'L1 masq'],
      ['outside', 'load-balancer', 'drop'],
    ],
  },
  {
    title: 'a load balancer of ipMode Proxy has its address for itself',
    ipMode: 'Proxy',
    endpoints: [{ at: 'L1' }],
    probes: [
      ['outside', 'load-balancer', 'none'],
      ['outside', 'node-port', 'L1 masq'],
    ],
  },
  {
    title: 'nodePortAddresses close ports of other local addresses',
    options: { nodePortAddresses: [parsePrefix('198.18.0.0/15')] },
    endpoints: [{ at: 'L1' }],
    probes: [
      ['outside', 'node-port', 'none'],
      ['outside', 'external-ip', 'L1 masq'],
    ],
  },
  {
    title: 'a Service of another proxy, a headless one and an ExternalName are nobody of ours',
    labels: { 'service.kubernetes.io/service-proxy-name': 'other' },
    endpoints: [{ at: 'L1' }],
    probes: [['pod', 'cluster-ip', 'none'], ...all('outside', 'none')],
  },
  {
    title: 'a slice that is labelled headless leads nobody anywhere',
    endpoints: [{ at: 'L1', labels: { 'service.kubernetes.io/headless': '' } }, { at: 'L2' }],
    probes: [
      ['pod', 'cluster-ip', 'L2'],
      ['outside', 'node-port', 'L2 masq'],
    ],
  },
  {
    title: 'headless',
    spec: { type: 'ClusterIP', clusterIP: 'None', clusterIPs: ['None'] },
    endpoints: [{ at: 'L1' }],
    probes: [['pod', 'cluster-ip', 'none']],
  },
  {
    title: 'ExternalName',
    spec: { type: 'ExternalName', externalName: 'example.org' },
    endpoints: [],
    probes: [['pod', 'cluster-ip', 'none']],
  },
];
