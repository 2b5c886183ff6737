/** @kubernetes/client-node as the agent uses it: informers that list, watch, lose their place and find it again; typed writes. */
import { expect } from 'chai';
import * as k8s from '@kubernetes/client-node';
import { ApiClient, eventually } from './api-client.js';

function configFor(url: string): k8s.KubeConfig {
  const config = new k8s.KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'lab', server: url, skipTLSVerify: true }],
    users: [{ name: 'lab' }],
    contexts: [{ name: 'lab', cluster: 'lab', user: 'lab' }],
    currentContext: 'lab',
  });
  return config;
}

const settings = (name: string, data: Record<string, string> = {}): k8s.V1ConfigMap => ({ metadata: { name }, data });

describe('apiserver: @kubernetes/client-node', () => {
  let api: ApiClient;
  let core: k8s.CoreV1Api;
  let config: k8s.KubeConfig;

  beforeEach(async () => {
    api = await ApiClient.start({ historyLength: 15 });
    config = configFor(api.url);
    core = config.makeApiClient(k8s.CoreV1Api);
  });
  afterEach(() => api.close());

  const namespace = 'default';

  it('an informer follows', async () => {
    await core.createNamespacedConfigMap({ namespace, body: settings('before') });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
      core.listNamespacedConfigMap({ namespace }),
    );
    const seen: string[] = [];
    for (const verb of ['add', 'update', 'delete'] as const)
      informer.on(verb, (object) => void seen.push(`${verb} ${object.metadata?.name ?? ''}`));
    await informer.start();
    try {
      await eventually('the list', () => seen.length === 1);
      await core.createNamespacedConfigMap({ namespace, body: settings('after') });
      await eventually('the addition', () => seen.includes('add after'));
      await core.replaceNamespacedConfigMap({ namespace, name: 'after', body: settings('after', { a: '1' }) });
      await eventually('the change', () => seen.includes('update after'));
      await core.deleteNamespacedConfigMap({ namespace, name: 'before' });
      await eventually('the deletion', () => seen.includes('delete before'));
      expect(informer.list(namespace).map((object) => object.metadata?.name)).to.deep.equal(['after']);
    } finally {
      await informer.stop();
    }
  });

  it('a watch from a forgotten revision says 410, and a new list finds the place again', async () => {
    const stale = (await core.listNamespacedConfigMap({ namespace })).metadata?.resourceVersion ?? '';
    for (let index = 0; index < 40; index += 1)
      await core.createNamespacedConfigMap({ namespace, body: settings(`m${index}`) });
    const watch = new k8s.Watch(config);
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const failure = await new Promise<unknown>((resolve, reject) => {
      watch.watch(path, { resourceVersion: stale }, () => undefined, resolve).catch(reject);
    });
    expect(String(failure)).to.match(/410|Gone|Expired/i);
    const fresh = await core.listNamespacedConfigMap({ namespace });
    expect(fresh.items).to.have.length(40);
    const events: string[] = [];
    const controller = await watch.watch(
      path,
      { resourceVersion: fresh.metadata?.resourceVersion },
      (type, object: k8s.V1ConfigMap) => void events.push(`${type} ${object.metadata?.name ?? ''}`),
      () => undefined,
    );
    try {
      await core.createNamespacedConfigMap({ namespace, body: settings('late') });
      await eventually('the event', () => events.length > 0);
      expect(events).to.deep.equal(['ADDED late']);
    } finally {
      controller.abort();
    }
  });

  it('an informer survives a new server that has other objects and other revisions', async () => {
    await core.createNamespacedConfigMap({ namespace, body: settings('old') });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () =>
      core.listNamespacedConfigMap({ namespace }),
    );
    let isStopped = false;
    informer.on(
      'error',
      () => void setTimeout(() => void (isStopped ? undefined : informer.start().catch(() => undefined)), 20),
    );
    await informer.start();
    try {
      const { port } = new URL(api.url);
      const stale = (await core.listNamespacedConfigMap({ namespace })).metadata?.resourceVersion ?? '';
      await api.close();
      api = await ApiClient.start({ listen: { host: '127.0.0.1', port: Number(port) } });
      expect((await api.get(`/api/v1/configmaps?watch=true&resourceVersion=${stale}`)).code).to.equal(410);
      await core.createNamespacedConfigMap({ namespace, body: settings('new') });
      await eventually(
        'the new server to be followed',
        () =>
          informer
            .list()
            .map((object) => object.metadata?.name)
            .join() === 'new',
      );
    } finally {
      isStopped = true;
      await informer.stop();
    }
  });

  it('a conflict is a 409 with a Status', async () => {
    const created = await core.createNamespacedConfigMap({ namespace, body: settings('raced') });
    await core.replaceNamespacedConfigMap({ namespace, name: 'raced', body: { ...created, data: { a: '1' } } });
    try {
      await core.replaceNamespacedConfigMap({ namespace, name: 'raced', body: { ...created, data: { a: '2' } } });
      expect.fail('the second replacement was accepted');
    } catch (error) {
      if (!(error instanceof k8s.ApiException)) throw error;
      expect(error.code).to.equal(409);
      expect(String(error.body)).to.include('"reason":"Conflict"');
    }
  });

  it('claims a name once: the second create is refused', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 5 }, () => core.createNamespacedConfigMap({ namespace, body: settings('claim') })),
    );
    expect(results.filter((result) => result.status === 'fulfilled')).to.have.length(1);
    for (const result of results)
      if (result.status === 'rejected') expect((result.reason as k8s.ApiException<string>).code).to.equal(409);
  });

  it('leader election works on leases', async () => {
    const leases = config.makeApiClient(k8s.CoordinationV1Api);
    const created = await leases.createNamespacedLease({
      namespace: 'kube-system',
      body: {
        metadata: { name: 'controller' },
        spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: new k8s.V1MicroTime() },
      },
    });
    const renewed = await leases.replaceNamespacedLease({
      namespace: 'kube-system',
      name: 'controller',
      body: { ...created, spec: { ...created.spec, holderIdentity: 'b' } },
    });
    expect(renewed.spec?.holderIdentity).to.equal('b');
  });

  it('custom objects, their status, and generic patches', async () => {
    const objects = k8s.KubernetesObjectApi.makeApiClient(config);
    await objects.create({
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'gadgets.example.dev' },
      spec: {
        group: 'example.dev',
        scope: 'Cluster',
        names: { plural: 'gadgets', kind: 'Gadget' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: { status: {} },
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: { type: 'object', properties: { size: { type: 'integer' } } },
                  status: { type: 'object', properties: { ready: { type: 'boolean' } } },
                },
              },
            },
          },
        ],
      },
    } as k8s.KubernetesObject);
    const custom = config.makeApiClient(k8s.CustomObjectsApi);
    const where = { group: 'example.dev', version: 'v1', plural: 'gadgets' } as const;
    await custom.createClusterCustomObject({
      ...where,
      body: {
        apiVersion: 'example.dev/v1',
        kind: 'Gadget',
        metadata: { name: 'g' },
        spec: { size: 1 },
        status: { ready: true },
      },
    });
    const stored = (await custom.getClusterCustomObject({ ...where, name: 'g' })) as k8s.KubernetesObject & {
      status?: unknown;
    };
    expect(stored.status, 'a create does not set the status').to.equal(undefined);
    await custom.replaceClusterCustomObjectStatus({
      ...where,
      name: 'g',
      body: { ...stored, status: { ready: true } },
    });
    const after = (await custom.getClusterCustomObject({ ...where, name: 'g' })) as { spec: unknown; status: unknown };
    expect([after.spec, after.status]).to.deep.equal([{ size: 1 }, { ready: true }]);
  });
});
