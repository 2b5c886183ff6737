/** `tortie uninstall` of a cluster that has Tortie, as its manifests make it, beside what is others'. */
import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubernetesClient } from '../../src/datastore/kubernetes-client.js';
import { loadKustomization } from '../../src/install/kustomization.js';
import type { Manifest } from '../../src/install/manifest.js';
import type { JsonObject } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { packageFile } from '../../src/lab/tortie-argv.js';
import { planForCluster, uninstallCluster, type ClusterUninstall } from '../../src/uninstall/cluster.js';
import { ApiClient } from '../apiserver/api-client.js';
import { KubernetesSchemas } from '../install/schema-check.js';
import { cleanerOf, type NodeDaemonSet } from '../../src/uninstall/node-cleaner.js';

const BASE = packageFile('manifests/base');
const DAEMON_SETS = '/apis/apps/v1/namespaces/tortie-system/daemonsets';
const objects = loadKustomization(BASE);

/** Where objects of a kind are made. */
function pathOf({ apiVersion, kind, metadata: { namespace } }: Manifest): string {
  const plural = kind.toLowerCase().replace(/y$/, 'ie') + 's';
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${group}/${namespace === undefined ? '' : `namespaces/${namespace}/`}${plural}`;
}

describe('tortie uninstall', function () {
  this.timeout(60_000);
  let api: ApiClient;
  let client: KubernetesClient;
  let directory: string;
  let said: string[];
  let kubelet: NodeJS.Timeout | undefined;
  const options = (given: Partial<ClusterUninstall> = {}): ClusterUninstall => ({
    keepsDefinitions: false,
    leavesNodes: false,
    timeout: 20_000,
    onProgress: (sentence) => said.push(sentence),
    ...given,
  });
  const create = async (object: Manifest): Promise<void> => {
    const { code, body } = await api.post(pathOf(object), object as unknown as JsonObject);
    // This server has no admission policies; a real one is asked by `npm run real -- check uninstall`.
    if (!(code === 404 && object.kind.startsWith('ValidatingAdmission')))
      expect(code, `${object.kind}: ${JSON.stringify(body)}`).to.equal(201);
  };
  const names = async (path: string): Promise<readonly string[]> => {
    const { items } = (await api.get(path)).body as unknown as { readonly items?: readonly Manifest[] };
    return (items ?? []).map(({ metadata }) => metadata.name).sort();
  };
  const condition = (reason: string): JsonObject => ({ type: 'NetworkUnavailable', status: 'False', reason });
  const node = (name: string, reason: string): Manifest => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: { conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }, condition(reason)] },
  });
  /** Ends the pods of a DaemonSet that is gone, and has the cleaner's nodes ready. */
  const beKubelet = (ready: number): void => {
    kubelet = setInterval(() => {
      void (async () => {
        const there = await names(DAEMON_SETS);
        if (!there.includes('tortie-node'))
          await api.delete('/api/v1/namespaces/tortie-system/pods/tortie-node-a', { gracePeriodSeconds: 0 });
        if (there.includes('tortie-uninstall'))
          await api.merge(`${DAEMON_SETS}/tortie-uninstall/status`, {
            status: { observedGeneration: 1, desiredNumberScheduled: 2, numberReady: ready },
          });
      })();
    }, 100);
  };

  beforeEach(async () => {
    said = [];
    api = await ApiClient.start({ crds: loadManifests(packageFile('manifests/crds')) });
    directory = mkdtempSync(join(tmpdir(), `tortie-uninstall-${process.pid}-`));
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(
      kubeconfig,
      `{apiVersion: v1, kind: Config, current-context: x, contexts: [{name: x, context: {cluster: x, user: x}}],
        clusters: [{name: x, cluster: {server: "${api.url}", insecure-skip-tls-verify: true}}], users: [{name: x, user: {}}]}`,
    );
    client = KubernetesClient.load(kubeconfig);
    for (const object of objects) if (object.kind !== 'CustomResourceDefinition') await create(object);
    await create(node('a', 'TortieIsUp'));
    await create(node('b', 'RouteCreated'));
    await create({
      apiVersion: 'projectcalico.org/v3',
      kind: 'IPPool',
      metadata: { name: 'p' },
      spec: { cidr: '10.9.0.0/16' },
    });
    const theirs = { metadata: { name: 'theirs' } };
    await create({ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', ...theirs, rules: [] });
    await create({ apiVersion: 'v1', kind: 'Namespace', ...theirs });
    const pod = { spec: { nodeName: 'a', containers: [{ name: 'main', image: 'main' }] } };
    const labels = { 'app.kubernetes.io/name': 'tortie-node', 'app.kubernetes.io/part-of': 'tortie' };
    await create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'tortie-node-a', namespace: 'tortie-system', labels },
      ...pod,
    });
    await create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web', namespace: 'theirs' }, ...pod });
    await create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web', namespace: 'theirs' },
      spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
    });
    await api.merge('/api/v1/namespaces/theirs/services/web/status', {
      status: {
        loadBalancer: { ingress: [{ ip: '192.0.2.9' }] },
        conditions: [
          {
            type: 'tortie.dev/LoadBalancerAddress',
            status: 'True',
            reason: 'x',
            message: '',
            lastTransitionTime: '2026-01-01T00:00:00Z',
          },
        ],
      },
    });
  });
  afterEach(async () => {
    clearInterval(kubelet);
    await api.close();
    rmSync(directory, { recursive: true });
  });

  const left = async (): Promise<Readonly<Record<string, readonly string[]>>> => ({
    workloads: [...(await names('/apis/apps/v1/daemonsets')), ...(await names('/apis/apps/v1/deployments'))],
    roles: await names('/apis/rbac.authorization.k8s.io/v1/clusterroles'),
    namespaces: (await names('/api/v1/namespaces')).filter((name) => !/^(default|kube-.*)$/.test(name)),
    definitions: await names('/apis/apiextensions.k8s.io/v1/customresourcedefinitions'),
    pods: await names('/api/v1/pods'),
  });

  it('says what it will do, and does nothing', async () => {
    const before = await left();
    const { traces, warnings } = await planForCluster(client, options());
    const named = traces.map(({ kind, name }) => `${kind} ${name}`);
    for (const { kind, metadata } of objects.filter((each) => !each.kind.startsWith('ValidatingAdmission')))
      expect(named).to.include(
        `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`,
      );
    expect(traces.find(({ name }) => name === 'ippools.projectcalico.org')?.detail).to.equal('with 1 object');
    expect(named).to.include('Node a').and.to.include('Service theirs/web').and.to.include('nodes all');
    expect(named.join()).to.not.contain('Node b').and.to.not.contain('ClusterRole theirs');
    expect(warnings).to.deep.equal(['2 pods lose their network']);
    expect(await left()).to.deep.equal(before);
  });

  it('takes all of it away, nodes first, and nothing of others', async () => {
    beKubelet(2);
    const result = await uninstallCluster(client, options());
    expect(result.problems).to.deep.equal([]);
    expect(result.remaining).to.deep.equal([]);
    expect(said).to.include.members(['stopping agents, bgpd and controllers', '2 of 2 nodes are clean']);
    expect(await left()).to.deep.equal({
      workloads: [],
      roles: ['theirs'],
      namespaces: ['theirs'],
      definitions: [],
      pods: ['web'],
    });
    const { status } = (await api.get('/api/v1/nodes/a')).body as unknown as {
      status: { conditions: readonly { type: string }[] };
    };
    expect(status.conditions.map(({ type }) => type)).to.deep.equal(['Ready']);
    expect(JSON.stringify((await api.get('/api/v1/nodes/b')).body)).to.contain('RouteCreated');
    const service = JSON.stringify((await api.get('/api/v1/namespaces/theirs/services/web')).body);
    expect(service).to.not.contain('192.0.2.9').and.to.not.contain('tortie.dev');
    expect((await planForCluster(client, options())).traces).to.deep.equal([]);
  });

  it('keeps definitions and the objects in them when asked', async () => {
    beKubelet(2);
    const { problems, remaining } = await uninstallCluster(client, options({ keepsDefinitions: true }));
    expect([problems, remaining]).to.deep.equal([[], []]);
    expect(await names('/apis/projectcalico.org/v3/ippools')).to.deep.equal(['p']);
    expect((await left())['workloads']).to.deep.equal([]);
  });

  it('stops where a node is not clean, and goes on from there when it is', async () => {
    beKubelet(1);
    const labels = { 'app.kubernetes.io/name': 'tortie-uninstall', 'app.kubernetes.io/part-of': 'tortie' };
    const spec = { nodeName: 'b', hostNetwork: true, containers: [{ name: 'main', image: 'main' }] };
    await create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'cleaner-b', namespace: 'tortie-system', labels },
      spec,
    });
    const { problems } = await uninstallCluster(client, options({ timeout: 1_500 }));
    expect(problems.join())
      .to.contain('Cannot clean node "b" within 1.5 s')
      .and.to.contain('kubectl logs -n tortie-system cleaner-b');
    expect((await left())['definitions']).to.have.length(
      objects.filter(({ kind }) => kind === 'CustomResourceDefinition').length,
    );
    expect(await names(DAEMON_SETS)).to.deep.equal(['tortie-uninstall']);
    clearInterval(kubelet);
    beKubelet(2);
    await api.delete('/api/v1/namespaces/tortie-system/pods/cleaner-b', { gracePeriodSeconds: 0 });
    expect(await uninstallCluster(client, options())).to.deep.include({ problems: [], remaining: [] });
  });

  describe('the DaemonSet that cleans nodes', () => {
    const installed = objects.find(({ kind }) => kind === 'DaemonSet') as NodeDaemonSet;
    for (const version of ['1.21', '1.27', '1.37'])
      it(`is known to Kubernetes ${version}, every field of it`, () =>
        expect(new KubernetesSchemas(version).problems(cleanerOf(installed))).to.deep.equal([]));

    it('cleans the folders that were used, and mounts what is above its own', () => {
      const text = JSON.stringify(installed)
        .replace('"/opt/cni/bin"', '"/snap/bin"')
        .replaceAll('/var/lib/tortie"', '/data/x/tortie"');
      const { spec } = (cleanerOf(JSON.parse(text) as NodeDaemonSet, 'other:1') as unknown as NodeDaemonSet).spec
        .template;
      const [clean] = (spec as unknown as { initContainers: readonly { image: string; args: readonly string[] }[] })
        .initContainers;
      expect(clean?.image).to.equal('other:1');
      expect(clean?.args.join(' ')).to.equal(
        'uninstall --this-node --yes --cni-conf-dir /host/etc/cni/net.d --cni-bin-dir /host/snap/bin --run-dir /host/run/tortie ' +
          '--state-dir /host/data/x/tortie --host-etc-dir /host/etc',
      );
      expect(spec.volumes.map(({ hostPath }) => hostPath?.path)).to.include.members([
        '/run',
        '/data/x',
        '/snap/bin',
        '/etc',
      ]);
    });
  });
});
