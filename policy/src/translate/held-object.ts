/**
 * An object as a node keeps it: every agent holds every policy of the cluster, most of which select none of its pods, and what users wrote
 * takes more room parsed than they needed to write it.
 *
 * One past its bounds loses at once what nobody would read: a policy its rules, other kinds what is behind the last item that counts. Of a
 * large one the long lists are kept packed, and unpacked for whoever reads them.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { excess, MOST_HOST_ITEMS, MOST_SLICE_ADDRESSES, weigh } from '../model/bounds.js';
import { isPolicyKind, type KubeObject, type ObjectKind, type PolicyKind } from '../objects.js';
import { isObject, own, type JsonObject } from '../validate/shape.js';
import { EXCESS, isolatingObject } from './isolating-object.js';

/** Fields of a spec that grow. */
const LISTS = ['ingress', 'egress', 'nets'] as const;
/** Values or characters from which a list is packed. */
const LARGE_VALUES = 1_024;
const LARGE_TEXT = 16 * 1024;
/** The fastest: lists of a user repeat themselves. */
const LEVEL = 1;
/** Of a text where a name or a number belongs. */
const LONGEST_TEXT = 1_024;

/** Reads as the object given reads, but for what is past the bounds. The object given may be forgotten. */
export function heldObject(kind: ObjectKind, object: KubeObject): KubeObject {
  if (isPolicyKind(kind)) return packed(withinBounds(kind, object));
  switch (kind) {
    case 'NetworkSet':
    case 'GlobalNetworkSet':
      return packed(object);
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

/** The object itself, or without its own rules, with what is too much about it. */
export function withinBounds(kind: PolicyKind, object: KubeObject): KubeObject & { readonly [EXCESS]?: string } {
  const known: KubeObject & { readonly [EXCESS]?: string } = object;
  if (known[EXCESS] !== undefined) return known;
  const tooMuch = excess(weigh(own(object as JsonObject, 'spec')));
  if (tooMuch === undefined) return object;
  const { spec, ...rest } = isolatingObject(kind, object) as KubeObject & { readonly spec?: unknown };
  return { ...rest, ...(excess(weigh(spec)) === undefined ? { spec } : {}), [EXCESS]: tooMuch };
}

function packed(object: KubeObject): KubeObject {
  const spec = own(object as JsonObject, 'spec');
  if (!isObject(spec)) return object;
  const large = LISTS.filter((field) => {
    const { values, text } = weigh(own(spec, field));
    return values >= LARGE_VALUES || text >= LARGE_TEXT;
  });
  if (large.length === 0) return object;
  const kept: JsonObject = { ...spec };
  for (const field of large) Object.defineProperty(kept, field, { get: unpacker(spec[field]), enumerable: true });
  return { ...object, spec: kept } as KubeObject;
}

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
