/** bgpd's summary as the part of NodeStatus that the cluster sees. */
import type { SpeakerSummary } from 'node-bgp/speaker/view';
import type { NodeBgpStatus } from '../api/node-status.js';

export interface BgpReport {
  readonly status?: NodeBgpStatus;
  /** A sentence for every session that is not up and every address that cannot be listened on. */
  readonly problems: readonly string[];
}

/** `summary` is what bgpd answered; undefined while it does not. */
export function bgpStatusOf(summary: SpeakerSummary | undefined): BgpReport {
  if (summary === undefined) return { problems: [] };
  const down = summary.peers.filter((peer) => !peer.isEstablished);
  return {
    status: {
      asNumber: summary.localAs,
      routerId: summary.routerId,
      sessions: `${summary.peers.length - down.length}/${summary.peers.length}`,
      peers: summary.peers.map((peer) => ({
        name: peer.name,
        address: peer.address,
        asNumber: peer.remoteAs,
        state: peer.state,
        since: peer.since,
        receivedPrefixes: sum(peer.families, 'received'),
        advertisedPrefixes: sum(peer.families, 'advertised'),
        ...(peer.lastError === undefined ? {} : { lastError: peer.lastError }),
      })),
    },
    problems: [
      ...summary.listen.flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
      ...down.map((peer) => `Peer ${peer.name} (${peer.address}) is ${peer.state}${reasonOf(peer)}`),
    ],
  };
}

function reasonOf({ heldDown, lastError }: { readonly heldDown?: string; readonly lastError?: string }): string {
  const reason = heldDown ?? lastError;
  return reason === undefined ? '' : `: ${reason}`;
}

function sum(families: SpeakerSummary['peers'][number]['families'], field: 'received' | 'advertised'): number {
  return Object.values(families).reduce((total, counts) => total + counts[field], 0);
}
