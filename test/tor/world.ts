/** A rack of two nodes of one AS behind one router, as resources, to be varied. */
import type { BGPPeer } from '../../src/api/bgp.js';
import type { Node } from '../../src/api/core.js';
import type { TorObjects } from '../../src/tor/plan.js';

export const ROUTER = { 4: '10.1.1.254', 6: 'fd00:1::254' } as const;

export const node = (name: string, offset: number, more: Partial<Node['metadata']> = {}): Node => ({
  metadata: { name, ...more },
  status: {
    addresses: [
      { type: 'InternalIP', address: `10.1.1.${offset}` },
      { type: 'InternalIP', address: `fd00:1::${offset}` },
    ],
  },
});

export const peers = (more: Partial<BGPPeer['spec']> = {}): readonly BGPPeer[] =>
  ([4, 6] as const).map((family) => ({
    metadata: { name: `rack-v${family}` },
    spec: {
      peerIP: ROUTER[family],
      asNumber: 65001,
      holdTime: '30s',
      password: { secretKeyRef: { name: 'rack', key: 'md5' } },
      ...more,
    },
  }));

export const rack: TorObjects = {
  nodes: [node('a', 1), node('b', 2)],
  nodeStatuses: [],
  bgpConfigurations: [
    {
      metadata: { name: 'default' },
      spec: { nodeToNodeMeshEnabled: false, serviceClusterIPs: [{ cidr: '10.96.0.0/12' }] },
    },
  ],
  bgpPeers: peers(),
  bgpFilters: [],
  ipPools: [
    { metadata: { name: 'four' }, spec: { cidr: '10.65.0.0/16' } },
    { metadata: { name: 'six' }, spec: { cidr: 'fd00:65::/112', blockSize: 120 } },
    { metadata: { name: 'silent' }, spec: { cidr: '10.66.0.0/16', disableBGPExport: true } },
  ],
};
