/**
 * Peers times ports of one rule: what the Kubernetes policy APIs have in common.
 *
 * A port name is resolved on the destination pod: for ingress that is the pod the policy protects, for egress each peer pod. A peer
 * that is no pod selection (a block, a node) has no names, so such a combination matches nothing.
 */
import type { Alternative, Direction, EntityMatch, NamedPortMatch } from '../model/policy.js';
import type { PortRange } from '../ruleset.js';
import { rulesOfPeer, rulesOfPorts, type RuleBudget } from './rule-budget.js';

/** What a rule says about ports: one protocol and some of its ports, or a name, or nothing. */
export interface PortsMatch {
  readonly protocol?: number;
  readonly ports?: readonly PortRange[];
  readonly namedPort?: NamedPortMatch;
}

/** `[{}]` for either list means anything. @throws OverBudget */
export function alternativesOf(
  direction: Direction,
  peers: readonly EntityMatch[],
  ports: readonly PortsMatch[],
  budget: RuleBudget,
): readonly Alternative[] {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
  budget.spend(sum(peers.map(rulesOfPeer)) * sum(ports.map((port) => rulesOfPorts(port.ports))));
  return peers.flatMap((peer) =>
    ports.map((port) => alternativeOf(direction, peer, port)).filter((one) => one !== undefined),
  );
}

/** Has a peer to which port names mean nothing? */
export const hasNamelessPeer = (peers: readonly EntityMatch[]): boolean =>
  peers.some((peer) => peer.networks !== undefined || peer.nodes !== undefined);

function alternativeOf(direction: Direction, peer: EntityMatch, port: PortsMatch): Alternative | undefined {
  const { protocol, namedPort, ports } = port;
  const shared = protocol === undefined ? {} : { protocol };
  const wanted: EntityMatch = {
    ...(ports === undefined ? {} : { ports }),
    ...(namedPort === undefined ? {} : { namedPort }),
  };
  if (direction === 'ingress') return { ...shared, source: peer, destination: wanted };
  if (namedPort !== undefined && hasNamelessPeer([peer])) return undefined;
  return { ...shared, destination: { ...peer, ...wanted } };
}
