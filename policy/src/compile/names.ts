/**
 * Names and marks that the compiled ruleset uses. Operators script against them: docs/policy.md lists them.
 */
import { policyKeyText, type Direction, type PolicyKey } from '../model/policy.js';
import { shortId } from '../ruleset.js';

/** Set by a policy that allows the packet in the direction being asked. */
export const MARK_ALLOW = 0x00010000;
/** Set by a policy that passes the packet on to the next tier. */
export const MARK_PASS = 0x00020000;

/** Set on a packet that a host endpoint's policy of an earlier table allowed. */
export const MARK_HOST_ALLOW = 0x00040000;

/** Goto targets: they set the mark and return to whoever called the policy's chain. */
export const ALLOW_CHAIN = 'TORTIE-ALLOW';
export const PASS_CHAIN = 'TORTIE-PASS';

/** Dispatch maps. */
export const FROM_MAP = 'TORTIE-FROM';
export const TO_MAP = 'TORTIE-TO';

/** Dispatch maps to what limits an interface, in mangle. */
export const LIMIT_FROM_MAP = 'TORTIE-LFROM';
export const LIMIT_TO_MAP = 'TORTIE-LTO';

/** Addresses of all nodes. */
export const NODE_SET = 'nodes';
/** Addresses that may reach the BGP and BFD ports of this node, or of others (resolve/bgp-peers.ts). */
export const BGP_PEER_SETS = { 'own-node': 'bgp-peers', nodes: 'bgp-peers-any' } as const;
/** Ranges of Services that this node announces. */
export const SERVICE_RANGE_SET = 'service-ranges';

/** Addresses of the nodes at the other ends of this node's tunnels (resolve/tunnel-peers.ts). */
export const TUNNEL_PEER_SETS = { vxlan: 'vxlan-peers', ipip: 'ipip-peers' } as const;

/** Sets of local addresses that no policy holds in a direction (resolve/open-endpoints.ts). */
export const OPEN_SETS: Readonly<Record<Direction, string>> = { egress: 'open-egress', ingress: 'open-ingress' };

/** Of an endpoint: what it sends (egress) and what it receives (ingress). 12 + 15 characters at most. */
export const endpointChainName = (direction: Direction, interfaceName: string): string =>
  `${direction === 'egress' ? FROM_MAP : TO_MAP}-${interfaceName}`;

/** Of an interface with limits. 12 + 16 characters at most. */
export const limitChainName = (direction: Direction, interfaceName: string): string =>
  `${direction === 'egress' ? LIMIT_FROM_MAP : LIMIT_TO_MAP}-${interfaceName}`;

/** Of a policy in one direction: 10 + 18 characters. Asked for every endpoint that the policy holds, at every change. */
export function policyChainName(direction: Direction, key: PolicyKey): string {
  let names = policyChainNames.get(key);
  if (names === undefined) {
    const id = shortId(key.kind, key.namespace, key.name);
    names = { ingress: `TORTIE-PI-${id}`, egress: `TORTIE-PO-${id}` };
    policyChainNames.set(key, names);
  }
  return names[direction];
}

const policyChainNames = new WeakMap<PolicyKey, Readonly<Record<Direction, string>>>();

/** "NetworkPolicy shop/web" */
export const policyNote = (key: PolicyKey): string =>
  key.namespace === '' ? `${key.kind} ${key.name}` : policyKeyText(key);
