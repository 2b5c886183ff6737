/**
 * One node of race.test.ts, a process of its own, told what to do by lines: `go` claims or borrows one address from the datastore of its
 * URL and says which, and it stays, so that others may borrow of it, until `stop`; `again` waits for an empty datastore.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Allocator } from '@tortie/ipam';
import { IpamLoop } from '../../src/agent/ipam-loop.js';
import { KubernetesBlockStore } from '../../src/agent/kubernetes-block-store.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { openDatastore } from '../../src/datastore/open-datastore.js';
import { createLogger } from '../../src/log.js';

const KINDS = ['ipPools', 'ipamBlocks', 'ipReservations', 'ipamConfigurations', 'namespaces', 'nodes'] as const;

const [url = '', node = '', directory = ''] = process.argv.slice(2);
const { store: datastore } = await openDatastore(url, {});
const cluster = new Cluster(KINDS);
const watches = KINDS.map((kind) => datastore.watch(kind, cluster));
const nothing = (): void => {};
const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** One round: a node that has just started, with a journal of its own. */
async function race(round: number) {
  const allocator = await Allocator.open({ journalPath: join(directory, `${node}-${round}`), now: Date.now });
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
  await loop.start();
  const owner = { network: 'race', containerId: node, interfaceName: 'eth0', namespace: 'race', pod: node };
  let got: readonly string[] = [];
  // As the kubelet does: a pod that gets no address is tried again.
  for (let attempt = 0; attempt < 10 && got.length === 0; attempt++)
    got = await loop.assign(owner, { pools: new Map(), addresses: [] }).catch(() => []);
  say(JSON.stringify({ node, got, blocks: allocator.ownBlockRecords().map(({ cidr }) => cidr) }));
  return { loop, allocator };
}

await cluster.synced;
let round = 0;
let running: Awaited<ReturnType<typeof race>> | undefined;
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  // All begin when all are there.
  if (line === 'go') running = await race(round++);
  else if (line === 'stop') {
    running?.loop.stop();
    await running?.allocator.close();
    say('stopped');
  } else {
    // What is left of the last round is in nobody's way.
    while (cluster.all('ipamBlocks').size > 0) await cluster.nextChange(1000);
    say('ready');
  }
}
for (const watch of watches) watch.stop();
process.exit(0);
