/**
 * Who a node is to BGP: addresses, AS number, router id, reflector cluster. From the Node object alone, so that all nodes
 * think the same of each other.
 */
import { createHash } from 'node:crypto';
import {
  containsAddress,
  formatAddress,
  formatIpv4,
  parsePrefix,
  tryParseAddress,
  tryParsePrefix,
  type Family,
  type IpAddress,
} from 'node-bgp/address';
import { fieldProblems } from 'node-bgp/config/parts';
import type { Node } from '../api/core.js';
import { quoted } from './problems.js';
import { parseAsNumber } from './values.js';

export interface NodeIdentity {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Canonical address of each family the node has. */
  readonly addresses: ReadonlyMap<Family, string>;
  /** Families of which another node has its address: told where that was found (node-twins.ts). */
  readonly lost?: readonly Family[];
  /** Absent: the cluster's. */
  readonly asNumber?: number;
  readonly routerId: string;
  /** Set on route reflectors; they stand outside the mesh. */
  readonly reflectorClusterId?: string;
  /** 0: the node says that it is well; 1: nothing is known; 2: it is not. */
  readonly doubt: 0 | 1 | 2;
  /** RFC 3339; empty: not known. */
  readonly createdAt: string;
  /** What could not be used of the object: the field, and a text that goes on after it. */
  readonly faults: readonly NodeFault[];
}

export interface NodeFault {
  readonly field: string;
  readonly text: string;
}

/** Calico's annotations win over what the kubelet reported. */
const ADDRESS_ANNOTATIONS: readonly (readonly [Family, string])[] = [
  [4, 'projectcalico.org/IPv4Address'],
  [6, 'projectcalico.org/IPv6Address'],
];
const AS_ANNOTATION = 'projectcalico.org/ASNumber';
const CLUSTER_ANNOTATION = 'projectcalico.org/RouteReflectorClusterID';

/** No node can be reached at these: RFC 6890, RFC 4291 2.4. */
const NO_NODE = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/128',
  '::1/128',
  '::ffff:0:0/96',
  'fe80::/10',
  'ff00::/8',
].map((text) => parsePrefix(text));

const annotationField = (name: string): string => `metadata.annotations[${name}]`;

/** Objects never change: every look at one of a thousand nodes, from each of a thousand, is the same. */
const known = new WeakMap<Node, NodeIdentity>();

export function identityOf(node: Node): NodeIdentity {
  const identity = known.get(node) ?? identify(node);
  known.set(node, identity);
  return identity;
}

function identify(node: Node): NodeIdentity {
  const annotations = node.metadata.annotations ?? {};
  const faults: NodeFault[] = [];
  const addresses = addressesOf(node, faults);
  const asNumber = annotatedAsNumber(annotations[AS_ANNOTATION], faults);
  const reflectorClusterId = annotatedClusterId(annotations[CLUSTER_ANNOTATION], faults);
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return {
    name: node.metadata.name,
    labels: new Map(Object.entries(node.metadata.labels ?? {})),
    addresses,
    ...(asNumber === undefined ? {} : { asNumber }),
    routerId: addresses.get(4) ?? hashedRouterId(node.metadata.name),
    ...(reflectorClusterId === undefined ? {} : { reflectorClusterId }),
    doubt: ready === 'True' ? 0 : ready === 'False' ? 2 : 1,
    createdAt: node.metadata.creationTimestamp ?? '',
    faults,
  };
}

function addressesOf(node: Node, faults: NodeFault[]): ReadonlyMap<Family, string> {
  const addresses = new Map<Family, string>();
  for (const [family, annotation] of ADDRESS_ANNOTATIONS) {
    const text = node.metadata.annotations?.[annotation];
    if (text === undefined || text === '') continue;
    const address = annotatedAddress(text);
    if (address?.family === family && isNodeAddress(address)) addresses.set(family, formatAddress(address));
    else
      faults.push({
        field: annotationField(annotation),
        text:
          `is ${quoted(text)}; expected an IPv${family} address that other nodes can reach, such as ` +
          `${family === 4 ? '10.0.0.1/24' : '2001:db8::1/64'}; going by status.addresses`,
      });
  }
  for (const [index, { type, address: text }] of (node.status?.addresses ?? []).entries()) {
    if (type !== 'InternalIP') continue;
    const address = tryParseAddress(text);
    if (address !== undefined && addresses.has(address.family)) continue;
    if (address !== undefined && isNodeAddress(address)) addresses.set(address.family, formatAddress(address));
    else
      faults.push({
        field: `status.addresses[${index}]`,
        text: `is ${quoted(text)}; expected an address that other nodes can reach; left out`,
      });
  }
  return addresses;
}

const isNodeAddress = (address: IpAddress): boolean => !NO_NODE.some((range) => containsAddress(range, address));

/** "10.0.0.1/24" or "10.0.0.1". */
function annotatedAddress(text: string): IpAddress | undefined {
  if (text.includes('/') && tryParsePrefix(text) === undefined) return undefined;
  return tryParseAddress(text.split('/')[0] ?? '');
}

function annotatedAsNumber(text: string | undefined, faults: NodeFault[]): number | undefined {
  if (text === undefined || text === '') return undefined;
  const asNumber = parseAsNumber(text);
  const [wrong] = fieldProblems('localAs', asNumber ?? NaN);
  if (asNumber !== undefined && wrong === undefined) return asNumber;
  faults.push({
    field: annotationField(AS_ANNOTATION),
    text: `is ${quoted(text)}; expected ${wrong?.expected ?? 'an AS number'}; using the cluster's`,
  });
  return undefined;
}

/** Reflectors that share it are one cluster (RFC 4456 section 7). What is no dotted quad still makes a reflector of the node. */
function annotatedClusterId(text: string | undefined, faults: NodeFault[]): string | undefined {
  if (text === undefined || text === '') return undefined;
  const [wrong] = fieldProblems('clusterId', text);
  if (wrong !== undefined)
    faults.push({
      field: annotationField(CLUSTER_ANNOTATION),
      text: `is ${quoted(text)}; expected ${wrong.expected}; using the router id`,
    });
  return text;
}

/** A node without IPv4 still needs four octets that nobody else has and that survive a restart (RFC 6286: any but zero). */
function hashedRouterId(name: string): string {
  return formatIpv4(createHash('sha256').update(name).digest().readUInt32BE(0) || 1);
}
