/** Objects against what an API server of a version knows (test/fixtures/kubernetes): strictly, as server-side apply does. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Manifest } from '../../src/install/manifest.js';

interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
}

interface Document {
  readonly kinds: Readonly<Record<string, string>>;
  readonly schemas: Readonly<Record<string, Schema>>;
}

const FOLDER = fileURLToPath(new URL('../../../test/fixtures/kubernetes/', import.meta.url));
/** Kinds whose schema says less than they take (apimachinery and apiextensions write their own). */
const ANYTHING = /\.(JSON|JSONSchemaPropsOrBool|JSONSchemaPropsOrArray|JSONSchemaPropsOrStringArray|FieldsV1)$/;

export class KubernetesSchemas {
  private readonly document: Document;

  /** @param version "1.27" */
  constructor(version: string) {
    this.document = JSON.parse(readFileSync(`${FOLDER}${version}.json`, 'utf8')) as Document;
  }

  knows({ apiVersion, kind }: Manifest): boolean {
    return this.document.kinds[`${apiVersion} ${kind}`] !== undefined;
  }

  /** "spec.template.spec.x: is not known", one a problem. */
  problems(object: Manifest): readonly string[] {
    const name = this.document.kinds[`${object.apiVersion} ${object.kind}`];
    return name === undefined ? [`${object.apiVersion} ${object.kind} is not known`] : this.check(object, name, '');
  }

  private check(value: unknown, name: string, path: string): readonly string[] {
    const schema = this.document.schemas[name];
    if (schema === undefined) throw new Error(`There is no schema ${name}`);
    // A schema in a schema: JSONSchemaProps, or true.
    if (/JSONSchemaPropsOrArray$|JSONSchemaPropsOrBool$/.test(name) && typeof value === 'object' && value !== null)
      return Array.isArray(value)
        ? value.flatMap((item, index) => this.check(item, name.replace(/Or\w+$/, ''), `${path}[${index}]`))
        : this.check(value, name.replace(/Or\w+$/, ''), path);
    return ANYTHING.test(name) ? [] : this.against(value, schema, path);
  }

  private against(value: unknown, schema: Schema, path: string): readonly string[] {
    if (schema.$ref !== undefined) return this.check(value, schema.$ref, path);
    if (schema.enum !== undefined && !schema.enum.includes(value))
      return [`${path}: ${String(value)} is none of the values`];
    if (Array.isArray(value))
      return schema.type === 'array'
        ? value.flatMap((item, index) => this.against(item, schema.items ?? {}, `${path}[${index}]`))
        : [`${path}: expected ${schema.type ?? 'something else'}, not a list`];
    if (typeof value === 'object' && value !== null) return this.fields(value, schema, path);
    return isOfType(value, schema) ? [] : [`${path}: ${JSON.stringify(value)} is no ${schema.type ?? 'value'}`];
  }

  private fields(value: object, schema: Schema, path: string): readonly string[] {
    const { properties, additionalProperties, required = [] } = schema;
    if (properties === undefined && additionalProperties === undefined)
      return schema.type === 'object' ? [] : [`${path}: expected ${schema.type ?? 'a value'}, not an object`];
    const missing = required.filter((field) => !(field in value)).map((field) => `${path}.${field}: is required`);
    const wrong = Object.entries(value).flatMap(([field, part]) => {
      const known = properties?.[field];
      const other = typeof additionalProperties === 'object' ? additionalProperties : undefined;
      const found = known ?? other;
      return found === undefined ? [`${path}.${field}: is not known`] : this.against(part, found, `${path}.${field}`);
    });
    return [...missing, ...wrong];
  }
}

function isOfType(value: unknown, { type, format }: Schema): boolean {
  if (format === 'int-or-string') return typeof value === 'string' || Number.isInteger(value);
  if (type === 'integer') return Number.isInteger(value);
  return type === undefined || (type === 'number' ? typeof value === 'number' : typeof value === type);
}
