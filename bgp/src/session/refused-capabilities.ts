/**
 * What a peer refuses of our OPEN, read out of its NOTIFICATION (RFC 5492 sections 3 and 5): pure, a NOTIFICATION and what was sent go in,
 * what to leave out comes out. Who keeps it, and for how long, is speaker/capability-fallback.ts.
 *
 * - 2/4 (unsupported optional parameter): a speaker of before RFC 5492. It wants no optional parameter, and so no capability.
 * - 2/7 (unsupported capability): those that its data names, each as it stood in the OPEN. Some name them by their codes alone, and some
 *   wrap them as an optional parameter.
 * - 2/7 that names none of ours, and 2/0 (unspecific): first all goes that a session can do without, then the rest.
 */
import { capabilityCode, type Capability } from '../codec/capability.js';
import type { Notification } from '../fsm/event.js';
import { ErrorCode, OpenError, OpenParameter } from '../iana.js';

/** By `keyOf`. BOUNDED by the capabilities that we send. */
export type RefusedCapabilities = ReadonlySet<string>;

export const NOTHING_REFUSED: RefusedCapabilities = new Set();

/** Families are refused one by one: "1 2/1" is IPv6 unicast. */
export const keyOf = (capability: Capability): string =>
  capability.type === 'multiprotocol'
    ? `${capabilityCode(capability)} ${capability.afi}/${capability.safi}`
    : String(capabilityCode(capability));

export const isRefused = (refused: RefusedCapabilities, capability: Capability): boolean =>
  refused.has(keyOf(capability));

/** Of what we sent, that which the peer refuses; empty where the NOTIFICATION is about something else, or nothing is left to leave out. */
export function refusedBy({ code, subcode, data }: Notification, sent: readonly Capability[]): readonly Capability[] {
  if (code !== ErrorCode.open) return [];
  switch (subcode) {
    case OpenError.unsupportedParameter:
      return sent;
    case OpenError.unsupportedCapability: {
      const named = namedIn(data);
      const ours = sent.filter((capability) => named.some((name) => isNamed(capability, name)));
      return ours.length > 0 ? ours : unnamed(sent);
    }
    case OpenError.unspecific:
      return unnamed(sent);
    default:
      return [];
  }
}

/** Without these two a session carries less than it was made for. */
const isBasic = ({ type }: Capability): boolean => type === 'multiprotocol' || type === 'four-octet-as';

function unnamed(sent: readonly Capability[]): readonly Capability[] {
  const optional = sent.filter((capability) => !isBasic(capability));
  return optional.length > 0 ? optional : sent;
}

interface Named {
  readonly code: number;
  /** Absent: the code was all. */
  readonly value?: Uint8Array;
}

/** Data field of 2/7. The strictest reading that fits the octets counts. */
function namedIn(data: Uint8Array): readonly Named[] {
  const isWrapped = data.length > 2 && data[0] === OpenParameter.capabilities && data[1] === data.length - 2;
  const list = isWrapped ? entries(data.subarray(2)) : entries(data);
  return list ?? Array.from(data, (code) => ({ code }));
}

/** Code, length, value, as in the OPEN; undefined when the lengths do not come out. */
function entries(data: Uint8Array): readonly Named[] | undefined {
  const list: Named[] = [];
  for (let at = 0; at < data.length; ) {
    const stop = at + 2 + (data[at + 1] ?? data.length);
    if (stop > data.length) return undefined;
    list.push({ code: data[at] ?? 0, value: data.subarray(at + 2, stop) });
    at = stop;
  }
  return list;
}

/** A family that is named with its value is that one; without, all of them are. */
function isNamed(capability: Capability, { code, value }: Named): boolean {
  if (capabilityCode(capability) !== code) return false;
  if (capability.type !== 'multiprotocol' || value?.length !== 4) return true;
  return (((value[0] ?? 0) << 8) | (value[1] ?? 0)) === capability.afi && value[3] === capability.safi;
}
