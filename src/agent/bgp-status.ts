/** bgpd's answers as the part of NodeStatus that the cluster sees. */
import type { PeerSummary, SpeakerSummary } from 'node-bgp/speaker/view';
import type { NodeBgpStatus } from '../api/node-status.js';
import { inWordsOfResources } from '../topology/field-words.js';
import type { BgpLoopStatus } from './bgp-loop.js';
import type { Aspect } from './node-status.js';

export interface BgpReport {
  readonly status?: NodeBgpStatus;
  readonly aspect: Aspect;
}

/** The CRD's bound. */
const MOST_ERROR_LENGTH = 1_024;

/**
 * What NodeStatus was told last. Other loops have it written as well, at a moment when bgpd has been told and not been looked at yet, say:
 * news is what differs from what was written, not from what was seen before.
 */
export class BgpReporter {
  private told = '';

  constructor(private readonly status: () => BgpLoopStatus) {}

  /** For NodeStatus, which is written with it. */
  report(): BgpReport {
    const report = bgpReportOf(this.status());
    this.told = JSON.stringify(report);
    return report;
  }

  /** Without telling anybody. */
  look(): BgpReport {
    return bgpReportOf(this.status());
  }

  hasNews(): boolean {
    return JSON.stringify(bgpReportOf(this.status())) !== this.told;
  }
}

export function bgpReportOf({ problems, stateProblem, summary }: BgpLoopStatus): BgpReport {
  const sentences = (severity: 'problem' | 'notice'): readonly string[] =>
    problems.filter((each) => each.severity === severity).map(({ resource, message }) => `${resource} ${message}`);
  return {
    ...(summary === undefined ? {} : { status: statusOf(summary) }),
    aspect: {
      type: 'BGPReady',
      problems: [
        ...(stateProblem === undefined ? [] : [stateProblem]),
        ...(summary === undefined ? [] : sessionProblems(summary)),
      ],
      warnings: sentences('problem'),
      notices: sentences('notice'),
      wellMessage: summary?.peers.length === 0 ? 'No sessions are asked for' : 'All sessions are established',
    },
  };
}

function statusOf({ localAs, routerId, peers }: SpeakerSummary): NodeBgpStatus {
  return {
    asNumber: localAs,
    routerId,
    sessions: `${peers.filter((peer) => peer.isEstablished).length}/${peers.length}`,
    peers: peers.map((peer) => ({
      name: peer.name,
      address: peer.address,
      ...(peer.localAddress === undefined ? {} : { localAddress: peer.localAddress }),
      asNumber: peer.remoteAs,
      state: peer.state,
      since: peer.since,
      establishedCount: peer.establishedCount,
      receivedPrefixes: sum(peer.families, 'received'),
      acceptedPrefixes: sum(peer.families, 'accepted'),
      advertisedPrefixes: sum(peer.families, 'advertised'),
      // Of a session that is up it is history; `tortie bgp neighbor` has it.
      ...(peer.lastError === undefined || peer.isEstablished
        ? {}
        : { lastError: inWordsOfResources(peer.lastError).slice(0, MOST_ERROR_LENGTH) }),
    })),
  };
}

/** A sentence for every session that is not up or of no use, and every address that cannot be listened on. */
function sessionProblems({ listen, peers }: SpeakerSummary): readonly string[] {
  return [
    ...listen.flatMap(({ problem }) => (problem === undefined ? [] : [inWordsOfResources(problem)])),
    ...peers.flatMap((peer) => {
      if (!peer.isEstablished) return [`Peer ${peer.name} (${peer.address}) is ${peer.state}${reasonOf(peer)}`];
      return peer.problem === undefined
        ? []
        : [`Peer ${peer.name} (${peer.address}) is Established. ${inWordsOfResources(peer.problem)}`];
    }),
  ];
}

function reasonOf({ heldDown, lastError }: PeerSummary): string {
  const reason = heldDown ?? lastError;
  return reason === undefined ? '' : `: ${inWordsOfResources(reason)}`;
}

function sum(families: PeerSummary['families'], field: 'received' | 'accepted' | 'advertised'): number {
  return Object.values(families).reduce((total, counts) => total + counts[field], 0);
}
