import { expect } from 'chai';
import { connect } from 'node:net';
import { at, listAt, objectAt, textAt } from '../../src/apiserver/json.js';
import { ApiClient, configMap, eventually, pod, revisionOf, type Watch } from './api-client.js';

const PODS = '/api/v1/namespaces/default/pods';
const MAPS = '/api/v1/namespaces/default/configmaps';

const seen = (watch: Watch): readonly string[] =>
  watch.events.map((event) => `${event.type} ${textAt(event.object, 'metadata', 'name') ?? ''}`);

describe('apiserver: watch', () => {
  let api: ApiClient;
  let watches: Watch[];

  beforeEach(async () => {
    api = await ApiClient.start({ historyLength: 20 });
    watches = [];
  });

  afterEach(async () => {
    for (const watch of watches) watch.stop();
    await api.close();
  });

  async function watch(path: string, headers?: Readonly<Record<string, string>>): Promise<Watch> {
    const started = await api.watch(path, headers);
    watches.push(started);
    return started;
  }

  it('starts with everything that is there, then follows', async () => {
    await api.post(MAPS, configMap('a'));
    const follower = await watch(`${MAPS}?watch=true`);
    await api.post(MAPS, configMap('b'));
    await api.merge(`${MAPS}/a`, { data: { x: '1' } });
    await api.delete(`${MAPS}/b`);
    await eventually('four events', () => follower.events.length === 4);
    expect(seen(follower)).to.deep.equal(['ADDED a', 'ADDED b', 'MODIFIED a', 'DELETED b']);
  });

  it('resumes after a revision and repeats nothing', async () => {
    await api.post(MAPS, configMap('a'));
    const list = await api.get(MAPS);
    await api.post(MAPS, configMap('b'));
    const follower = await watch(`${MAPS}?watch=true&resourceVersion=${revisionOf(list.body)}`);
    await api.post(MAPS, configMap('c'));
    await eventually('two events', () => follower.events.length === 2);
    expect(seen(follower)).to.deep.equal(['ADDED b', 'ADDED c']);
  });

  it('answers 410 when the revision is forgotten, 504 when it is of the future', async () => {
    const list = await api.get(MAPS);
    for (let index = 0; index < 60; index += 1) await api.post(MAPS, configMap(`m${index}`));
    const refused = await api.get(`${MAPS}?watch=true&resourceVersion=${revisionOf(list.body)}`);
    expect(refused.code).to.equal(410);
    expect(refused.body).to.include({ reason: 'Expired', code: 410 });
    const future = await api.get(`${MAPS}?watch=true&resourceVersion=9000000000000000`);
    expect(future.code).to.equal(504);
    expect(textAt(future.body, 'message')).to.match(/Too large resource version: 9000000000000000, current: \d+/);
  });

  it('turns selector transitions into ADDED and DELETED, the latter as it last matched', async () => {
    const follower = await watch(`${PODS}?watch=true&labelSelector=app%3Dweb`);
    await api.post(PODS, pod('p', { app: 'other' }));
    await api.merge(`${PODS}/p`, { metadata: { labels: { app: 'web' } } });
    await api.merge(`${PODS}/p`, { metadata: { annotations: { note: 'x' } } });
    await api.merge(`${PODS}/p`, { metadata: { labels: { app: 'gone' } } });
    await api.delete(`${PODS}/p`);
    await api.post(PODS, pod('q', { app: 'web' }));
    await eventually('the last event', () => follower.events.length >= 4);
    expect(seen(follower)).to.deep.equal(['ADDED p', 'MODIFIED p', 'DELETED p', 'ADDED q']);
    const [, before, deleted] = follower.events;
    expect(objectAt(deleted?.object, 'metadata', 'labels')).to.deep.equal({ app: 'web' });
    expect(Number(revisionOf(deleted?.object ?? {}))).to.be.greaterThan(Number(revisionOf(before?.object ?? {})));
  });

  it('applies field selectors to watches', async () => {
    const onNode = await watch(`/api/v1/pods?watch=true&fieldSelector=spec.nodeName%3Dn1`);
    await api.post(PODS, pod('far', {}, { nodeName: 'n2' }));
    await api.post(PODS, pod('near'));
    await api.post(`${PODS}/near/binding`, {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name: 'near' },
      target: { kind: 'Node', name: 'n1' },
    });
    await eventually('the bound pod', () => onNode.events.length === 1);
    expect(seen(onNode)).to.deep.equal(['ADDED near']);
    const unknown = await api.get('/api/v1/pods?watch=true&fieldSelector=spec.color%3Dred');
    expect(unknown.code).to.equal(400);
    expect(textAt(unknown.body, 'message')).to.include('field label not supported: spec.color');
  });

  it('keeps namespaces apart', async () => {
    await api.post('/api/v1/namespaces', { metadata: { name: 'default-2' } });
    const follower = await watch(`${MAPS}?watch=true`);
    await api.post('/api/v1/namespaces/default-2/configmaps', configMap('elsewhere'));
    await api.post(MAPS, configMap('here'));
    await eventually('an event', () => follower.events.length > 0);
    expect(seen(follower)).to.deep.equal(['ADDED here']);
  });

  it('streams the initial list and marks its end when asked', async () => {
    await api.post(MAPS, configMap('a'));
    const follower = await watch(
      `${MAPS}?watch=true&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan`,
    );
    await eventually('the bookmark', () => follower.events.length === 2);
    expect(follower.events[1]).to.have.nested.property(
      'object.metadata.annotations.k8s\\.io/initial-events-end',
      'true',
    );
    expect(follower.events[1]?.type).to.equal('BOOKMARK');
    expect(follower.events[1]?.object).to.include({ kind: 'ConfigMap', apiVersion: 'v1' });
  });

  it('ends after timeoutSeconds', async () => {
    const follower = await watch(`${MAPS}?watch=true&timeoutSeconds=1`);
    await eventually('the end', () => follower.isEnded());
    expect(follower.events).to.deep.equal([]);
  });

  it('sends table rows to kubectl, headers once', async () => {
    const follower = await watch(`${PODS}?watch=true`, {
      accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json',
    });
    await api.post(PODS, pod('a'));
    await api.post(PODS, pod('b'));
    await eventually('two rows', () => follower.events.length === 2);
    const [first, second] = follower.events;
    expect(listAt(first?.object, 'columnDefinitions').map((column) => textAt(column, 'name'))).to.include.members([
      'Name',
      'Ready',
      'Status',
    ]);
    expect(at(second?.object, 'columnDefinitions')).to.equal(null);
    expect(listAt(listAt(second?.object, 'rows')[0], 'cells').slice(0, 3)).to.deep.equal(['b', '0/1', 'Pending']);
  });

  it('cuts off a watcher that does not read', async function () {
    this.timeout(30_000);
    const { hostname, port } = new URL(api.url);
    const socket = connect(Number(port), hostname);
    let isClosed = false;
    socket
      .on('close', () => {
        isClosed = true;
      })
      .on('error', () => undefined);
    socket.write(`GET ${MAPS}?watch=true HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    await eventually('the watch to start', () => socket.bytesRead > 0);
    socket.pause();
    await api.post(MAPS, configMap('big', { blob: 'x'.repeat(2_500_000) }));
    for (let turn = 0; turn < 30; turn += 1) await api.merge(`${MAPS}/big`, { data: { turn: String(turn) } });
    socket.resume();
    await eventually('the end of the watch', () => isClosed);
  });

  it('survives clients that leave in the middle of a request or a watch', async () => {
    const { hostname, port } = new URL(api.url);
    for (const text of [
      `POST ${MAPS} HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 100\r\n\r\n{`,
      `GET ${MAPS}?watch=true HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`,
    ]) {
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      await new Promise<void>((resolve) => socket.write(text, () => resolve()));
      await new Promise((resolve) => setTimeout(resolve, 50));
      socket.resetAndDestroy();
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await api.post(MAPS, configMap('after'))).code).to.equal(201);
  });
});
