/**
 * What of Tortie is in a node's kernel: interfaces, routes, nexthop objects, rules, sets. All of it carries a mark (alias, group,
 * protocol number, name), and nothing without one is touched.
 */
import { formatPrefix } from 'node-bgp/address';
import { hasIpv6 } from '../dataplane/netfilter/backend.js';
import { ChildError, hereWithin } from '../dataplane/netfilter/child.js';
import { hasOwnTable, sweepNftables } from '../dataplane/netfilter/nft/sweep.js';
import { lookAtIptables, sweepIptables } from '../dataplane/netfilter/sweep.js';
import { writeLinkDeletion } from '../dataplane/netlink/link.js';
import { NetlinkError } from '../dataplane/netlink/netlink-error.js';
import { NetlinkSocket } from '../dataplane/netlink/netlink-socket.js';
import { deleteNexthop, isUnsupported, listNexthops, type Nexthop } from '../dataplane/netlink/nexthop.js';
import { applyRouteChanges } from '../dataplane/netlink/route-change.js';
import { listRoutes } from '../dataplane/netlink/route-list.js';
import { protocolName } from '../dataplane/netlink/route-protocol.js';
import { PROTOCOL_TORTIE, PROTOCOL_TORTIE_BGP, type Route } from '../dataplane/netlink/route.js';
import { ownLinks } from '../dataplane/own-links.js';
import { SystemError } from '../dataplane/system-error.js';
import type { Trace } from './traces.js';

const PROTOCOLS = [PROTOCOL_TORTIE, PROTOCOL_TORTIE_BGP];
const OWN_TABLE = 'inet tortie';

const families = (): readonly (4 | 6)[] => (hasIpv6(hereWithin) ? [4, 6] : [4]);

/** Changes nothing. @throws SystemError, ChildError */
export async function lookAtKernel(): Promise<readonly Trace[]> {
  const { chains, sets } = await lookAtIptables(families(), hereWithin);
  return [
    ...asked((socket) => [
      ...ownLinks(socket).map(({ name, alias }) => ({
        kind: 'interface',
        name,
        ...(alias === undefined ? {} : { detail: alias }),
      })),
      ...ownRoutes(socket).map(({ prefix, protocol, type }) => ({
        kind: 'route',
        name: formatPrefix(prefix),
        detail: `proto ${protocolName(protocol)}${type === 'unicast' ? '' : ` ${type}`}`,
      })),
      ...ownNexthops(socket).map(({ id, type }) => ({ kind: 'nexthop', name: String(id), detail: type })),
    ]),
    ...chains.map(({ family, backend, table, names }) => ({
      kind: 'rules',
      name: `${family === 4 ? 'iptables' : 'ip6tables'}-${backend} ${table}`,
      detail: `chains ${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}, jumps to them`,
    })),
    ...sets.map((name) => ({ kind: 'ipset', name })),
    ...(hasOwnTable(hereWithin) ? [{ kind: 'table', name: OWN_TABLE, detail: 'of nftables' }] : []),
  ];
}

/** Interfaces before rules: no pod is ever without its policy. Sentences of what could not be removed. */
export async function removeFromKernel(): Promise<readonly string[]> {
  const problems = [...asked(removeLinks), ...asked(removeRoutes), ...asked(removeNexthops)];
  for (const sweep of [() => sweepIptables(families(), hereWithin), () => Promise.resolve(sweepNftables(hereWithin))])
    try {
      const problem = await sweep();
      if (problem !== undefined) problems.push(problem);
    } catch (error) {
      if (!(error instanceof ChildError) && !(error instanceof SystemError)) throw error;
      problems.push(error.message);
    }
  return problems;
}

function asked<T>(work: (socket: NetlinkSocket) => T): T {
  const socket = new NetlinkSocket();
  try {
    return work(socket);
  } finally {
    socket.close();
  }
}

function removeLinks(socket: NetlinkSocket): readonly string[] {
  const links = ownLinks(socket);
  if (links.length === 0) return [];
  const { batch } = socket;
  batch.clear();
  for (const { index } of links) writeLinkDeletion(batch, { index });
  // ENODEV: one end of a pair took the other along.
  return socket.transact(batch).flatMap(({ code, error }) => (code === 'ENODEV' ? [] : [error.message]));
}

const ownRoutes = (socket: NetlinkSocket): readonly Route[] =>
  PROTOCOLS.flatMap((protocol) => listRoutes(socket, { protocol }));

function removeRoutes(socket: NetlinkSocket): readonly string[] {
  const changes = ownRoutes(socket).map((route) => ({ type: 'delete' as const, route }));
  // ESRCH: gone by itself, with an interface.
  return applyRouteChanges(socket, changes).flatMap(({ error }) => (error.code === 'ESRCH' ? [] : [error.message]));
}

function ownNexthops(socket: NetlinkSocket): readonly Nexthop[] {
  try {
    return listNexthops(socket).filter(({ protocol }) => protocol === PROTOCOL_TORTIE_BGP);
  } catch (error) {
    if (isUnsupported(error)) return [];
    throw error;
  }
}

/** Groups first: a member that goes changes its groups. */
function removeNexthops(socket: NetlinkSocket): readonly string[] {
  return [...ownNexthops(socket)]
    .sort((a, b) => Number(b.type === 'group') - Number(a.type === 'group'))
    .flatMap(({ id }) => {
      try {
        deleteNexthop(socket, id);
        return [];
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
        return error.code === 'ENOENT' ? [] : [error.message];
      }
    });
}
