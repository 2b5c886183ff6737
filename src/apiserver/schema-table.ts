/**
 * A compact notation for the schemas of built-in kinds, and its reader.
 *
 *     @ io.k8s.api.core.v1            # package: prefix of the definitions' names
 *     ContainerPort  what it is       # a definition: a word at the margin, then a description; `(atomic)` between them
 *                                     # when one writer owns its values whole
 *       containerPort int32!          # a field: name, type, `!` when required, then flags
 *       protocol string =TCP {TCP|UDP|SCTP}   # =default (JSON or a word), {allowed|values}
 *       ports []ContainerPort merge=containerPort keys=containerPort,protocol
 *
 * Types: string int32 int64 number bool time microtime duration intOrString quantity bytes any, a definition's name, `[]T`,
 * `map T`. Flags: `merge=KEY` strategic merge by key (and list type map on that key), `merge` merge of a set of scalars,
 * `keys=A,B` list type map, `set`, `atomic`, `retainKeys`, `[MIN..MAX]` number range. A trailing `# text` is the description.
 */
import type { Json } from './json.js';
import type { Schema } from './schema.js';

interface GrowingSchema extends Schema {
  readonly properties: Record<string, Schema>;
  readonly required: string[];
}

const SCALARS: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  number: { type: 'number', format: 'double' },
  bool: { type: 'boolean' },
  bytes: { type: 'string', format: 'byte' },
  duration: { type: 'string' },
  time: { type: 'string', format: 'date-time', definition: 'io.k8s.apimachinery.pkg.apis.meta.v1.Time' },
  microtime: { type: 'string', format: 'date-time', definition: 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime' },
  intOrString: { 'x-kubernetes-int-or-string': true, definition: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString' },
  quantity: {
    'x-kubernetes-int-or-string': true,
    format: 'quantity',
    definition: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  },
  any: { 'x-kubernetes-preserve-unknown-fields': true },
};

export const scalarSchemas: readonly Schema[] = Object.values(SCALARS).filter(
  (schema) => schema.definition !== undefined,
);

/** Definitions by short name. All tables of a server are read into one book, so that they may name each other. */
export type SchemaBook = ReadonlyMap<string, Schema>;

/** Reads tables in the notation above. Throws on a type nobody defines or a name defined twice: these are our own mistakes. */
export function readSchemaTables(tables: readonly string[]): SchemaBook {
  const book = new Map<string, GrowingSchema>();
  const lines = tables.flatMap((table) => [...parseLines(table)]);
  for (const line of lines) if (line.type === 'definition') declare(book, line.name, line.schema);
  let current: GrowingSchema | undefined;
  for (const line of lines) {
    if (line.type === 'definition') current = book.get(line.name);
    else if (current !== undefined) addField(book, current, line.text);
  }
  return book;
}

type TableLine =
  | { readonly type: 'definition'; readonly name: string; readonly schema: Schema }
  | { readonly type: 'field'; readonly text: string };

function* parseLines(table: string): Generator<TableLine> {
  let packageName = '';
  for (const line of table.split('\n')) {
    if (line.trim() === '') continue;
    if (line.startsWith('@')) packageName = line.slice(1).trim();
    else if (line.startsWith(' ')) yield { type: 'field', text: line.trim() };
    else {
      const [, name = '', atomic, description = ''] = /^(\S+)(?:\s+(\(atomic\)))?\s*(.*)$/.exec(line) ?? [];
      const schema: Schema = {
        type: 'object',
        definition: `${packageName}.${name}`,
        ...(description === '' ? {} : { description }),
      };
      yield {
        type: 'definition',
        name,
        schema: atomic === undefined ? schema : { ...schema, 'x-kubernetes-map-type': 'atomic' },
      };
    }
  }
}

function declare(book: Map<string, GrowingSchema>, name: string, schema: Schema): void {
  if (book.has(name)) throw new Error(`Schema table defines "${name}" twice`);
  book.set(name, { ...schema, properties: {}, required: [] });
}

/** Adds in place: fields read earlier may hold copies of `owner` that share its `properties` and `required`. */
function addField(book: SchemaBook, owner: GrowingSchema, text: string): void {
  const [body = '', description = ''] = text.split(/\s+# /, 2);
  const [name = '', ...words] = body.split(/\s+/);
  const isMapField = words[0] === 'map';
  const typeWord = (isMapField ? words[1] : words[0]) ?? '';
  const isRequired = typeWord.endsWith('!');
  const baseType = isRequired ? typeWord.slice(0, -1) : typeWord;
  const inner = typeSchema(book, baseType, `${owner.definition}.${name}`);
  const field: Schema = isMapField ? { type: 'object', additionalProperties: inner } : inner;
  const flagged = words.slice(isMapField ? 2 : 1).reduce((schema, flag) => withFlag(schema, flag), field);
  const described = description === '' ? flagged : { ...flagged, description };
  owner.properties[name] = described;
  if (isRequired) owner.required.push(name);
}

function typeSchema(book: SchemaBook, word: string, where: string): Schema {
  if (word.startsWith('[]')) return { type: 'array', items: typeSchema(book, word.slice(2), where) };
  const found = Object.hasOwn(SCALARS, word) ? SCALARS[word] : book.get(word);
  if (found === undefined) throw new Error(`Schema table names the unknown type "${word}" at ${where}`);
  return found;
}

function withFlag(schema: Schema, flag: string): Schema {
  const [key = '', value = ''] = flag.split(/=(.*)/s, 2);
  if (flag.startsWith('=')) return { ...schema, default: parseDefault(flag.slice(1)) };
  if (flag.startsWith('{')) return { ...schema, enum: flag.slice(1, -1).split('|') };
  if (flag.startsWith('[')) {
    const [minimum, maximum] = flag.slice(1, -1).split('..');
    return { ...schema, minimum: Number(minimum), maximum: Number(maximum) };
  }
  switch (key) {
    case 'merge': {
      const merged: Schema = { ...schema, 'x-kubernetes-patch-strategy': 'merge' };
      return value === ''
        ? { ...merged, 'x-kubernetes-list-type': 'set' }
        : {
            ...merged,
            'x-kubernetes-patch-merge-key': value,
            'x-kubernetes-list-type': 'map',
            'x-kubernetes-list-map-keys': [value],
          };
    }
    case 'keys':
      return { ...schema, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': value.split(',') };
    case 'set':
      return { ...schema, 'x-kubernetes-list-type': 'set' };
    case 'atomic': {
      const { 'x-kubernetes-list-map-keys': _keys, ...rest } = schema;
      return schema.type === 'array'
        ? { ...rest, 'x-kubernetes-list-type': 'atomic' }
        : { ...schema, 'x-kubernetes-map-type': 'atomic' };
    }
    case 'retainKeys': {
      const strategy = schema['x-kubernetes-patch-strategy'];
      return {
        ...schema,
        'x-kubernetes-patch-strategy': strategy === undefined ? 'retainKeys' : `${strategy},retainKeys`,
      };
    }
    default:
      throw new Error(`Schema table has the unknown flag "${flag}"`);
  }
}

function parseDefault(text: string): Json {
  return /^(true|false|null|-?[0-9]+|[{["].*)$/.test(text) ? (JSON.parse(text) as Json) : text;
}
