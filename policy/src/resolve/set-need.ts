/**
 * The sets that rules can ask for, as data: their identity, their kernel type, and the members that one object contributes.
 */
import { formatPrefix, type Family } from 'node-bgp/address';
import { networksKey, networksOf, type Networks } from '../model/networks.js';
import { hasPorts, protocolName } from '../model/ports.js';
import type { Selection } from '../model/selection.js';
import type { SetType } from '../ruleset.js';
import { selectorText, type Selector } from '../selector/selector.js';
import type { ServiceEndpoint } from './calico-objects.js';
import { entryPorts, type Entry } from './cluster.js';

/** A set that a rule needs. Equal needs are one set. */
export type SetNeed =
  /** Addresses of the endpoints that a selection means. */
  | { readonly type: 'pods'; readonly selection: Selection }
  /** Networks of the network sets that it means. */
  | { readonly type: 'selected-networks'; readonly selection: Selection }
  /** Address, protocol and number of a named port of those endpoints. */
  | { readonly type: 'pod-ports'; readonly selection: Selection; readonly port: string; readonly protocol?: number }
  /** The same for the endpoints of this node: an endpoint's own end is always one of them. */
  | { readonly type: 'local-ports'; readonly port: string; readonly protocol?: number }
  /** Addresses of the nodes with these labels. */
  | { readonly type: 'nodes'; readonly selector: Selector }
  /** Endpoints of a Service, with the ports it sends to or by address alone. */
  | { readonly type: 'service'; readonly namespace: string; readonly name: string; readonly withPorts: boolean }
  | { readonly type: 'networks'; readonly networks: Networks };

export const SET_TYPES: Readonly<Record<SetNeed['type'], (need: SetNeed) => SetType>> = {
  pods: () => 'address',
  nodes: () => 'address',
  networks: () => 'network',
  'selected-networks': () => 'network',
  'pod-ports': () => 'address-port',
  'local-ports': () => 'address-port',
  service: (need) => (need.type === 'service' && need.withPorts ? 'address-port' : 'address'),
};

/** Identity of a need, and what people read beside the set. */
export function needKey(need: SetNeed): string {
  switch (need.type) {
    case 'pods':
      return need.selection.key;
    case 'selected-networks':
      return `networks of ${need.selection.key}`;
    case 'pod-ports':
      return `port ${portKey(need)} of ${need.selection.key}`;
    case 'local-ports':
      return `port ${portKey(need)} of local endpoints`;
    case 'nodes':
      return `nodes ${selectorText(need.selector)}`;
    case 'service':
      return `${need.withPorts ? 'ports' : 'addresses'} of service ${need.namespace}/${need.name}`;
    case 'networks':
      return `networks ${networksKey(need.networks)}`;
  }
}

const portKey = (need: { readonly port: string; readonly protocol?: number }): string =>
  `${JSON.stringify(need.port)}/${need.protocol === undefined ? 'any' : protocolName(need.protocol)}`;

export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4);

/** What one endpoint puts into a set under one of its addresses. */
export function entryMembers(need: SetNeed, entry: Entry, address: string): readonly string[] {
  switch (need.type) {
    case 'pods':
      return [address];
    case 'pod-ports':
    case 'local-ports':
      return entryPorts(entry)
        .filter(
          (port) =>
            port.name === need.port &&
            hasPorts(port.protocol) &&
            (need.protocol === undefined || need.protocol === port.protocol),
        )
        .map((port) => `${address},${protocolName(port.protocol)}:${port.port}`);
    case 'networks':
    case 'selected-networks':
    case 'nodes':
    case 'service':
      return [];
  }
}

export function serviceMembers(
  withPorts: boolean,
  endpoints: readonly ServiceEndpoint[],
): readonly (readonly [Family, string])[] {
  return endpoints.flatMap(({ address, ports }): readonly (readonly [Family, string])[] => {
    const members = withPorts
      ? ports
          .filter((port) => hasPorts(port.protocol))
          .map((port) => `${address},${protocolName(port.protocol)}:${port.port}`)
      : [address];
    return members.map((member) => [familyOf(address), member]);
  });
}

/** ipset's hash:net takes no /0: the whole family is two halves. */
export function networkMembers(networks: Networks, family: Family): readonly string[] {
  const own = networksOf(networks, family);
  if (own.some((prefix) => prefix.length === 0))
    return family === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  return own.map(formatPrefix);
}
