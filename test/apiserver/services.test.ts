import { expect } from 'chai';
import { at, listAt, objectAt, textAt, type JsonObject } from '../../src/apiserver/json.js';
import { ApiClient, eventually, pod } from './api-client.js';

const SERVICES = '/api/v1/namespaces/default/services';
const PODS = '/api/v1/namespaces/default/pods';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';

const service = (name: string, spec: JsonObject): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec: { ports: [{ port: 80 }], ...spec },
});

describe('apiserver: services', () => {
  let api: ApiClient;

  beforeEach(async () => {
    api = await ApiClient.start();
  });
  afterEach(() => api.close());

  const specOf = async (name: string, spec: JsonObject): Promise<JsonObject> =>
    objectAt((await api.post(SERVICES, service(name, spec))).body, 'spec');

  it('get addresses of their families, and keep them', async () => {
    const first = await specOf('a', {});
    expect(textAt(first, 'clusterIP')).to.match(/^10\.96\.0\.\d+$/);
    expect([
      first['ipFamilies'],
      first['ipFamilyPolicy'],
      first['internalTrafficPolicy'],
      first['sessionAffinity'],
    ]).to.deep.equal([['IPv4'], 'SingleStack', 'Cluster', 'None']);
    const dual = await specOf('b', { ipFamilyPolicy: 'RequireDualStack' });
    expect(listAt(dual, 'clusterIPs').map((address) => String(address).includes(':'))).to.deep.equal([false, true]);
    expect(dual['clusterIP']).not.to.equal(first['clusterIP']);
    expect((await specOf('c', { clusterIP: 'None' }))['clusterIPs']).to.deep.equal(['None']);
    expect((await specOf('d', { clusterIP: '10.96.1.1' }))['clusterIPs']).to.deep.equal(['10.96.1.1']);
    const taken = await api.post(SERVICES, service('e', { clusterIP: '10.96.1.1' }));
    expect(taken.code).to.equal(422);
    expect(textAt(taken.body, 'message')).to.include('provided IP is already allocated');
    const replaced = await api.put(`${SERVICES}/a`, service('a', { ports: [{ port: 81 }] }));
    expect(at(replaced.body, 'spec', 'clusterIP')).to.equal(first['clusterIP']);
    const moved = await api.merge(`${SERVICES}/a`, { spec: { clusterIP: '10.96.9.9', clusterIPs: null } });
    expect(textAt(moved.body, 'message')).to.include(
      'spec.clusterIPs[0]: Invalid value: "10.96.9.9": may not change once set',
    );
  });

  it('get node ports when their type has them', async () => {
    const ports = listAt(
      await specOf('n', {
        type: 'NodePort',
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 2, nodePort: 30_000 },
        ],
      }),
      'ports',
    ).map((port) => at(port, 'nodePort'));
    expect(new Set(ports).size).to.equal(2);
    for (const port of ports) expect(port).to.be.within(30_000, 32_767);
    expect((await specOf('l', { type: 'LoadBalancer' }))['externalTrafficPolicy']).to.equal('Cluster');
  });

  it('have slices of the pods they select, per family, and per number of a named port', async () => {
    await api.post(
      SERVICES,
      service('web', {
        selector: { app: 'web' },
        ipFamilyPolicy: 'PreferDualStack',
        ports: [{ name: 'http', port: 80, targetPort: 'http' }],
      }),
    );
    for (const [name, port] of [
      ['p1', 8080],
      ['p2', 9090],
    ] as const) {
      await api.post(
        PODS,
        pod(
          name,
          { app: 'web' },
          { nodeName: 'n1', containers: [{ name: 'm', image: 'x', ports: [{ name: 'http', containerPort: port }] }] },
        ),
      );
      await api.merge(`${PODS}/${name}/status`, {
        status: {
          phase: 'Running',
          podIPs: [{ ip: `10.65.0.${port % 100}` }, { ip: `fd00:65::${port}` }],
          conditions: [{ type: 'Ready', status: 'True' }],
        },
      });
    }
    await api.post(PODS, pod('other', { app: 'other' }));
    const shown = async (): Promise<readonly string[]> =>
      listAt((await api.get(`${SLICES}?labelSelector=kubernetes.io%2Fservice-name%3Dweb`)).body, 'items')
        .flatMap((slice) =>
          listAt(slice, 'endpoints').map(
            (endpoint) =>
              `${listAt(endpoint, 'addresses').join()} ${String(at(listAt(slice, 'ports')[0], 'port'))} ` +
              `${String(at(endpoint, 'conditions', 'ready'))} ${textAt(endpoint, 'nodeName') ?? ''}`,
          ),
        )
        .sort();
    await eventually('four endpoints', async () => (await shown()).length === 4);
    expect(await shown()).to.deep.equal([
      '10.65.0.80 8080 true n1',
      '10.65.0.90 9090 true n1',
      'fd00:65::8080 8080 true n1',
      'fd00:65::9090 9090 true n1',
    ]);
    await api.delete(`${PODS}/p1`);
    await eventually('the terminating pod to be not ready', async () =>
      (await shown()).includes('10.65.0.80 8080 false n1'),
    );
    await api.merge(`${PODS}/p2/status`, { status: { phase: 'Succeeded' } });
    await eventually('the finished pod to go', async () => (await shown()).length === 2);
    await api.delete(`${SERVICES}/web`);
    await eventually('the slices to go with the service', async () => (await shown()).length === 0);
  });

  it('have hints where traffic is to stay near, and take in pods that are not ready when asked to', async () => {
    await api.post('/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'a' } },
    });
    await api.post(PODS, pod('p1', { app: 'web' }, { nodeName: 'n1', containers: [{ name: 'm', image: 'x' }] }));
    await api.merge(`${PODS}/p1/status`, { status: { phase: 'Running', podIPs: [{ ip: '10.65.0.1' }] } });
    const endpointOf = async (name: string): Promise<JsonObject | undefined> => {
      const found = await api.get(`${SLICES}?labelSelector=kubernetes.io%2Fservice-name%3D${name}`);
      const [slice] = listAt(found.body, 'items');
      return listAt(slice, 'endpoints')[0] as JsonObject | undefined;
    };
    const selector = { app: 'web' };
    await api.post(SERVICES, service('strict', { selector, trafficDistribution: 'PreferSameNode' }));
    await api.post(
      SERVICES,
      service('open', { selector, trafficDistribution: 'PreferSameNode', publishNotReadyAddresses: true }),
    );
    await eventually('both slices', async () => (await endpointOf('open')) !== undefined);
    const [strict, open] = [await endpointOf('strict'), await endpointOf('open')];
    expect([at(strict, 'conditions', 'ready'), at(strict, 'hints')]).to.deep.equal([false, undefined]);
    expect([at(open, 'conditions', 'ready'), at(open, 'hints')]).to.deep.equal([
      true,
      { forZones: [{ name: 'a' }], forNodes: [{ name: 'n1' }] },
    ]);
    await api.merge('/api/v1/nodes/n1', { metadata: { labels: { 'topology.kubernetes.io/zone': 'b' } } });
    await eventually('the new zone', async () => textAt(await endpointOf('open'), 'zone') === 'b');
  });
});
