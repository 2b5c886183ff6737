import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { crdManifests } from '../../src/api/crds/write-manifests.js';
import { kinds } from '../../src/api/kinds.js';
import { at, listAt, objectAt, put, textAt, type Json, type JsonObject } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { ApiClient } from './api-client.js';

const FOLDER = fileURLToPath(new URL('../../../manifests/crds', import.meta.url));

const crd = (schema: JsonObject, version: JsonObject = {}): JsonObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'gadgets.example.dev' },
  spec: {
    group: 'example.dev',
    scope: 'Namespaced',
    names: { plural: 'gadgets', kind: 'Gadget', shortNames: ['gd'] },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: schema } } },
        ...version,
      },
    ],
  },
});

const CRD_PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GADGETS = '/apis/example.dev/v1/namespaces/default/gadgets';

const gadget = (name: string, spec: Json): JsonObject => ({
  apiVersion: 'example.dev/v1',
  kind: 'Gadget',
  metadata: { name },
  spec,
});

const KEYED: JsonObject = { type: 'object', required: ['key'], properties: { key: { type: 'string' } } };

const listOf = (listType: string, items: JsonObject): JsonObject => ({
  type: 'array',
  'x-kubernetes-list-type': listType,
  ...(listType === 'map' ? { 'x-kubernetes-list-map-keys': ['key'] } : {}),
  items,
});

describe('manifests/crds', () => {
  it('is what the definitions write', () => {
    const written = crdManifests();
    expect(readdirSync(FOLDER).sort()).to.deep.equal([...written.keys()].sort());
    for (const [name, text] of written)
      expect(
        readFileSync(`${FOLDER}/${name}`, 'utf8'),
        `${name}: run node dist/src/api/crds/write-manifests.js`,
      ).to.equal(text);
  });

  it('serves every kind of ours that src/api knows', async () => {
    const api = await ApiClient.start({ crds: loadManifests(FOLDER) });
    try {
      for (const kind of Object.values(kinds)) {
        const path = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
        const served = listAt((await api.get(path)).body, 'resources').find(
          (resource) => textAt(resource, 'name') === kind.plural,
        );
        expect([textAt(served, 'kind'), at(served, 'namespaced')], `${path} ${kind.plural}`).to.deep.equal([
          kind.kind,
          kind.namespaced,
        ]);
      }
    } finally {
      await api.close();
    }
  });
});

describe('apiserver: custom resources', () => {
  let api: ApiClient;

  beforeEach(async () => {
    api = await ApiClient.start();
  });
  afterEach(() => api.close());

  /** The faults' fields when a gadget with this spec is created. */
  async function faultsOf(schema: JsonObject, spec: Json): Promise<readonly string[]> {
    const defined = await api.post(CRD_PATH, crd(schema));
    expect(defined.code, JSON.stringify(defined.body)).to.equal(201);
    const { code, body } = await api.post(GADGETS, gadget('g', spec));
    return code === 201
      ? []
      : listAt(body, 'details', 'causes').map(
          (cause) => `${textAt(cause, 'field') ?? ''}: ${textAt(cause, 'message') ?? ''}`,
        );
  }

  const cases: readonly {
    readonly name: string;
    readonly schema: JsonObject;
    readonly spec: Json;
    readonly faults: readonly string[];
  }[] = [
    {
      name: 'types',
      schema: {
        type: 'object',
        properties: { n: { type: 'integer' }, s: { type: 'string' }, l: { type: 'array', items: { type: 'boolean' } } },
      },
      spec: { n: 1.5, s: 1, l: ['x'] },
      faults: [
        'spec.n: Invalid value: "number": spec.n in body must be of type integer: "number"',
        'spec.s: Invalid value: "integer": spec.s in body must be of type string: "integer"',
        'spec.l[0]: Invalid value: "string": spec.l[0] in body must be of type boolean: "string"',
      ],
    },
    {
      name: 'null where it is not allowed',
      schema: { type: 'object', properties: { s: { type: 'string' }, t: { type: 'string', nullable: true } } },
      spec: { s: null, t: null },
      faults: ['spec.s: Invalid value: "null": spec.s in body must be of type string: "null"'],
    },
    {
      name: 'required',
      schema: { type: 'object', required: ['a'], properties: { a: { type: 'string' } } },
      spec: {},
      faults: ['spec.a: Required value'],
    },
    {
      name: 'enum',
      schema: { type: 'object', properties: { a: { type: 'string', enum: ['x', 'y'] } } },
      spec: { a: 'z' },
      faults: ['spec.a: Unsupported value: "z": supported values: "x", "y"'],
    },
    {
      name: 'pattern and length',
      schema: { type: 'object', properties: { a: { type: 'string', pattern: '^[a-z]+$', maxLength: 3 } } },
      spec: { a: 'ABCD' },
      faults: [
        'spec.a: Too long: may not be more than 3 bytes',
        'spec.a: Invalid value: "ABCD": spec.a in body should match \'^[a-z]+$\'',
      ],
    },
    {
      name: 'numbers',
      schema: {
        type: 'object',
        properties: {
          a: { type: 'integer', minimum: 1 },
          b: { type: 'number', maximum: 2, exclusiveMaximum: true },
          c: { type: 'integer', multipleOf: 5 },
        },
      },
      spec: { a: 0, b: 2, c: 7 },
      faults: [
        'spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1',
        'spec.b: Invalid value: 2: spec.b in body should be less than 2',
        'spec.c: Invalid value: 7: spec.c in body should be a multiple of 5',
      ],
    },
    {
      name: 'formats',
      schema: {
        type: 'object',
        properties: {
          a: { type: 'string', format: 'cidr' },
          b: { type: 'string', format: 'ipv6' },
          c: { type: 'string', format: 'date-time' },
        },
      },
      spec: { a: '10.0.0.0/33', b: '10.0.0.1', c: 'yesterday' },
      faults: [
        'spec.a: Invalid value: "10.0.0.0/33": spec.a in body must be of type cidr: "10.0.0.0/33"',
        'spec.b: Invalid value: "10.0.0.1": spec.b in body must be of type ipv6: "10.0.0.1"',
        'spec.c: Invalid value: "yesterday": spec.c in body must be of type date-time: "yesterday"',
      ],
    },
    {
      name: 'list sizes and sets',
      schema: {
        type: 'object',
        properties: {
          a: { type: 'array', maxItems: 1, items: { type: 'string' } },
          b: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
          c: { type: 'array', minItems: 1, items: { type: 'string' } },
        },
      },
      spec: { a: ['x', 'y'], b: ['x', 'x'], c: [] },
      faults: [
        'spec.a: Too many: 2: must have at most 1 items',
        'spec.b[1]: Duplicate value: "x"',
        'spec.c: Invalid value: 0: spec.c in body should have at least 1 items',
      ],
    },
    {
      name: 'list keys',
      schema: {
        type: 'object',
        properties: {
          a: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['k'],
            items: { type: 'object', properties: { k: { type: 'string', default: 'd' } } },
          },
        },
      },
      spec: { a: [{ k: 'd' }, {}] },
      faults: ['spec.a[1]: Duplicate value: {"k":"d"}'],
    },
    {
      name: 'member counts',
      schema: {
        type: 'object',
        properties: {
          a: {
            type: 'object',
            minProperties: 1,
            maxProperties: 1,
            properties: { x: { type: 'string' }, y: { type: 'string' } },
          },
        },
      },
      spec: { a: { x: '', y: '' } },
      faults: ['spec.a: Too many: 2: must have at most 1 items'],
    },
    {
      name: 'anyOf, oneOf, not',
      schema: {
        type: 'object',
        properties: {
          a: { type: 'string', anyOf: [{ pattern: '^a' }, { pattern: '^b' }] },
          b: { type: 'integer', oneOf: [{ minimum: 5 }, { maximum: 7 }] },
          c: { type: 'string', not: { enum: ['no'] } },
        },
      },
      spec: { a: 'c', b: 6, c: 'no' },
      faults: [
        'spec.a: Invalid value: "c": spec.a in body must validate at least one schema (anyOf)',
        'spec.b: Invalid value: 6: spec.b in body must validate one and only one schema (oneOf). Found 2 valid alternatives',
        'spec.c: Invalid value: "no": spec.c in body must not validate the schema (not)',
      ],
    },
    {
      name: 'int-or-string',
      schema: {
        type: 'object',
        properties: { a: { 'x-kubernetes-int-or-string': true }, b: { 'x-kubernetes-int-or-string': true } },
      },
      spec: { a: 'http', b: 1.5 },
      faults: ['spec.b: Invalid value: "number": spec.b in body must be of type integer,string: "number"'],
    },
    {
      name: 'what is right',
      schema: {
        type: 'object',
        properties: {
          a: { 'x-kubernetes-int-or-string': true },
          n: { type: 'number' },
          m: { type: 'object', additionalProperties: { type: 'integer' } },
        },
      },
      spec: { a: 80, n: 1, m: { constructor: 1 } },
      faults: [],
    },
    {
      name: 'CEL rules',
      schema: {
        type: 'object',
        properties: { low: { type: 'integer' }, high: { type: 'integer' } },
        'x-kubernetes-validations': [
          { rule: 'self.low <= self.high', message: 'low is above high' },
          {
            rule: 'self.high < 100',
            messageExpression: "'high is ' + string(self.high)",
            reason: 'FieldValueForbidden',
            fieldPath: '.high',
          },
        ],
      },
      spec: { low: 200, high: 150 },
      faults: ['spec: Invalid value: "object": low is above high', 'spec.high: Forbidden: high is 150'],
    },
    {
      name: 'CEL rules that fail to evaluate',
      schema: {
        type: 'object',
        properties: { a: { type: 'integer' } },
        'x-kubernetes-validations': [{ rule: 'self.a > 0', message: 'a must be positive' }],
      },
      spec: {},
      faults: ['spec: Invalid value: "object": No such key: a'],
    },
  ];

  for (const { name, schema, spec, faults } of cases)
    it(`checks ${name}`, async () => {
      const found = await faultsOf(schema, spec);
      expect(found.length, found.join('\n')).to.equal(faults.length);
      for (const [index, fault] of faults.entries()) expect(found[index]).to.include(fault);
    });

  it('prunes what the schema does not know, and keeps what it is told to keep', async () => {
    await api.post(
      CRD_PATH,
      crd({
        type: 'object',
        properties: {
          known: { type: 'string' },
          open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
          raw: { 'x-kubernetes-preserve-unknown-fields': true },
        },
      }),
    );
    const { body, headers } = await api.post(GADGETS, {
      ...gadget('g', { known: 'a', unknown: 'b', open: { any: [1, { thing: null }] }, raw: [1, 'two'] }),
      more: 1,
    });
    expect(objectAt(body, 'spec')).to.deep.equal({ known: 'a', open: { any: [1, { thing: null }] }, raw: [1, 'two'] });
    expect(at(body, 'more')).to.equal(undefined);
    expect(String(headers['warning']))
      .to.include('unknown field \\"spec.unknown\\"')
      .and.to.include('unknown field \\"more\\"');
  });

  it('fills in defaults, also below defaults, and for null', async () => {
    await api.post(
      CRD_PATH,
      crd({
        type: 'object',
        properties: {
          a: { type: 'string', default: 'x' },
          b: { type: 'object', default: {}, properties: { c: { type: 'integer', default: 3 } } },
          d: { type: 'object', properties: { e: { type: 'integer', default: 5 } } },
        },
      }),
    );
    const { body } = await api.post(GADGETS, gadget('g', { a: null }));
    expect(objectAt(body, 'spec')).to.deep.equal({ a: 'x', b: { c: 3 } });
  });

  it('rules about a change see the old value', async () => {
    await api.post(
      CRD_PATH,
      crd({
        type: 'object',
        properties: {
          fixed: {
            type: 'string',
            'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed cannot change' }],
          },
          items: {
            type: 'array',
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': ['name'],
            items: {
              type: 'object',
              required: ['name'],
              properties: {
                name: { type: 'string' },
                size: {
                  type: 'integer',
                  'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'may only grow' }],
                },
              },
            },
          },
        },
      }),
    );
    expect(
      (
        await api.post(
          GADGETS,
          gadget('g', {
            fixed: 'a',
            items: [
              { name: 'x', size: 2 },
              { name: 'y', size: 9 },
            ],
          }),
        )
      ).code,
    ).to.equal(201);
    const refused = await api.merge(`${GADGETS}/g`, {
      spec: {
        fixed: 'b',
        items: [
          { name: 'y', size: 9 },
          { name: 'x', size: 1 },
          { name: 'new', size: 0 },
        ],
      },
    });
    expect(listAt(refused.body, 'details', 'causes').map((cause) => textAt(cause, 'field'))).to.deep.equal([
      'spec.fixed',
      'spec.items[1].size',
    ]);
  });

  it('refuses definitions that cannot work, naming the place', async () => {
    const bad: readonly (readonly [JsonObject, string])[] = [
      [
        put(crd({ type: 'object' }), ['metadata', 'name'], 'other.example.dev'),
        'metadata.name: Invalid value: "other.example.dev": must be spec.names.plural+"."+spec.group',
      ],
      [crd({ properties: {} }), 'properties[spec].type: Required value'],
      [crd({ type: 'array' }), 'properties[spec].items: Required value'],
      [
        crd(listOf('set', { type: 'object' })),
        'items.x-kubernetes-map-type: Invalid value: null: must be atomic as item',
      ],
      [crd(listOf('set', listOf('map', KEYED))), 'items.x-kubernetes-list-type: Invalid value: "map": must be atomic'],
      [crd(listOf('map', { type: 'string' })), 'items.type: Invalid value: "string": must be object if parent'],
      [crd(listOf('map', { type: 'object' })), 'list-map-keys: Invalid value: ["key"]: entries must all be names of'],
      [
        crd(listOf('map', { ...KEYED, required: [] })),
        'items.properties[key].default: Required value: this property is in x-kubernetes-list-map-keys',
      ],
      [
        crd(listOf('map', { ...KEYED, properties: { key: { type: 'object' } } })),
        'items.properties[key].type: Invalid value: "object": must be a scalar type',
      ],
      [crd(listOf('bag', { type: 'string' })), 'x-kubernetes-list-type: Unsupported value: "bag"'],
      [crd({ type: 'string', pattern: '(' }), 'properties[spec].pattern: Invalid value'],
      [
        crd({ type: 'object', 'x-kubernetes-validations': [{ rule: 'self.x ==' }] }),
        'x-kubernetes-validations[0].rule: Invalid value: "self.x ==": compilation failed',
      ],
      [
        crd({ type: 'object' }, { schema: null }),
        'spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required',
      ],
      [crd({ type: 'object' }, { storage: false }), 'must have exactly one version marked as storage version'],
      [
        crd({ type: 'object' }, { additionalPrinterColumns: [{ name: 'X', type: 'string', jsonPath: '.spec[' }] }),
        'additionalPrinterColumns[0].jsonPath: Invalid value',
      ],
    ];
    for (const [definition, message] of bad) {
      const { code, body } = await api.post(CRD_PATH, definition);
      expect([code, textAt(body, 'message')]).to.satisfy(
        ([status, text]: readonly [number, string]) => status === 422 && text.includes(message),
        message,
      );
    }
  });

  it('serves versions side by side over the same objects, and selectable fields', async () => {
    const definition = crd(
      { type: 'object', properties: { color: { type: 'string' } } },
      { selectableFields: [{ jsonPath: '.spec.color' }] },
    );
    const [version] = listAt(definition, 'spec', 'versions');
    await api.post(
      CRD_PATH,
      put(
        definition,
        ['spec', 'versions'],
        [version ?? null, { ...(version as JsonObject), name: 'v1beta1', storage: false }],
      ),
    );
    await api.post(GADGETS, gadget('red', { color: 'red' }));
    await api.post(GADGETS.replace('/v1/', '/v1beta1/'), {
      ...gadget('blue', { color: 'blue' }),
      apiVersion: 'example.dev/v1beta1',
    });
    const { body } = await api.get(`${GADGETS}?fieldSelector=spec.color%3Dblue`);
    expect(
      listAt(body, 'items').map((item) => [textAt(item, 'apiVersion'), textAt(item, 'metadata', 'name')]),
    ).to.deep.equal([['example.dev/v1', 'blue']]);
    const old = await api.get(`${GADGETS.replace('/v1/', '/v1beta1/')}/red`);
    expect(textAt(old.body, 'apiVersion')).to.equal('example.dev/v1beta1');
    expect(textAt((await api.get('/apis/example.dev')).body, 'preferredVersion', 'version')).to.equal('v1');
  });

  it('a set of objects can be created but never applied, as upstream', async () => {
    const items = { type: 'object', 'x-kubernetes-map-type': 'atomic', properties: { a: { type: 'string' } } };
    const spec = { type: 'object', properties: { set: listOf('set', items) } };
    expect((await api.post(CRD_PATH, crd(spec))).code).to.equal(201);
    const created = await api.post(GADGETS, gadget('g', { set: [{ a: 'x' }] }));
    expect(created.code).to.equal(201);
    expect(at(created.body, 'metadata', 'managedFields')).to.equal(undefined);
    const applied = await api.apply(`${GADGETS}/g`, 'flux', gadget('g', { set: [{ a: 'x' }] }));
    expect(applied.code).to.equal(500);
    expect(textAt(applied.body, 'message'))
      .to.match(/^failed to create typed patch object \(.*\): \.spec\.set: element 0: /)
      .and.match(/: associative list without keys has an element that's a map type$/);
    const other = await api.apply(`${GADGETS}/g`, 'flux', gadget('g', {}));
    expect(textAt(other.body, 'message')).to.include('failed to create typed live object');
  });

  it('go with their definition', async () => {
    await api.post(CRD_PATH, crd({ type: 'object' }));
    await api.post(GADGETS, gadget('g', {}));
    await api.delete(`${CRD_PATH}/gadgets.example.dev`);
    expect((await api.get(GADGETS)).code).to.equal(404);
    await api.post(CRD_PATH, crd({ type: 'object' }));
    expect(listAt((await api.get(GADGETS)).body, 'items')).to.deep.equal([]);
  });
});
