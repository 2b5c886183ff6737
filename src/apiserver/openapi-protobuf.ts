/**
 * An OpenAPI v2 document as protobuf (gnostic's OpenAPIv2.proto, package openapi.v2): kubectl takes the document in no
 * other form. Only the messages and fields that openapi.ts produces are here; the numbers are the .proto file's.
 */
import { stringify } from 'yaml';
import { isObject, listAt, objectAt, own, textAt, type Json, type JsonObject } from './json.js';

type Bytes = Buffer;

const WIRE_VARINT = 0;
const WIRE_FIXED64 = 1;
const WIRE_LENGTH = 2;

export const OPENAPI_V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** Document: swagger = 1, info = 2, paths = 8, definitions = 9. */
export function encodeOpenApiV2(document: JsonObject): Bytes {
  const info = objectAt(document, 'info');
  return message(
    text(1, textAt(document, 'swagger')),
    nested(2, message(text(1, textAt(info, 'title')), text(2, textAt(info, 'version')))),
    nested(
      8,
      message(
        ...Object.entries(objectAt(document, 'paths')).map(([path, item]) => nested(2, named(path, pathItem(item)))),
      ),
    ),
    nested(9, namedSchemas(objectAt(document, 'definitions'))),
  );
}

/** PathItem: patch = 8. */
const pathItem = (item: Json): Bytes => message(nested(8, operation(objectAt(item, 'patch'))));

/** Operation: description = 3, operation_id = 5, parameters = 8, responses = 9, vendor_extension = 13. */
const operation = (item: JsonObject): Bytes =>
  message(
    text(3, textAt(item, 'description')),
    text(5, textAt(item, 'operationId')),
    ...listAt(item, 'parameters').map((parameter) => nested(8, queryParameter(parameter))),
    nested(
      9,
      message(
        ...Object.entries(objectAt(item, 'responses')).map(([code, response]) =>
          nested(1, named(code, message(nested(1, message(text(1, textAt(response, 'description'))))))),
        ),
      ),
    ),
    ...extensions(13, item),
  );

/**
 * ParametersItem.parameter = 1 > Parameter.non_body_parameter = 2 > query_parameter_sub_schema = 3:
 * in = 2, name = 4, type = 6, unique_items = 20.
 */
const queryParameter = (item: Json): Bytes =>
  message(
    nested(
      1,
      message(
        nested(
          2,
          message(
            nested(
              3,
              message(
                text(2, textAt(item, 'in')),
                text(4, textAt(item, 'name')),
                text(6, textAt(item, 'type')),
                flag(20, own(item as JsonObject, 'uniqueItems')),
              ),
            ),
          ),
        ),
      ),
    ),
  );

/** Definitions and Properties: additional_properties = 1, NamedSchema. */
const namedSchemas = (schemas: JsonObject): Bytes =>
  message(...Object.entries(schemas).map(([name, schema]) => nested(1, named(name, encodeSchema(schema)))));

/** Schema; the field numbers stand beside the fields. */
function encodeSchema(schema: Json): Bytes {
  if (!isObject(schema)) return Buffer.alloc(0);
  const type = textAt(schema, 'type');
  const values = own(schema, 'additionalProperties');
  const items = own(schema, 'items');
  return message(
    text(1, textAt(schema, '$ref')),
    text(2, textAt(schema, 'format')),
    text(4, textAt(schema, 'description')),
    yaml(5, own(schema, 'default')),
    double(7, own(schema, 'maximum')),
    flag(8, own(schema, 'exclusiveMaximum')),
    double(9, own(schema, 'minimum')),
    flag(10, own(schema, 'exclusiveMinimum')),
    integer(11, own(schema, 'maxLength')),
    integer(12, own(schema, 'minLength')),
    text(13, textAt(schema, 'pattern')),
    integer(14, own(schema, 'maxItems')),
    integer(15, own(schema, 'minItems')),
    flag(16, own(schema, 'uniqueItems')),
    integer(17, own(schema, 'maxProperties')),
    integer(18, own(schema, 'minProperties')),
    ...listAt(schema, 'required').map((name) => text(19, String(name))),
    ...listAt(schema, 'enum').map((value) => yaml(20, value)),
    isObject(values) ? nested(21, message(nested(1, encodeSchema(values)))) : EMPTY,
    type === undefined ? EMPTY : nested(22, message(text(1, type))),
    isObject(items) ? nested(23, message(nested(1, encodeSchema(items)))) : EMPTY,
    own(schema, 'properties') === undefined ? EMPTY : nested(25, namedSchemas(objectAt(schema, 'properties'))),
    ...extensions(31, schema),
  );
}

/** NamedAny: name = 1, value = 2; Any: yaml = 2. */
const extensions = (field: number, item: JsonObject): readonly Bytes[] =>
  Object.entries(item)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, value]) => nested(field, named(name, message(text(2, stringify(value))))));

// --- wire format ---

const EMPTY = Buffer.alloc(0);

const message = (...parts: readonly Bytes[]): Bytes => Buffer.concat(parts);

/** Every Named… message of the .proto: name = 1, value = 2. */
const named = (name: string, value: Bytes): Bytes => message(text(1, name), nested(2, value));

function varint(value: number): Bytes {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return Buffer.from([...bytes, rest]);
}

const tag = (field: number, wire: number): Bytes => varint(field * 8 + wire);

const nested = (field: number, body: Bytes): Bytes =>
  Buffer.concat([tag(field, WIRE_LENGTH), varint(body.length), body]);

const text = (field: number, value: string | undefined): Bytes =>
  value === undefined ? EMPTY : nested(field, Buffer.from(value));

const yaml = (field: number, value: Json | undefined): Bytes =>
  value === undefined ? EMPTY : nested(field, message(text(2, stringify(value))));

const flag = (field: number, value: Json | undefined): Bytes =>
  value === true ? Buffer.concat([tag(field, WIRE_VARINT), varint(1)]) : EMPTY;

const integer = (field: number, value: Json | undefined): Bytes =>
  typeof value === 'number' ? Buffer.concat([tag(field, WIRE_VARINT), varint(value)]) : EMPTY;

function double(field: number, value: Json | undefined): Bytes {
  if (typeof value !== 'number') return EMPTY;
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([tag(field, WIRE_FIXED64), bytes]);
}
