/**
 * Where a node's routing daemon listens: BGP and BFD. A pod that reaches these ports may take a speaker's time, whatever the speaker then
 * says to a stranger; so only pods that somebody has made peers do.
 */
import type { Match, Rule } from '../ruleset.js';
import { BGP_PEER_SETS, NODE_SET } from './names.js';

const TCP = 6;
const UDP = 17;
/** RFC 4271 section 4. */
export const BGP_PORT = 179;
/** RFC 5881 section 4: control, echo. RFC 5883 section 5: multihop. */
const BFD_PORTS = [3784, 3785, 4784];

/** `listenPorts`: where speakers of this cluster listen beside 179. */
export const isBgpPort = (protocol: number, port: number, listenPorts: readonly number[]): boolean =>
  protocol === TCP ? port === BGP_PORT || listenPorts.includes(port) : protocol === UDP && BFD_PORTS.includes(port);

/** For a pod's packets to this very node, or to others. */
export function bgpPortRules(
  fromPod: Match,
  to: 'own-node' | 'nodes',
  listenPorts: readonly number[],
): readonly Rule[] {
  const isNoPeer: Match = { type: 'set', side: 'source', set: BGP_PEER_SETS[to], not: true };
  const toNodes: readonly Match[] = to === 'nodes' ? [{ type: 'set', side: 'destination', set: NODE_SET }] : [];
  const kinds: readonly (readonly [number, readonly number[]])[] = [
    [TCP, [...new Set([BGP_PORT, ...listenPorts])].slice(0, MOST_PORTS)],
    [UDP, BFD_PORTS],
  ];
  return kinds.map(([protocol, ports]) => ({
    matches: [
      fromPod,
      { type: 'protocol', protocol },
      { type: 'ports', side: 'destination', ports: ports.map((port) => ({ from: port, to: port })) },
      ...toNodes,
      isNoPeer,
    ],
    action: { type: 'drop' },
    note: `${protocol === TCP ? 'BGP' : 'BFD'} from a pod that is no peer`,
  }));
}

/** What one rule takes (ruleset.ts). */
const MOST_PORTS = 15;
