/** Objects as they stand in manifests: what all of them have, and how they are written. */
import { stringify } from 'yaml';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export const isManifest = (value: unknown): value is Manifest =>
  typeof value === 'object' &&
  value !== null &&
  'apiVersion' in value &&
  typeof value.apiVersion === 'string' &&
  'kind' in value &&
  typeof value.kind === 'string' &&
  'metadata' in value;

/** "DaemonSet tortie-system/tortie-node". */
export const nameOf = ({ kind, metadata }: Manifest): string =>
  `${kind} ${metadata.namespace === undefined ? '' : `${metadata.namespace}/`}${metadata.name}`;

/** Equal parts are written out each time: kubectl reads anchors, people do not. */
export const writeManifests = (objects: readonly Manifest[]): string =>
  objects.map((object) => stringify(object, { lineWidth: 140, aliasDuplicateObjects: false })).join('---\n');
