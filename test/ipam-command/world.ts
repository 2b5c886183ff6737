/** A small cluster as `kubectl get -o json` would show it, to be spoilt one way at a time. */
import type { Pod } from '../../src/api/core.js';
import { inventoryOf, type Inventory, type IpamObjects } from '../../src/ipam/inventory.js';

export const pod = (name: string, node: string, ...addresses: readonly string[]): Pod => ({
  metadata: { name, namespace: 'shop', uid: `uid-${name}` },
  spec: { nodeName: node, containers: [] },
  status: { phase: 'Running', podIPs: addresses.map((ip) => ({ ip })) },
});

export const told = (node: string, entries: Readonly<Record<string, string>>): IpamObjects['published'][number] => ({
  metadata: { name: node },
  spec: {
    publishedAt: '2026-01-01T00:00:00Z',
    addresses: Object.entries(entries).map(([address, name]) => ({
      address,
      namespace: 'shop',
      pod: name,
      uid: `uid-${name}`,
      containerId: `c-${name}`,
    })),
  },
});

export const block = (cidr: string, node: string, more = {}): IpamObjects['blocks'][number] => ({
  metadata: { name: cidr.replaceAll(/[.:/]/g, '-'), uid: `uid-${cidr}`, resourceVersion: '1' },
  spec: { cidr, node, pool: 'p', ...more },
});

/** Two nodes with a block and a pod each, one address borrowed. */
export const sound: IpamObjects = {
  pools: [
    { metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24', blockSize: 26 } },
    { metadata: { name: 'q' }, spec: { cidr: 'fd00::/112' } },
  ],
  blocks: [
    block('10.0.0.0/26', 'a'),
    block('10.0.0.64/26', 'b', { offers: ['10.0.0.127'], loans: [{ address: '10.0.0.66', node: 'a' }] }),
  ],
  reservations: [],
  nodes: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }],
  pods: [pod('web', 'a', '10.0.0.5'), pod('db', 'b', '10.0.0.65'), pod('cart', 'a', '10.0.0.66')],
  published: [told('a', { '10.0.0.5': 'web', '10.0.0.66': 'cart' }), told('b', { '10.0.0.65': 'db' })],
};

export const spoilt = (changes: Partial<IpamObjects>): Inventory => inventoryOf({ ...sound, ...changes });
