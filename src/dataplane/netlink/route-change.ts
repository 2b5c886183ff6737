/**
 * Routes written: changes as messages, one by one or from templates, and what the kernel refused of them.
 */
import { formatPrefix, type IpPrefix, prefixOf } from 'node-bgp/address';
import { AF_INET } from '../libc.js';
import { NetlinkBatch, type Subject } from './batch.js';
import { NetlinkProtocolError, Octets } from './message.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { HEADER_SIZE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from './protocol.js';
import type { RouteChange, RouteFailure, RouteRequest } from './route.js';
import { decodeRoute, RTM_DELROUTE, RTM_NEWROUTE, RTMSG_SIZE, writeRoute } from './route-message.js';

/** Appends one change as one message. */
export function writeRouteChange(batch: NetlinkBatch, change: RouteChange): void {
  const { route } = change;
  const isDelete = change.type === 'delete';
  const flags = isDelete ? 0 : NLM_F_CREATE | (change.type === 'add' ? NLM_F_EXCL : NLM_F_REPLACE);
  batch.beginMessage(
    isDelete ? RTM_DELROUTE : RTM_NEWROUTE,
    flags,
    () => `${change.type} route ${formatPrefix(route.prefix)}`,
  );
  writeRoute(batch, route, isDelete);
  batch.endMessage();
}

/** A change of a route to any prefix of a family: the message with the prefix left open. */
export interface RouteTemplate {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly subject: Subject;
}

export function routeTemplate(
  type: RouteChange['type'],
  family: 4 | 6,
  route: Omit<RouteRequest, 'prefix'>,
): RouteTemplate {
  const batch = new NetlinkBatch(256);
  // A prefix of full length, so that RTA_DST is there: it comes first.
  writeRouteChange(batch, {
    type,
    route: { ...route, prefix: { family, value: 0n, length: family === 4 ? 32 : 128 } },
  });
  return {
    family,
    bytes: batch.bytes.slice(),
    subject: (bytes, start) => `${type} route ${formatPrefix(prefixInMessage(bytes, start))}`,
  };
}

/** Appends a template's message for a prefix; its address stands in `words` from `at` on. */
export function writeFromTemplate(
  batch: NetlinkBatch,
  { family, bytes, subject }: RouteTemplate,
  words: Uint32Array,
  at: number,
  length: number,
): void {
  const start = batch.copyMessage(bytes, subject);
  batch.patchU8(start + DST_LENGTH_AT, length);
  const count = family === 4 ? 1 : 4;
  for (let i = 0; i < count; i++) batch.patchU32be(start + DST_AT + 4 * i, words[at + i] ?? 0);
}

/** The prefix of a message that came from a template. */
function prefixInMessage(bytes: Uint8Array, start: number): IpPrefix {
  const family = bytes[start + HEADER_SIZE] === AF_INET ? 4 : 6;
  return prefixOf(
    new Octets(bytes).address(start + DST_AT, start + DST_AT + (family === 4 ? 4 : 16)),
    bytes[start + DST_LENGTH_AT] ?? 0,
  );
}

export interface DecodedRouteChange {
  readonly isDelete: boolean;
  readonly prefix: IpPrefix;
  readonly metric: number;
  readonly nexthopId: number | undefined;
}

/** A change as it stands in a batch: for whoever has to know what a refused message was. */
export function decodeRouteChange(bytes: Uint8Array, start: number, end: number): DecodedRouteChange {
  const octets = new Octets(bytes.subarray(start, end));
  const type = octets.u16(4);
  const route = decodeRoute({
    type,
    flags: 0,
    sequence: 0,
    portId: 0,
    body: new Octets(octets.slice(HEADER_SIZE, end - start)),
  });
  if (route === undefined) throw new NetlinkProtocolError('Cannot decode a route change of an unknown family');
  return { isDelete: type === RTM_DELROUTE, prefix: route.prefix, metric: route.metric, nexthopId: route.nexthopId };
}

/** Applies changes in order; returns those that the kernel refused. An empty answer means that all are in the kernel. */
export function applyRouteChanges(socket: NetlinkSocket, changes: readonly RouteChange[]): readonly RouteFailure[] {
  const { batch } = socket;
  const failures: RouteFailure[] = [];
  for (let start = 0; start < changes.length; start += CHANGES_PER_BATCH) {
    batch.clear();
    const part = changes.slice(start, start + CHANGES_PER_BATCH);
    for (const change of part) writeRouteChange(batch, change);
    for (const failure of socket.transact(batch)) {
      const change = part[failure.index];
      if (change !== undefined) failures.push({ index: start + failure.index, change, error: failure.error });
    }
  }
  return failures;
}

/** BOUNDED: keeps the batch's buffer in the cache and small. */
const CHANGES_PER_BATCH = 256;

/** In a message that starts with RTA_DST. */
const DST_LENGTH_AT = HEADER_SIZE + 1;
const DST_AT = HEADER_SIZE + RTMSG_SIZE + 4;
