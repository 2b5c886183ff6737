/**
 * Forgetting connections of an address (ctnetlink over nfnetlink; linux/netfilter/nfnetlink_conntrack.h).
 *
 * An address that goes to another pod must not inherit its last owner's connections: replies would be let through, and
 * Service translations would send packets to the wrong place. Entries are dumped, matched on all four addresses of the
 * original and the reply direction (a Service's translated flows name the pod in one only) and deleted one by one by their
 * tuple and id. The kernel offers no filter on "any of the four", so the cost is that of a dump: about 1 us an entry.
 *
 * ```
 * struct nfgenmsg: family(1) version(1) resource id(2, network order), attributes
 * ```
 */
import { type IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_NEW = NFNL_SUBSYS_CTNETLINK << 8;
const IPCTNL_MSG_CT_GET = IPCTNL_MSG_CT_NEW | 1;
const IPCTNL_MSG_CT_DELETE = IPCTNL_MSG_CT_NEW | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_TUPLE_IP = 1;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_DST = 4;
const NFGENMSG_SIZE = 4;

interface Entry {
  readonly tuple: Uint8Array;
  readonly id: number | undefined;
  readonly zone: number;
}

/**
 * Deletes every connection that has one of the addresses at either end, in either direction; returns how many. `socket` is of
 * family 'netfilter'. Without connection tracking in the kernel there is nothing to delete: 0.
 */
export function flushConnections(socket: NetlinkSocket, addresses: readonly IpAddress[]): number {
  let deleted = 0;
  for (const family of [4, 6] as const) {
    const wanted = new Set(addresses.filter((address) => address.family === family).map((address) => address.value));
    if (wanted.size > 0) deleted += flushFamily(socket, family, wanted);
  }
  return deleted;
}

function flushFamily(socket: NetlinkSocket, family: 4 | 6, wanted: ReadonlySet<bigint>): number {
  const { batch } = socket;
  const entries: Entry[] = [];
  batch.clear();
  beginMessage(batch, IPCTNL_MSG_CT_GET, family, () => `list IPv${family} connections`);
  batch.endMessage();
  socket.dump(batch, (message) => {
    const entry = matchEntry(message, wanted);
    if (entry !== undefined) entries.push(entry);
  }, () => entries.splice(0));

  batch.clear();
  for (const entry of entries) writeDeletion(batch, family, entry);
  const failures = socket.transact(batch);
  // ENOENT: it ended by itself meanwhile, which is as good.
  const real = failures.find((failure) => failure.error.code !== 'ENOENT');
  if (real !== undefined) throw real.error;
  return entries.length - failures.length;
}

function matchEntry(message: NetlinkMessage, wanted: ReadonlySet<bigint>): Entry | undefined {
  if (message.type !== IPCTNL_MSG_CT_NEW) return undefined;
  const { body } = message;
  let tuple: Uint8Array | undefined;
  let id: number | undefined;
  let zone = 0;
  let isWanted = false;
  forEachAttribute(body, NFGENMSG_SIZE, body.length, (type, start, end) => {
    if (type === CTA_TUPLE_ORIG) tuple = body.slice(start, end);
    else if (type === CTA_ID) id = body.u32be(start);
    else if (type === CTA_ZONE) zone = body.u16be(start);
    if (type === CTA_TUPLE_ORIG || type === CTA_TUPLE_REPLY) isWanted ||= tupleHasAny(body, start, end, wanted);
  });
  // The receive buffer is overwritten by the dump's next part: keep a copy.
  return isWanted && tuple !== undefined ? { tuple: Uint8Array.from(tuple), id, zone } : undefined;
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

function writeDeletion(batch: NetlinkBatch, family: 4 | 6, entry: Entry): void {
  beginMessage(batch, IPCTNL_MSG_CT_DELETE, family, () => `delete a connection (IPv${family}, id ${entry.id ?? 'unknown'})`);
  const nest = batch.beginNest(CTA_TUPLE_ORIG, true);
  batch.octets(entry.tuple);
  batch.endNest(nest);
  if (entry.id !== undefined) batch.attributeU32be(CTA_ID, entry.id);
  if (entry.zone !== 0) batch.attributeU16be(CTA_ZONE, entry.zone);
  batch.endMessage();
}

function beginMessage(batch: NetlinkBatch, type: number, family: 4 | 6, subject: () => string): void {
  batch.beginMessage(type, 0, subject);
  batch.u8(family === 4 ? AF_INET : AF_INET6);
  batch.u8(0);
  batch.u16be(0);
}

