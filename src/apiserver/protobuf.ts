/**
 * Request bodies in Kubernetes' protobuf form, which current kubectl sends when it creates built-in kinds
 * (application/vnd.kubernetes.protobuf): "k8s\0", then runtime.Unknown { typeMeta = 1 { apiVersion = 1, kind = 2 }, raw = 2 }.
 * Decoded by the kind's schema and the numbers of tables/protobuf.ts into the JSON that the same client would have sent.
 * Replies are always JSON: every client that speaks protobuf accepts it.
 */
import { badRequest, unsupportedMediaType } from './api-error.js';
import { draft, isObject, put, type Draft, type Json, type JsonObject } from './json.js';
import { schemaBook } from './kinds/schemas.js';
import type { Schema } from './schema.js';
import { protobufTable } from './tables/protobuf.js';

export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

const MAGIC = Buffer.from('k8s\0');

/** BOUNDED: no kind nests deeper. */
const MAX_DEPTH = 32;

type Meaning =
  | { readonly type: 'field'; readonly name: string; readonly isPointer: boolean }
  | { readonly type: 'inline'; readonly message: Message };

/** What the field numbers of a message mean. */
type Message = ReadonlyMap<number, Meaning>;

const messages: ReadonlyMap<string, Message> = readTable(protobufTable);

/** Throws 400 on bytes that are no such message, 415 on a kind without numbers. */
export function decodeProtobuf(bytes: Buffer): JsonObject {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw badRequest('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  let [apiVersion, kind, raw] = ['', '', Buffer.alloc(0) as Buffer];
  for (const { number, value } of fieldsOf(bytes.subarray(MAGIC.length))) {
    if (number === 1 && Buffer.isBuffer(value))
      for (const part of fieldsOf(value)) {
        if (part.number === 1) apiVersion = String(part.value);
        if (part.number === 2) kind = String(part.value);
      }
    if (number === 2 && Buffer.isBuffer(value)) raw = value;
  }
  const schema = schemaBook.get(kind);
  const message = messages.get(kind);
  if (schema === undefined || message === undefined) {
    // A review is a question whose answer does not depend on it.
    if (kind.endsWith('Review')) return { apiVersion, kind };
    throw unsupportedMediaType(['application/json']);
  }
  return put(put(decodeMessage(schema, message, raw, draft(), 0), ['apiVersion'], apiVersion), ['kind'], kind);
}

function decodeMessage(schema: Schema, message: Message, bytes: Buffer, result: Draft, depth: number): Draft {
  if (depth > MAX_DEPTH) throw badRequest('protobuf: the message is nested too deeply');
  for (const { number, value } of fieldsOf(bytes)) {
    const meaning = message.get(number);
    if (meaning === undefined) continue;
    if (meaning.type === 'inline') {
      if (Buffer.isBuffer(value)) decodeMessage(schema, meaning.message, value, result, depth + 1);
      continue;
    }
    const member = schema.properties?.[meaning.name];
    if (member !== undefined) addValue(member, meaning.name, value, meaning.isPointer, result, depth);
  }
  return result;
}

function addValue(
  schema: Schema,
  name: string,
  value: Buffer | bigint,
  isPointer: boolean,
  result: Draft,
  depth: number,
): void {
  if (schema.type === 'array') {
    const item = decodeValue(schema.items ?? {}, value, depth);
    const list = result[name];
    if (item !== undefined) result[name] = [...(Array.isArray(list) ? (list as readonly Json[]) : []), item];
  } else if (typeof schema.additionalProperties === 'object' && Buffer.isBuffer(value)) {
    const map = result[name];
    const entries = isObject(map) ? draft(map) : draft();
    let [key, inner]: [string, Json | undefined] = ['', undefined];
    for (const part of fieldsOf(value)) {
      if (part.number === 1) key = String(part.value);
      else inner = decodeValue(schema.additionalProperties, part.value, depth);
    }
    entries[key] = inner ?? '';
    result[name] = entries;
  } else {
    const decoded = decodeValue(schema, value, depth);
    const isZero = decoded === '' || decoded === 0 || decoded === false;
    if (decoded !== undefined && (isPointer || !isZero)) result[name] = decoded;
  }
}

/** One value by its schema; undefined for the absent value of a message type (a zero time). */
function decodeValue(schema: Schema, value: Buffer | bigint, depth: number): Json | undefined {
  if (schema['x-kubernetes-int-or-string'] === true)
    return Buffer.isBuffer(value) ? decodeIntOrString(schema, value) : undefined;
  if (schema.format === 'date-time') return Buffer.isBuffer(value) ? decodeTime(value) : undefined;
  switch (schema.type) {
    case 'string':
      return Buffer.isBuffer(value) ? value.toString(schema.format === 'byte' ? 'base64' : 'utf8') : undefined;
    case 'integer':
      return typeof value === 'bigint' ? Number(BigInt.asIntN(64, value)) : undefined;
    case 'boolean':
      return value !== 0n;
    case 'object': {
      const message = messages.get(schema.definition?.split('.').at(-1) ?? '');
      return message !== undefined && Buffer.isBuffer(value)
        ? decodeMessage(schema, message, value, draft(), depth + 1)
        : undefined;
    }
    default:
      return undefined;
  }
}

/** Time { seconds = 1, nanos = 2 }; an empty message is Go's zero time, that is, none. */
function decodeTime(bytes: Buffer): string | undefined {
  const fields = new Map(fieldsOf(bytes).map(({ number, value }) => [number, value]));
  const seconds = fields.get(1);
  if (typeof seconds !== 'bigint') return undefined;
  const nanos = fields.get(2);
  const fraction = typeof nanos === 'bigint' && nanos > 0n ? `.${String(nanos).padStart(9, '0').slice(0, 6)}` : '';
  return `${new Date(Number(BigInt.asIntN(64, seconds)) * 1000).toISOString().slice(0, 19)}${fraction}Z`;
}

/** IntOrString { type = 1 (0 integer, 1 string), intVal = 2, strVal = 3 }; Quantity { string = 1 }. */
function decodeIntOrString(schema: Schema, bytes: Buffer): Json | undefined {
  const fields = new Map(fieldsOf(bytes).map(({ number, value }) => [number, value]));
  if (schema.format === 'quantity') return String(fields.get(1) ?? '0');
  if (fields.get(1) === 1n) return String(fields.get(3) ?? '');
  const number = fields.get(2);
  return typeof number === 'bigint' && number !== 0n ? Number(BigInt.asIntN(32, number)) : undefined;
}

// --- wire format ---

interface WireField {
  readonly number: number;
  /** Bytes of a length-delimited field, the number of a varint. Fixed-size fields do not occur. */
  readonly value: Buffer | bigint;
}

function fieldsOf(bytes: Buffer): readonly WireField[] {
  const fields: WireField[] = [];
  let position = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[position];
      if (byte === undefined) break;
      position += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw badRequest('protobuf: a number is cut short or too long');
  };
  while (position < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    switch (Number(tag & 7n)) {
      case 0:
        fields.push({ number, value: varint() });
        break;
      case 2: {
        const length = Number(varint());
        if (position + length > bytes.length) throw badRequest(`protobuf: field ${number} is cut short`);
        fields.push({ number, value: bytes.subarray(position, position + length) });
        position += length;
        break;
      }
      default:
        throw badRequest(`protobuf: unexpected wire type ${Number(tag & 7n)} of field ${number}`);
    }
  }
  return fields;
}

function readTable(table: string): ReadonlyMap<string, Message> {
  const lines = table
    .replaceAll('\n  ', ' ')
    .split('\n')
    .filter((line) => line !== '');
  return new Map(
    lines.map((line) => {
      const [name = '', ...words] = line.split(' ');
      return [name, readMessage(words)] as const;
    }),
  );
}

function readMessage(words: readonly string[]): Message {
  const message = new Map<number, Meaning>();
  const inlines = new Map<number, Map<number, Meaning>>();
  for (const word of words) {
    const [name = '', path = ''] = word.split('=');
    const [outer = 0, inner] = path.replace('*', '').split('.').map(Number);
    const meaning: Meaning = { type: 'field', name, isPointer: path.endsWith('*') };
    if (inner === undefined) message.set(outer, meaning);
    else {
      const inline = inlines.get(outer) ?? new Map<number, Meaning>();
      inlines.set(outer, inline.set(inner, meaning));
      message.set(outer, { type: 'inline', message: inline });
    }
  }
  return message;
}
