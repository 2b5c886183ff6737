/**
 * Packets in packets, from a pod to a node. A node that ends tunnels of an overlay unwraps them before any policy and takes what is inside
 * for another node's: whoever may send them is whoever it likes. Pods do so only where the operator says so; among each other, and to
 * the rest of the world, they do as their policies let them.
 *
 * And what comes for the tunnels that this node itself ends (pools with vxlanMode or ipipMode): from nodes that have the other end, and
 * from nobody else. No policy of a host endpoint closes them, as none closes them in Calico: they carry what pods' policies are about.
 */
import type { TunnelKind } from '../objects.js';
import type { Match, Rule } from '../ruleset.js';
import { NODE_SET, TUNNEL_PEER_SETS } from './names.js';

const UDP = 17;
/** IANA's port of VXLAN (RFC 7348), and Linux's, from before there was one. */
const VXLAN_PORTS = [4789, 8472];
/** IPv4 and IPv6 in IP (RFC 2003, RFC 2473, RFC 4213). */
const IP_IN_IP = [4, 41];

export const isTunnel = (protocol: number, port: number): boolean =>
  IP_IN_IP.includes(protocol) || (protocol === UDP && VXLAN_PORTS.includes(port));

/** For a pod's packets to this very node, or to others. */
export function tunnelRules(fromPod: Match, to: 'own-node' | 'nodes'): readonly Rule[] {
  const toNodes: readonly Match[] = to === 'nodes' ? [{ type: 'set', side: 'destination', set: NODE_SET }] : [];
  const ports = VXLAN_PORTS.map((port) => ({ from: port, to: port }));
  const vxlan: readonly Match[] = [
    { type: 'protocol', protocol: UDP },
    { type: 'ports', side: 'destination', ports },
  ];
  const kinds = [vxlan, ...IP_IN_IP.map((protocol): readonly Match[] => [{ type: 'protocol', protocol }])];
  return kinds.map((kind) => ({
    matches: [fromPod, ...kind, ...toNodes],
    action: { type: 'drop' },
    note: 'tunnel from a pod to a node',
  }));
}

/** VXLAN's port is the one that tunnels of ours have; IPv6 in IP is none of ours. */
const OWN_TUNNELS: Readonly<Record<TunnelKind, readonly Match[]>> = {
  vxlan: [
    { type: 'protocol', protocol: UDP },
    { type: 'ports', side: 'destination', ports: [{ from: 4789, to: 4789 }] },
  ],
  ipip: [{ type: 'protocol', protocol: 4 }],
};

/** What others send to the ends of this node's tunnels. */
export const tunnelInput = (kinds: readonly TunnelKind[]): readonly Rule[] =>
  kinds.flatMap((kind): readonly Rule[] => [
    {
      matches: [...OWN_TUNNELS[kind], { type: 'set', side: 'source', set: TUNNEL_PEER_SETS[kind], not: true }],
      action: { type: 'drop' },
      note: `${kind} from somebody who is no node`,
    },
    { matches: OWN_TUNNELS[kind], action: { type: 'accept' }, note: `${kind} from a node` },
  ]);

/** What this node sends into them. */
export const tunnelOutput = (kinds: readonly TunnelKind[]): readonly Rule[] =>
  kinds.map((kind) => ({
    matches: [
      ...OWN_TUNNELS[kind],
      { type: 'local', side: 'source' },
      { type: 'set', side: 'destination', set: TUNNEL_PEER_SETS[kind] },
    ],
    action: { type: 'accept' },
    note: `${kind} to a node`,
  }));
