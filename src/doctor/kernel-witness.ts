/**
 * The kernel's links, addresses, routes and neighbours as the npm package `netlink` reads them: not with our own netlink (src/dataplane),
 * because what wrote the routes should not be its own witness.
 *
 * Links and addresses come typed. Routes and neighbours are read from the package's raw messages: its typed routes fail as a whole from the
 * first route whose gateway is of the other family on, and leave the next hops of a multipath route undecoded (rtnetlink(7)).
 * The socket is made inside the caller's namespace and stays there. One dump at a time: the package cannot hold two apart.
 */
import { createRequire } from 'node:module';
import { addressFromBytes, formatAddress, type Family } from 'node-bgp/address';

export interface LinkFact {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly isUp: boolean;
  readonly isLoopback: boolean;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
}

export interface RouteFact {
  readonly family: Family;
  /** "10.65.1.0/26", "0.0.0.0/0" */
  readonly prefix: string;
  /** rtm_protocol: 171 is ours, 172 bgpd's, 2 the kernel's. */
  readonly protocol: number;
  /** rtm_type: 1 unicast, 6 blackhole. */
  readonly type: number;
  readonly nextHops: readonly { readonly interfaceIndex: number; readonly via?: string }[];
}

export const UNICAST = 1;
export const BLACKHOLE = 6;

/** What we use of the package. Its own types would bring those of Node 12. */
interface NetlinkPackage {
  createRtNetlink(): TypedSocket;
  parseAttributes(data: Buffer, each: (attribute: { readonly type: number; readonly data: Buffer }) => void): void;
}

interface TypedSocket {
  readonly socket: {
    request(
      type: number,
      data: Uint8Array,
      options: { readonly flags: number; readonly timeout: number },
    ): Promise<readonly [readonly { readonly type: number; readonly data: Buffer }[], unknown]>;
    close(): void;
  };
  getLinks(data: object, attributes: object, options: { readonly timeout: number }): Promise<readonly LinkMessage[]>;
  getAddresses(
    data: object,
    attributes: object,
    options: { readonly timeout: number },
  ): Promise<readonly AddressMessage[]>;
}

interface LinkMessage {
  readonly data: { readonly index: number; readonly flags: { readonly up?: boolean; readonly loopback?: boolean } };
  readonly attrs: { readonly ifname?: string; readonly mtu?: number };
}

interface AddressMessage {
  readonly data: { readonly index: number; readonly prefixlen: number };
  readonly attrs: { readonly address?: Buffer; readonly local?: Buffer };
}

const TIMEOUT = 20_000;
const NLM_F_DUMP = 0x300;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const RT_TABLE_MAIN = 254;
const RTM_F_CLONED = 0x200;
const AF_INET = 2;
const AF_INET6 = 10;
const ROUTE_HEADER = 12;
const NEIGHBOUR_HEADER = 12;
const NEXT_HOP_HEADER = 8;
const RTA = { dst: 1, oif: 4, gateway: 5, multipath: 9, table: 15, via: 18 } as const;
/** NUD_NOARP and NUD_PERMANENT: they take no place that gc_thresh3 counts. */
const NUD_UNCOUNTED = 0x40 | 0x80;

export class KernelWitness {
  private readonly netlink: NetlinkPackage;
  private readonly rtnetlink: TypedSocket;

  /** Of the calling thread's namespace. @throws Error when the package has no build for this machine */
  constructor() {
    this.netlink = createRequire(import.meta.url)('netlink') as NetlinkPackage;
    this.rtnetlink = this.netlink.createRtNetlink();
  }

  close(): void {
    this.rtnetlink.socket.close();
  }

  async links(): Promise<readonly LinkFact[]> {
    const links = await this.rtnetlink.getLinks({}, {}, { timeout: TIMEOUT });
    const addresses = await this.rtnetlink.getAddresses({}, {}, { timeout: TIMEOUT });
    return links.map(({ data: { index, flags }, attrs: { ifname = '', mtu = 0 } }) => ({
      index,
      name: ifname,
      mtu,
      isUp: flags.up === true,
      isLoopback: flags.loopback === true,
      addresses: addresses
        .filter(({ data }) => data.index === index)
        .flatMap(({ data, attrs }) => {
          // On a point-to-point link "address" is the other end's.
          const bytes = attrs.local ?? attrs.address;
          return bytes === undefined ? [] : [{ address: addressText(bytes), prefixLength: data.prefixlen }];
        }),
    }));
  }

  /** Of the main table, unicast and blackhole alike; what the kernel only remembers for a flow is none. */
  async routes(): Promise<readonly RouteFact[]> {
    const messages = await this.dump(RTM_GETROUTE, ROUTE_HEADER);
    return messages.flatMap(({ type, data }) => {
      const route = type === RTM_NEWROUTE ? this.routeOf(data) : undefined;
      return route === undefined ? [] : [route];
    });
  }

  async neighbours(): Promise<Readonly<Record<Family, number>>> {
    const counts = { 4: 0, 6: 0 };
    for (const { type, data } of await this.dump(RTM_GETNEIGH, NEIGHBOUR_HEADER)) {
      if (type !== RTM_NEWNEIGH || (data.readUInt16LE(8) & NUD_UNCOUNTED) !== 0) continue;
      const family = familyOf(data.readUInt8(0));
      if (family !== undefined) counts[family] += 1;
    }
    return counts;
  }

  private async dump(type: number, headerLength: number) {
    const [messages] = await this.rtnetlink.socket.request(type, Buffer.alloc(headerLength), {
      flags: NLM_F_DUMP,
      timeout: TIMEOUT,
    });
    return messages;
  }

  private routeOf(data: Buffer): RouteFact | undefined {
    const family = familyOf(data.readUInt8(0));
    if (family === undefined || (data.readUInt32LE(8) & RTM_F_CLONED) !== 0) return undefined;
    const attributes = this.attributesOf(data.subarray(ROUTE_HEADER));
    if ((attributes.get(RTA.table)?.readUInt32LE(0) ?? data.readUInt8(4)) !== RT_TABLE_MAIN) return undefined;
    const address = attributes.get(RTA.dst) ?? Buffer.alloc(family === 4 ? 4 : 16);
    return {
      family,
      prefix: `${addressText(address)}/${data.readUInt8(1)}`,
      protocol: data.readUInt8(5),
      type: data.readUInt8(7),
      nextHops: this.nextHopsOf(attributes),
    };
  }

  private nextHopsOf(attributes: ReadonlyMap<number, Buffer>): RouteFact['nextHops'] {
    const several = attributes.get(RTA.multipath);
    if (several === undefined) {
      const index = attributes.get(RTA.oif);
      return index === undefined ? [] : [{ interfaceIndex: index.readUInt32LE(0), ...gatewayOf(attributes) }];
    }
    // struct rtnexthop: length, flags, weight - 1, interface; then attributes of its own.
    const hops: { interfaceIndex: number; via?: string }[] = [];
    for (let rest = several; rest.length >= NEXT_HOP_HEADER; ) {
      const length = rest.readUInt16LE(0);
      if (length < NEXT_HOP_HEADER || length > rest.length) break;
      const own = this.attributesOf(rest.subarray(NEXT_HOP_HEADER, length));
      hops.push({ interfaceIndex: rest.readInt32LE(4), ...gatewayOf(own) });
      rest = rest.subarray((length + 3) & ~3);
    }
    return hops;
  }

  private attributesOf(data: Buffer): ReadonlyMap<number, Buffer> {
    const attributes = new Map<number, Buffer>();
    this.netlink.parseAttributes(data, ({ type, data: value }) => attributes.set(type, value));
    return attributes;
  }
}

/** RTA_VIA: the gateway's family in two octets, then its address (RFC 8950 next hops). */
function gatewayOf(attributes: ReadonlyMap<number, Buffer>): { readonly via?: string } {
  const bytes = attributes.get(RTA.gateway) ?? attributes.get(RTA.via)?.subarray(2);
  return bytes === undefined ? {} : { via: addressText(bytes) };
}

const familyOf = (octet: number): Family | undefined => (octet === AF_INET ? 4 : octet === AF_INET6 ? 6 : undefined);

const addressText = (bytes: Uint8Array): string => formatAddress(addressFromBytes(bytes));
