/** In which fields two versions of an object differ. Pure. */
export interface FieldDifference {
  /** "spec.nodeSelector", "metadata.labels[a/b]" */
  readonly path: string;
  /** Undefined: it is not there. */
  readonly before: unknown;
  readonly after: unknown;
}

/** An API server keeps these whatever a client says. */
export const SERVER_FIELDS: readonly string[] = [
  'uid',
  'creationTimestamp',
  'generation',
  'resourceVersion',
  'managedFields',
  'deletionTimestamp',
];

/** Lists count as one value; what only a server writes is no difference. */
export function fieldDifferences(before: object, after: object): readonly FieldDifference[] {
  const found: FieldDifference[] = [];
  const walk = (a: unknown, b: unknown, path: string): void => {
    if (JSON.stringify(a) === JSON.stringify(b)) return;
    if (path !== '' && (!isRecord(a) || !isRecord(b))) return void found.push({ path, before: a, after: b });
    const [left, right] = [isRecord(a) ? a : {}, isRecord(b) ? b : {}];
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      if (path === 'metadata' && SERVER_FIELDS.includes(key)) continue;
      const step = /^\w+$/.test(key) ? `${path === '' ? '' : '.'}${key}` : `[${key}]`;
      walk(left[key], right[key], `${path}${step}`);
    }
  };
  walk(before, after, '');
  return found;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
