/**
 * Who a node is to BGP: addresses, AS number, router id, reflector cluster. From the Node object alone, so that all nodes
 * think the same of each other.
 */
import { createHash } from 'node:crypto';
import { formatAddress, formatIpv4, tryParseAddress, tryParsePrefix, type Family } from 'node-bgp/address';
import type { Node } from '../api/core.js';
import { parseAsNumber } from './values.js';

export interface NodeIdentity {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Canonical address of each family the node has. */
  readonly addresses: ReadonlyMap<Family, string>;
  /** Absent: the cluster's. */
  readonly asNumber?: number;
  readonly routerId: string;
  /** Set on route reflectors; they stand outside the mesh. */
  readonly reflectorClusterId?: string;
}

/** Calico's annotations win over what the kubelet reported. */
const ADDRESS_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'projectcalico.org/IPv4Address'],
  [6, 'projectcalico.org/IPv6Address'],
];

export function identityOf(node: Node): NodeIdentity {
  const annotations = node.metadata.annotations ?? {};
  const addresses = new Map<Family, string>();
  for (const [family, annotation] of ADDRESS_ANNOTATIONS) {
    const annotated = annotatedAddress(annotations[annotation], family);
    if (annotated !== undefined) addresses.set(family, annotated);
  }
  for (const { type, address } of node.status?.addresses ?? []) {
    const parsed = type === 'InternalIP' ? tryParseAddress(address) : undefined;
    if (parsed !== undefined && !addresses.has(parsed.family)) addresses.set(parsed.family, formatAddress(parsed));
  }
  const asNumber = parseAsNumber(annotations['projectcalico.org/ASNumber']);
  const cluster = annotations['projectcalico.org/RouteReflectorClusterID'];
  return {
    name: node.metadata.name,
    labels: new Map(Object.entries(node.metadata.labels ?? {})),
    addresses,
    ...(asNumber === undefined ? {} : { asNumber }),
    routerId: addresses.get(4) ?? hashedRouterId(node.metadata.name),
    ...(cluster === undefined || cluster === '' ? {} : { reflectorClusterId: cluster }),
  };
}

/** "10.0.0.1/24" or "10.0.0.1". */
function annotatedAddress(text: string | undefined, family: Family): string | undefined {
  if (text === undefined) return undefined;
  if (text.includes('/') && tryParsePrefix(text) === undefined) return undefined;
  const address = tryParseAddress(text.split('/')[0] ?? '');
  return address?.family === family ? formatAddress(address) : undefined;
}

/** A node without IPv4 still needs four octets that nobody else has and that survive a restart (RFC 6286: any but zero). */
function hashedRouterId(name: string): string {
  return formatIpv4(createHash('sha256').update(name).digest().readUInt32BE(0) || 1);
}
