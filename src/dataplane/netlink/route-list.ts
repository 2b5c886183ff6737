/**
 * The kernel's routes read (RTM_GETROUTE): all at once, or one by one with the kernel's part on a pool thread.
 */
import type { NetlinkBatch } from './batch.js';
import type { NetlinkMessage } from './message.js';
import { NetlinkError } from './netlink-error.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { MAIN_TABLE, type Route, type RouteFilter } from './route.js';
import { decodeRoute, RTA_OIF, RTA_TABLE, RTM_GETROUTE, RTM_NEWROUTE, writeRouteHeader } from './route-message.js';

/** A cached route, not one of the table. */
const RTM_F_CLONED = 0x200;
/** rtm_protocol in struct rtmsg. */
const PROTOCOL_AT = 5;

/** Every route that the filter lets through; cached ("cloned") routes are left out. */
export function listRoutes(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  return familiesOf(filter).flatMap((family) => {
    const routes: Route[] = [];
    writeRequest(socket.batch, family, filter);
    try {
      socket.dump(
        socket.batch,
        reader(family, filter, (route) => routes.push(route)),
        () => routes.splice(0),
      );
    } catch (error) {
      if (!isEmptyTable(error)) throw error;
    }
    return routes;
  });
}

/**
 * As `listRoutes`, one route at a time, a datagram's worth (some 300) between turns of the event loop. The table may change while it is
 * read: a route that comes or goes meanwhile is visited or not. `restart`: the family is read again from its beginning.
 */
export async function visitRoutes(
  socket: NetlinkSocket,
  filter: RouteFilter,
  visit: (route: Route) => void,
  restart: (family: 4 | 6) => void,
): Promise<void> {
  for (const family of familiesOf(filter)) {
    writeRequest(socket.batch, family, filter);
    try {
      await socket.dumpAsync(socket.batch, reader(family, filter, visit), () => restart(family));
    } catch (error) {
      if (!isEmptyTable(error)) throw error;
    }
  }
}

const familiesOf = ({ family }: RouteFilter): readonly (4 | 6)[] => (family === undefined ? [4, 6] : [family]);

/** Tables come to be with their first route. */
const isEmptyTable = (error: unknown): boolean => error instanceof NetlinkError && error.code === 'ENOENT';

function writeRequest(batch: NetlinkBatch, family: 4 | 6, filter: RouteFilter): void {
  const table = filter.table ?? MAIN_TABLE;
  batch.clear();
  batch.beginMessage(RTM_GETROUTE, 0, () => `list IPv${family} routes`);
  writeRouteHeader(batch, { family, length: 0, table, protocol: filter.protocol ?? 0, scope: 0, type: 0, flags: 0 });
  // With NETLINK_GET_STRICT_CHK the kernel filters by these; without, everything comes and is filtered below.
  batch.attributeU32(RTA_TABLE, table);
  if (filter.interfaceIndex !== undefined) batch.attributeU32(RTA_OIF, filter.interfaceIndex);
  batch.endMessage();
}

function reader(family: 4 | 6, filter: RouteFilter, visit: (route: Route) => void): (message: NetlinkMessage) => void {
  return (message) => {
    if (message.type !== RTM_NEWROUTE || filter.notOfProtocols?.includes(message.body.u8(PROTOCOL_AT)) === true) return;
    const route = decodeRoute(message);
    // A kernel without IPv6 answers with all families that it has.
    if (route?.prefix.family === family && passes(route, filter)) visit(route);
  };
}

function passes(route: Route, filter: RouteFilter): boolean {
  return (
    route.table === (filter.table ?? MAIN_TABLE) &&
    ((route.flags ?? 0) & RTM_F_CLONED) === 0 &&
    (filter.protocol === undefined || route.protocol === filter.protocol) &&
    (filter.interfaceIndex === undefined || route.nextHops.some((hop) => hop.interfaceIndex === filter.interfaceIndex))
  );
}
