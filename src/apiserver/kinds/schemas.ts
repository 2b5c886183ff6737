/** The book of all built-in schemas, read once at start. */
import { readSchemaTables, scalarSchemas } from '../schema-table.js';
import type { Schema } from '../schema.js';
import { coreTable } from '../tables/core.js';
import { groupsTable } from '../tables/groups.js';
import { metaTable } from '../tables/meta.js';
import { podTable } from '../tables/pod.js';
import { volumesTable } from '../tables/volumes.js';

export const schemaBook = readSchemaTables([metaTable, podTable, volumesTable, coreTable, groupsTable]);

export function builtInSchema(name: string): Schema {
  const schema = schemaBook.get(name);
  if (schema === undefined) throw new Error(`No schema table defines "${name}"`);
  return schema;
}

export const objectMetaSchema = builtInSchema('ObjectMeta');

const byDefinition = new Map([...schemaBook.values(), ...scalarSchemas].map((schema) => [schema.definition, schema]));

/** A definition as its table has it, without what a field that uses it adds (a default, a description). */
export const canonicalSchema = (definition: string): Schema | undefined => byDefinition.get(definition);
