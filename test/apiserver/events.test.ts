/** Events of events.k8s.io/v1 and of v1 are the same objects. */
import { expect } from 'chai';
import { at, listAt, textAt, type JsonObject } from '../../src/apiserver/json.js';
import { ApiClient } from './api-client.js';
import { Kubectl } from './kubectl-run.js';

const GROUP = '/apis/events.k8s.io/v1/namespaces/default/events';
const CORE = '/api/v1/namespaces/default/events';

const event = (name: string, more: JsonObject = {}): JsonObject => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name, namespace: 'default' },
  regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web', uid: 'u1' },
  eventTime: '2026-12-01T08:00:00.000000Z',
  type: 'Warning',
  reason: 'FailedAttach',
  action: 'Attaching',
  note: 'no address is free',
  reportingController: 'tortie-agent',
  reportingInstance: 'node1',
  ...more,
});

describe('apiserver: events', () => {
  let api: ApiClient;

  before(async () => {
    api = await ApiClient.start();
  });
  after(() => api.close());

  it('shows in v1 what was written in events.k8s.io/v1, and the other way round', async () => {
    expect((await api.post(GROUP, event('ours'))).code).to.equal(201);
    const core = (await api.get(`${CORE}/ours`)).body;
    expect(textAt(core, 'apiVersion')).to.equal('v1');
    expect([textAt(core, 'message'), textAt(core, 'involvedObject', 'name')]).to.deep.equal([
      'no address is free',
      'web',
    ]);
    expect(textAt(core, 'reportingComponent')).to.equal('tortie-agent');
    expect(at(core, 'note')).to.equal(undefined);
    await api.post(CORE, {
      metadata: { name: 'theirs' },
      involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' },
      message: 'it runs',
      count: 3,
    });
    const group = (await api.get(`${GROUP}/theirs`)).body;
    expect([textAt(group, 'note'), at(group, 'deprecatedCount')]).to.deep.equal(['it runs', 3]);
    const selected = await api.get(`${GROUP}?fieldSelector=regarding.uid%3Du1`);
    expect(listAt(selected.body, 'items').map((item) => textAt(item, 'note'))).to.deep.equal(['no address is free']);
  });

  it('lets only the series change', async () => {
    const written = (await api.post(GROUP, event('again'))).body as JsonObject;
    const series = { count: 2, lastObservedTime: '2026-12-01T08:01:00.000000Z' };
    const counted = await api.put(`${GROUP}/again`, { ...written, series });
    expect(counted.code).to.equal(200);
    expect(at((await api.get(`${CORE}/again`)).body, 'series', 'count')).to.equal(2);
    const changed = await api.put(`${GROUP}/again`, { ...(counted.body as JsonObject), note: 'else' });
    expect([changed.code, textAt(changed.body, 'message')]).to.deep.equal([
      422,
      'Event.events.k8s.io "again" is invalid: note: Invalid value: "else": field is immutable',
    ]);
  });

  for (const [what, more, message] of [
    [
      'an object of another namespace',
      { regarding: { kind: 'Pod', namespace: 'x', name: 'web' } },
      'does not match event.namespace',
    ],
    ['no time', { eventTime: null }, 'eventTime: Required value'],
    ['no action', { action: '' }, 'action: Required value'],
    ['a long note', { note: 'ä'.repeat(600) }, 'can have at most 1024 characters'],
    ['a type of its own', { type: 'Odd' }, 'Unsupported value: "Odd"'],
    ['a series of one', { series: { count: 1, lastObservedTime: '2026-12-01T08:01:00.000000Z' } }, 'at least 2'],
    ['a count of before', { deprecatedCount: 1 }, 'count: Forbidden: needs to be unset'],
  ] as const)
    it(`refuses ${what}`, async () => {
      const { code, body } = await api.post(GROUP, event('bad', more));
      expect(code).to.equal(422);
      expect(textAt(body, 'message')).to.contain(message);
    });

  it('shows them to kubectl get and describe', async () => {
    await api.post('/api/v1/namespaces/default/pods', {
      metadata: { name: 'web' },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    const uid = textAt((await api.get('/api/v1/namespaces/default/pods/web')).body, 'metadata', 'uid') ?? '';
    await api.post(
      GROUP,
      event('described', {
        regarding: { apiVersion: 'v1', kind: 'Pod', namespace: 'default', name: 'web', uid },
        series: { count: 5, lastObservedTime: '2026-12-01T08:01:00.000000Z' },
        note: 'described to people',
      }),
    );
    const kubectl = new Kubectl('kubectl', api.url);
    try {
      for (const args of [
        ['get', 'events'],
        ['get', 'events.events.k8s.io'],
        ['describe', 'pod', 'web'],
      ]) {
        const { stdout, stderr } = await kubectl.run(args);
        expect(stdout, stderr).to.match(/Warning\s+FailedAttach\s.*described to people/);
      }
    } finally {
      kubectl.dispose();
    }
  });
});
