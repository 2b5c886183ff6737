/** `tortie bgp summary`: what readers of `show bgp summary` look for, both families in one table. */
import type { PeerSummary, SpeakerSummary } from 'node-bgp/speaker/view';
import type { FibStatus } from '../fib-contract.js';
import { counted, formatTable, formatUptime, type Column } from './text-table.js';

export type SummaryAnswer =
  | { readonly isConfigured: false }
  | (SpeakerSummary & { readonly isConfigured: true; readonly kernel?: FibStatus });

const count =
  (family: 'ipv4' | 'ipv6', which: 'accepted' | 'received' | 'advertised') =>
  (peer: PeerSummary): string => {
    const counts = peer.families[family];
    return counts === undefined || (!peer.isEstablished && counts.stale === 0) ? '-' : String(counts[which]);
  };

const COLUMNS: readonly Column<PeerSummary>[] = [
  { title: 'Neighbor', text: nameOf },
  { title: 'AS', text: (peer) => (peer.remoteAs === 0 ? '-' : String(peer.remoteAs)), align: 'right' },
  { title: 'MsgRcvd', text: (peer) => String(peer.messagesReceived), align: 'right' },
  { title: 'MsgSent', text: (peer) => String(peer.messagesSent), align: 'right' },
  { title: 'OutQ', text: (peer) => String(peer.queuedBytes), align: 'right' },
  { title: 'Up/Down', text: (peer) => formatUptime(peer.seconds), align: 'right' },
  { title: 'State', text: stateOf },
  {
    title: 'v4 Acc/Rcvd',
    text: (peer) => pair(count('ipv4', 'accepted')(peer), count('ipv4', 'received')(peer)),
    align: 'right',
  },
  { title: 'v4 Sent', text: count('ipv4', 'advertised'), align: 'right' },
  {
    title: 'v6 Acc/Rcvd',
    text: (peer) => pair(count('ipv6', 'accepted')(peer), count('ipv6', 'received')(peer)),
    align: 'right',
  },
  { title: 'v6 Sent', text: count('ipv6', 'advertised'), align: 'right' },
  { title: 'Info', text: infoOf },
];

function stateOf({ state, isEstablished, heldDown, problem }: PeerSummary): string {
  if (problem !== undefined) return `${state} (no family)`;
  return heldDown !== undefined && !isEstablished ? 'Idle (held)' : state;
}

/** An unnumbered peer is called by its interface, and where it is comes and goes. */
function nameOf({ name, interface: interfaceName, address }: PeerSummary): string {
  if (interfaceName === undefined || address === interfaceName) return name;
  return `${name} (${name === interfaceName ? (address.split('%')[0] ?? '') : address})`;
}

const pair = (a: string, b: string): string => (a === '-' && b === '-' ? '-' : `${a}/${b}`);

function infoOf(peer: PeerSummary): string {
  if (peer.isEstablished) return peer.problem ?? peer.description ?? '';
  const stale = (peer.families.ipv4?.stale ?? 0) + (peer.families.ipv6?.stale ?? 0);
  return [...(stale > 0 ? [`${stale} stale routes kept`] : []), peer.heldDown ?? peer.lastError ?? '']
    .filter((text) => text !== '')
    .join('; ');
}

export function formatSummary(answer: SummaryAnswer): string {
  if (!answer.isConfigured) return 'bgpd has no configuration yet';
  const { tables, peers, kernel, listen, bmp } = answer;
  const established = peers.filter((peer) => peer.isEstablished).length;
  const notes = [
    ...(answer.isRestarting ? ['restarting: routes are held back until every peer has sent its End-of-RIB'] : []),
    ...(answer.isDraining ? ['draining: everything is announced with GRACEFUL_SHUTDOWN'] : []),
    ...listen.flatMap(({ problem }) => (problem === undefined ? [] : [problem])),
    ...bmp.flatMap(({ station, isUp }) => (isUp ? [] : [`BMP station ${station} does not take our connection`])),
    ...(kernel !== undefined && kernel.refused > 0
      ? [`the kernel refuses ${counted(kernel.refused, 'route')} (see the log)`]
      : []),
    ...(kernel !== undefined && kernel.contested > 0
      ? [`somebody keeps changing or removing ${kernel.contested} of our routes in the kernel (see the log)`]
      : []),
  ];
  return [
    `BGP router identifier ${answer.routerId}, local AS number ${answer.localAs}, up ${formatUptime(answer.seconds)}`,
    `RIB: IPv4 ${sizeText(tables.ipv4)}; IPv6 ${sizeText(tables.ipv6)}` +
      (kernel === undefined ? '' : `; kernel: ${counted(kernel.routes, 'route')}`),
    ...notes.map((note) => `! ${note}`),
    '',
    formatTable(COLUMNS, peers),
    '',
    `Total number of neighbors ${peers.length}, established ${established}`,
  ].join('\n');
}

const sizeText = ({ prefixes, paths }: { readonly prefixes: number; readonly paths: number }): string =>
  `${counted(prefixes, 'prefix')}, ${counted(paths, 'path')}`;
