/**
 * The two messages of Neighbor Discovery by which routers on a link find each other (RFC 4861): Router Solicitation and Router
 * Advertisement, as ICMPv6 octets without the IPv6 header. Pure; hop limit, checksum and source address are the socket's business.
 *
 * ```
 * Router Solicitation:   type(1)=133 code(1) checksum(2) reserved(4)                              options...
 * Router Advertisement:  type(1)=134 code(1) checksum(2) hop-limit(1) flags(1) lifetime(2)
 *                        reachable-time(4) retrans-timer(4)                                       options...
 * option:                type(1) length(1, in units of 8 octets) value...
 * ```
 *
 * What is in an advertisement does not matter to us: that a router sends it says where it is.
 */

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
const SOURCE_LINK_LAYER_ADDRESS = 1;
const SOLICITATION_LENGTH = 8;
const ADVERTISEMENT_LENGTH = 16;
/** BOUNDED: a jumbo frame of the shortest options is more than any router sends. */
const MOST_OPTIONS = 256;

export type RouterMessage =
  | { readonly type: 'solicitation' }
  /** `lifetime`: seconds for which hosts may take the router as their default router. */
  | { readonly type: 'advertisement'; readonly lifetime: number }
  /** To be dropped in silence (RFC 4861 sections 6.1.1 and 6.1.2); the reason is for tests and people. */
  | { readonly type: 'invalid'; readonly reason: string };

/** `linkLayer`: our own address on the link, which saves the neighbour a question. Empty or absent where the link has none. */
export function encodeSolicitation(linkLayer?: Uint8Array): Uint8Array {
  const bytes = withOption(SOLICITATION_LENGTH, linkLayer);
  bytes[0] = ROUTER_SOLICITATION;
  return bytes;
}

/**
 * An advertisement for routers alone. The router lifetime is 0, so that no host takes us as its default router (RFC 4861 section 6.2.3):
 * what we forward is what BGP says, and a default route is its to announce. (FRR 8.4 says 30 s for unnumbered peers, three intervals, and a
 * host with accept_ra takes a default route from it; it does not look at ours.) No prefixes, no parameters: zero is
 * "unspecified" in all of them.
 */
export function encodeAdvertisement(linkLayer?: Uint8Array): Uint8Array {
  const bytes = withOption(ADVERTISEMENT_LENGTH, linkLayer);
  bytes[0] = ROUTER_ADVERTISEMENT;
  return bytes;
}

/** Never throws. Options are walked only to see that none of them has length 0 or overruns, as the RFC demands. */
export function decodeRouterMessage(bytes: Uint8Array): RouterMessage {
  const [type, code] = bytes;
  if (type !== ROUTER_SOLICITATION && type !== ROUTER_ADVERTISEMENT) return invalid(`type ${type ?? 'none'}`);
  const length = type === ROUTER_SOLICITATION ? SOLICITATION_LENGTH : ADVERTISEMENT_LENGTH;
  if (bytes.length < length) return invalid(`${bytes.length} octets; expected at least ${length}`);
  if (code !== 0) return invalid(`code ${code ?? 0}; expected 0`);
  let options = 0;
  for (let at = length; at < bytes.length; ) {
    const size = 8 * (bytes[at + 1] ?? 0);
    if (size === 0) return invalid('an option of length 0');
    if (at + size > bytes.length) return invalid('an option that overruns the message');
    if (++options > MOST_OPTIONS) return invalid(`more than ${MOST_OPTIONS} options`);
    at += size;
  }
  if (type === ROUTER_SOLICITATION) return { type: 'solicitation' };
  return { type: 'advertisement', lifetime: ((bytes[6] ?? 0) << 8) | (bytes[7] ?? 0) };
}

const invalid = (reason: string): RouterMessage => ({ type: 'invalid', reason });

/** RFC 4861 section 4.6: options are padded to 8 octets. */
function withOption(length: number, linkLayer: Uint8Array = new Uint8Array()): Uint8Array {
  if (linkLayer.length === 0) return new Uint8Array(length);
  const size = 8 * Math.ceil((2 + linkLayer.length) / 8);
  const bytes = new Uint8Array(length + size);
  bytes[length] = SOURCE_LINK_LAYER_ADDRESS;
  bytes[length + 1] = size / 8;
  bytes.set(linkLayer, length + 2);
  return bytes;
}
