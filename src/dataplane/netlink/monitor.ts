/**
 * Kernel events as they happen: interfaces, addresses, routes and neighbours that came, changed or went, in the order of the
 * kernel's own changes. One multicast netlink socket, read when the event loop finds it readable.
 *
 * The kernel drops events for a socket whose buffer is full (ENOBUFS). That is an event too: `resync` says that anything may
 * have changed, and the owner lists again. So is the start: subscribe first, then list, and nothing falls between.
 *
 * The socket watches the namespace of the thread that starts it (see `inNamespace`).
 */
import {
  attachSocketFilter,
  closeFd,
  ENOBUFS,
  MSG_DONTWAIT,
  MSG_TRUNC,
  pollReadable,
  receiveBytes,
  setSocketOption,
} from '../libc.js';
import { SystemError } from '../system-error.js';
import { type EventFilter, eventProgram } from './event-filter.js';
import { decodeInterfaceAddress, type InterfaceAddress, RTM_DELADDR, RTM_NEWADDR } from './interface-address.js';
import { decodeLink, type Link, RTM_DELLINK, RTM_NEWLINK } from './link.js';
import { forEachMessage, type NetlinkMessage, NetlinkProtocolError } from './message.js';
import { decodeNeighbour, type Neighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from './neighbour.js';
import { openNetlink, setReceiveBuffer, trySocketOption } from './open-netlink.js';
import { decodeNexthop, type Nexthop, RTM_DELNEXTHOP, RTM_NEWNEXTHOP } from './nexthop.js';
import { NETLINK_ADD_MEMBERSHIP, NETLINK_ROUTE, NLM_F_REPLACE, SOL_NETLINK } from './protocol.js';
import type { Route } from './route.js';
import { decodeRoute, RTM_DELROUTE, RTM_NEWROUTE } from './route-message.js';

/** `isGone`: it was deleted; otherwise it is new or has changed, and is as shown. */
export type KernelEvent =
  | { readonly type: 'link'; readonly isGone: boolean; readonly link: Link }
  | { readonly type: 'address'; readonly isGone: boolean; readonly address: InterfaceAddress }
  /** `replaces`: another route of the same place, whoever made it, went for it without a word of its own. */
  | { readonly type: 'route'; readonly isGone: boolean; readonly replaces?: true; readonly route: Route }
  /** What goes with an interface is not told, nor are the IPv4 routes that go with an object. */
  | { readonly type: 'nexthop'; readonly isGone: boolean; readonly nexthop: Nexthop }
  | { readonly type: 'neighbour'; readonly isGone: boolean; readonly neighbour: Neighbour }
  | { readonly type: 'resync'; readonly reason: string };

export interface KernelTopics {
  readonly link?: boolean;
  readonly address?: boolean;
  readonly route?: boolean;
  readonly neighbour?: boolean;
  /** Nexthop objects; never an event before Linux 5.3. */
  readonly nexthop?: boolean;
}

export interface KernelWatchOptions extends EventFilter {
  /** Bytes; default 8 MiB, which lost nothing at 100,000 route events in a burst. */
  readonly receiveBufferSize?: number;
  /** Default true: the watch alone does not keep the process alive. */
  readonly isUnref?: boolean;
}

export interface KernelWatch {
  /** Ends it; no event is delivered afterwards. */
  close(): void;
}

/** RTNLGRP_* of linux/rtnetlink.h. */
const GROUPS: Readonly<Record<keyof KernelTopics, readonly number[]>> = {
  link: [1],
  neighbour: [3],
  address: [5, 9],
  route: [7, 11],
  nexthop: [32],
};

/** Groups that older kernels do not have. */
const LATER_GROUPS: ReadonlySet<number> = new Set(GROUPS.nexthop);

const RECEIVE_SIZE = 131_072;

/** BOUNDED: datagrams handled before the event loop gets its turn. */
const MAX_DATAGRAMS_PER_TURN = 256;

/**
 * Starts to watch. `onEvent` is called once per event, synchronously; an exception from it is the caller's bug and ends in
 * the process's uncaughtException, as from any event listener.
 */
export function watchKernel(
  topics: KernelTopics,
  onEvent: (event: KernelEvent) => void,
  options: KernelWatchOptions = {},
): KernelWatch {
  const fd = openNetlink(NETLINK_ROUTE);
  try {
    setReceiveBuffer(fd, options.receiveBufferSize ?? 8 * 1024 * 1024);
    const program = eventProgram(options);
    if (program !== undefined) attachSocketFilter(fd, program);
    joinGroups(fd, topics);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  const buffer = new Uint8Array(RECEIVE_SIZE);
  let isClosed = false;
  const poll = pollReadable(fd, () => {
    for (let i = 0; i < MAX_DATAGRAMS_PER_TURN && !isClosed; i++) {
      const events = receiveEvents(fd, buffer);
      if (events === undefined) return;
      for (const event of events) if (!isClosed) onEvent(event);
    }
  });
  if (options.isUnref !== false) poll.unref();
  return {
    close: () => {
      if (isClosed) return;
      isClosed = true;
      poll.close();
      closeFd(fd);
    },
  };
}

/** Makes a socket hear of these. */
export function joinGroups(fd: number, topics: KernelTopics): void {
  for (const topic of Object.keys(GROUPS) as (keyof KernelTopics)[])
    if (topics[topic] === true) for (const group of GROUPS[topic]) join(fd, group);
}

function join(fd: number, group: number): void {
  if (LATER_GROUPS.has(group)) trySocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  else setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
}

/** The events of one datagram; undefined when there is none now. */
function receiveEvents(fd: number, buffer: Uint8Array): readonly KernelEvent[] | undefined {
  let received: number | undefined;
  try {
    received = receiveBytes(fd, buffer, MSG_DONTWAIT | MSG_TRUNC);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOBUFS)
      return [{ type: 'resync', reason: 'the kernel dropped events: the receive buffer was full' }];
    throw error;
  }
  if (received === undefined) return undefined;
  if (received > buffer.length) return [{ type: 'resync', reason: `an event of ${received} bytes exceeds the buffer` }];
  return decodeEvents(buffer.subarray(0, received));
}

/** The events of one datagram. What cannot be decoded becomes a resync, not an end: the owner's next listing tells the truth. */
export function decodeEvents(datagram: Uint8Array): readonly KernelEvent[] {
  const events: KernelEvent[] = [];
  try {
    forEachMessage(datagram, (message) => {
      const event = decodeEvent(message);
      if (event !== undefined) events.push(event);
    });
  } catch (error) {
    if (!(error instanceof NetlinkProtocolError)) throw error;
    events.push({ type: 'resync', reason: error.message });
  }
  return events;
}

function decodeEvent(message: NetlinkMessage): KernelEvent | undefined {
  switch (message.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return { type: 'link', isGone: message.type === RTM_DELLINK, link: decodeLink(message) };
    case RTM_NEWADDR:
    case RTM_DELADDR: {
      const address = decodeInterfaceAddress(message);
      return address && { type: 'address', isGone: message.type === RTM_DELADDR, address };
    }
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const route = decodeRoute(message);
      const isGone = message.type === RTM_DELROUTE;
      const replaces = !isGone && (message.flags & NLM_F_REPLACE) !== 0;
      return route && { type: 'route', isGone, ...(replaces ? { replaces } : {}), route };
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return { type: 'nexthop', isGone: message.type === RTM_DELNEXTHOP, nexthop: decodeNexthop(message) };
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH: {
      const neighbour = decodeNeighbour(message);
      return neighbour && { type: 'neighbour', isGone: message.type === RTM_DELNEIGH, neighbour };
    }
    default:
      return undefined;
  }
}
