/** A CustomResourceDefinition from a few words: names, scope, schema, columns. */
import { described, object, required, text, type SchemaNode } from './schema-builders.js';

export interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly jsonPath: string;
  readonly description?: string;
  /** 0 always shows, 1 with -o wide. */
  readonly priority?: number;
}

export interface KindDefinition {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames?: readonly string[];
  readonly scope: 'Cluster' | 'Namespaced';
  readonly description: string;
  readonly spec?: SchemaNode;
  readonly isSpecOptional?: boolean;
  readonly status?: SchemaNode;
  /** Keywords at the schema's root, such as rules about metadata.name. */
  readonly root?: SchemaNode;
  readonly columns?: readonly PrinterColumn[];
  readonly selectableFields?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export const ageColumn: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

const conditionColumn = (type: string, priority: 0 | 1, description: string): PrinterColumn => ({
  name: type,
  type: 'string',
  jsonPath: `.status.conditions[?(@.type=='${type}')].status`,
  description,
  ...(priority === 0 ? {} : { priority }),
});

/** Of every kind that users write: shown by `kubectl get`, in words by `kubectl describe`. */
export const conditionColumns: readonly PrinterColumn[] = [
  conditionColumn('Accepted', 0, 'Whether all of it can be used; the condition says what cannot'),
  conditionColumn('InUse', 1, 'Whether a node uses it; the condition says which'),
];

/** Every definition of ours carries it, so that an uninstall finds them. */
const LABELS = { 'app.kubernetes.io/part-of': 'tortie' };

export function customResourceDefinition(row: KindDefinition): Readonly<Record<string, unknown>> {
  const { group, kind, plural } = row;
  const metadata: SchemaNode = { type: 'object' };
  const spec = row.spec === undefined ? undefined : described('What is asked for.', row.spec);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      labels: LABELS,
      ...(row.annotations === undefined ? {} : { annotations: row.annotations }),
    },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        ...(row.shortNames === undefined ? {} : { shortNames: row.shortNames }),
      },
      scope: row.scope,
      versions: [
        {
          name: row.version,
          served: true,
          storage: true,
          ...(row.columns === undefined ? {} : { additionalPrinterColumns: row.columns }),
          ...(row.selectableFields === undefined
            ? {}
            : { selectableFields: row.selectableFields.map((jsonPath) => ({ jsonPath })) }),
          schema: {
            openAPIV3Schema: object(
              {
                apiVersion: text,
                kind: text,
                metadata,
                ...(spec === undefined ? {} : { spec: row.isSpecOptional === true ? spec : required(spec) }),
                ...(row.status === undefined ? {} : { status: described('What becomes of the object.', row.status) }),
              },
              { description: row.description, ...row.root },
            ),
          },
          ...(row.status === undefined ? {} : { subresources: { status: {} } }),
        },
      ],
    },
  };
}
