import { expect } from 'chai';
import fc from 'fast-check';
import { isEqual, type JsonObject } from '../../src/apiserver/json.js';
import { builtInSchema } from '../../src/apiserver/kinds/schemas.js';
import { mergePatch } from '../../src/apiserver/patch.js';
import { strategicMerge } from '../../src/apiserver/strategic-merge.js';

const podSchema = builtInSchema('Pod');
const spec = (value: JsonObject): JsonObject => ({ spec: value });
const plain = (value: JsonObject): unknown => JSON.parse(JSON.stringify(value));

/** What k8s.io/apimachinery/pkg/util/strategicpatch v0.32 answers for a Pod. */
const cases: readonly {
  readonly name: string;
  readonly original: JsonObject;
  readonly patch: JsonObject;
  readonly result: JsonObject;
}[] = [
  {
    name: 'members merge, null removes',
    original: { metadata: { labels: { a: '1', b: '1' } } },
    patch: { metadata: { labels: { a: null, c: '2' } } },
    result: { metadata: { labels: { b: '1', c: '2' } } },
  },
  {
    name: 'list items merge by key; new ones stand where the patch has them',
    original: spec({
      containers: [
        { name: 'a', image: 'x' },
        { name: 'b', image: 'x' },
      ],
    }),
    patch: spec({
      containers: [
        { name: 'c', image: 'z' },
        { name: 'b', image: 'y' },
      ],
    }),
    result: spec({
      containers: [
        { name: 'c', image: 'z' },
        { name: 'a', image: 'x' },
        { name: 'b', image: 'y' },
      ],
    }),
  },
  {
    name: 'a list without strategy is replaced',
    original: spec({ containers: [{ name: 'a', args: ['1', '2'] }], tolerations: [{ key: 'x' }] }),
    patch: spec({ containers: [{ name: 'a', args: ['3'] }], tolerations: [{ key: 'y' }] }),
    result: spec({ containers: [{ name: 'a', args: ['3'] }], tolerations: [{ key: 'y' }] }),
  },
  {
    name: 'an item is deleted by its key',
    original: spec({ containers: [{ name: 'a' }, { name: 'b' }] }),
    patch: spec({ containers: [{ $patch: 'delete', name: 'a' }] }),
    result: spec({ containers: [{ name: 'b' }] }),
  },
  {
    name: 'a list is replaced on demand',
    original: spec({ containers: [{ name: 'a' }, { name: 'b' }] }),
    patch: spec({ containers: [{ name: 'c' }, { $patch: 'replace' }] }),
    result: spec({ containers: [{ name: 'c' }] }),
  },
  {
    name: 'a map is replaced on demand',
    original: spec({ nodeSelector: { a: '1' } }),
    patch: spec({ nodeSelector: { $patch: 'replace', b: '2' } }),
    result: spec({ nodeSelector: { b: '2' } }),
  },
  {
    name: 'primitives are added once',
    original: { metadata: { finalizers: ['f/a', 'f/b'] } },
    patch: { metadata: { finalizers: ['f/b', 'f/c'] } },
    result: { metadata: { finalizers: ['f/a', 'f/b', 'f/c'] } },
  },
  {
    name: 'primitives are deleted',
    original: { metadata: { finalizers: ['f/a', 'f/b'] } },
    patch: { metadata: { '$deleteFromPrimitiveList/finalizers': ['f/a'] } },
    result: { metadata: { finalizers: ['f/b'] } },
  },
  {
    name: 'an order is set; items only the server has keep their place',
    original: spec({ containers: [{ name: 'a' }, { name: 's' }, { name: 'b' }] }),
    patch: spec({
      '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }, { name: 'n' }],
      containers: [{ name: 'n' }],
    }),
    result: spec({ containers: [{ name: 's' }, { name: 'b' }, { name: 'a' }, { name: 'n' }] }),
  },
  {
    name: 'keys are retained',
    original: spec({ volumes: [{ name: 'v', hostPath: { path: '/x' } }] }),
    patch: spec({ volumes: [{ name: 'v', $retainKeys: ['name', 'emptyDir'], emptyDir: {} }] }),
    result: spec({ volumes: [{ name: 'v', emptyDir: {} }] }),
  },
  {
    name: 'keys of maps may be called like members of Object',
    original: { metadata: { labels: { constructor: 'a' } } },
    patch: { metadata: { labels: { toString: 'b', constructor: null } } },
    result: { metadata: { labels: { toString: 'b' } } },
  },
];

describe('apiserver: strategic merge', () => {
  for (const { name, original, patch, result } of cases)
    it(name, () => expect(plain(strategicMerge(podSchema, original, patch))).to.deep.equal(result));

  it('refuses what has no meaning', () => {
    expect(() => strategicMerge(podSchema, {}, spec({ containers: [{ image: 'x' }] }))).to.throw(
      'does not contain declared merge key: name',
    );
    expect(() => strategicMerge(podSchema, {}, spec({ nodeSelector: { $patch: 'explode' } }))).to.throw(
      'Unknown patch type found: explode',
    );
    expect(() => strategicMerge(podSchema, {}, spec({ containers: ['x'] }))).to.throw('must be objects');
  });

  it('twice is once', () => {
    const container = fc.record(
      { name: fc.constantFrom('a', 'b', 'c'), image: fc.constantFrom('x', 'y') },
      { requiredKeys: ['name'], noNullPrototype: true },
    );
    const pod = fc.record(
      {
        containers: fc.uniqueArray(container, { selector: (item) => item.name }),
        nodeSelector: fc.dictionary(fc.constantFrom('k', 'l'), fc.option(fc.constant('v')), { noNullPrototype: true }),
      },
      { noNullPrototype: true },
    ) as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(pod, pod, (original, patch) => {
        const once = strategicMerge(podSchema, spec(original), spec(patch));
        expect(isEqual(strategicMerge(podSchema, once, spec(patch)), once)).to.equal(true);
      }),
    );
  });
});

/** RFC 7386, appendix A, the rows whose target is an object. */
const mergeRows: readonly (readonly [string, string, string])[] = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', '{}'],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ['{"a":"foo"}', '{"a":{"b":null,"c":1}}', '{"a":{"c":1}}'],
  ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
];

describe('apiserver: JSON merge patch', () => {
  for (const [target, patch, result] of mergeRows)
    it(`${target} + ${patch}`, () =>
      expect(plain(mergePatch(JSON.parse(target) as JsonObject, JSON.parse(patch) as JsonObject))).to.deep.equal(
        JSON.parse(result),
      ));
});
