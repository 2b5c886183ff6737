/** Columns of `kubectl get`, and the cells every kind has: its name and its age. */
import { ageSince } from '../age.js';
import { textAt, type Json } from '../json.js';
import type { ApiObject } from '../object.js';
import type { Column, ResourceType } from '../resource-type.js';

/** A column and how its cell is read off an object. */
export interface CellColumn extends Column {
  readonly cell: (object: ApiObject, now: number) => Json;
}

export const nameColumn: CellColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  priority: 0,
  description: 'Name must be unique within a namespace.',
  cell: (object) => textAt(object, 'metadata', 'name') ?? '',
};

export const ageColumn: CellColumn = {
  name: 'Age',
  type: 'string',
  format: '',
  priority: 0,
  description: 'Time since the object was created.',
  cell: (object, now) => ageSince(textAt(object, 'metadata', 'creationTimestamp'), now),
};

/** A column of the default view; `wide` shows with -o wide only. */
export function column(
  name: string,
  cell: CellColumn['cell'],
  options: { readonly type?: string; readonly wide?: boolean } = {},
): CellColumn {
  return {
    name,
    type: options.type ?? 'string',
    format: '',
    description: '',
    priority: options.wide === true ? 1 : 0,
    cell,
  };
}

/** For ResourceType: columns without their cells, and the function that makes a row. */
export function rowOf(columns: readonly CellColumn[]): Pick<ResourceType, 'columns' | 'cells'> {
  return {
    columns: columns.map(({ name, type, format, description, priority }) => ({
      name,
      type,
      format,
      description,
      priority,
    })),
    cells: (object, now) => columns.map(({ cell }) => cell(object, now)),
  };
}
