/**
 * What becomes of a Calico cluster's resources under Tortie: which are taken, which of their fields would be refused or are not known, and
 * whose blocks stay whose. Pure; nothing here writes.
 *
 * Calico keeps resources in crd.projectcalico.org/v1 and serves them as projectcalico.org/v3. The stored ones are the same but for
 * their metadata (libcalico-go, ConvertK8sResourceToCalicoResource) and for policies of the tier "default", whose stored names begin
 * with it; where an object is in both, the served one counts.
 */
import { containsPrefix, tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { blockName } from '../agent/kubernetes-block-store.js';
import { refusalsOf } from '../agent/refusals.js';
import { customResourceDefinitions } from '../api/crds/index.js';
import { apiVersionOf, kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeObject, ObjectMeta } from '../api/meta.js';
import type { Manifest } from '../install/manifest.js';

export interface CalicoObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** As read: by kind, from either group. */
export interface CalicoResources {
  readonly served: ReadonlyMap<KindName, readonly CalicoObject[]>;
  readonly stored: ReadonlyMap<KindName, readonly CalicoObject[]>;
  /** crd.projectcalico.org/v1 IPAMConfig. */
  readonly ipamConfigs: readonly CalicoObject[];
  /** crd.projectcalico.org/v1 IPAMBlock. */
  readonly blocks: readonly CalicoObject[];
  /** Kinds that have objects and are not served here: "FelixConfiguration". */
  readonly otherKinds: readonly string[];
}

export interface MigratedObject {
  readonly manifest: Manifest;
  /** Sentences about what of it will not act; none: all of it does. */
  readonly problems: readonly string[];
}

export interface CalicoPlan {
  readonly objects: readonly MigratedObject[];
  readonly blocks: readonly Manifest[];
  /** Sentences about what is left out. */
  readonly left: readonly string[];
}

/** Kinds of Calico that are the same here. */
export const CALICO_KINDS = (Object.keys(kinds) as readonly KindName[]).filter(
  (kind) => kinds[kind].group === 'projectcalico.org',
);
const METADATA = 'projectcalico.org/metadata';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const DEFAULT_TIER = 'default.';
const OWNER = /^host:(.+)$/;

export function planCalico(resources: CalicoResources): CalicoPlan {
  const objects = CALICO_KINDS.flatMap((kind) =>
    allOf(kind, resources).map((object) => ({
      manifest: manifestOf(kind, object),
      problems: problemsOf(kind, object),
    })),
  );
  const pools = objects.filter(({ manifest }) => manifest.kind === kinds.ipPools.kind).map(({ manifest }) => manifest);
  const blocks = resources.blocks.map((block) => blockOf(block, pools));
  return {
    objects,
    blocks: blocks.filter((block) => typeof block !== 'string'),
    left: [
      ...resources.otherKinds.map((kind) => `${kind}: not served here; docs/calico.md says what is used instead`),
      ...blocks.filter((block) => typeof block === 'string'),
    ],
  };
}

function allOf(kind: KindName, { served, stored, ipamConfigs }: CalicoResources): readonly CalicoObject[] {
  const first = served.get(kind) ?? [];
  const known = new Set(first.map(keyOf));
  const kept = kind === 'ipamConfigurations' ? ipamConfigs : (stored.get(kind) ?? []);
  return [...first, ...kept.filter((object) => !known.has(keyOf(object)))];
}

/** The same for "web", and for "default.web" as it is stored. */
const keyOf = ({ metadata }: KubeObject): string =>
  `${metadata.namespace ?? ''}/${metadata.name.startsWith(DEFAULT_TIER) ? metadata.name.slice(DEFAULT_TIER.length) : metadata.name}`;

/** Without what the server filled in, and without Calico's copy of it. */
function manifestOf(kind: KindName, { metadata, spec }: CalicoObject): Manifest {
  return {
    apiVersion: apiVersionOf(kinds[kind]),
    kind: kinds[kind].kind,
    metadata: writtenMetadata(metadata),
    ...(spec === undefined ? {} : { spec }),
  };
}

function writtenMetadata({ name, namespace, labels, annotations }: ObjectMeta): Manifest['metadata'] {
  const own = Object.entries(annotations ?? {}).filter(([key]) => key !== METADATA && key !== LAST_APPLIED);
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined || Object.keys(labels).length === 0 ? {} : { labels }),
    ...(own.length === 0 ? {} : { annotations: Object.fromEntries(own) }),
  };
}

function problemsOf(kind: KindName, object: CalicoObject): readonly string[] {
  const { metadata, spec = {} } = object;
  const refused = refusalsOf(kind, { ...object, metadata, spec } as unknown as ObjectOf[KindName]);
  return [
    ...unknownFields(spec, schemaOf(kind), 'spec').map((field) => `${field} is not known here, and would be dropped`),
    ...refused.map(({ message }) => message),
  ];
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: unknown;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}

function schemaOf(kind: KindName): Schema | undefined {
  const { group, plural } = kinds[kind];
  const definition = customResourceDefinitions.find(({ metadata }) => metadata.name === `${plural}.${group}`);
  const { versions = [] } = (definition?.['spec'] ?? {}) as {
    readonly versions?: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
  return versions[0]?.schema.openAPIV3Schema.properties?.['spec'];
}

/** Paths of what the definition has no property for. */
function unknownFields(value: unknown, schema: Schema | undefined, path: string): readonly string[] {
  if (schema === undefined || typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value))
    return [...new Set(value.flatMap((item) => unknownFields(item, schema.items, `${path}[]`)))];
  const { properties } = schema;
  if (properties === undefined) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    properties[key] === undefined ? [`${path}.${key}`] : unknownFields(part, properties[key], `${path}.${key}`),
  );
}

/** A block of ours, or why there is none. */
function blockOf({ metadata, spec = {} }: CalicoObject, pools: readonly Manifest[]): Manifest | string {
  const { cidr, affinity, deleted } = spec;
  const range = typeof cidr === 'string' ? tryParsePrefix(cidr) : undefined;
  if (typeof cidr !== 'string' || range === undefined)
    return `IPAMBlock ${metadata.name}: its CIDR is "${String(cidr)}"`;
  if (deleted === true) return `IPAMBlock ${cidr}: is being deleted`;
  const [, node] = OWNER.exec(String(affinity ?? '')) ?? [];
  if (node === undefined) return `IPAMBlock ${cidr}: belongs to no node (affinity "${String(affinity ?? '')}")`;
  const pool = pools.find(({ spec: of }) => isInside(range, (of as { readonly cidr?: unknown } | undefined)?.cidr));
  if (pool === undefined) return `IPAMBlock ${cidr} of node ${node}: no IPPool has it`;
  return {
    apiVersion: apiVersionOf(kinds.ipamBlocks),
    kind: kinds.ipamBlocks.kind,
    metadata: { name: blockName(cidr) },
    spec: { cidr, node, pool: pool.metadata.name },
  };
}

function isInside(range: IpPrefix, cidr: unknown): boolean {
  const outer = typeof cidr === 'string' ? tryParsePrefix(cidr) : undefined;
  return outer !== undefined && containsPrefix(outer, range);
}
