/** A sound node and a sound cluster, as the doctor sees them, to be spoilt one way at a time. */
import type { PeerSummary } from 'node-bgp/speaker/view';
import type { ClusterFacts } from '../../src/doctor/cluster-facts.js';
import type { LinkFact, RouteFact } from '../../src/doctor/kernel-witness.js';
import type { NodeFacts } from '../../src/doctor/node-facts.js';

export const link = (index: number, name: string, more: Partial<LinkFact> = {}): LinkFact => ({
  index,
  name,
  mtu: 1500,
  isUp: true,
  isLoopback: false,
  addresses: [],
  ...more,
});

export const route = (prefix: string, more: Partial<RouteFact> = {}): RouteFact => ({
  family: prefix.includes(':') ? 6 : 4,
  prefix,
  protocol: 172,
  type: 1,
  nextHops: [{ interfaceIndex: 2, via: '192.0.2.254' }],
  ...more,
});

export const peer = (more: Partial<PeerSummary> = {}): PeerSummary => ({
  name: 'rack',
  address: '192.0.2.254',
  type: 'ebgp',
  remoteAs: 65001,
  localAs: 64512,
  state: 'Established',
  isEstablished: true,
  since: '2026-01-01T00:00:00Z',
  seconds: 60,
  establishedCount: 1,
  families: {},
  messagesReceived: 1,
  messagesSent: 1,
  queuedBytes: 0,
  ...more,
});

export const summary = (more = {}) => ({
  summary: {
    isConfigured: true as const,
    localAs: 64512,
    routerId: '192.0.2.1',
    startedAt: '2026-01-01T00:00:00Z',
    seconds: 60,
    isRestarting: false,
    isDraining: false,
    listen: [{ address: '0.0.0.0', port: 179 }],
    bmp: [],
    tables: { ipv4: { prefixes: 1, paths: 1 }, ipv6: { prefixes: 0, paths: 0 } },
    peers: [peer()],
    kernel: { routes: 1, refused: 0, stale: 0, contested: 0, repaired: 0 },
    ...more,
  },
});

export const soundNode: NodeFacts = {
  node: 'a',
  features: [],
  sysctls: new Map([
    ['net.ipv4.ip_forward', '1'],
    ['net.ipv6.conf.all.forwarding', '1'],
    ['net.ipv4.conf.all.rp_filter', '0'],
    ['net.ipv4.conf.eth0.rp_filter', '1'],
    ['net.ipv4.fib_multipath_hash_policy', '0'],
    ['net.core.optmem_max', '131072'],
    ['net.netfilter.nf_conntrack_count', '10'],
    ['net.netfilter.nf_conntrack_max', '1000'],
    ['net.ipv4.neigh.default.gc_thresh3', '100'],
  ]),
  links: [
    link(1, 'lo', { isLoopback: true }),
    link(2, 'eth0', { addresses: [{ address: '192.0.2.1', prefixLength: 24 }] }),
    link(3, 'tort0123456789a'),
  ],
  routes: [
    route('0.0.0.0/0', { protocol: 3 }),
    route('10.0.0.0/26', { protocol: 171, type: 6, nextHops: [] }),
    route('10.0.0.5/32', { protocol: 171, nextHops: [{ interfaceIndex: 3 }] }),
  ],
  neighbours: { 4: 3, 6: 0 },
  managers: [{ name: 'systemd-networkd', missing: [] }],
  cniFiles: ['10-tortie.conflist', '99-other.conf'],
  chains: [],
  bgpd: summary(),
  listeners: [{ address: '0.0.0.0', port: 179 }],
  unread: [],
};

const node = (name: string, address: string) => ({
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP' as const, address }] },
});

const status = (name: string, routerId: string, blocks: readonly string[] = []) => ({
  metadata: { name },
  status: {
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'Ok',
        message: 'well',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      } as const,
    ],
    bgp: { routerId },
    blocks,
  },
});

export const soundCluster: ClusterFacts = {
  nodes: [node('a', '192.0.2.1'), node('b', '192.0.2.2')],
  nodeStatuses: [status('a', '192.0.2.1', ['10.0.0.0/26']), status('b', '192.0.2.2')],
  ipPools: [{ metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24' } }],
  bgpConfigurations: [{ metadata: { name: 'default' }, spec: { asNumber: 64512 } }],
  bgpPeers: [{ metadata: { name: 'rack' }, spec: { peerIP: '192.0.2.254', asNumber: 65001 } }],
  pods: [
    {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { nodeName: 'a', containers: [] },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.5' }] },
    },
  ],
  judged: [{ name: 'IPPool/p', conditions: [] }],
  guards: [
    'changes.tortie.dev',
    'ipamblocks.tortie.dev',
    'nodeaddresses.tortie.dev',
    'nodes.tortie.dev',
    'nodestatuses.tortie.dev',
    'tiers.tortie.dev',
  ],
  daemonSets: ['tortie-node', 'kube-proxy'],
  unread: [],
};

export const nodeNamed = node;
export const statusNamed = status;
