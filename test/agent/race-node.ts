/**
 * One node of race.test.ts, a process of its own: claims or borrows one address from the API server that its kubeconfig names, says
 * which, and stays, so that others may borrow of it, until its standard input ends.
 */
import { join } from 'node:path';
import { Allocator } from '@tortie/ipam';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../../src/datastore/kubernetes-datastore.js';
import { createLogger } from '../../src/log.js';

const KINDS = ['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes'] as const;

const [kubeconfig = '', node = '', directory = ''] = process.argv.slice(2);
const datastore = new KubernetesDatastore(KubernetesClient.load(kubeconfig));
const cluster = new Cluster(KINDS);
const watches = KINDS.map((kind) => datastore.watch(kind, cluster));
const allocator = await Allocator.open({ journalPath: join(directory, node), now: Date.now });
const nothing = (): void => {};
const loop = new IpamLoop({
  node,
  cluster,
  allocator,
  store: new KubernetesBlockStore(datastore),
  matches: () => true,
  log: createLogger('race', { level: 'silent' }),
  onBlocks: nothing,
  onHealth: nothing,
  onUsedElsewhere: nothing,
});
await cluster.synced;
process.stdout.write('ready\n');
// All begin when all are there.
await new Promise((resolve) => process.stdin.once('data', resolve));
await loop.start();
const owner = { network: 'race', containerId: node, interfaceName: 'eth0', namespace: 'race', pod: node };
let got: readonly string[] = [];
// As the kubelet does: a pod that gets no address is tried again.
for (let attempt = 0; attempt < 10 && got.length === 0; attempt++)
  got = await loop.assign(owner, { pools: new Map(), addresses: [] }).catch(() => []);
process.stdout.write(`${JSON.stringify({ node, got, blocks: allocator.ownBlockRecords().map(({ cidr }) => cidr) })}\n`);
process.stdin.on('end', () => {
  loop.stop();
  for (const watch of watches) watch.stop();
  process.exit(0);
});
process.stdin.resume();
