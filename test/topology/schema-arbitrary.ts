/**
 * Random values that a CRD's schema allows: what a real API server lets pass is what the agent has to live with. Bounds and empties
 * come often; text comes from a few words of each field's own, so that names and addresses clash and references hit.
 */
import fc, { type Arbitrary } from 'fast-check';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly anyOf?: readonly Schema[];
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-int-or-string'?: boolean;
}

/** Words for text fields, by the field's name. */
export type Vocabulary = Readonly<Record<string, readonly string[]>>;

/** `schema`: as in a CustomResourceDefinition; `field`: the name of the property it belongs to. */
export function valuesOf(schema: unknown, vocabulary: Vocabulary, field = ''): Arbitrary<unknown> {
  const node = schema as Schema;
  if (node['x-kubernetes-int-or-string'] === true || node.anyOf !== undefined)
    return fc.oneof(fc.constantFrom(0, 1, 65001, 4294967295, 4294967296), textOf(node, vocabulary, field));
  switch (node.type) {
    case 'object':
      return objectOf(node, vocabulary, field);
    case 'array':
      return listOf(node, vocabulary, field);
    case 'integer':
    case 'number':
      return integerOf(node);
    case 'boolean':
      return fc.boolean();
    default:
      return textOf(node, vocabulary, field);
  }
}

function objectOf(node: Schema, vocabulary: Vocabulary, field: string): Arbitrary<unknown> {
  if (node.properties === undefined)
    return node.additionalProperties === undefined
      ? fc.constant({})
      : fc.dictionary(fc.constantFrom('a', 'b'), valuesOf(node.additionalProperties, vocabulary, field));
  const { required = [], properties } = node;
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, each]) => [name, valuesOf(each, vocabulary, name)]),
  );
  return fc.record(fields, { requiredKeys: required.filter((name) => name in fields) });
}

function listOf(node: Schema, vocabulary: Vocabulary, field: string): Arbitrary<unknown> {
  const item = valuesOf(node.items ?? {}, vocabulary, field);
  const minLength = node.minItems ?? 0;
  const maxLength = Math.max(minLength, Math.min(node.maxItems ?? 5, 5));
  const keys = node['x-kubernetes-list-map-keys'];
  if (keys !== undefined)
    return fc.uniqueArray(item, {
      minLength,
      maxLength,
      selector: (each) => keys.map((key) => (each as Readonly<Record<string, unknown>>)[key]),
      comparator: (a, b) => JSON.stringify(a) === JSON.stringify(b),
    });
  if (node['x-kubernetes-list-type'] === 'set')
    return fc.uniqueArray(item, {
      minLength,
      maxLength,
      comparator: (a, b) => JSON.stringify(a) === JSON.stringify(b),
    });
  return fc.array(item, { minLength, maxLength });
}

function integerOf({ minimum = -(2 ** 31), maximum = 2 ** 31 }: Schema): Arbitrary<number> {
  return fc.oneof(
    fc.constantFrom(minimum, maximum, Math.min(maximum, minimum + 1), Math.max(minimum, maximum - 1)),
    fc.integer({ min: minimum, max: maximum }),
    fc.integer({ min: Math.max(minimum, 1), max: Math.min(maximum, 40) }),
  );
}

/** Only what the schema lets pass. */
function textOf(node: Schema, vocabulary: Vocabulary, field: string): Arbitrary<string> {
  if (node.enum !== undefined) return fc.constantFrom(...node.enum);
  const isAllowed = (text: string): boolean =>
    (node.pattern === undefined || expression(node.pattern).test(text)) &&
    text.length <= (node.maxLength ?? 1024) &&
    (node.format !== 'cidr' || text.includes('/'));
  const words = [...(vocabulary[field] ?? []), ...(vocabulary[node.format ?? ''] ?? []), ...DURATIONS, ''].filter(
    isAllowed,
  );
  const any = [...(words.length === 0 ? [] : [fc.constantFrom(...words)])];
  if (node.pattern === undefined && node.format === undefined) any.push(fc.string({ maxLength: 12 }).filter(isAllowed));
  if (node.pattern !== undefined)
    any.push(fc.stringMatching(new RegExp(node.pattern.replace('(?i)', ''))).filter((text) => isAllowed(text)));
  return fc.oneof(...any);
}

/** Go's flags at the beginning of a pattern are none of JavaScript's. */
const expression = (source: string): RegExp =>
  source.includes('(?i)') ? new RegExp(source.replace('(?i)', ''), 'i') : new RegExp(source);

const DURATIONS = [
  '0s',
  '1s',
  '0.2s',
  '3s',
  '90s',
  '2h',
  '1ns',
  '4095s',
  '4096s',
  '65535s',
  '99999999h',
  '9'.repeat(400) + 'h',
];
