/** `kubectl explain` teaches: every property of every kind says what it is. */
import { expect } from 'chai';
import { explained } from '../../../src/api/crds/explained.js';
import { customResourceDefinitions } from '../../../src/api/crds/index.js';
import { list, object, required, text, type SchemaNode } from '../../../src/api/crds/schema-builders.js';
import { at, isObject, listAt, textAt, type JsonObject } from '../../../src/apiserver/json.js';

const crds = customResourceDefinitions as unknown as readonly JsonObject[];

/** Of every property below: path and description. */
function descriptions(schema: JsonObject, path = ''): readonly (readonly [string, unknown])[] {
  const { items, properties } = schema;
  if (isObject(items)) return descriptions(items, path);
  if (!isObject(properties)) return [];
  return Object.entries(properties).flatMap(([name, child]) => {
    if (!isObject(child)) return [];
    const own = path === '' ? name : `${path}.${name}`;
    return [[own, child['description']] as const, ...descriptions(child, own)];
  });
}

const schemaOf = (crd: JsonObject): JsonObject => {
  const schema = at(listAt(crd, 'spec', 'versions')[0], 'schema', 'openAPIV3Schema');
  if (!isObject(schema)) throw new Error('A definition without a schema');
  return schema;
};

describe('api/crds, what kubectl explain says', () => {
  for (const crd of crds) {
    const kind = textAt(crd, 'spec', 'names', 'kind') ?? '';
    it(`of ${kind} and each of its properties`, () => {
      const schema = schemaOf(crd);
      expect(schema['description']).to.match(/^["A-Z].{15,}\.$/);
      // What every object has, kubectl explains itself.
      const own = descriptions(schema).filter(([path]) => !['apiVersion', 'kind', 'metadata'].includes(path));
      expect(own.length).to.be.above(3);
      for (const [path, sentence] of own) {
        expect(sentence, path).to.be.a('string');
        // A sentence, not the name of the field once more.
        expect(sentence, path).to.match(/^\S.{6,}\.$/);
      }
    });
  }

  it('is refused of a property that there is not, and of one that has words', () => {
    const node: SchemaNode = object({ a: required(list(object({ b: text }))), c: { ...text, description: 'C.' } });
    expect(explained({ a: 'A.', 'a.b': 'B.' }, node)).to.deep.equal({
      type: 'object',
      required: ['a'],
      properties: {
        a: {
          type: 'array',
          description: 'A.',
          items: { type: 'object', properties: { b: { type: 'string', description: 'B.' } } },
        },
        c: { type: 'string', description: 'C.' },
      },
    });
    for (const path of ['b', 'a.c', 'a.b.d', 'c', 'toString'])
      expect(() => explained({ [path]: 'X.' }, node), path).to.throw(`Cannot explain "${path}"`);
  });
});
