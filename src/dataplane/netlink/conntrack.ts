/**
 * Forgetting connections of an address (ctnetlink over nfnetlink; linux/netfilter/nfnetlink_conntrack.h).
 *
 * An address that goes to another pod must not inherit its last owner's connections: replies would be let through, and
 * Service translations would send packets to the wrong place. Entries are dumped, matched on all four addresses of the
 * original and the reply direction (a Service's translated flows name the pod in one only) and deleted one by one by their
 * tuple and id. The kernel's own filter (CTA_FILTER, Linux 5.8) knows no "any of the four": it would take four walks, and the
 * walk is what costs.
 *
 * ```
 * struct nfgenmsg: family(1) version(1) resource id(2, network order), attributes
 * ```
 */
import type { IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from './message.js';
import type { BatchFailure, NetlinkSocket } from './netlink-socket.js';

const AF_UNSPEC = 0;
const NFNL_SUBSYS_CTNETLINK = 1;
export const IPCTNL_MSG_CT_NEW = NFNL_SUBSYS_CTNETLINK << 8;
const IPCTNL_MSG_CT_GET = IPCTNL_MSG_CT_NEW | 1;
const IPCTNL_MSG_CT_DELETE = IPCTNL_MSG_CT_NEW | 2;
export const CTA_TUPLE_ORIG = 1;
export const CTA_TUPLE_REPLY = 2;
export const CTA_ID = 12;
export const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_DST = 4;
export const NFGENMSG_SIZE = 4;

export interface Entry {
  readonly family: 4 | 6;
  readonly tuple: Uint8Array;
  readonly id: number | undefined;
  readonly zone: number;
}

/**
 * Deletes every connection that has one of the addresses at either end, in either direction; returns how many. `socket` is of
 * family 'netfilter'. Blocks for the walk of the whole table: 10 ms when that is empty, and 2 us per entry.
 */
export function flushConnections(socket: NetlinkSocket, addresses: readonly IpAddress[]): number {
  if (addresses.length === 0) return 0;
  const walk = beginWalk(socket, addresses);
  socket.dump(socket.batch, walk.visit, walk.restart);
  return deletedOf(beginDeletion(socket, walk.entries), socket.transact(socket.batch));
}

/** As `flushConnections`, with the walk on a pool thread. The socket is busy until it resolves. */
export async function flushConnectionsAsync(socket: NetlinkSocket, addresses: readonly IpAddress[]): Promise<number> {
  if (addresses.length === 0) return 0;
  const walk = beginWalk(socket, addresses);
  await socket.dumpAsync(socket.batch, walk.visit, walk.restart);
  return deletedOf(beginDeletion(socket, walk.entries), await socket.transactAsync(socket.batch));
}

/** Deletes every connection of the socket's network namespace, of both families and all zones. */
export function flushAllConnections(socket: NetlinkSocket): void {
  const { batch } = socket;
  batch.clear();
  // A deletion that names no tuple means all of them (ctnetlink_flush_conntrack in net/netfilter/nf_conntrack_netlink.c).
  beginMessage(batch, IPCTNL_MSG_CT_DELETE, AF_UNSPEC, () => 'delete all connections');
  batch.endMessage();
  socket.request(batch);
}

interface Walk {
  readonly entries: readonly Entry[];
  readonly visit: (message: NetlinkMessage) => void;
  readonly restart: () => void;
}

/** Writes the request and collects what matches. One walk for both families, because its cost is that of the empty table. */
function beginWalk(socket: NetlinkSocket, addresses: readonly IpAddress[]): Walk {
  const entries: Entry[] = [];
  const wanted = { 4: new Set<bigint>(), 6: new Set<bigint>() };
  for (const { family, value } of addresses) wanted[family].add(value);
  beginConnectionList(socket);
  const visit = (message: NetlinkMessage): void => {
    if (message.type !== IPCTNL_MSG_CT_NEW) return;
    const protocolFamily = message.body.u8(0);
    if (protocolFamily !== AF_INET && protocolFamily !== AF_INET6) return;
    const family = protocolFamily === AF_INET ? 4 : 6;
    const entry = wanted[family].size === 0 ? undefined : matchEntry(message.body, family, wanted[family]);
    if (entry !== undefined) entries.push(entry);
  };
  return { entries, visit, restart: () => entries.splice(0) };
}

/** Writes the request for all connections into the socket's batch. */
export function beginConnectionList({ batch }: NetlinkSocket): void {
  batch.clear();
  beginMessage(batch, IPCTNL_MSG_CT_GET, AF_UNSPEC, () => 'list connections');
  batch.endMessage();
}

/** How many went: some end by themselves meanwhile. */
export async function deleteEntries(socket: NetlinkSocket, entries: readonly Entry[]): Promise<number> {
  return entries.length === 0 ? 0 : deletedOf(beginDeletion(socket, entries), await socket.transactAsync(socket.batch));
}

function beginDeletion({ batch }: NetlinkSocket, entries: readonly Entry[]): number {
  batch.clear();
  for (const entry of entries) writeDeletion(batch, entry);
  return entries.length;
}

function deletedOf(asked: number, failures: readonly BatchFailure[]): number {
  // ENOENT: it ended by itself meanwhile, which is as good.
  const real = failures.find((failure) => failure.code !== 'ENOENT');
  if (real !== undefined) throw real.error;
  return asked - failures.length;
}

function matchEntry(body: Octets, family: 4 | 6, wanted: ReadonlySet<bigint>): Entry | undefined {
  let isWanted = false;
  forEachAttribute(body, NFGENMSG_SIZE, body.length, (type, start, end) => {
    if (type === CTA_TUPLE_ORIG || type === CTA_TUPLE_REPLY) isWanted ||= tupleHasAny(body, start, end, wanted);
  });
  return isWanted ? entryOf(body, family) : undefined;
}

/** By what the kernel finds it again. */
export function entryOf(body: Octets, family: 4 | 6): Entry | undefined {
  let tuple: Uint8Array | undefined;
  let id: number | undefined;
  let zone = 0;
  forEachAttribute(body, NFGENMSG_SIZE, body.length, (type, start, end) => {
    if (type === CTA_TUPLE_ORIG) tuple = body.slice(start, end);
    else if (type === CTA_ID) id = body.u32be(start);
    else if (type === CTA_ZONE) zone = body.u16be(start);
  });
  // The receive buffer is overwritten by the dump's next part: keep a copy.
  return tuple === undefined ? undefined : { family, tuple: Uint8Array.from(tuple), id, zone };
}

function tupleHasAny(body: Octets, start: number, end: number, wanted: ReadonlySet<bigint>): boolean {
  let found = false;
  forEachAttribute(body, start, end, (type, from, to) => {
    if (type !== CTA_TUPLE_IP) return;
    forEachAttribute(body, from, to, (side, at, until) => {
      if (side >= CTA_IP_V4_SRC && side <= CTA_IP_V6_DST) found ||= wanted.has(body.address(at, until).value);
    });
  });
  return found;
}

function writeDeletion(batch: NetlinkBatch, entry: Entry): void {
  beginMessage(
    batch,
    IPCTNL_MSG_CT_DELETE,
    entry.family === 4 ? AF_INET : AF_INET6,
    () => `delete a connection (IPv${entry.family}, id ${entry.id ?? 'unknown'})`,
  );
  const nest = batch.beginNest(CTA_TUPLE_ORIG, true);
  batch.octets(entry.tuple);
  batch.endNest(nest);
  if (entry.id !== undefined) batch.attributeU32be(CTA_ID, entry.id);
  if (entry.zone !== 0) batch.attributeU16be(CTA_ZONE, entry.zone);
  batch.endMessage();
}

function beginMessage(batch: NetlinkBatch, type: number, protocolFamily: number, subject: () => string): void {
  batch.beginMessage(type, 0, subject);
  batch.u8(protocolFamily);
  batch.u8(0);
  batch.u16be(0);
}
