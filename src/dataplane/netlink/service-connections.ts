/**
 * Forgetting tracked UDP and SCTP connections whose translation has stopped being right: they name an endpoint that is gone, or none though
 * there is one now. A datagram socket goes on sending for ever, and every packet keeps the entry alive; TCP ends by itself.
 *
 * One walk of the table (conntrack.ts says what it costs), on a pool thread; `isStale` decides about each entry that it is shown.
 */
import { formatAddress, type Family } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from '../libc.js';
import {
  beginConnectionList,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  deleteEntries,
  entryOf,
  IPCTNL_MSG_CT_NEW,
  NFGENMSG_SIZE,
  type Entry,
} from './conntrack.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';

const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_SOURCES = [1, 3];
const CTA_IP_DESTINATIONS = [2, 4];
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const IPPROTO_UDP = 17;
const IPPROTO_SCTP = 132;

/** An entry as far as Services are concerned. Addresses are canonical text. */
export interface TrackedConnection {
  readonly family: Family;
  readonly protocol: 'udp' | 'sctp';
  /** What the client sent to. */
  readonly destination: string;
  readonly destinationPort: number;
  /** Who answers: the endpoint, or the destination itself when nothing was translated. */
  readonly server: string;
  readonly serverPort: number;
}

/** How many were forgotten. `socket` is of family 'netfilter' and busy until this resolves. */
export async function forgetStaleConnections(
  socket: NetlinkSocket,
  isStale: (connection: TrackedConnection) => boolean,
): Promise<number> {
  const entries: Entry[] = [];
  beginConnectionList(socket);
  await socket.dumpAsync(
    socket.batch,
    (message) => {
      const connection = connectionOf(message);
      if (connection === undefined || !isStale(connection)) return;
      const entry = entryOf(message.body, connection.family);
      if (entry !== undefined) entries.push(entry);
    },
    () => void (entries.length = 0),
  );
  return deleteEntries(socket, entries);
}

interface Tuple {
  readonly protocol: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
}

function connectionOf({ type, body }: NetlinkMessage): TrackedConnection | undefined {
  if (type !== IPCTNL_MSG_CT_NEW) return undefined;
  const protocolFamily = body.u8(0);
  if (protocolFamily !== AF_INET && protocolFamily !== AF_INET6) return undefined;
  let original: Tuple | undefined;
  let reply: Tuple | undefined;
  forEachAttribute(body, NFGENMSG_SIZE, body.length, (attribute, start, end) => {
    if (attribute === CTA_TUPLE_ORIG) original = tupleOf(body, start, end);
    // Only where the first says that it matters.
    else if (attribute === CTA_TUPLE_REPLY && original !== undefined) reply = tupleOf(body, start, end);
  });
  if (original === undefined || reply === undefined) return undefined;
  return {
    family: protocolFamily === AF_INET ? 4 : 6,
    protocol: original.protocol === IPPROTO_UDP ? 'udp' : 'sctp',
    destination: original.destination,
    destinationPort: original.destinationPort,
    server: reply.source,
    serverPort: reply.sourcePort,
  };
}

/** Undefined for protocols that are not looked at. */
function tupleOf(body: Octets, start: number, end: number): Tuple | undefined {
  let protocol = 0;
  let [source, destination] = ['', ''];
  let [sourcePort, destinationPort] = [0, 0];
  forEachAttribute(body, start, end, (part, from, to) => {
    if (part === CTA_TUPLE_PROTO)
      forEachAttribute(body, from, to, (field, at) => {
        if (field === CTA_PROTO_NUM) protocol = body.u8(at);
        else if (field === CTA_PROTO_SRC_PORT) sourcePort = body.u16be(at);
        else if (field === CTA_PROTO_DST_PORT) destinationPort = body.u16be(at);
      });
    else if (part === CTA_TUPLE_IP)
      forEachAttribute(body, from, to, (field, at, until) => {
        if (CTA_IP_SOURCES.includes(field)) source = formatAddress(body.address(at, until));
        else if (CTA_IP_DESTINATIONS.includes(field)) destination = formatAddress(body.address(at, until));
      });
  });
  if (protocol !== IPPROTO_UDP && protocol !== IPPROTO_SCTP) return undefined;
  return { protocol, source, sourcePort, destination, destinationPort };
}
