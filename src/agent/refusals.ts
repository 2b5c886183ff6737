/**
 * Fields and annotations that Tortie's API takes because Calico's does, and that nothing here acts on: each is refused by name, in
 * the conditions of its object and in NodeStatus, until somebody builds it. A row leaves this table in the commit that makes the field act.
 *
 * A pure function of the object: every node and every reader says the same.
 */
import { PACKET_ANNOTATIONS, packetLimitsOf } from '../shaping/packet-limits.js';
import { RATE_ANNOTATIONS, ratesOf } from '../shaping/pod-limits.js';
import { parseReserved } from './reservations.js';
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';

/** One part of one object that cannot be used. */
export interface ObjectProblem {
  /** "spec.ipipMode", "metadata.annotations[qos.projectcalico.org/dscp]". */
  readonly field: string;
  /** A sentence that names field, value and what was expected. */
  readonly message: string;
  /** This node has nothing of the object because of it. */
  readonly isLeftOut?: true;
}

export interface Refusal<K extends KindName = KindName> {
  readonly kind: K;
  readonly field: string;
  /** What follows the field and its value in the sentence. */
  readonly why: string;
  /** The value if it asks for something; undefined when the field asks for nothing that is not done anyway. */
  readonly asked: (object: ObjectOf[K]) => unknown;
}

const refusal = <K extends KindName>(row: Refusal<K>): Refusal => row as unknown as Refusal;

const isSet = <T>(value: T | undefined, isNothing: (value: T) => boolean): T | undefined =>
  value === undefined || isNothing(value) ? undefined : value;
const isEmpty = (list: readonly unknown[]): boolean => list.length === 0;
const isForServices = (uses: readonly string[]): boolean =>
  uses.length > 0 && uses.every((use) => use === 'LoadBalancer');

const FIELDS: readonly Refusal[] = [
  refusal({
    kind: 'ipPools',
    field: 'spec.allowedUses',
    why: 'expected LoadBalancer alone, as in Calico: until it is, no Service gets an address of the pool',
    asked: ({ spec }) => isSet(spec.allowedUses, (uses) => !uses.includes('LoadBalancer') || isForServices(uses)),
  }),
  refusal({
    kind: 'ipPools',
    field: 'spec.nodeSelector',
    why: 'expected all() in a pool for Services, as in Calico: its addresses are on no node, and it selects nothing',
    asked: ({ spec }) =>
      isForServices(spec.allowedUses ?? [])
        ? isSet(spec.nodeSelector, (selector) => ['', 'all()'].includes(selector.trim()))
        : undefined,
  }),
  refusal({
    kind: 'ipPools',
    field: 'spec.ipipMode',
    why: 'expected Never in a pool that has vxlanMode too, and in one of IPv6, as in Calico; it is taken for Never',
    asked: ({ spec }) =>
      isSet(
        spec.ipipMode,
        (mode) => mode === 'Never' || ((spec.vxlanMode ?? 'Never') === 'Never' && !spec.cidr.includes(':')),
      ),
  }),
  refusal({
    kind: 'ipReservations',
    field: 'spec.reservedCIDRs',
    why: 'expected addresses or CIDR notation such as 10.65.0.0/30; what else the list names is kept',
    asked: ({ spec }) =>
      isSet(
        spec.reservedCIDRs?.filter((cidr) => parseReserved(cidr) === undefined),
        isEmpty,
      ),
  }),
  refusal({
    kind: 'ipamConfigurations',
    field: 'spec.autoAllocateBlocks',
    why: 'expected true: nodes claim the blocks that their pods need, and nobody else does it for them',
    asked: ({ spec }) => isSet(spec.autoAllocateBlocks, (value) => value),
  }),
  refusal({
    kind: 'bgpConfigurations',
    field: 'spec.programClusterRoutes',
    why: 'expected Enabled or EnabledNoEncapOnly: the BGP daemon writes the routes to other nodes, nothing else does',
    asked: ({ spec }) =>
      isSet(spec.programClusterRoutes, (value) => value === 'Enabled' || value === 'EnabledNoEncapOnly'),
  }),
  refusal({
    kind: 'hostEndpoints',
    field: 'spec.profiles',
    why: 'expected "projectcalico-default-allow" or none: other profiles do not exist here, use policies',
    asked: ({ spec }) =>
      isSet(
        spec.profiles?.filter((profile) => profile !== 'projectcalico-default-allow'),
        isEmpty,
      ),
  }),
];

const LIMITING: ReadonlySet<string> = new Set([...RATE_ANNOTATIONS, ...PACKET_ANNOTATIONS]);

const LATER = 'expected none: this annotation does nothing yet';

/** Annotations by kind; a name that ends in "/" stands for all that begin so. */
const ANNOTATIONS: readonly { readonly kind: KindName; readonly name: string; readonly why: string }[] = [
  { kind: 'pods', name: 'cni.projectcalico.org/floatingIPs', why: LATER },
  { kind: 'pods', name: 'cni.projectcalico.org/hwAddr', why: `${LATER}, the pod gets a MAC address of the kernel's` },
  { kind: 'pods', name: 'cni.projectcalico.org/allowedSourcePrefixes', why: `${LATER}, other sources are dropped` },
  {
    kind: 'pods',
    name: 'qos.projectcalico.org/',
    why: `${LATER}: bandwidths, packet rates, their bursts and peaks, and connections are limited, nothing else is`,
  },
];

export const FIELD_REFUSALS = FIELDS;
export const ANNOTATION_REFUSALS = ANNOTATIONS;

/** What of an object asks for something that is not built. */
export function refusalsOf<K extends KindName>(kind: K, object: ObjectOf[K]): readonly ObjectProblem[] {
  return [...fieldRefusals(kind, object), ...annotationRefusals(kind, object)];
}

function fieldRefusals<K extends KindName>(kind: K, object: ObjectOf[K]): readonly ObjectProblem[] {
  return FIELDS.filter((row) => row.kind === kind).flatMap(({ field, why, asked }) => {
    const value = asked(object);
    return value === undefined ? [] : [{ field, message: `${field} is ${shown(value)}; ${why}` }];
  });
}

function annotationRefusals(kind: KindName, { metadata }: KubeObject): readonly ObjectProblem[] {
  const problem = (key: string, why: string): ObjectProblem => {
    const field = `metadata.annotations[${key}]`;
    return { field, message: `${field} is ${shown(metadata.annotations?.[key])}; ${why}` };
  };
  const keys = Object.keys(metadata.annotations ?? {});
  const refused = ANNOTATIONS.filter((row) => row.kind === kind).flatMap(({ name, why }) =>
    keys
      .filter((key) => (name.endsWith('/') ? key.startsWith(name) && !LIMITING.has(key) : key === name))
      .map((key) => problem(key, why)),
  );
  if (kind !== 'pods') return refused;
  const wrong = [...ratesOf(metadata.annotations).problems, ...packetLimitsOf(metadata.annotations).problems];
  return [...refused, ...wrong.map(({ annotation, expected }) => problem(annotation, `expected ${expected}`))];
}

/** Values are users' and of any length. */
function shown(value: unknown): string {
  const text =
    typeof value === 'string' ? value : Array.isArray(value) ? value.map(shownItem).join(', ') : String(value);
  return `"${text.length > 120 ? `${text.slice(0, 117)}...` : text}"`;
}

const shownItem = (item: unknown): string =>
  typeof item === 'object' && item !== null && 'cidr' in item ? String(item.cidr) : String(item);
