/**
 * What an operator says of a cluster that is to run Tortie, read from options, and the objects that follow from it: pools, AS
 * number, peers. Pure.
 */
import { formatPrefix, parsePrefix, tryParseAddress, type IpPrefix } from 'node-bgp/address';
import { messageOf, UserError } from '../errors.js';
import type { Manifest } from './manifest.js';

export interface RouterPeer {
  readonly address: string;
  readonly asNumber: number;
}

export interface InstallSettings {
  readonly podCidrs: readonly IpPrefix[];
  readonly asNumber: number;
  /** Routers that every node peers with; none: the nodes peer with one another. */
  readonly peers: readonly RouterPeer[];
  /** Where agents find the API server when no Service leads there. */
  readonly apiServer?: { readonly host: string; readonly port: number };
}

/** Prefix length of a node's block, as Calico's defaults. */
const BLOCK_SIZE = { 4: 26, 6: 122 } as const;
const MOST_AS = 0xffff_ffff;
const GROUP = 'projectcalico.org/v3';

/** @throws UserError naming the option's value */
export function parsePodCidr(text: string): IpPrefix {
  try {
    return parsePrefix(text);
  } catch (error) {
    throw new UserError(`Cannot use --pod-cidr "${text}": ${messageOf(error)}`, 2);
  }
}

/** "64512". @throws UserError */
export function parseAsNumber(text: string, option: string): number {
  const asNumber = Number(text);
  if (!/^\d+$/.test(text) || asNumber < 1 || asNumber > MOST_AS)
    throw new UserError(`Cannot use ${option} "${text}": expected an AS number, 1 to ${MOST_AS}`, 2);
  return asNumber;
}

/** "192.0.2.1=65001". @throws UserError */
export function parseRouterPeer(text: string): RouterPeer {
  const [address = '', as = '', ...rest] = text.split('=');
  if (rest.length > 0 || tryParseAddress(address) === undefined)
    throw new UserError(`Cannot use --peer "${text}": expected ADDRESS=AS, such as 192.0.2.1=65001`, 2);
  return { address, asNumber: parseAsNumber(as, '--peer') };
}

/** "192.0.2.10:6443" or "[2001:db8::10]:6443". @throws UserError */
export function parseApiServer(text: string): { readonly host: string; readonly port: number } {
  const [, inBrackets, plain, digits = ''] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = inBrackets ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535)
    throw new UserError(`Cannot use --api-server "${text}": expected HOST:PORT, such as 192.0.2.10:6443`, 2);
  return { host, port };
}

/** One pool for each CIDR, the cluster's BGP, one BGPPeer for each router. */
export function objectsOf({ podCidrs, asNumber, peers, apiServer }: InstallSettings): readonly Manifest[] {
  return [
    ...podCidrs.map((cidr, index): Manifest => {
      const { family, length } = cidr;
      const isOnly = podCidrs.filter((other) => other.family === family).length === 1;
      return {
        apiVersion: GROUP,
        kind: 'IPPool',
        metadata: { name: `default-ipv${family}${isOnly ? '' : `-${index + 1}`}` },
        spec: { cidr: formatPrefix(cidr), blockSize: Math.max(BLOCK_SIZE[family], length) },
      };
    }),
    {
      apiVersion: GROUP,
      kind: 'BGPConfiguration',
      metadata: { name: 'default' },
      spec: { asNumber, nodeToNodeMeshEnabled: peers.length === 0 },
    },
    ...peers.map(
      ({ address, asNumber: remote }, index): Manifest => ({
        apiVersion: GROUP,
        kind: 'BGPPeer',
        metadata: { name: `router-${index + 1}` },
        spec: {
          peerIP: address,
          asNumber: remote,
          // All nodes share an AS: what a router tells of others has it in its path.
          ...(remote === asNumber ? {} : { numAllowedLocalASNumbers: 1 }),
        },
      }),
    ),
    ...(apiServer === undefined
      ? []
      : [
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: { name: 'kubernetes-services-endpoint', namespace: 'tortie-system' },
            data: { KUBERNETES_SERVICE_HOST: apiServer.host, KUBERNETES_SERVICE_PORT: String(apiServer.port) },
          } satisfies Manifest,
        ]),
  ];
}
