/**
 * Words to write a CRD's schema with: `object({cidr: required(cidr), blockSize: integer(0, 128)})`. What they make is plain
 * OpenAPI v3 as apiextensions.k8s.io/v1 wants it: every node has a type, rules carry their sentence.
 */
export interface SchemaNode {
  readonly [keyword: string]: unknown;
}

const REQUIRED = Symbol('required');

interface RequiredNode extends SchemaNode {
  readonly [REQUIRED]?: true;
}

/** Marks a property as required in its object. */
export const required = (node: SchemaNode): RequiredNode => ({ ...node, [REQUIRED]: true });

export function object(properties: Readonly<Record<string, RequiredNode>>, extra: SchemaNode = {}): SchemaNode {
  const names = Object.entries(properties)
    .filter(([, node]) => node[REQUIRED] === true)
    .map(([name]) => name);
  return {
    type: 'object',
    ...extra,
    ...(names.length === 0 ? {} : { required: names.sort() }),
    // An empty map would vanish in the API server and show as a change at every apply.
    ...(Object.keys(properties).length === 0
      ? {}
      : { properties: Object.fromEntries(Object.entries(properties).map(([name, node]) => [name, plain(node)])) }),
  };
}

const plain = (node: SchemaNode): SchemaNode => Object.fromEntries(Object.entries(node));

export const list = (items: SchemaNode, extra: SchemaNode = {}): SchemaNode => ({
  type: 'array',
  ...extra,
  items: plain(items),
});

/** A list without duplicates, merged as a set. */
export const set = (items: SchemaNode, extra: SchemaNode = {}): SchemaNode =>
  list(items, { 'x-kubernetes-list-type': 'set', ...extra });

/** A list that one writer owns whole. */
export const atomicList = (items: SchemaNode, extra: SchemaNode = {}): SchemaNode =>
  list(items, { 'x-kubernetes-list-type': 'atomic', ...extra });

/** A list of objects merged item by item: what has the same keys is the same item. Each key must be required. */
export const listByKeys = (keys: readonly string[], items: SchemaNode, extra: SchemaNode = {}): SchemaNode =>
  list(items, { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys, ...extra });

export const mapOf = (values: SchemaNode): SchemaNode => ({ type: 'object', additionalProperties: plain(values) });

export const text: SchemaNode = { type: 'string' };
export const bool: SchemaNode = { type: 'boolean' };
export const number: SchemaNode = { type: 'number' };

export const textUpTo = (maxLength: number): SchemaNode => ({ type: 'string', maxLength });

export const pattern = (source: string, extra: SchemaNode = {}): SchemaNode => ({
  type: 'string',
  pattern: source,
  ...extra,
});

export const oneOf = (...values: readonly string[]): SchemaNode => ({ type: 'string', enum: values });

export const integer = (minimum: number, maximum: number, format?: 'int32' | 'int64'): SchemaNode => ({
  type: 'integer',
  ...(format === undefined ? {} : { format }),
  minimum,
  maximum,
});

export const cidr: SchemaNode = { type: 'string', format: 'cidr' };

/** Go's duration: 90s, 1m30s. */
export const duration: SchemaNode = pattern('^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$');

export const selector: SchemaNode = textUpTo(1024);

/** AS number, RFC 6793; 0 is not one (RFC 7607). */
export const plainAsNumber: SchemaNode = integer(1, 4_294_967_295, 'int64');

export const described = (description: string, node: SchemaNode): SchemaNode => ({ ...node, description });

export const withDefault = (value: unknown, node: SchemaNode): SchemaNode => ({ ...node, default: value });

export const intOrString: SchemaNode = {
  'x-kubernetes-int-or-string': true,
  anyOf: [{ type: 'integer' }, { type: 'string' }],
};

/** An AS number as a number, or as text: asplain or asdot (RFC 5396), as Calico documents. */
export const asNumber: SchemaNode = {
  ...intOrString,
  minimum: 1,
  maximum: 4_294_967_295,
  pattern: '^[0-9]{1,10}(\\.[0-9]{1,5})?$',
};

export interface Rule {
  readonly rule: string;
  readonly message: string;
  readonly reason?: 'FieldValueInvalid' | 'FieldValueForbidden' | 'FieldValueRequired';
}

/** CEL rules; a real API server checks them, and so does the lab's. */
export const withRules = (node: SchemaNode, ...rules: readonly Rule[]): SchemaNode => ({
  ...node,
  'x-kubernetes-validations': rules,
});

/** metav1.LabelSelector. */
export const labelSelector: SchemaNode = object(
  {
    matchExpressions: described(
      'All of these conditions, beside matchLabels.',
      atomicList(
        object({
          key: required(described('The label that the condition is about.', text)),
          operator: required(
            described('In, NotIn, Exists or DoesNotExist. NotIn and DoesNotExist hold without the label, too.', text),
          ),
          values: described('For In and NotIn; an empty text is a value.', atomicList(text)),
        }),
      ),
    ),
    matchLabels: described('All of these labels, with these values.', mapOf(text)),
  },
  { 'x-kubernetes-map-type': 'atomic' },
);

/** A list of metav1.Condition, one per type. */
export const conditions: SchemaNode = described(
  'What becomes of it, in sentences.',
  list(
    object({
      lastTransitionTime: required(
        described('When the status last became another word.', { type: 'string', format: 'date-time' }),
      ),
      message: required(described('In words, for people.', textUpTo(32_768))),
      observedGeneration: described('The generation of the object that this is about.', {
        type: 'integer',
        format: 'int64',
        minimum: 0,
      }),
      reason: required(
        described(
          'In one word, for programs.',
          pattern('^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$', { minLength: 1, maxLength: 1024 }),
        ),
      ),
      status: required(described('Whether it holds.', oneOf('True', 'False', 'Unknown'))),
      type: required(
        described(
          'What the condition is about; of objects that users write Accepted, InUse, or NODE/InUse of one node.',
          pattern(
            '^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$',
            { maxLength: 316 },
          ),
        ),
      ),
    }),
    { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] },
  ),
);

/** What becomes of an object: `status.conditions`, written by the agents (docs/decisions/0028-conditions-of-objects.md). */
export const objectStatus: SchemaNode = object({ conditions });
