import { expect } from 'chai';
import { at, listAt, textAt, type JsonObject } from '../../src/apiserver/json.js';
import { ApiClient, configMap, eventually, pod } from './api-client.js';

const PODS = '/api/v1/namespaces/default/pods';
const MAPS = '/api/v1/namespaces/default/configmaps';

describe('apiserver: deletion', () => {
  let api: ApiClient;

  beforeEach(async () => {
    api = await ApiClient.start();
  });
  afterEach(() => api.close());

  const isGone = (path: string) => async (): Promise<boolean> => (await api.get(path)).code === 404;

  describe('of pods', () => {
    it('waits for the kubelet of a scheduled pod, which confirms with grace 0', async () => {
      await api.post(PODS, pod('p', {}, { nodeName: 'n1', terminationGracePeriodSeconds: 7 }));
      const marked = await api.delete(`${PODS}/p`);
      expect(marked.code).to.equal(200);
      expect(at(marked.body, 'metadata', 'deletionGracePeriodSeconds')).to.equal(7);
      expect(textAt(marked.body, 'metadata', 'deletionTimestamp')).to.match(/^\d{4}-/);
      const again = await api.delete(`${PODS}/p`, { gracePeriodSeconds: 30 });
      expect(at(again.body, 'metadata', 'deletionGracePeriodSeconds'), 'a longer grace changes nothing').to.equal(7);
      const shorter = await api.delete(`${PODS}/p?gracePeriodSeconds=2`);
      expect(at(shorter.body, 'metadata', 'deletionGracePeriodSeconds')).to.equal(2);
      expect((await api.get(`${PODS}/p`)).code).to.equal(200);
      await api.delete(`${PODS}/p`, { gracePeriodSeconds: 0 });
      expect((await api.get(`${PODS}/p`)).code).to.equal(404);
    });

    it('is immediate when nobody runs the pod', async () => {
      await api.post(PODS, pod('unscheduled'));
      await api.delete(`${PODS}/unscheduled`);
      expect((await api.get(`${PODS}/unscheduled`)).code).to.equal(404);
      await api.post(PODS, pod('done', {}, { nodeName: 'n1' }));
      await api.merge(`${PODS}/done/status`, { status: { phase: 'Succeeded' } });
      await api.delete(`${PODS}/done`);
      expect((await api.get(`${PODS}/done`)).code).to.equal(404);
    });

    it('by eviction is a deletion', async () => {
      await api.post(PODS, pod('p', {}, { nodeName: 'n1' }));
      const evicted = await api.post(`${PODS}/p/eviction`, {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: 'p' },
        deleteOptions: { gracePeriodSeconds: 0 },
      });
      expect(evicted.code).to.equal(201);
      expect((await api.get(`${PODS}/p`)).code).to.equal(404);
    });
  });

  it('respects preconditions', async () => {
    await api.post(MAPS, configMap('m'));
    const refused = await api.delete(`${MAPS}/m`, { preconditions: { uid: 'somebody-else' } });
    expect(refused.code).to.equal(409);
    expect((await api.get(`${MAPS}/m`)).code).to.equal(200);
  });

  it('waits for finalizers, and lets nobody add any', async () => {
    await api.post(MAPS, { ...configMap('m'), metadata: { name: 'm', finalizers: ['tortie.dev/hold'] } });
    await api.delete(`${MAPS}/m`);
    expect(textAt((await api.get(`${MAPS}/m`)).body, 'metadata', 'deletionTimestamp')).to.be.a('string');
    const added = await api.merge(`${MAPS}/m`, { metadata: { finalizers: ['tortie.dev/hold', 'tortie.dev/more'] } });
    expect(added.code).to.equal(422);
    expect(textAt(added.body, 'message')).to.include('no new finalizers can be added');
    await api.merge(`${MAPS}/m`, { metadata: { finalizers: null } });
    expect((await api.get(`${MAPS}/m`)).code).to.equal(404);
  });

  it('of a collection takes what the selector matches', async () => {
    for (const [name, color] of [
      ['a', 'red'],
      ['b', 'blue'],
      ['c', 'red'],
    ] as const)
      await api.post(MAPS, { ...configMap(name), metadata: { name, labels: { color } } });
    await api.delete(`${MAPS}?labelSelector=color%3Dred`);
    expect(listAt((await api.get(MAPS)).body, 'items').map((item) => textAt(item, 'metadata', 'name'))).to.deep.equal([
      'b',
    ]);
  });

  describe('of owners', () => {
    async function owned(owner: string, name: string, block = false): Promise<void> {
      const { body } = await api.get(`${MAPS}/${owner}`);
      await api.post(MAPS, {
        ...configMap(name),
        metadata: {
          name,
          finalizers: block ? ['tortie.dev/hold'] : [],
          ownerReferences: [
            {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              name: owner,
              uid: textAt(body, 'metadata', 'uid') ?? '',
              blockOwnerDeletion: block,
            },
          ],
        },
      });
    }

    it('in the background takes the dependents after', async () => {
      await api.post(MAPS, configMap('owner'));
      await owned('owner', 'child');
      await owned('child', 'grandchild');
      await api.delete(`${MAPS}/owner`);
      await eventually('the grandchild to go', isGone(`${MAPS}/grandchild`));
      expect((await api.get(`${MAPS}/child`)).code).to.equal(404);
    });

    it('in the foreground waits for dependents that block', async () => {
      await api.post(MAPS, configMap('owner'));
      await owned('owner', 'child', true);
      await api.delete(`${MAPS}/owner`, { propagationPolicy: 'Foreground' });
      await eventually(
        'the child to be marked',
        async () => textAt((await api.get(`${MAPS}/child`)).body, 'metadata', 'deletionTimestamp') !== undefined,
      );
      expect(listAt((await api.get(`${MAPS}/owner`)).body, 'metadata', 'finalizers')).to.deep.equal([
        'foregroundDeletion',
      ]);
      await api.merge(`${MAPS}/child`, { metadata: { finalizers: null } });
      await eventually('the owner to go', isGone(`${MAPS}/owner`));
    });

    it('orphaning leaves the dependents without a reference', async () => {
      await api.post(MAPS, configMap('owner'));
      await owned('owner', 'child');
      await api.delete(`${MAPS}/owner?propagationPolicy=Orphan`);
      await eventually('the owner to go', isGone(`${MAPS}/owner`));
      expect(at((await api.get(`${MAPS}/child`)).body, 'metadata', 'ownerReferences')).to.equal(undefined);
    });
  });

  describe('of namespaces', () => {
    it('takes the content along, pods with their grace', async () => {
      await api.post('/api/v1/namespaces', { metadata: { name: 'blue' } });
      await api.post('/api/v1/namespaces/blue/configmaps', configMap('m'));
      await api.post('/api/v1/namespaces/blue/pods', pod('p', {}, { nodeName: 'n1' }));
      const marked = await api.delete('/api/v1/namespaces/blue');
      expect(textAt(marked.body, 'status', 'phase')).to.equal('Terminating');
      await eventually('the config map to go', isGone('/api/v1/namespaces/blue/configmaps/m'));
      expect((await api.get('/api/v1/namespaces/blue')).code, 'its pod still runs').to.equal(200);
      const refused = await api.post('/api/v1/namespaces/blue/configmaps', configMap('late'));
      expect(refused.code).to.equal(403);
      expect(textAt(refused.body, 'message')).to.include('because it is being terminated');
      await api.delete('/api/v1/namespaces/blue/pods/p', { gracePeriodSeconds: 0 });
      await eventually('the namespace to go', isGone('/api/v1/namespaces/blue'));
    });

    it('a namesake starts clean', async () => {
      await api.post('/api/v1/namespaces', { metadata: { name: 'blue' } });
      await api.post('/api/v1/namespaces/blue/configmaps', configMap('m'));
      await api.delete('/api/v1/namespaces/blue');
      await eventually('the namespace to go', isGone('/api/v1/namespaces/blue'));
      await api.post('/api/v1/namespaces', { metadata: { name: 'blue' } });
      expect(listAt((await api.get('/api/v1/namespaces/blue/configmaps')).body, 'items')).to.deep.equal([]);
    });

    it('waits for finalizers of its own until they are finalized away', async () => {
      const { body } = await api.post('/api/v1/namespaces', { metadata: { name: 'held' } });
      const withHold: JsonObject = { ...body, spec: { finalizers: ['kubernetes', 'tortie.dev/hold'] } };
      await api.put('/api/v1/namespaces/held/finalize', withHold);
      await api.delete('/api/v1/namespaces/held');
      await eventually('kubernetes to be done', async () => {
        const finalizers = listAt((await api.get('/api/v1/namespaces/held')).body, 'spec', 'finalizers');
        return finalizers.length === 1 && finalizers[0] === 'tortie.dev/hold';
      });
      const { body: current } = await api.get('/api/v1/namespaces/held');
      await api.put('/api/v1/namespaces/held/finalize', { ...current, spec: { finalizers: [] } });
      expect((await api.get('/api/v1/namespaces/held')).code).to.equal(404);
    });
  });
});
