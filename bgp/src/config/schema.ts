/**
 * Small building blocks to describe what a configuration may look like. A field checks a value and adds every problem it finds
 * to a list; the same field prints itself as JSON Schema, so that the published schema and the check cannot disagree.
 *
 * Nothing here knows BGP; shape.ts does.
 */
import { AddressError, bitsOf, parsePrefix, tryParseAddress } from '../address.js';

/** One thing wrong with a configuration: where, what stands there, what would be right. */
export interface Problem {
  /** `peers[0].holdTime`; empty for the whole. */
  readonly path: string;
  /** Secrets are replaced. */
  readonly value: unknown;
  readonly expected: string;
}

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Field {
  readonly schema: JsonSchema;
  check(value: unknown, path: string, problems: Problem[]): void;
}

export function integer(min: number, max: number, expected = `an integer from ${min} to ${max}`): Field {
  return {
    schema: { type: 'integer', minimum: min, maximum: max },
    check: (value, path, problems) => {
      if (!Number.isInteger(value) || (value as number) < min || (value as number) > max)
        problems.push({ path, value, expected });
    },
  };
}

export const boolean: Field = {
  schema: { type: 'boolean' },
  check: (value, path, problems) => {
    if (typeof value !== 'boolean') problems.push({ path, value, expected: 'true or false' });
  },
};

/** Text that a rule accepts; `rule` answers what would have been right, or undefined if all is well. */
export function text(schema: JsonSchema, rule: (value: string) => string | undefined): Field {
  return {
    schema: { type: 'string', ...schema },
    check: (value, path, problems) => {
      const expected = typeof value === 'string' ? rule(value) : (rule('') ?? 'text');
      if (typeof value !== 'string' || expected !== undefined)
        problems.push({ path, value, expected: expected ?? 'text' });
    },
  };
}

export function pattern(regex: RegExp, expected: string): Field {
  return text({ pattern: regex.source }, (value) => (regex.test(value) ? undefined : expected));
}

/** 1..max bytes that never show up in a problem. */
export function secret(max: number): Field {
  const expected = `1 to ${max} bytes of text`;
  return {
    schema: { type: 'string', minLength: 1, maxLength: max, writeOnly: true },
    check: (value, path, problems) => {
      const size = typeof value === 'string' ? Buffer.byteLength(value) : 0;
      if (size < 1 || size > max) problems.push({ path, value: '[redacted]', expected });
    },
  };
}

export function oneOf(...values: readonly string[]): Field {
  return {
    schema: { enum: values },
    check: (value, path, problems) => {
      if (typeof value !== 'string' || !values.includes(value))
        problems.push({ path, value, expected: `one of ${values.join(', ')}` });
    },
  };
}

const ADDRESS = 'an IPv4 or IPv6 address';
export const address: Field = text({ description: ADDRESS }, (value) =>
  tryParseAddress(value) === undefined ? ADDRESS : undefined,
);

const isLinkLocal = (text: string): boolean => /^fe[89ab][0-9a-f]:/i.test(text);

/** The address of a peer with the interface that stands beside it: "fe80::1" and "eth0" are "fe80::1%eth0". */
export function scopedAddress(peer: { readonly address?: unknown; readonly interface?: unknown }): unknown {
  const { address: plain, interface: zone } = peer;
  return typeof plain === 'string' && typeof zone === 'string' && isLinkLocal(plain) && !plain.includes('%')
    ? `${plain}%${zone}`
    : plain;
}

/** As the kernel takes it: at most 15 octets, no blank, no "/" and no ":". */
export const isInterfaceName = (name: string): boolean =>
  /^[^\s/:%]{1,15}$/.test(name) && Buffer.byteLength(name) <= 15;

/** As `address`; a link-local one must name its interface after a "%", any other must not. */
export const peerAddress: Field = text({ description: `${ADDRESS}; link-local as fe80::1%eth0` }, (value) => {
  const [plain = '', zone, ...more] = value.split('%');
  if (tryParseAddress(plain) === undefined || more.length > 0) return ADDRESS;
  if (isLinkLocal(plain) && !(zone !== undefined && isInterfaceName(zone)))
    return `a link-local address with its interface, such as "${plain}%eth0"`;
  return !isLinkLocal(plain) && zone !== undefined ? 'no interface after an address that is not link-local' : undefined;
});

/** CIDR with no bits past its length. */
export const prefix: Field = text({ description: 'CIDR notation' }, (value) => {
  try {
    parsePrefix(value, 'reject');
    return undefined;
  } catch (error) {
    if (!(error instanceof AddressError)) throw error;
    return /expected (.*)$/.exec(error.message)?.[1] ?? 'CIDR notation';
  }
});

export const familyOfPrefix = (value: string): 4 | 6 => (value.includes(':') ? 6 : 4);
export const widthOf = (value: string): number => bitsOf(familyOfPrefix(value));

export function list(item: Field, options: { readonly max: number; readonly min?: number }): Field {
  const { max, min = 0 } = options;
  return {
    schema: { type: 'array', items: item.schema, minItems: min, maxItems: max },
    check: (value, path, problems) => {
      if (!Array.isArray(value)) problems.push({ path, value, expected: 'a list' });
      else if (value.length < min || value.length > max)
        problems.push({ path, value: `${value.length} entries`, expected: `${min} to ${max} entries` });
      else for (const [index, entry] of value.entries()) item.check(entry, `${path}[${index}]`, problems);
    },
  };
}

export function record(key: RegExp, item: Field, options: { readonly max: number }): Field {
  return {
    schema: {
      type: 'object',
      additionalProperties: item.schema,
      propertyNames: { pattern: key.source },
      maxProperties: options.max,
    },
    check: (value, path, problems) => {
      if (!isObject(value)) problems.push({ path, value, expected: 'a mapping' });
      else
        for (const [name, entry] of Object.entries(value)) {
          if (!key.test(name))
            problems.push({ path: joinPath(path, name), value: name, expected: `a name that matches ${key.source}` });
          item.check(entry, joinPath(path, name), problems);
        }
    },
  };
}

/** A mapping with exactly these keys. An absent optional key and one that is `undefined` or null are the same. */
export function object(
  required: Readonly<Record<string, Field>>,
  optional: Readonly<Record<string, Field>> = {},
): Field {
  const fields = new Map([...Object.entries(required), ...Object.entries(optional)]);
  const properties = Object.fromEntries([...fields].map(([name, field]) => [name, field.schema]));
  return {
    schema: { type: 'object', properties, required: Object.keys(required), additionalProperties: false },
    check: (value, path, problems) => {
      if (!isObject(value)) {
        problems.push({ path, value, expected: mappingWith(Object.keys(required)) });
        return;
      }
      for (const name of Object.keys(required))
        if (value[name] === undefined || value[name] === null)
          problems.push({ path: joinPath(path, name), value: undefined, expected: 'a value: the field is required' });
      for (const [name, entry] of Object.entries(value)) {
        const field = fields.get(name);
        if (field === undefined)
          problems.push({ path: joinPath(path, name), value: undefined, expected: knownField(name, fields) });
        else if (entry !== undefined && entry !== null) field.check(entry, joinPath(path, name), problems);
      }
    },
  };
}

/** Either shape; the second is tried when `isFirst` says no. */
export function either(isFirst: (value: unknown) => boolean, first: Field, second: Field): Field {
  return {
    schema: { anyOf: [first.schema, second.schema] },
    check: (value, path, problems) => (isFirst(value) ? first : second).check(value, path, problems),
  };
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `peers`, `filters.out`, `filters["a.b"]`: a path names one place, whatever its keys hold. */
export const joinPath = (path: string, name: string): string =>
  /^[^\s.[\]"]+$/.test(name) ? (path === '' ? name : `${path}.${name}`) : `${path}[${JSON.stringify(name)}]`;

const mappingWith = (required: readonly string[]): string =>
  required.length === 0 ? 'a mapping' : `a mapping with ${required.map((name) => `"${name}"`).join(' and ')}`;

/** The commonest mistakes are a slip of the finger, and a field that stands one level too high. */
function knownField(name: string, fields: ReadonlyMap<string, Field>): string {
  const near = nearest(name, [...fields.keys()]);
  if (near !== undefined) return `a known field; did you mean "${near}"?`;
  const owners = [...fields].flatMap(([owner, { schema }]) =>
    Object.hasOwn(propertiesInside(schema), name) ? [`"${owner}"`] : [],
  );
  return owners.length === 0 ? 'a known field' : `a known field; this one belongs in ${owners.join(' or ')}`;
}

/** Of a mapping, or of each entry of a list. */
function propertiesInside(schema: JsonSchema): object {
  const { items, properties } = schema as {
    readonly items?: { readonly properties?: object };
    readonly properties?: object;
  };
  return items?.properties ?? properties ?? {};
}

/** The one that was probably meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const most = name.length < 4 ? 1 : 2;
  const ranked = known.map((key) => ({
    key,
    distance: key.toLowerCase() === name.toLowerCase() ? 0 : editDistance(key, name),
  }));
  return ranked.filter(({ distance }) => distance <= most).sort((a, b) => a.distance - b.distance)[0]?.key;
}

/** Levenshtein distance. BOUNDED: a name of the operator's may be anything; one that differs by more than two in length is not near. */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)),
      );
    row = next;
  }
  return row[b.length] ?? 0;
}
