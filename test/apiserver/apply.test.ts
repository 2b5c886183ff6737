import { expect } from 'chai';
import fc from 'fast-check';
import {
  difference,
  formatFieldsV1,
  intersection,
  isSameSet,
  parseFieldsV1,
  pathTexts,
  union,
  type FieldSet,
} from '../../src/apiserver/field-set.js';
import { at, isEqual, listAt, textAt, type Json, type JsonObject } from '../../src/apiserver/json.js';
import { builtInSchema } from '../../src/apiserver/kinds/schemas.js';
import { compareFields, fieldsOf, mergeFields, removeFields } from '../../src/apiserver/typed-fields.js';
import { ApiClient, pod } from './api-client.js';

const PODS = '/api/v1/namespaces/default/pods';
const SERVICES = '/api/v1/namespaces/default/services';

const service = (name: string, ports: Json, extra: JsonObject = {}): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, ...extra },
  spec: { ports },
});

/** Managers as "name operation subresource". */
const managersOf = (object: JsonObject): readonly string[] =>
  listAt(object, 'metadata', 'managedFields').map((entry) =>
    [textAt(entry, 'manager'), textAt(entry, 'operation'), textAt(entry, 'subresource')]
      .filter((text) => text !== undefined)
      .join(' '),
  );

const portNames = (object: JsonObject): readonly Json[] =>
  listAt(object, 'spec', 'ports').map((port) => at(port, 'name') ?? null);

describe('apiserver: server-side apply', () => {
  let api: ApiClient;

  before(async () => {
    api = await ApiClient.start();
  });
  after(() => api.close());

  it('creates, then changes nothing', async () => {
    const applied = service('s1', [{ name: 'http', port: 80 }]);
    const created = await api.apply(`${SERVICES}/s1`, 'alice', applied);
    expect(created.code).to.equal(201);
    const again = await api.apply(`${SERVICES}/s1`, 'alice', applied);
    expect(again.code).to.equal(200);
    expect(textAt(again.body, 'metadata', 'resourceVersion')).to.equal(
      textAt(created.body, 'metadata', 'resourceVersion'),
    );
    expect(managersOf(again.body)).to.deep.equal(['alice Apply']);
  });

  it('two appliers own list items side by side, and each takes only its own away', async () => {
    await api.apply(`${SERVICES}/s2`, 'alice', service('s2', [{ name: 'http', port: 80 }]));
    await api.apply(`${SERVICES}/s2`, 'bob', service('s2', [{ name: 'dns', port: 53, protocol: 'UDP' }]));
    const both = await api.get(`${SERVICES}/s2`);
    expect(portNames(both.body)).to.have.members(['http', 'dns']);
    const left = await api.apply(`${SERVICES}/s2`, 'bob', service('s2', [{ name: 'metrics', port: 9090 }]));
    expect(portNames(left.body)).to.have.members(['http', 'metrics']);
  });

  it('a key that is absent is its default: port 80 is port 80/TCP', async () => {
    await api.apply(`${SERVICES}/s3`, 'alice', service('s3', [{ name: 'http', port: 80, targetPort: 8080 }]));
    const { body } = await api.apply(
      `${SERVICES}/s3`,
      'alice',
      service('s3', [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8081 }]),
    );
    expect(listAt(body, 'spec', 'ports')).to.deep.equal([
      { name: 'http', port: 80, protocol: 'TCP', targetPort: 8081 },
    ]);
  });

  it('refuses to change what others own, naming them and the fields', async () => {
    await api.apply(
      `${SERVICES}/s4`,
      'alice',
      service('s4', [{ name: 'http', port: 80 }], { labels: { a: '1', b: '1' } }),
    );
    const { code, body } = await api.apply(
      `${SERVICES}/s4`,
      'bob',
      service('s4', [{ name: 'web', port: 80 }], { labels: { a: '2' } }),
    );
    expect(code).to.equal(409);
    expect(textAt(body, 'message')).to.equal(
      'Apply failed with 2 conflicts: conflicts with "alice":\n- .metadata.labels.a\n- .spec.ports[port=80,protocol="TCP"].name',
    );
    expect(listAt(body, 'details', 'causes').map((cause) => textAt(cause, 'reason'))).to.deep.equal([
      'FieldManagerConflict',
      'FieldManagerConflict',
    ]);
    const forced = await api.apply(
      `${SERVICES}/s4`,
      'bob',
      service('s4', [{ name: 'web', port: 80 }], { labels: { a: '2' } }),
      '&force=true',
    );
    expect(forced.code).to.equal(200);
    expect(at(forced.body, 'metadata', 'labels')).to.deep.equal({ a: '2', b: '1' });
    const back = await api.apply(
      `${SERVICES}/s4`,
      'alice',
      service('s4', [{ name: 'http', port: 80 }], { labels: { b: '1' } }),
    );
    expect(textAt(back.body, 'message')).to.equal(
      'Apply failed with 1 conflict: conflict with "bob": .spec.ports[port=80,protocol="TCP"].name',
    );
  });

  it('the same value is shared: it goes when its last owner drops it', async () => {
    for (const manager of ['alice', 'bob'])
      expect(
        (
          await api.apply(
            `${SERVICES}/s5`,
            manager,
            service('s5', [{ name: 'http', port: 80 }], { labels: { shared: 'x' } }),
          )
        ).code,
      ).to.be.below(300);
    const kept = await api.apply(`${SERVICES}/s5`, 'alice', service('s5', [{ name: 'http', port: 80 }]));
    expect(at(kept.body, 'metadata', 'labels')).to.deep.equal({ shared: 'x' });
    const gone = await api.apply(`${SERVICES}/s5`, 'bob', service('s5', [{ name: 'http', port: 80 }]));
    expect(at(gone.body, 'metadata', 'labels')).to.equal(undefined);
  });

  it('an update owns what it changes, and removing ends ownership', async () => {
    await api.apply(
      `${SERVICES}/s6`,
      'alice',
      service('s6', [{ name: 'http', port: 80 }], { labels: { a: '1', b: '1' } }),
    );
    await api.send(
      'PATCH',
      `${SERVICES}/s6?fieldManager=carol`,
      { metadata: { labels: { a: '2', b: null } } },
      { 'content-type': 'application/merge-patch+json' },
    );
    const conflict = await api.apply(
      `${SERVICES}/s6`,
      'alice',
      service('s6', [{ name: 'http', port: 80 }], { labels: { a: '1', b: '1' } }),
    );
    expect(textAt(conflict.body, 'message')).to.match(
      /^Apply failed with 1 conflict: conflict with "carol" using v1 at \S+: \.metadata\.labels\.a$/,
    );
  });

  it('status has owners of its own', async () => {
    await api.apply(`${PODS}/p`, 'alice', pod('p'));
    const { body } = await api.apply(`${PODS}/p/status`, 'kubelet', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    });
    expect(managersOf(body)).to.deep.equal(['alice Apply', 'kubelet Apply status']);
    expect(textAt(body, 'status', 'phase')).to.equal('Running');
    const after = await api.apply(`${PODS}/p/status`, 'kubelet', {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      status: { phase: 'Running' },
    });
    expect(at(after.body, 'status', 'conditions'), 'an item nobody states any more').to.be.oneOf([undefined]);
    expect(listAt(after.body, 'spec', 'containers')).to.have.length(1);
  });

  it('takes YAML, and refuses what it cannot be', async () => {
    const yaml = await api.send(
      'PATCH',
      `${SERVICES}/s7?fieldManager=alice`,
      'apiVersion: v1\nkind: Service\nmetadata: {name: s7}\nspec: {ports: [{port: 80}]}\n',
      { 'content-type': 'application/apply-patch+yaml' },
    );
    expect(yaml.code).to.equal(201);
    const cases: readonly (readonly [JsonObject, string, string])[] = [
      [{ kind: 'Service' }, 's7', 'expected the object to name its apiVersion and kind'],
      [{ ...service('other', []) }, 's7', 'name in URL does not match name in the body'],
      [service('s7', [], { managedFields: [{ manager: 'x' }] }), 's7', 'metadata.managedFields must be nil'],
    ];
    for (const [body, name, message] of cases) {
      const reply = await api.apply(`${SERVICES}/${name}`, 'alice', body);
      expect([reply.code, textAt(reply.body, 'message')]).to.satisfy(
        ([code, text]: readonly [number, string]) => code === 400 && text.includes(message),
        message,
      );
    }
  });

  it('folds many updaters into one', async () => {
    await api.post(SERVICES, service('s8', [{ port: 80 }]));
    for (let index = 0; index < 15; index += 1)
      await api.send(
        'PATCH',
        `${SERVICES}/s8?fieldManager=m${index}`,
        { metadata: { labels: { [`l${index}`]: 'x' } } },
        { 'content-type': 'application/merge-patch+json' },
      );
    const managers = managersOf((await api.get(`${SERVICES}/s8`)).body);
    expect(managers).to.include('ancient-changes Update');
    expect(managers.length).to.be.at.most(10);
  });
});

describe('apiserver: fields', () => {
  const podSpec = builtInSchema('PodSpec');

  const elements = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:1');
  const setOf = (child: fc.Arbitrary<FieldSet>): fc.Arbitrary<FieldSet> =>
    fc
      .tuple(
        fc.boolean(),
        fc.uniqueArray(fc.tuple(elements, child), { selector: ([element]) => element, maxLength: 3 }),
      )
      .map(([isMember, children]) => ({ isMember, children: new Map(children) }));
  const leafSet = fc.boolean().map((isMember): FieldSet => ({ isMember, children: new Map() }));
  const anySet = setOf(setOf(setOf(leafSet)));

  /** Without nodes that hold nothing: two spellings of one set. */
  const tidy = (set: FieldSet): FieldSet => union(set, { isMember: false, children: new Map() });
  const paths = (set: FieldSet): ReadonlySet<string> => new Set(pathTexts(set));

  it('union, intersection and difference are those of the paths', () => {
    fc.assert(
      fc.property(anySet, anySet, (left, right) => {
        const [a, b] = [paths(left), paths(right)];
        expect(paths(union(left, right))).to.deep.equal(new Set([...a, ...b]));
        expect(paths(intersection(left, right))).to.deep.equal(new Set([...a].filter((path) => b.has(path))));
        expect(paths(difference(left, right))).to.deep.equal(new Set([...a].filter((path) => !b.has(path))));
      }),
    );
  });

  it('FieldsV1 goes both ways', () => {
    fc.assert(
      fc.property(anySet, (set) => {
        const whole = { ...tidy(set), isMember: false };
        expect(isSameSet(tidy(parseFieldsV1(formatFieldsV1(whole))), whole)).to.equal(true);
      }),
    );
  });

  const container = fc.record(
    {
      name: fc.constantFrom('a', 'b', 'c'),
      image: fc.constantFrom('x', 'y'),
      args: fc.array(fc.constantFrom('1', '2'), { minLength: 1, maxLength: 2 }),
    },
    { requiredKeys: ['name'], noNullPrototype: true },
  );
  const spec = fc.record(
    {
      nodeName: fc.constantFrom('n1', 'n2'),
      containers: fc.uniqueArray(container, { selector: (item) => item.name, minLength: 1, maxLength: 3 }),
      nodeSelector: fc.dictionary(fc.constantFrom('k', 'l'), fc.constantFrom('v', 'w'), {
        minKeys: 1,
        noNullPrototype: true,
      }),
      tolerations: fc.array(fc.record({ key: fc.constantFrom('t') }, { noNullPrototype: true }), {
        minLength: 1,
        maxLength: 2,
      }),
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<JsonObject>;

  it('a merge has everything the right side says', () => {
    fc.assert(
      fc.property(spec, spec, (left, right) => {
        const merged = mergeFields(podSpec, left, right);
        const missing = difference(fieldsOf(podSpec, right), fieldsOf(podSpec, merged));
        expect(pathTexts(missing)).to.deep.equal([]);
        expect(isEqual(mergeFields(podSpec, merged, right), merged), 'twice is once').to.equal(true);
      }),
    );
  });

  it('equal values have no difference, and a difference names what differs', () => {
    fc.assert(
      fc.property(spec, spec, (left, right) => {
        const change = compareFields(podSpec, left, right);
        const isSame = [change.added, change.modified, change.removed].every((set) => pathTexts(set).length === 0);
        const sortedItems = (value: JsonObject): JsonObject => ({
          ...value,
          containers: [...listAt(value, 'containers')].sort((a, b) =>
            (textAt(a, 'name') ?? '') < (textAt(b, 'name') ?? '') ? -1 : 1,
          ),
        });
        expect(isSame).to.equal(isEqual(sortedItems(left), sortedItems(right)));
      }),
    );
  });

  it('removing all fields of a value leaves no leaf of it', () => {
    fc.assert(
      fc.property(spec, (value) => {
        const rest = removeFields(podSpec, value, fieldsOf(podSpec, value));
        expect(Object.keys(rest as JsonObject).filter((key) => key === 'nodeName')).to.deep.equal([]);
        expect(listAt(rest, 'containers')).to.deep.equal([]);
      }),
    );
  });
});
