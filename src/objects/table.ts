/** Objects as kubectl prints them: the columns of their kind, aligned. */
import type { KindName } from '../api/kinds.js';
import { kinds } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { JsonObject } from '../apiserver/json.js';
import { resourceTypeOf } from '../datastore/resource-types.js';

const GAP = 3;

/** Those of priority 0, with the namespace before them where the kind has any. */
export function formatObjects(kind: KindName, objects: readonly KubeObject[], now: number): string {
  const { columns, cells } = resourceTypeOf(kind);
  const shown = columns.flatMap(({ name, priority }, index) => (priority === 0 ? [{ name, index }] : []));
  const rows = objects.map((object) => {
    const values = cells(object as unknown as JsonObject, now);
    const own = shown.map(({ index }) => String(values[index] ?? ''));
    return kinds[kind].namespaced ? [object.metadata.namespace ?? '', ...own] : own;
  });
  const head = shown.map(({ name }) => name.toUpperCase());
  const table = [kinds[kind].namespaced ? ['NAMESPACE', ...head] : head, ...rows];
  const widths = (table[0] ?? []).map((_, index) =>
    table.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), 0),
  );
  return table
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}
