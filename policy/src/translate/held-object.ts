/**
 * An object as a node keeps it: every agent holds every policy of the cluster, most of which select none of its pods, and what users wrote
 * takes more room parsed than they needed to write it.
 *
 * One past its bounds loses at once what nobody would read: a policy its rules, other kinds what is behind the last item that counts. Of a
 * large one the long lists are kept packed, and unpacked for whoever reads them.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { excess, MOST_HOST_ITEMS, MOST_SLICE_ADDRESSES, weigh, type Weight } from '../model/bounds.js';
import { isPolicyKind, type KubeObject, type ObjectKind, type PolicyKind } from '../objects.js';
import { isObject, own, type JsonObject } from '../validate/shape.js';
import { EXCESS, isolatingObject } from './isolating-object.js';

/** Fields of a spec that grow. */
const LISTS = ['ingress', 'egress', 'nets'] as const;
/** Values or characters of a spec from which its lists are packed. */
const LARGE_VALUES = 1_024;
const LARGE_TEXT = 16 * 1024;
/** The fastest: lists of a user repeat themselves. */
const LEVEL = 1;
/** Of a text where a name or a number belongs. */
const LONGEST_TEXT = 1_024;

/** Reads as the object given reads, but for what is past the bounds. The object given may be forgotten. */
export function heldObject(kind: ObjectKind, object: KubeObject): KubeObject {
  if (isPolicyKind(kind)) {
    const { object: bounded, weight } = withinBounds(kind, object);
    return packed(bounded, weight);
  }
  switch (kind) {
    case 'NetworkSet':
    case 'GlobalNetworkSet':
      return packed(object, weigh(own(object as JsonObject, 'spec')));
    case 'EndpointSlice':
      return cut(object, MOST_SLICE_ADDRESSES + 1) as KubeObject;
    case 'HostEndpoint':
    case 'Tier': {
      const spec = own(object as JsonObject, 'spec');
      return { ...object, spec: cut(spec, MOST_HOST_ITEMS + 1) } as KubeObject;
    }
    default:
      return object;
  }
}

export interface Bounded {
  readonly object: KubeObject & { readonly [EXCESS]?: string };
  /** Of the spec, where it stands. */
  readonly weight: Weight;
}

const NOTHING: Weight = { values: 0, text: 0 };

/** The object itself, or without its own rules, with what is too much about it. */
export function withinBounds(kind: PolicyKind, object: KubeObject): Bounded {
  const known: Bounded['object'] = object;
  if (known[EXCESS] !== undefined) return { object: known, weight: NOTHING };
  const weight = weigh(own(object as JsonObject, 'spec'));
  const tooMuch = excess(weight);
  if (tooMuch === undefined) return { object, weight };
  const { spec, ...rest } = isolatingObject(kind, object) as KubeObject & { readonly spec?: unknown };
  const isSmall = excess(weigh(spec)) === undefined;
  return { object: { ...rest, ...(isSmall ? { spec } : {}), [EXCESS]: tooMuch }, weight: NOTHING };
}

function packed(object: KubeObject, { values, text }: Weight): KubeObject {
  const spec = own(object as JsonObject, 'spec');
  if (!isObject(spec) || (values < LARGE_VALUES && text < LARGE_TEXT)) return object;
  const large = LISTS.filter((field) => Array.isArray(spec[field]) && !isPacked(spec, field));
  if (large.length === 0) return object;
  const kept: JsonObject = { ...spec };
  for (const field of large) Object.defineProperty(kept, field, { get: unpacker(spec[field]), enumerable: true });
  return { ...object, spec: kept } as KubeObject;
}

const isPacked = (spec: JsonObject, field: string): boolean =>
  Object.getOwnPropertyDescriptor(spec, field)?.get !== undefined;

const unpacker = (list: unknown): (() => unknown) =>
  typeof list === 'object' && list !== null
    ? unpackerOf(deflateRawSync(JSON.stringify(list), { level: LEVEL }), new WeakRef(list))
    : () => list;

/** What was read lately is at hand until the collector needs its room. Apart, for a closure keeps all that stands around it. */
function unpackerOf(bytes: Uint8Array, list: WeakRef<object>): () => unknown {
  let latest = list;
  return () => {
    const known = latest.deref();
    if (known !== undefined) return known;
    const made: object = JSON.parse(inflateRawSync(bytes).toString('utf8'));
    latest = new WeakRef(made);
    return made;
  };
}

/** A value with no list of more items, and no text of more characters, than anybody looks at. */
function cut(value: unknown, most: number): unknown {
  // A slice of a long string keeps the whole.
  if (typeof value === 'string')
    return value.length > LONGEST_TEXT ? Buffer.from(value.slice(0, LONGEST_TEXT)).toString() : value;
  if (Array.isArray(value)) return value.slice(0, most).map((one: unknown) => cut(one, most));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, cut(one, most)]));
}
