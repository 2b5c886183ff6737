/**
 * Names of the chains, maps and sets that Services become. Operators read them: docs/services.md lists them. Everything of this part begins
 * with TORTIE-S, sets with svc-.
 */
import type { Family } from 'node-bgp/address';
import { shortId, type DispatchKey, type Table } from '@tortie/policy/ruleset';
import type { Endpoint } from '../model/endpoint.js';
import type { ServiceKey, ServicePort } from '../model/service.js';

export const PREROUTING = 'TORTIE-SPRE';
export const OUTPUT = 'TORTIE-SOUT';
export const POSTROUTING = 'TORTIE-SPOST';
export const MASQUERADE = 'TORTIE-SMASQ';
export const FILTER = 'TORTIE-SFILTER';
export const FILTER_NEW = 'TORTIE-SNEW';
export const REJECT = 'TORTIE-SREJECT';
export const DROP = 'TORTIE-SDROP';
export const FIREWALL = 'TORTIE-SFIREWALL';

/** Ranges of pods, both families. */
export const POD_SET = 'svc-pods';
/** Where ports of the node are served, both families; only if it is not everywhere. */
export const NODE_PORT_SET = 'svc-nodeports';

/** The maps of each family: what is served, in nat; what is refused, in filter; whom a load balancer's address is open to, in mangle. */
export const MAP_ROLES = ['serve', 'serve-port', 'refuse', 'refuse-port', 'firewall'] as const;
export type MapRole = (typeof MAP_ROLES)[number];

export const MAPS: Readonly<
  Record<MapRole, { readonly table: Table; readonly stem: string; readonly key: DispatchKey }>
> = {
  serve: { table: 'nat', stem: 'TORTIE-SVC', key: 'destination-port' },
  'serve-port': { table: 'nat', stem: 'TORTIE-SNP', key: 'port' },
  refuse: { table: 'filter', stem: 'TORTIE-SRJ', key: 'destination-port' },
  'refuse-port': { table: 'filter', stem: 'TORTIE-SRN', key: 'port' },
  firewall: { table: 'mangle', stem: 'TORTIE-SFW', key: 'destination-port' },
};

export const mapName = (role: MapRole, family: Family): string => `${MAPS[role].stem}${family}`;

/** What a Service's port in one family is called in names: 18 characters. */
export const backendId = (service: ServiceKey, port: ServicePort, family: Family): string =>
  shortId(service.namespace, service.name, port.name, port.protocol, `${family}`);

/** Choice among the endpoints of a list. */
export const choiceChain = (id: string, list: 'cluster' | 'local'): string =>
  `TORTIE-S${list === 'cluster' ? 'E' : 'L'}${id}`;
/** From outside the cluster's own addresses: by origin to a choice. */
export const externalChain = (id: string): string => `TORTIE-SX${id}`;
/** A load balancer's source ranges. */
export const firewallChain = (id: string): string => `TORTIE-SF${id}`;
export const firewallSet = (id: string): string => `svc-${shortId('firewall', id)}`;

const endpointId = (id: string, { address, port }: Endpoint): string => shortId(id, address, `${port}`);
/** One endpoint that needs more than an address: it may be its own client, or keeps its clients. */
export const endpointChain = (id: string, endpoint: Endpoint): string => `TORTIE-SP${endpointId(id, endpoint)}`;
/** The clients that an endpoint keeps for so long: another time is another set, since the kernel knows no change of it. */
export const clientSet = (id: string, { address, port }: Endpoint, seconds: number): string =>
  `svc-${shortId(id, address, `${port}`, `${seconds}`)}`;
