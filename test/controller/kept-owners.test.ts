/** Addresses that are kept for nobody any more, on the lab's API server with StatefulSets, and machines of a CustomResourceDefinition. */
import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { blockName } from '../../src/agent/kubernetes-block-store.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { startApiServer, type ApiServer } from '../../src/apiserver/server.js';
import { Cluster } from '../../src/cluster/cluster.js';
import { dryRun } from '../../src/controller/dry-run.js';
import { KeptOwners } from '../../src/controller/kept-owners.js';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../../src/datastore/kubernetes-datastore.js';
import { createLogger } from '../../src/log.js';

const CRDS = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));
const log = createLogger('test', { level: 'silent' });
const CIDR = '10.0.0.0/26';
const UNTIL = '2099-01-01T00:00:00Z';

const MACHINES = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'virtualmachines.kubevirt.io' },
  spec: {
    group: 'kubevirt.io',
    names: { kind: 'VirtualMachine', plural: 'virtualmachines' },
    scope: 'Namespaced',
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
  },
};

describe('controller/kept-owners', () => {
  let server: ApiServer;
  let client: KubernetesClient;
  let datastore: KubernetesDatastore;
  let cluster: Cluster;
  let directory: string;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-kept-'));
    server = await startApiServer({ crds: await loadManifests(CRDS) });
    const kubeconfig = join(directory, 'kubeconfig');
    const named = { name: 'test' };
    const clusters = [{ ...named, cluster: { server: server.url, 'insecure-skip-tls-verify': true } }];
    const contexts = [{ ...named, context: { cluster: 'test', user: 'test' } }];
    const users = [{ ...named, user: {} }];
    writeFileSync(kubeconfig, JSON.stringify({ 'current-context': 'test', clusters, contexts, users }));
    client = KubernetesClient.load(kubeconfig);
    datastore = new KubernetesDatastore(client);
    cluster = new Cluster(['namespaces', 'ipamBlocks']);
    await datastore.create('namespaces', { metadata: { name: 'shop' } });
    cluster.upsert('namespaces', { metadata: { name: 'shop' } });
  });
  afterEach(async () => {
    await server.close();
    rmSync(directory, { recursive: true });
  });

  const post = (path: string, value: unknown): Promise<unknown> =>
    client.request('POST', path, { contentType: 'application/json', value });
  const statefulSet = (replicas: number, start?: number): Promise<unknown> =>
    post('/apis/apps/v1/namespaces/shop/statefulsets', {
      metadata: { name: 'web', namespace: 'shop' },
      spec: {
        replicas,
        selector: { matchLabels: { app: 'web' } },
        serviceName: 'web',
        template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        ...(start === undefined ? {} : { ordinals: { start } }),
      },
    });

  /** What stays kept of these after a look. */
  const kept = async (whom: readonly string[], options: { isLeader?: boolean; isDry?: boolean } = {}) => {
    const kept = whom.map((keptFor, i) => ({ address: `10.0.0.${i}`, keptFor, until: UNTIL }));
    const spec = { cidr: CIDR, node: 'a', pool: 'p', kept, offers: ['10.0.0.60'] };
    cluster.upsert('ipamBlocks', await datastore.create('ipamBlocks', { metadata: { name: blockName(CIDR) }, spec }));
    const owners = new KeptOwners({
      cluster,
      datastore: options.isDry === true ? dryRun(datastore, log) : datastore,
      isLeader: () => options.isLeader ?? true,
      log,
    });
    await owners.look();
    const block = await datastore.get('ipamBlocks', blockName(CIDR));
    expect(block?.spec).to.deep.include({ node: 'a', offers: ['10.0.0.60'] });
    return (block?.spec.kept ?? []).map(({ keptFor }) => keptFor);
  };
  const PODS = [0, 1, 2, 3].map((i) => `StatefulSet shop/web-${i}`);

  it('keeps for as many replicas as there are', async () => {
    await statefulSet(2);
    expect(await kept(PODS)).to.deep.equal(PODS.slice(0, 2));
  });

  it('counts from the ordinal that the set starts with', async () => {
    await statefulSet(2, 2);
    expect(await kept(PODS)).to.deep.equal(PODS.slice(2));
  });

  it('frees what was kept for a set that is gone, all of it', async () => {
    expect(await kept(PODS)).to.deep.equal([]);
  });

  it('keeps for machines that are there, and for none where nobody knows what a machine is', async () => {
    const machines = ['VirtualMachine shop/vm1', 'VirtualMachine shop/vm2 net1'];
    await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', MACHINES);
    await post('/apis/kubevirt.io/v1/namespaces/shop/virtualmachines', {
      apiVersion: 'kubevirt.io/v1',
      kind: 'VirtualMachine',
      metadata: { name: 'vm2', namespace: 'shop' },
    });
    expect(await kept(machines)).to.deep.equal(machines.slice(1));
  });

  it('leaves to time what is of nobody, unless its namespace is gone', async () => {
    expect(await kept(['Pod shop/a', 'Pod other/a', 'something else'])).to.deep.equal(['Pod shop/a', 'something else']);
  });

  it('does nothing unless it leads, nor in a dry run', async () => {
    expect(await kept(PODS, { isLeader: false })).to.deep.equal(PODS);
    await datastore.delete('ipamBlocks', blockName(CIDR));
    expect(await kept(PODS, { isDry: true })).to.deep.equal(PODS);
  });

  it('keeps everything while it cannot ask', async () => {
    datastore.getForeign = () => Promise.reject(new Error('the API server does not answer'));
    expect(await kept(PODS)).to.deep.equal(PODS);
  });
});
