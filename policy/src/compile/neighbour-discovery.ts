/** What no policy may break in IPv6. */
import { ICMPV6 } from '../model/ports.js';
import type { Action, Rule } from '../ruleset.js';

/** Neighbour discovery and multicast listener messages (RFC 4861, 2710, 3810): without them there is no IPv6, whatever the policy. */
const NEIGHBOUR_TYPES = [130, 131, 132, 133, 135, 136, 143] as const;

export function neighbourDiscovery(action: Action): readonly Rule[] {
  return NEIGHBOUR_TYPES.map(
    (icmpType): Rule => ({
      family: 6,
      matches: [
        { type: 'protocol', protocol: ICMPV6 },
        { type: 'icmp', icmpType },
      ],
      action,
    }),
  );
}
