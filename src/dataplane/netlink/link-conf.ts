/**
 * Interfaces with their per-interface parameters (net.ipv4.conf.*, net.ipv6.conf.*), of the whole namespace in one dump: two parameters of
 * three hundred interfaces are not six hundred files to open.
 *
 * ```
 * IFLA_AF_SPEC { AF_INET { IFLA_INET_CONF: u32[] }, AF_INET6 { IFLA_INET6_CONF: s32[] } }   (linux/if_link.h)
 * ```
 */
import type { Family } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import { decodeLink, findLink, type Link, type LinkKey, RTM_NEWLINK, writeLinkDump } from './link.js';
import { forEachAttribute, type NetlinkMessage } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';

/** DEVCONF_* of linux/ipv6.h: places in the array. */
export const IPV6_CONF = { forwarding: 0, accept_ra: 3, proxy_ndp: 22, disable_ipv6: 26, accept_dad: 27 } as const;
/** IPV4_DEVCONF_* of linux/ip.h, less one: places in the array. */
export const IPV4_CONF_PLACES = { forwarding: 0, proxy_arp: 2, rp_filter: 7, route_localnet: 25 } as const;

/** One parameter of one family, by its place in the kernel's array. */
export interface ConfPlace {
  readonly family: Family;
  readonly place: number;
}

export interface LinkWithConf extends Link {
  /** What was asked for, in that order; undefined where the kernel has not the family, or not on this interface. */
  readonly conf: readonly (number | undefined)[];
}

const IFLA_AF_SPEC = 26;
const IFLA_INET_CONF = 1;
const IFLA_INET6_CONF = 2;
const IFINFOMSG_SIZE = 16;

/** One interface with these parameters, or undefined if there is none of that name or index. */
export function findLinkWithConf(
  socket: NetlinkSocket,
  key: LinkKey,
  places: readonly ConfPlace[],
): LinkWithConf | undefined {
  let conf: LinkWithConf['conf'] = [];
  const link = findLink(socket, key, (message) => (conf = decodeConf(message, places)));
  return link && { ...link, conf };
}

/** Every interface that `keep` wants, with these parameters. */
export function listLinksWithConf(
  socket: NetlinkSocket,
  keep: (link: Link) => boolean,
  places: readonly ConfPlace[],
): LinkWithConf[] {
  const links: LinkWithConf[] = [];
  const { batch } = socket;
  batch.clear();
  writeLinkDump(batch);
  const take = (message: NetlinkMessage): void => {
    if (message.type !== RTM_NEWLINK) return;
    const link = decodeLink(message);
    if (keep(link)) links.push({ ...link, conf: decodeConf(message, places) });
  };
  socket.dump(batch, take, () => links.splice(0));
  return links;
}

function decodeConf({ body }: NetlinkMessage, places: readonly ConfPlace[]): readonly (number | undefined)[] {
  const values: (number | undefined)[] = places.map(() => undefined);
  const take = (family: Family, start: number, end: number): void => {
    for (const [index, wanted] of places.entries()) {
      const at = start + 4 * wanted.place;
      if (wanted.family === family && at + 4 <= end) values[index] = body.i32(at);
    }
  };
  forEachAttribute(body, IFINFOMSG_SIZE, body.length, (type, start, end) => {
    if (type !== IFLA_AF_SPEC) return;
    forEachAttribute(body, start, end, (family, from, to) =>
      forEachAttribute(body, from, to, (inner, at, until) => {
        if (family === AF_INET && inner === IFLA_INET_CONF) take(4, at, until);
        if (family === AF_INET6 && inner === IFLA_INET6_CONF) take(6, at, until);
      }),
    );
  });
  return values;
}
