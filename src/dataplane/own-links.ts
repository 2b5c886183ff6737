/** The interfaces of this namespace that Tortie has made, whatever for. */
import { DOOMED_GROUP, INTERFACE_PREFIX, ownerOfAlias } from './endpoint-name.js';
import { listLinks, type Link } from './netlink/link.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { isShaper } from './shaper.js';

/** By the marks that Tortie gives them; a name alone is nobody's. */
export const isOwnLink = (link: Link): boolean =>
  ownerOfAlias(link.alias) !== undefined ||
  (link.group === DOOMED_GROUP && link.name.startsWith(INTERFACE_PREFIX)) ||
  isShaper(link) ||
  isTunnel(link);

/** Of pools with vxlanMode or ipipMode: names of our own, as other networks' differ (docs/decisions/0071-encapsulation.md). */
const isTunnel = ({ name, kind }: Link): boolean => name.endsWith('.tortie') && TUNNEL_KINDS.has(kind ?? '');
const TUNNEL_KINDS: ReadonlySet<string> = new Set(['vxlan', 'ipip']);

export const ownLinks = (socket: NetlinkSocket): readonly Link[] => listLinks(socket).filter(isOwnLink);
