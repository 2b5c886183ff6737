/** A row for a built-in kind: what is said here, and for the rest the usual. */
import { groupResourceOf, type ResourceType, type Strategy } from '../resource-type.js';
import type { FieldText } from '../field-selector.js';
import { ageColumn, nameColumn, rowOf, type CellColumn } from './columns.js';
import { builtInSchema } from './schemas.js';

export interface BuiltIn {
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly namespaced: boolean;
  readonly hasStatus?: boolean;
  readonly subresources?: ResourceType['subresources'];
  /** Between name and age. */
  readonly columns?: readonly CellColumn[];
  /** Columns after age, shown with -o wide. */
  readonly wideColumns?: readonly CellColumn[];
  /** Instead of name, columns, age, wideColumns. */
  readonly allColumns?: readonly CellColumn[];
  readonly selectableFields?: Readonly<Record<string, FieldText>>;
  readonly strategy?: Strategy;
  readonly isNamespaceItself?: boolean;
  /** Of the definition in the schema tables; default: the kind. */
  readonly definition?: string;
  /** Kept with the objects of another kind. */
  readonly shared?: { readonly bucket: string } & NonNullable<ResourceType['conversion']>;
}

export function builtIn(row: BuiltIn): ResourceType {
  const group = row.group ?? '';
  const columns = row.allColumns ?? [nameColumn, ...(row.columns ?? []), ageColumn, ...(row.wideColumns ?? [])];
  return {
    group,
    version: row.version ?? 'v1',
    kind: row.kind,
    listKind: `${row.kind}List`,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    shortNames: row.shortNames ?? [],
    categories: row.categories ?? [],
    namespaced: row.namespaced,
    bucket: row.shared?.bucket ?? groupResourceOf({ group, plural: row.plural }),
    schema: builtInSchema(row.definition ?? row.kind),
    manner: 'typed',
    hasStatus: row.hasStatus ?? false,
    subresources: row.subresources ?? {},
    ...rowOf(columns),
    selectableFields: row.selectableFields ?? {},
    strategy: row.strategy ?? {},
    ...(row.isNamespaceItself === true ? { isNamespaceItself: true } : {}),
    ...(row.shared === undefined ? {} : { conversion: row.shared }),
  };
}
