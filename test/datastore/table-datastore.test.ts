/** Objects without an API server obey the API server's rules: one suite on every table. */
import { expect } from 'chai';
import type { BGPPeer } from '../../src/api/bgp.js';
import type { Pod } from '../../src/api/core.js';
import type { IPPool } from '../../src/api/ipam.js';
import { ApiError, type ObjectStore } from '../../src/datastore/datastore.js';
import { openDatastore } from '../../src/datastore/open-datastore.js';
import { eventually } from '../apiserver/api-client.js';
import { STORES, type OpenedStore } from './block-stores.js';

const pool = (name: string, spec: Partial<IPPool['spec']> = {}): IPPool => ({
  metadata: { name },
  spec: { cidr: '10.65.0.0/16', ...spec },
});
const pod = (name: string, namespace: string, nodeName = 'n'): Pod =>
  ({ metadata: { name, namespace }, spec: { nodeName, containers: [{ name: 'c', image: 'i' }] } }) as Pod;
const refusal = (work: Promise<unknown>): Promise<readonly [number, string, string]> =>
  work.then(
    () => [0, '', 'done'] as const,
    (error: unknown) =>
      error instanceof ApiError
        ? ([error.status, error.reason, error.message] as const)
        : ([-1, '', String(error)] as const),
  );

for (const { name, open } of STORES.filter(({ isGuarded }) => isGuarded))
  describe(`datastore without Kubernetes: ${name}`, function () {
    this.timeout(60_000);
    let opened: OpenedStore;
    let store: ObjectStore;
    before(async () => {
      opened = await open();
      if (opened.datastore === undefined) throw new Error('a store without objects');
      store = opened.datastore;
    });
    after(() => opened?.close());

    it('creates, reads, replaces and deletes as an API server does', async () => {
      const made = await store.create('ipPools', pool('a'));
      expect(made.metadata.uid).to.match(/^[0-9a-f-]{36}$/);
      expect(made.metadata.generation).to.equal(1);
      expect(await store.get('ipPools', 'a')).to.deep.equal(made);
      expect((await refusal(store.create('ipPools', pool('a'))))[1]).to.equal('AlreadyExists');
      const changed = await store.replace('ipPools', { ...made, spec: { ...made.spec, disabled: true } });
      expect([changed.metadata.generation, changed.metadata.uid]).to.deep.equal([2, made.metadata.uid]);
      expect((await refusal(store.replace('ipPools', made)))[1]).to.equal('Conflict');
      const { resourceVersion = '' } = made.metadata;
      expect((await refusal(store.delete('ipPools', 'a', { resourceVersion })))[1]).to.equal('Conflict');
      await store.delete('ipPools', 'a');
      await store.delete('ipPools', 'a');
      expect(await store.get('ipPools', 'a')).to.equal(undefined);
      expect((await refusal(store.replace('ipPools', changed)))[0]).to.equal(404);
    });
    it('names every faulty field, with what was expected', async () => {
      const [status, , message] = await refusal(store.create('ipPools', pool('b', { cidr: 'x', blockSize: 300 })));
      expect(status).to.equal(422);
      expect(message).to.match(/spec\.cidr.*spec\.blockSize/s);
      expect(
        (
          await refusal(store.apply('ipPools', { ...pool('b'), spec: { cidr: '10.0.0.0/8', odd: 1 } } as never, 'x'))
        )[2],
      ).to.contain('unknown field "spec.odd"');
      expect((await refusal(store.create('ipPools', pool('B_'))))[2]).to.contain('metadata.name');
    });
    it('applies: what is no longer said goes, and status stays apart', async () => {
      const peer = (spec: Partial<BGPPeer['spec']>): BGPPeer => ({
        metadata: { name: 'tor' },
        spec: { peerIP: '192.0.2.1', ...spec },
      });
      await store.apply('bgpPeers', peer({ asNumber: 65_000, nodeSelector: 'all()' }), 'me');
      const condition = {
        type: 'Accepted',
        status: 'True',
        lastTransitionTime: '2026-01-01T00:00:00Z',
        reason: 'X',
        message: '',
      } as const;
      await store.applyStatus('bgpPeers', { name: 'tor' }, { conditions: [condition] }, 'agent');
      const after = await store.apply('bgpPeers', peer({ asNumber: 65_001 }), 'me');
      expect([after.spec.asNumber, after.spec.nodeSelector]).to.deep.equal([65_001, undefined]);
      expect(JSON.stringify(after)).to.contain('"Accepted"');
      const again = await store.apply('bgpPeers', peer({ asNumber: 65_001 }), 'me');
      expect(again.metadata.resourceVersion).to.equal(after.metadata.resourceVersion);
      await store.applyStatus('bgpPeers', { name: 'tor' }, undefined, 'agent');
      expect(JSON.stringify(await store.get('bgpPeers', 'tor'))).not.to.contain('"Accepted"');
      expect((await refusal(store.applyStatus('bgpPeers', { name: 'gone' }, undefined, 'agent')))[0]).to.equal(404);
    });
    it('keeps namespaces as long as something is in them', async () => {
      expect((await refusal(store.create('pods', pod('p', 'team'))))[2]).to.contain('namespaces "team" not found');
      await store.create('namespaces', { metadata: { name: 'team' } });
      await store.create('pods', pod('p', 'team'));
      expect((await refusal(store.delete('namespaces', 'team')))[2]).to.contain('1 pods are in it');
      await store.delete('pods', 'p', { namespace: 'team' });
      expect(await store.get('pods', 'p', 'team'), 'at once').to.equal(undefined);
      await store.delete('namespaces', 'team');
      expect(await store.get('namespaces', 'team')).to.equal(undefined);
      expect(await store.get('namespaces', 'default')).not.to.equal(undefined);
    });
    it('refuses Services, and says why', async () => {
      const service = { metadata: { name: 's', namespace: 'default' }, spec: {} } as never;
      expect((await refusal(store.create('services', service)))[2]).to.contain('without Kubernetes nobody serves it');
      expect(await store.list('services')).to.deep.equal([]);
    });
    it('watches a field and a namespace', async () => {
      const seen = new Set<string>();
      const watch = store.watch(
        'pods',
        {
          upsert: (_, { metadata }) => void seen.add(metadata.name),
          delete: (_, { metadata }) => void seen.delete(metadata.name),
          firstListDone: () => void seen.add('(listed)'),
          health: () => {},
        },
        { namespace: 'default', fieldSelector: 'spec.nodeName=n1' },
      );
      try {
        await eventually('the list', () => seen.has('(listed)'));
        await store.create('pods', pod('x', 'default', 'n2'));
        await store.create('pods', pod('y', 'default', 'n1'));
        await eventually('the pod', () => seen.has('y'));
        expect(seen.has('x')).to.equal(false);
        await store.delete('pods', 'y', { namespace: 'default' });
        await eventually('its end', () => !seen.has('y'));
      } finally {
        watch.stop();
      }
    });
    it('swaps for one of many writers at a time', async () => {
      await store.create('ipPools', pool('busy'));
      await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          store.apply('ipPools', pool('busy', { [index % 2 ? 'disabled' : 'natOutgoing']: true }), `m${index}`),
        ),
      );
      const { spec } = (await store.get('ipPools', 'busy')) as IPPool;
      expect([spec.disabled, spec.natOutgoing]).to.deep.equal([true, true]);
    });
  });

describe('datastore URLs', () => {
  for (const url of ['', 'mysql://x', 'dir:relative', 'redis://a:b@c'])
    it(`refuse "${url}"`, async () => {
      const said = await openDatastore(url, {}).then(() => 'opened', String);
      expect(said).to.contain('expected');
      expect(said).not.to.contain('a:b');
    });
});
