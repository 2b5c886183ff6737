/**
 * Neighbour (ARP and NDP) entries and the per-interface parameters of their tables (RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH,
 * RTM_SETNEIGHTBL; linux/neighbour.h).
 *
 * ```
 * struct ndmsg: family(1) pad(3) interface index(4) state(2) flags(1) type(1), attributes
 * ```
 */
import { addressToBytes, formatAddress, type IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { formatMac, parseMac } from './link.js';
import { forEachAttribute, type NetlinkMessage } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_REPLACE } from './protocol.js';

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

export interface Neighbour {
  readonly interfaceIndex: number;
  readonly address: IpAddress;
  /** Empty while it is being resolved or could not be. */
  readonly mac: string;
  /** Never asked for again, never forgotten. */
  readonly isPermanent: boolean;
  /** Was asked for and has not answered (NUD_INCOMPLETE), or not in time (NUD_FAILED). */
  readonly isSilent: boolean;
}

const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_IFINDEX = 8;
const NUD_INCOMPLETE = 0x01;
const NUD_FAILED = 0x20;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_USE = 0x01;
const NTF_SELF = 0x02;
/** Of forwarding tables, in the same messages. */
const AF_BRIDGE = 7;
const NDMSG_SIZE = 12;

/** Appends a permanent entry; takes the place of what is there. */
export function writePermanentNeighbour(
  batch: NetlinkBatch,
  neighbour: Pick<Neighbour, 'interfaceIndex' | 'address' | 'mac'>,
): void {
  const { address } = neighbour;
  batch.beginMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, () => `add neighbour ${formatAddress(address)}`);
  writeHeader(batch, address.family, neighbour.interfaceIndex, NUD_PERMANENT);
  batch.attribute(NDA_DST, addressToBytes(address));
  batch.attribute(NDA_LLADDR, parseMac(neighbour.mac));
  batch.endMessage();
}

/** Appends the removal of an entry. */
export function writeNeighbourDeletion(
  batch: NetlinkBatch,
  { interfaceIndex, address }: Pick<Neighbour, 'interfaceIndex' | 'address'>,
): void {
  batch.beginMessage(RTM_DELNEIGH, 0, () => `remove neighbour ${formatAddress(address)}`);
  writeHeader(batch, address.family, interfaceIndex, 0);
  batch.attribute(NDA_DST, addressToBytes(address));
  batch.endMessage();
}

/** An entry of a VXLAN interface's forwarding table: frames to this MAC address go to the node at that address. */
export interface ForwardingEntry {
  readonly interfaceIndex: number;
  readonly mac: string;
  readonly destination: IpAddress;
}

/** Appends a permanent entry; takes the place of those of the same MAC address. */
export function writeForwardingEntry(batch: NetlinkBatch, entry: ForwardingEntry): void {
  const { mac, destination } = entry;
  const subject = (): string => `send what is for ${mac} to ${formatAddress(destination)}`;
  batch.beginMessage(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, subject);
  writeForwarding(batch, entry);
}

export function writeForwardingDeletion(batch: NetlinkBatch, entry: ForwardingEntry): void {
  batch.beginMessage(RTM_DELNEIGH, 0, () => `no longer send what is for ${entry.mac} anywhere`);
  writeForwarding(batch, entry);
}

function writeForwarding(batch: NetlinkBatch, { interfaceIndex, mac, destination }: ForwardingEntry): void {
  writeHeader(batch, AF_BRIDGE, interfaceIndex, NUD_PERMANENT | NUD_NOARP, NTF_SELF);
  batch.attribute(NDA_LLADDR, parseMac(mac));
  batch.attribute(NDA_DST, addressToBytes(destination));
  batch.endMessage();
}

/** All entries of a VXLAN interface that lead somewhere. */
export function listForwarding(socket: NetlinkSocket, interfaceIndex: number): ForwardingEntry[] {
  const entries: ForwardingEntry[] = [];
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETNEIGH, 0, () => 'list forwarding entries');
  // The index in this header is a bridge's.
  writeHeader(batch, AF_BRIDGE, 0, 0);
  batch.endMessage();
  const keep = ({ type, body }: NetlinkMessage): void => {
    if (type !== RTM_NEWNEIGH || body.u8(0) !== AF_BRIDGE || body.u32(4) !== interfaceIndex) return;
    let mac = '';
    let destination: IpAddress | undefined;
    forEachAttribute(body, NDMSG_SIZE, body.length, (attribute, start, end) => {
      if (attribute === NDA_DST) destination = body.address(start, end);
      else if (attribute === NDA_LLADDR) mac = formatMac(body.slice(start, end));
    });
    if (destination !== undefined) entries.push({ interfaceIndex, mac, destination });
  };
  socket.dump(batch, keep, () => entries.splice(0));
  return entries;
}

/**
 * Asks anew for the neighbours of an interface that have been silent, as a link's return wants it; answers how many. What was sent while
 * the link was going left entries whose questions nobody heard: the kernel asks once a second, three times in all, and throws away at the
 * end what it was given meanwhile (neigh_timer_handler in net/core/neighbour.c), though the link may have been back for most of that time.
 */
export function askSilentNeighbours(socket: NetlinkSocket, interfaceIndex: number): number {
  const silent = listNeighbours(socket, { interfaceIndex }).filter(({ isSilent }) => isSilent);
  const { batch } = socket;
  batch.clear();
  for (const { address } of silent) {
    const subject = (): string => `ask for neighbour ${formatAddress(address)}`;
    for (const [type, flags, use] of [
      [RTM_DELNEIGH, 0, 0],
      [RTM_NEWNEIGH, NLM_F_CREATE, NTF_USE],
    ] as const) {
      batch.beginMessage(type, flags, subject);
      writeHeader(batch, address.family, interfaceIndex, 0, use);
      batch.attribute(NDA_DST, addressToBytes(address));
      batch.endMessage();
    }
  }
  // ENOENT: the kernel has forgotten it by itself. ENODEV, EINVAL: the link has gone again, or may not ask.
  if (silent.length > 0) socket.transact(batch);
  return silent.length;
}

/** Every entry of both families, or those of one interface. */
export function listNeighbours(socket: NetlinkSocket, filter: { readonly interfaceIndex?: number } = {}): Neighbour[] {
  const neighbours: Neighbour[] = [];
  const { batch } = socket;
  for (const family of [4, 6] as const) {
    const before = neighbours.length;
    batch.clear();
    batch.beginMessage(RTM_GETNEIGH, 0, () => `list IPv${family} neighbours`);
    writeHeader(batch, family, 0, 0);
    if (filter.interfaceIndex !== undefined) batch.attributeU32(NDA_IFINDEX, filter.interfaceIndex);
    batch.endMessage();
    const keep = (message: NetlinkMessage): void => {
      const neighbour = message.type === RTM_NEWNEIGH ? decodeNeighbour(message) : undefined;
      if (neighbour === undefined) return;
      if (filter.interfaceIndex === undefined || filter.interfaceIndex === neighbour.interfaceIndex)
        neighbours.push(neighbour);
    };
    socket.dump(batch, keep, () => neighbours.splice(before));
  }
  return neighbours;
}

/** Decodes RTM_NEWNEIGH and RTM_DELNEIGH; undefined for other families and for entries without an address. */
export function decodeNeighbour(message: NetlinkMessage): Neighbour | undefined {
  const { body } = message;
  const family = body.u8(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  let address: IpAddress | undefined;
  let mac = '';
  forEachAttribute(body, NDMSG_SIZE, body.length, (type, start, end) => {
    if (type === NDA_DST) address = body.address(start, end);
    else if (type === NDA_LLADDR) mac = formatMac(body.slice(start, end));
  });
  if (address === undefined) return undefined;
  const state = body.u16(8);
  return {
    interfaceIndex: body.u32(4),
    address,
    mac,
    isPermanent: (state & NUD_PERMANENT) !== 0,
    isSilent: (state & (NUD_INCOMPLETE | NUD_FAILED)) !== 0,
  };
}

function writeHeader(
  batch: NetlinkBatch,
  family: 4 | 6 | typeof AF_BRIDGE,
  interfaceIndex: number,
  state: number,
  flags = 0,
): void {
  batch.u8(family === 4 ? AF_INET : family === 6 ? AF_INET6 : AF_BRIDGE);
  batch.u8(0);
  batch.u16(0);
  batch.u32(interfaceIndex);
  batch.u16(state);
  batch.u8(flags);
  batch.u8(0);
}
