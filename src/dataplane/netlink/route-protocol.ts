/**
 * Routing protocol numbers (RTPROT_*, linux/rtnetlink.h) by the names that iproute2 gives them, and Tortie's own.
 */
import { PROTOCOL_TORTIE, PROTOCOL_TORTIE_BGP } from './route.js';

const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'redirect'],
  [2, 'kernel'],
  [3, 'boot'],
  [4, 'static'],
  [8, 'gated'],
  [9, 'ra'],
  [10, 'mrt'],
  [11, 'zebra'],
  [12, 'bird'],
  [13, 'dnrouted'],
  [14, 'xorp'],
  [15, 'ntk'],
  [16, 'dhcp'],
  [17, 'mrouted'],
  [18, 'keepalived'],
  [42, 'babel'],
  [84, 'ovn'],
  [99, 'openr'],
  [PROTOCOL_TORTIE, 'tortie'],
  [PROTOCOL_TORTIE_BGP, 'tortie-bgp'],
  [186, 'bgp'],
  [187, 'isis'],
  [188, 'ospf'],
  [189, 'rip'],
  [192, 'eigrp'],
]);

/** "bird"; of one that has no name, its number as `ip route` shows it. */
export const protocolName = (protocol: number): string => NAMES.get(protocol) ?? String(protocol);
