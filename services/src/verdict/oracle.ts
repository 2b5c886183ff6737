/**
 * What happens to a new connection, answered from the model and not from chains: `tortie service explain` shows it, and tests hold the
 * compiled rules and the kernel against it.
 */
import { containsAddress, formatAddress, parseAddress, type Family, type IpPrefix } from 'node-bgp/address';
import type { Endpoint } from '../model/endpoint.js';
import type { Frontend, Origin } from '../model/frontend.js';
import type { Protocol } from '../model/service.js';

export interface Connection {
  readonly source: string;
  readonly destination: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Does it start on this node itself? Its source is then one of the node's addresses. */
  readonly isFromNode: boolean;
  /** Is the destination one of the node's addresses? */
  readonly isToNode: boolean;
}

export type Verdict =
  /** No Service's: it goes where it was going. */
  | { readonly type: 'none' }
  | { readonly type: 'refused'; readonly frontend: Frontend; readonly origin: Origin; readonly by: Refusal }
  | {
      readonly type: 'balanced';
      readonly frontend: Frontend;
      readonly origin: Origin;
      readonly choices: readonly { readonly endpoint: Endpoint; readonly masquerade: boolean }[];
    };

/** reject: ICMP port unreachable, no endpoint anywhere; drop: none here; source-range: loadBalancerSourceRanges. */
export type Refusal = 'reject' | 'drop' | 'source-range';

/** What the oracle needs of the engine. */
export interface OracleView {
  readonly pods: readonly IpPrefix[];
  /** As frontendKey names it. */
  frontend(key: string): Frontend | undefined;
  /** Are ports of the node served on this local address? */
  servesNodePorts(address: string): boolean;
}

export function verdictOf(view: OracleView, connection: Connection): Verdict {
  const frontend = frontendOf(view, connection);
  if (frontend === undefined) return { type: 'none' };
  const origin = originOf(view, connection);
  const source = parseAddress(connection.source);
  const { sources } = frontend;
  if (sources !== undefined && !sources.some((range) => containsAddress(range, source)))
    return { type: 'refused', frontend, origin, by: 'source-range' };
  const path = frontend.paths[origin];
  if (path.type !== 'balance') return { type: 'refused', frontend, origin, by: path.type };
  const choices = frontend.backend[path.list].map((endpoint) => ({
    endpoint,
    masquerade: path.masquerade || isItself(endpoint, connection.source),
  }));
  return { type: 'balanced', frontend, origin, choices };
}

/** A client that meets itself must see another source, or it answers itself. */
const isItself = (endpoint: Endpoint, source: string): boolean =>
  (endpoint.isLocal || endpoint.nodeName === undefined) && endpoint.address === source;

function frontendOf(view: OracleView, connection: Connection): Frontend | undefined {
  const { destination, protocol, port, isToNode } = connection;
  const address = parseAddress(destination);
  const { family } = address;
  const found = view.frontend(`${family} ${formatAddress(address)},${protocol}:${port}`);
  if (found !== undefined || !isToNode || !view.servesNodePorts(destination)) return found;
  return isLoopback(family, destination) ? undefined : view.frontend(`${family} ${protocol}:${port}`);
}

const isLoopback = (family: Family, address: string): boolean =>
  family === 4 ? address.startsWith('127.') : address === '::1';

function originOf({ pods }: OracleView, { source, isFromNode }: Connection): Origin {
  const address = parseAddress(source);
  if (pods.some((range) => containsAddress(range, address))) return 'pod';
  return isFromNode ? 'node' : 'outside';
}
