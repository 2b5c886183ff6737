/**
 * Names and marks of what Tortie makes for a pod (node-view.md). Deterministic, so that a restarted agent, an SRE and a
 * script all find a pod's interface without asking anybody.
 */
import { createHash } from 'node:crypto';
import { type IpAddress, parseAddress } from 'node-bgp/address';

/** What every host-side interface starts with; policy drops packets of `tort*` interfaces that it does not know. */
export const INTERFACE_PREFIX = 'tort';

/** Both ends' view of the gateway. */
export const GATEWAY_MAC = 'ee:ee:ee:ee:ee:ee';
export const GATEWAY_IPV4: IpAddress = parseAddress('169.254.1.1');
export const GATEWAY_IPV6: IpAddress = parseAddress('fe80::ecee:eeff:feee:eeee');

/**
 * The host side of a pod's interface: "tort" and the first 11 hex digits of sha1("<namespace>.<pod>"), 15 characters, the
 * kernel's limit. A pod's further interfaces (Multus: net1) add "/<name>" to what is hashed. 44 bits of a hash meet now and then, or are
 * made to: the pod that comes second adds "#<attempt>", from 1.
 */
export function hostInterfaceName(namespace: string, pod: string, podInterface = 'eth0', attempt = 0): string {
  const base = podInterface === 'eth0' ? `${namespace}.${pod}` : `${namespace}.${pod}/${podInterface}`;
  const subject = attempt === 0 ? base : `${base}#${attempt}`;
  return INTERFACE_PREFIX + createHash('sha1').update(subject).digest('hex').slice(0, 11);
}

/** Is it a name that `hostInterfaceName` makes? */
export const isHostInterfaceName = (name: string): boolean => /^tort[0-9a-f]{11}$/.test(name);

/**
 * An interface that waits for its deletion when a successor wants its name. Still `tort*`, so that whatever comes out of it is
 * dropped as unknown; 'x' is no hex digit, so no pod's interface has such a name.
 */
export const doomedInterfaceName = (index: number): string => `${INTERFACE_PREFIX}x${index.toString(16)}`;

/** Interface group of doomed interfaces ("tort" in ASCII): one kernel request deletes all of a group. */
export const DOOMED_GROUP = 0x746f7274;

/** Whose interface it is. */
export interface EndpointOwner {
  readonly containerId: string;
  /** The pod-side name. */
  readonly podInterface: string;
}

const ALIAS_PREFIX = 'tortie:';
/** IFALIASZ of linux/if.h, less the closing NUL. */
const MAX_ALIAS_LENGTH = 255;

/**
 * The interface's alias, which `ip link` shows: "tortie:<container>/<interface> <namespace>/<pod>". It is the mark of
 * ownership: an interface without it is never changed or deleted, and one that a successor of the pod owns is not deleted
 * for its predecessor.
 */
export function formatAlias(owner: EndpointOwner, label: string): string {
  const id =
    owner.containerId.length > 128 ? createHash('sha1').update(owner.containerId).digest('hex') : owner.containerId;
  return `${ALIAS_PREFIX}${id}/${owner.podInterface} ${label}`.trimEnd().slice(0, MAX_ALIAS_LENGTH);
}

/** The part of an alias that says whose it is ("<container>/<interface>"), or undefined if it is not ours. */
export function ownerOfAlias(alias: string | undefined): string | undefined {
  if (alias === undefined || !alias.startsWith(ALIAS_PREFIX)) return undefined;
  return alias.slice(ALIAS_PREFIX.length).split(' ', 1)[0];
}

/** The owner that an alias names; a container id that was too long is its hash. */
export function endpointOwnerOf(alias: string | undefined): EndpointOwner | undefined {
  const owner = ownerOfAlias(alias);
  if (owner === undefined) return undefined;
  const slash = owner.lastIndexOf('/');
  return { containerId: owner.slice(0, slash), podInterface: owner.slice(slash + 1) };
}

/** The part of an alias that says whose interface it would be if this owner had made it. */
export const ownerKey = (owner: EndpointOwner): string => ownerOfAlias(formatAlias(owner, '')) ?? '';
