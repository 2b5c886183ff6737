/**
 * Prometheus metrics. Cardinality is bounded by the configuration: labels are names of configured peers, of ranges, of BMP stations, and
 * address families; never prefixes, nor addresses of strangers. Peers out of a range are one series, peer="RANGE/*", their sum; of
 * configured peers the first MAX_PEERS have series of their own, the rest is summed as peer="other".
 *
 * A counter of a session begins again with the next session; `rate()` knows how to read that. In a sum it may go down when a peer leaves.
 */
import { peerName } from 'node-bgp/config/peer-rules';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { MetricText, plain, type Sample } from '../prometheus.js';
import type { Daemon } from './daemon.js';

const MAX_PEERS = 1000;

type Metric = (name: string, type: 'gauge' | 'counter', help: string, samples: readonly Sample[]) => void;

export function renderMetrics(daemon: Pick<Daemon, 'speaker' | 'fibStatus'>): string {
  const { speaker } = daemon;
  const text = new MetricText('tortie_bgp_');
  const metric: Metric = (name, type, help, samples) => text.add(name, type, help, samples);
  text.addProcess();
  const { config } = speaker;
  if (config === undefined) return text.toString();
  const summary = speaker.summary();
  metric('uptime_seconds', 'gauge', 'Seconds since bgpd started.', plain(summary.seconds));
  metric(
    'restarting',
    'gauge',
    '1 while routes are held back after a restart (RFC 4724).',
    plain(summary.isRestarting ? 1 : 0),
  );
  metric(
    'draining',
    'gauge',
    '1 while everything is announced with GRACEFUL_SHUTDOWN (RFC 8326).',
    plain(summary.isDraining ? 1 : 0),
  );
  metric(
    'listen_failures',
    'gauge',
    'Addresses that bgpd should listen on and cannot.',
    plain(summary.listen.filter(({ problem }) => problem !== undefined).length),
  );
  metric(
    'rib_prefixes',
    'gauge',
    'Prefixes with a best path.',
    families((family) => summary.tables[family].prefixes),
  );
  metric(
    'rib_paths',
    'gauge',
    'Paths of all peers.',
    families((family) => summary.tables[family].paths),
  );
  metric(
    'bmp_up',
    'gauge',
    '1 while the BMP station has taken our connection.',
    summary.bmp.map(({ station, isUp }) => ({ labels: { station }, value: isUp ? 1 : 0 })),
  );
  const kernel = daemon.fibStatus;
  if (kernel !== undefined) {
    metric('kernel_routes', 'gauge', 'Routes in the kernel.', plain(kernel.routes));
    metric('kernel_routes_refused', 'gauge', 'Routes that the kernel does not take.', plain(kernel.refused));
    metric(
      'kernel_routes_contested',
      'gauge',
      'Routes that somebody else keeps changing, put right only from time to time.',
      plain(kernel.contested),
    );
    metric(
      'kernel_routes_repaired_total',
      'counter',
      'Routes put right that the kernel had dropped or somebody else had changed.',
      plain(kernel.repaired),
    );
    metric('kernel_routes_stale', 'gauge', 'Routes of a former process, not yet confirmed.', plain(kernel.stale));
  }
  const peers = speaker.neighborNames.flatMap((name) => speaker.neighbor(name) ?? []);
  peerMetrics(groupsOf(peers, new Set((config.peers ?? []).map(peerName)), MAX_PEERS), metric);
  return text.toString();
}

/** Peers that share a series. */
export interface PeerGroup {
  readonly labels: Readonly<Record<string, string>>;
  readonly peers: readonly PeerDetail[];
}

/** A peer out of a range is called "RANGE/ADDRESS", and an address has no slash. */
export function groupsOf(
  peers: readonly PeerDetail[],
  configured: ReadonlySet<string>,
  most: number,
): readonly PeerGroup[] {
  const shared = new Map<string, PeerDetail[]>();
  const own: PeerGroup[] = [];
  for (const peer of peers) {
    const isOwn = configured.has(peer.name);
    if (isOwn && own.length < most) {
      own.push({ labels: { peer: peer.name, remote_as: String(peer.remoteAs) }, peers: [peer] });
      continue;
    }
    const name = isOwn ? 'other' : `${peer.name.slice(0, peer.name.lastIndexOf('/'))}/*`;
    const list = shared.get(name);
    if (list === undefined) shared.set(name, [peer]);
    else list.push(peer);
  }
  return [...own, ...[...shared].map(([peer, list]) => ({ labels: { peer, remote_as: '' }, peers: list }))];
}

function peerMetrics(groups: readonly PeerGroup[], metric: Metric): void {
  const perPeer = (reading: (peer: PeerDetail) => number | undefined): readonly Sample[] =>
    groups.flatMap(({ labels, peers }) => {
      const values = peers.flatMap((peer) => reading(peer) ?? []);
      return values.length === 0 ? [] : [{ labels, value: sum(values) }];
    });
  const alone = (reading: (peer: PeerDetail) => number): readonly Sample[] =>
    groups.flatMap(({ labels, peers: [peer, ...more] }) =>
      peer === undefined || more.length > 0 || labels['remote_as'] === '' ? [] : [{ labels, value: reading(peer) }],
    );
  metric(
    'peers',
    'gauge',
    'Peers in this series.',
    groups.map(({ labels, peers }) => ({ labels, value: peers.length })),
  );
  metric(
    'peer_up',
    'gauge',
    '1 when the session is Established; in a sum, how many are.',
    perPeer((peer) => (peer.isEstablished ? 1 : 0)),
  );
  metric(
    'peer_held_down',
    'gauge',
    '1 when it is kept down on purpose: shut down, a limit was crossed, its link is gone.',
    perPeer((peer) => (peer.heldDown === undefined ? 0 : 1)),
  );
  metric(
    'peer_established_total',
    'counter',
    'Times the session came up.',
    perPeer((peer) => peer.establishedCount),
  );
  metric(
    'peer_state_seconds',
    'gauge',
    'Seconds since the session came up or went down.',
    alone((peer) => peer.seconds),
  );
  metric(
    'peer_hold_time_seconds',
    'gauge',
    'Hold time that was agreed, 0 for none.',
    alone((peer) => peer.holdTime ?? 0),
  );
  metric(
    'peer_bfd_up',
    'gauge',
    '1 when BFD sees the peer.',
    perPeer((peer) => (peer.bfd === undefined ? undefined : peer.bfd === 'up' ? 1 : 0)),
  );
  metric('peer_received_messages_total', 'counter', 'Messages received in this session.', perType(groups, 'received'));
  metric('peer_sent_messages_total', 'counter', 'Messages sent in this session.', perType(groups, 'sent'));
  metric(
    'peer_received_bytes_total',
    'counter',
    'Octets received in this session.',
    perPeer((peer) => peer.received?.bytes),
  );
  metric(
    'peer_sent_bytes_total',
    'counter',
    'Octets sent in this session.',
    perPeer((peer) => peer.sent?.bytes),
  );
  metric(
    'peer_queued_bytes',
    'gauge',
    'Octets that wait for the peer to read.',
    perPeer((peer) => peer.queuedBytes),
  );
  for (const [name, help] of [
    ['received', 'Paths received, before policy.'],
    ['accepted', 'Paths let in by policy.'],
    ['stale', 'Paths kept over a restart of the peer.'],
    ['advertised', 'Prefixes advertised.'],
  ] as const)
    metric(
      `peer_prefixes_${name}`,
      'gauge',
      help,
      perFamily(groups, (counts) => counts[name]),
    );
  metric(
    'peer_max_prefixes',
    'gauge',
    'Most paths that the peer may send, per family.',
    alone((peer) => peer.maxPrefixes),
  );
}

const TYPES = ['open', 'update', 'notification', 'keepalive', 'routeRefresh'] as const;

function perType(groups: readonly PeerGroup[], direction: 'received' | 'sent'): readonly Sample[] {
  return groups.flatMap(({ labels, peers }) => {
    const counters = peers.flatMap((peer) => peer[direction] ?? []);
    return counters.length === 0
      ? []
      : TYPES.map((type) => ({ labels: { ...labels, type }, value: sum(counters.map((each) => each[type])) }));
  });
}

function perFamily(
  groups: readonly PeerGroup[],
  reading: (counts: NonNullable<PeerDetail['families']['ipv4']>) => number,
): readonly Sample[] {
  return groups.flatMap(({ labels, peers }) =>
    (['ipv4', 'ipv6'] as const).flatMap((family) => {
      const values = peers.flatMap(({ families: { [family]: counts } }) =>
        counts === undefined ? [] : [reading(counts)],
      );
      return values.length === 0 ? [] : [{ labels: { ...labels, family }, value: sum(values) }];
    }),
  );
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const families = (reading: (family: 'ipv4' | 'ipv6') => number): readonly Sample[] =>
  (['ipv4', 'ipv6'] as const).map((family) => ({ labels: { family }, value: reading(family) }));
