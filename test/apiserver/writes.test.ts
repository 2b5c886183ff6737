import { expect } from 'chai';
import { at, isObject, listAt, objectAt, textAt } from '../../src/apiserver/json.js';
import { ApiClient, configMap, pod, revisionOf } from './api-client.js';

const PODS = '/api/v1/namespaces/default/pods';
const MAPS = '/api/v1/namespaces/default/configmaps';

describe('apiserver: reads and writes', () => {
  let api: ApiClient;

  before(async () => {
    api = await ApiClient.start();
  });
  after(() => api.close());

  describe('creating', () => {
    it('fills in what the server owns', async () => {
      const { code, body } = await api.post(MAPS, {
        ...configMap('filled'),
        metadata: { name: 'filled', uid: 'mine', resourceVersion: '', creationTimestamp: null },
      });
      expect(code).to.equal(201);
      expect(textAt(body, 'metadata', 'uid')).to.match(/^[0-9a-f-]{36}$/);
      expect(textAt(body, 'metadata', 'namespace')).to.equal('default');
      expect(textAt(body, 'metadata', 'creationTimestamp')).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(at(body, 'metadata', 'generation')).to.equal(1);
    });

    it('makes names from generateName', async () => {
      const names = await Promise.all(
        Array.from(
          { length: 20 },
          async () =>
            textAt((await api.post(MAPS, { metadata: { generateName: 'gen-' } })).body, 'metadata', 'name') ?? '',
        ),
      );
      expect(new Set(names).size).to.equal(20);
      for (const name of names) expect(name).to.match(/^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    });

    it('refuses with the reason upstream gives', async () => {
      await api.post(MAPS, configMap('taken'));
      const cases: readonly (readonly [string, number, string])[] = [
        [JSON.stringify(configMap('taken')), 409, 'configmaps "taken" already exists'],
        [
          JSON.stringify({ ...configMap('x'), metadata: { name: 'x', resourceVersion: '7' } }),
          400,
          'resourceVersion should not be set on objects to be created',
        ],
        [
          JSON.stringify({ ...configMap('x'), metadata: { name: 'x', namespace: 'other' } }),
          400,
          'the namespace of the provided object does not match the namespace sent on the request',
        ],
        [
          JSON.stringify({ ...configMap('x'), apiVersion: 'v2' }),
          400,
          'the API version in the data (v2) does not match the expected API version (v1)',
        ],
        [JSON.stringify({ ...configMap('x'), kind: 'Pod' }), 400, 'expected kind ConfigMap'],
        [JSON.stringify({ kind: 'ConfigMap' }), 422, 'name or generateName is required'],
        [JSON.stringify(configMap('Upper')), 422, 'a lowercase RFC 1123 subdomain must consist of'],
        [JSON.stringify({ ...configMap('x'), data: { 'a/b': '1' } }), 422, 'data[a/b]: Invalid value'],
        [JSON.stringify({ ...configMap('x'), data: { a: 1 } }), 400, 'expected a string'],
        ['{', 400, 'json parse error'],
        ['[]', 400, 'expected a JSON object'],
      ];
      for (const [body, code, message] of cases) {
        const reply = await api.send('POST', MAPS, body);
        expect([reply.code, textAt(reply.body, 'message')], body).to.satisfy(
          ([actual, text]: readonly [number, string]) => actual === code && text.includes(message),
        );
        expect(textAt(reply.body, 'status')).to.equal('Failure');
      }
    });

    it('needs the namespace', async () => {
      const reply = await api.post('/api/v1/namespaces/nowhere/configmaps', configMap('m'));
      expect(reply.code).to.equal(404);
      expect(textAt(reply.body, 'message')).to.equal('namespaces "nowhere" not found');
    });

    it('names every faulty field as a cause', async () => {
      const { body } = await api.post(PODS, {
        metadata: { name: 'p', labels: { 'bad key': 'x' } },
        spec: {
          containers: [
            { name: 'a', image: 'x', ports: [{ containerPort: 70_000, name: 'UPPER', protocol: 'ICMP' }] },
            { name: 'a', image: 'x' },
          ],
        },
      });
      expect(listAt(body, 'details', 'causes').map((cause) => textAt(cause, 'field'))).to.include.members([
        'metadata.labels',
        'spec.containers[0].ports[0].containerPort',
        'spec.containers[0].ports[0].name',
        'spec.containers[0].ports[0].protocol',
        'spec.containers[1].name',
      ]);
    });

    it('keeps keys that JavaScript objects have already', async () => {
      const sent =
        '{"metadata":{"name":"odd","labels":{"constructor":"a","toString":"b","hasOwnProperty":"c"}},' +
        '"data":{"__proto__":"p","constructor":"q","valueOf":"r"}}';
      expect((await api.send('POST', MAPS, sent)).code).to.equal(201);
      const { body } = await api.get(`${MAPS}/odd`);
      expect(Object.entries(objectAt(body, 'data'))).to.have.deep.members([
        ['__proto__', 'p'],
        ['constructor', 'q'],
        ['valueOf', 'r'],
      ]);
      expect(objectAt(body, 'metadata', 'labels')).to.deep.equal({
        constructor: 'a',
        toString: 'b',
        hasOwnProperty: 'c',
      });
      const found = await api.get(`${MAPS}?labelSelector=valueOf`);
      expect(listAt(found.body, 'items'), 'a label nobody has').to.deep.equal([]);
      expect(listAt((await api.get(`${MAPS}?labelSelector=constructor%3Da`)).body, 'items')).to.have.length(1);
    });
  });

  describe('field validation', () => {
    const withTypo = (name: string): ReturnType<typeof pod> => pod(name, {}, { hostnam: 'x' });

    it('is a warning by default', async () => {
      const reply = await api.post(PODS, withTypo('warned'));
      expect(reply.code).to.equal(201);
      expect(reply.headers['warning']).to.equal('299 - "unknown field \\"spec.hostnam\\""');
    });

    it('is an error when strict, silent when ignored', async () => {
      const strict = await api.post(`${PODS}?fieldValidation=Strict`, withTypo('strict'));
      expect(strict.code).to.equal(400);
      expect(textAt(strict.body, 'message')).to.include('strict decoding error: unknown field "spec.hostnam"');
      const ignored = await api.post(`${PODS}?fieldValidation=Ignore`, withTypo('ignored'));
      expect([ignored.code, ignored.headers['warning']]).to.deep.equal([201, undefined]);
    });
  });

  describe('updating', () => {
    it('needs the version it saw', async () => {
      const { body } = await api.post(MAPS, configMap('raced', { a: '1' }));
      const first = await api.put(`${MAPS}/raced`, { ...body, data: { a: '2' } });
      expect(first.code).to.equal(200);
      const second = await api.put(`${MAPS}/raced`, { ...body, data: { a: '3' } });
      expect(second.code).to.equal(409);
      expect(textAt(second.body, 'message')).to.equal(
        'Operation cannot be fulfilled on configmaps "raced": the object has been modified; please apply your ' +
          'changes to the latest version and try again',
      );
      expect(textAt((await api.get(`${MAPS}/raced`)).body, 'data', 'a')).to.equal('2');
    });

    it('without a change makes no new version', async () => {
      const { body } = await api.post(MAPS, configMap('same', { a: '1' }));
      const again = await api.put(`${MAPS}/same`, body);
      expect(revisionOf(again.body)).to.equal(revisionOf(body));
    });

    it('keeps status apart: each door changes its own half', async () => {
      await api.post(PODS, pod('halves'));
      await api.merge(`${PODS}/halves`, { metadata: { labels: { a: 'b' } }, status: { phase: 'Running' } });
      expect(textAt((await api.get(`${PODS}/halves`)).body, 'status', 'phase')).to.equal('Pending');
      await api.merge(`${PODS}/halves/status`, {
        metadata: { labels: { a: 'changed' } },
        status: { phase: 'Running', podIPs: [{ ip: '10.65.0.1' }, { ip: 'fd00::1' }] },
      });
      const { body } = await api.get(`${PODS}/halves`);
      expect([
        textAt(body, 'metadata', 'labels', 'a'),
        textAt(body, 'status', 'phase'),
        listAt(body, 'status', 'podIPs').length,
      ]).to.deep.equal(['b', 'Running', 2]);
      expect(at(body, 'metadata', 'generation'), 'neither labels nor status are desired state').to.equal(1);
    });

    it('binds a pod once', async () => {
      await api.post(PODS, pod('bound'));
      const binding = (node: string): ReturnType<typeof pod> => ({
        metadata: { name: 'bound' },
        target: { kind: 'Node', name: node },
      });
      expect((await api.post(`${PODS}/bound/binding`, binding('n1'))).code).to.equal(201);
      const second = await api.post(`${PODS}/bound/binding`, binding('n2'));
      expect(second.code).to.equal(409);
      expect(textAt(second.body, 'message')).to.include('pod bound is already assigned to node "n1"');
      const { body } = await api.get(`${PODS}/bound`);
      expect(
        listAt(body, 'status', 'conditions').map(
          (condition) => `${textAt(condition, 'type')}=${textAt(condition, 'status')}`,
        ),
      ).to.deep.equal(['PodScheduled=True']);
    });

    it('does nothing on a dry run', async () => {
      const reply = await api.post(`${MAPS}?dryRun=All`, configMap('ghost'));
      expect(reply.code).to.equal(201);
      expect((await api.get(`${MAPS}/ghost`)).code).to.equal(404);
    });
  });

  describe('lists', () => {
    it('come in pages that show one moment', async () => {
      await api.post('/api/v1/namespaces', { metadata: { name: 'paged' } });
      const path = '/api/v1/namespaces/paged/configmaps';
      for (const name of ['a', 'b', 'c', 'd', 'e']) await api.post(path, configMap(name));
      const first = await api.get(`${path}?limit=2`);
      expect(at(first.body, 'metadata', 'remainingItemCount')).to.equal(3);
      await api.delete(`${path}/d`);
      await api.post(path, configMap('bb'));
      await api.post(path, configMap('f'));
      const names: string[] = [];
      let page = first;
      for (let turns = 0; turns < 10; turns += 1) {
        names.push(...listAt(page.body, 'items').map((item) => textAt(item, 'metadata', 'name') ?? ''));
        const token = textAt(page.body, 'metadata', 'continue') ?? '';
        if (token === '') break;
        page = await api.get(`${path}?limit=2&continue=${token}`);
        expect(revisionOf(page.body)).to.equal(revisionOf(first.body));
      }
      expect(names).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    });

    it('end with 410 when the moment is forgotten', async () => {
      const short = await ApiClient.start({ historyLength: 10 });
      try {
        for (let index = 0; index < 5; index += 1) await short.post(MAPS, configMap(`m${index}`));
        const token = textAt((await short.get(`${MAPS}?limit=1`)).body, 'metadata', 'continue') ?? '';
        for (let index = 0; index < 40; index += 1) await short.merge(`${MAPS}/m0`, { data: { n: String(index) } });
        expect((await short.get(`${MAPS}?limit=1&continue=${token}`)).code).to.equal(410);
        expect((await short.get(`${MAPS}?limit=1&continue=nonsense`)).code).to.equal(400);
      } finally {
        await short.close();
      }
    });

    it('select by labels as Kubernetes does', async () => {
      const path = '/api/v1/namespaces/default/serviceaccounts';
      for (const [name, labels] of [
        ['s1', { app: 'web', tier: 'front' }],
        ['s2', { app: 'db', empty: '' }],
        ['s3', {}],
      ] as const)
        await api.post(path, { metadata: { name, labels } });
      const expected: Readonly<Record<string, readonly string[]>> = {
        'app=web': ['s1'],
        'app==web': ['s1'],
        'app!=web': ['default', 's2', 's3'],
        app: ['s1', 's2'],
        '!app': ['default', 's3'],
        'app in (web,db)': ['s1', 's2'],
        'app notin (web)': ['default', 's2', 's3'],
        'app,tier=front': ['s1'],
        'empty=': ['s2'],
        empty: ['s2'],
        'app in (web),tier notin (back)': ['s1'],
      };
      for (const [selector, names] of Object.entries(expected)) {
        const { body } = await api.get(`${path}?labelSelector=${encodeURIComponent(selector)}`);
        expect(
          listAt(body, 'items').map((item) => textAt(item, 'metadata', 'name')),
          selector,
        ).to.deep.equal(names);
      }
      for (const wrong of ['app in web', 'app=(', ',', 'a b'])
        expect((await api.get(`${path}?labelSelector=${encodeURIComponent(wrong)}`)).code, wrong).to.equal(400);
    });

    it('come as metadata alone when asked', async () => {
      const { body } = await api.get(MAPS, {
        accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
      });
      expect(textAt(body, 'kind')).to.equal('PartialObjectMetadataList');
      for (const item of listAt(body, 'items'))
        expect(isObject(item) ? Object.keys(item).sort() : item).to.deep.equal(['apiVersion', 'kind', 'metadata']);
    });

    it('fall back to JSON for whoever asks for protobuf', async () => {
      const { code, headers } = await api.get(MAPS, { accept: 'application/vnd.kubernetes.protobuf' });
      expect([code, headers['content-type']]).to.deep.equal([200, 'application/json']);
    });
  });

  it('answers 404, 405, 413 and 415 as Status objects', async () => {
    const expected: readonly (readonly [string, string, string | undefined, string | undefined, number])[] = [
      ['GET', '/nowhere', undefined, undefined, 404],
      ['GET', '/apis/none.dev/v1', undefined, undefined, 404],
      ['GET', '/api/v1/gadgets', undefined, undefined, 404],
      ['PUT', MAPS, '{}', undefined, 405],
      ['POST', `${PODS}/x/exec`, '{}', undefined, 404],
      ['POST', MAPS, `{"x":"${'y'.repeat(4 << 20)}"}`, undefined, 413],
      ['POST', MAPS, 'x', 'text/plain', 415],
      ['PATCH', `${MAPS}/kube`, '{}', 'application/x-patch', 404],
      ['POST', MAPS, 'garbage', 'application/vnd.kubernetes.protobuf', 400],
    ];
    for (const [method, path, body, contentType, code] of expected) {
      const reply = await api.send(
        method,
        path,
        body,
        contentType === undefined ? {} : { 'content-type': contentType },
      );
      expect([reply.code, textAt(reply.body, 'kind'), at(reply.body, 'code')], `${method} ${path}`).to.deep.equal([
        code,
        'Status',
        code,
      ]);
    }
  });

  it('answers probes', async () => {
    for (const path of ['/healthz', '/livez', '/readyz', '/readyz/ping'])
      expect(textAt((await api.get(path)).body, 'text')).to.equal('ok');
  });
});
