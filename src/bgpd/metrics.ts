/**
 * Prometheus metrics. Cardinality is bounded by the configuration: labels are peer names and families, never prefixes or addresses
 * of strangers, and peers out of ranges count under their range.
 */
import type { PeerDetail } from 'node-bgp/speaker/view';
import type { Daemon } from './daemon.js';

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** BOUNDED: peers that get a series of their own; the rest is summed under peer="other". */
const MAX_PEERS = 1000;

export function renderMetrics(daemon: Daemon): string {
  const { speaker } = daemon;
  const lines: string[] = [];
  const metric = (name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]): void => {
    lines.push(`# HELP tortie_bgp_${name} ${help}`, `# TYPE tortie_bgp_${name} ${type}`);
    for (const { labels, value } of samples) lines.push(`tortie_bgp_${name}${labelText(labels)} ${value}`);
  };
  const plain = (value: number): readonly Sample[] => [{ labels: {}, value }];
  metric('process_resident_memory_bytes', 'gauge', 'Resident memory of bgpd.', plain(process.memoryUsage.rss()));
  if (speaker.config === undefined) return `${lines.join('\n')}\n`;
  const summary = speaker.summary();
  metric('uptime_seconds', 'gauge', 'Seconds since bgpd started.', plain(summary.seconds));
  metric('restarting', 'gauge', '1 while routes are held back after a restart (RFC 4724).', plain(summary.isRestarting ? 1 : 0));
  metric('rib_prefixes', 'gauge', 'Prefixes with a best path.', families((family) => summary.tables[family].prefixes));
  metric('rib_paths', 'gauge', 'Paths of all peers.', families((family) => summary.tables[family].paths));
  const kernel = daemon.fibStatus;
  if (kernel !== undefined) {
    metric('kernel_routes', 'gauge', 'Routes in the kernel.', plain(kernel.routes));
    metric('kernel_routes_refused', 'gauge', 'Routes that the kernel does not take.', plain(kernel.refused));
    metric('kernel_routes_stale', 'gauge', 'Routes of a former process, not yet confirmed.', plain(kernel.stale));
  }
  const peers = speaker.neighborNames.slice(0, MAX_PEERS).flatMap((name) => speaker.neighbor(name) ?? []);
  peerMetrics(peers, metric);
  return `${lines.join('\n')}\n`;
}

type Metric = (name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]) => void;

function peerMetrics(peers: readonly PeerDetail[], metric: Metric): void {
  const perPeer = (valueOf: (peer: PeerDetail) => number | undefined): readonly Sample[] => peers.flatMap((peer) => {
    const value = valueOf(peer);
    return value === undefined ? [] : [{ labels: { peer: peer.name, remote_as: String(peer.remoteAs) }, value }];
  });
  const perFamily = (valueOf: (counts: { readonly received: number; readonly accepted: number; readonly stale: number; readonly advertised: number }) => number): readonly Sample[] =>
    peers.flatMap((peer) => Object.entries(peer.families).map(([family, counts]) => ({ labels: { peer: peer.name, remote_as: String(peer.remoteAs), family }, value: valueOf(counts) })));
  metric('peer_up', 'gauge', '1 when the session is Established.', perPeer((peer) => (peer.isEstablished ? 1 : 0)));
  metric('peer_established_total', 'counter', 'Times the session came up.', perPeer((peer) => peer.establishedCount));
  metric('peer_state_seconds', 'gauge', 'Seconds since the session came up or went down.', perPeer((peer) => peer.seconds));
  metric('peer_received_messages', 'counter', 'Messages received in this session.', perPeer((peer) => peer.messagesReceived));
  metric('peer_sent_messages', 'counter', 'Messages sent in this session.', perPeer((peer) => peer.messagesSent));
  metric('peer_received_bytes', 'counter', 'Octets received in this session.', perPeer((peer) => peer.received?.bytes));
  metric('peer_sent_bytes', 'counter', 'Octets sent in this session.', perPeer((peer) => peer.sent?.bytes));
  metric('peer_queued_bytes', 'gauge', 'Octets that wait for the peer to read.', perPeer((peer) => peer.queuedBytes));
  metric('peer_prefixes_received', 'gauge', 'Paths received, before policy.', perFamily((counts) => counts.received));
  metric('peer_prefixes_accepted', 'gauge', 'Paths let in by policy.', perFamily((counts) => counts.accepted));
  metric('peer_prefixes_stale', 'gauge', 'Paths kept over a restart of the peer.', perFamily((counts) => counts.stale));
  metric('peer_prefixes_advertised', 'gauge', 'Prefixes advertised.', perFamily((counts) => counts.advertised));
}

const families = (valueOf: (family: 'ipv4' | 'ipv6') => number): readonly Sample[] =>
  (['ipv4', 'ipv6'] as const).map((family) => ({ labels: { family }, value: valueOf(family) }));

function labelText(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return '';
  return `{${entries.map(([name, value]) => `${name}="${value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`))}"`).join(',')}}`;
}
