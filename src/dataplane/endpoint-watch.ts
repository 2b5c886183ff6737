/**
 * Which pods' connections may not be as they were made: a look at the node's side of all of them, and word of what happened in the pods'
 * namespaces. Cheap enough to be asked several times a second, wrong only to the side of caution; `EndpointPlumbing.repair` looks closely.
 *
 *   an event in a pod's namespace -> that pod     the node's links, addresses and parameters, two dumps -> those that differ
 *   events lost                   -> every pod    once in a while -> the next few, whatever anybody says
 *
 * Works in the namespace of the thread that makes it.
 */
import { readFileSync } from 'node:fs';
import { compareAddresses } from 'node-bgp/address';
import { hostConf } from './endpoint-layout.js';
import { GATEWAY_IPV6, GATEWAY_MAC, isHostInterfaceName, ownerKey, ownerOfAlias } from './endpoint-name.js';
import type { EndpointSpec } from './endpoint-spec.js';
import { listInterfaceAddresses } from './netlink/interface-address.js';
import { listLinksWithConf, type LinkWithConf } from './netlink/link-conf.js';
import { NamespaceEvents } from './netlink/namespace-events.js';
import type { NetlinkSocket } from './netlink/netlink-socket.js';
import { PROTOCOL_TORTIE_BGP } from './netlink/route.js';

/** Whole looks until every pod had a close look though nothing is known of it: a minute, at one each 0.8 s. */
const LOOKS_A_TURN = 75;
/** Pods whose one file is read, each time. */
const FILES = 32;

export class EndpointWatch {
  private readonly events: NamespaceEvents;
  /** Namespaces by our number whose events are of the last look: they rest for one, as a change is rarely one event. */
  private namespaces: ReadonlySet<number> = new Set();
  private wasIncomplete = true;
  private next = 0;

  /** @param socket of family 'route', in the node's namespace; also used by others, between calls */
  constructor(private readonly socket: NetlinkSocket) {
    // The BGP daemon writes routes by the hundred thousand.
    this.events = new NamespaceEvents([PROTOCOL_TORTIE_BGP]);
  }

  /** Those of these that deserve a close look. @param isWhole look at the node's side too, not only at events */
  suspects<Spec extends EndpointSpec>(specs: readonly Spec[], isWhole: boolean): readonly Spec[] {
    const [before, everybody] = [this.namespaces, this.wasIncomplete];
    const { namespaceIds, isIncomplete } = this.events.read();
    this.namespaces = namespaceIds;
    this.wasIncomplete = isIncomplete;
    if (everybody) return specs;
    if (!isWhole && before.size === 0) return [];
    const links = new Map(
      listLinksWithConf(this.socket, ({ name }) => isHostInterfaceName(name), hostConf).map((link) => [
        link.name,
        link,
      ]),
    );
    const gateways = new Set(
      listInterfaceAddresses(this.socket)
        .filter(({ address }) => address.family === 6 && compareAddresses(address, GATEWAY_IPV6) === 0)
        .map(({ interfaceIndex }) => interfaceIndex),
    );
    const closely = Math.ceil(specs.length / LOOKS_A_TURN);
    const share = this.share(isWhole ? specs.length : 0, closely);
    const files = this.share(isWhole ? specs.length : 0, FILES);
    if (isWhole) this.next += closely;
    return specs.filter((spec, place) => {
      const link = links.get(spec.hostInterface);
      const id = link?.peerNamespaceId;
      return (
        (link === undefined && isWhole) ||
        (id !== undefined && before.has(id)) ||
        share.has(place) ||
        (isWhole && link !== undefined && !(isWell(spec, link, gateways) && (!files.has(place) || isAtOnce(link.name))))
      );
    });
  }

  close(): void {
    this.events.close();
  }

  /** The places of those whose turn it is. */
  private share(count: number, most: number): ReadonlySet<number> {
    const places = new Set<number>();
    for (let i = 0; i < Math.min(most, count); i++) places.add((this.next + i) % count);
    return places;
  }
}

/** The parameter that is no netlink attribute of the interface: a file to open. */
function isAtOnce(name: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv4/neigh/${name}/proxy_delay`, 'latin1') === '0\n';
  } catch {
    // It went since: a close look tells.
    return false;
  }
}

function isWell(spec: EndpointSpec, link: LinkWithConf, gateways: ReadonlySet<number>): boolean {
  const hasIpv6 = spec.addresses.some(({ family }) => family === 6);
  return (
    link.isUp &&
    link.mac === GATEWAY_MAC &&
    (spec.mtu === undefined || link.mtu === spec.mtu) &&
    ownerOfAlias(link.alias) === ownerKey(spec) &&
    (!hasIpv6 || gateways.has(link.index)) &&
    hostConf.every(({ family, value }, index) => {
      const present = link.conf[index];
      return present === undefined ? family === 4 || !hasIpv6 : present === value;
    })
  );
}
