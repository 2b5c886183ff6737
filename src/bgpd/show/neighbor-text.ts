/** `tortie bgp neighbor`: everything about one session, in the order of `show bgp neighbors`. */
import type { CapabilityView } from 'node-bgp/speaker/offers';
import type { PeerDetail } from 'node-bgp/speaker/view';
import { escaped } from '../../user-text.js';
import { counted, formatUptime } from './text-table.js';

export function formatNeighbor(peer: PeerDetail): string {
  return [
    `${whereOf(peer)}, remote AS ${peer.remoteAs === 0 ? 'any external' : peer.remoteAs}, local AS ` +
      `${peer.localAs}, ${peer.type === 'ebgp' ? 'external' : 'internal'} link`,
    ...(peer.description === undefined ? [] : [`  Description: ${escaped(peer.description)}`]),
    `  BGP state = ${peer.state}${peer.problem === undefined ? '' : ' (no family)'}, ` +
      `${peer.isEstablished ? 'up' : 'down'} for ${formatUptime(peer.seconds)}, established ${counted(peer.establishedCount, 'time')}`,
    ...(peer.problem === undefined ? [] : [`  Problem: ${escaped(peer.problem)}`]),
    ...(peer.heldDown === undefined ? [] : [`  Held down: ${escaped(peer.heldDown)}`]),
    ...(peer.routerId === undefined ? [] : [`  Remote router ID ${peer.routerId}, hold time ${peer.holdTime ?? 0} s`]),
    ...nameLines(peer.offers),
    ...(peer.local === undefined ? [] : [`  Local ${peer.local}, remote ${peer.remote ?? ''}`]),
    ...timerLines(peer),
    ...(peer.bfd === undefined ? [] : [`  BFD: ${peer.bfd}`]),
    ...capabilityLines(peer),
    ...offerLines(peer.offers),
    ...messageLines(peer),
    ...Object.entries(peer.families).map(
      ([family, counts]) =>
        `  ${family}: ${counts.received} received, ${counts.accepted} accepted, ${counts.stale} stale, ` +
        `${counts.advertised} advertised; limit ${peer.maxPrefixes}`,
    ),
    ...peer.stale.map(
      ({ family, phase, remaining }) => `  IPv${family} routes kept over a restart (${phase}), ${remaining} s left`,
    ),
    ...(peer.importFilters.length === 0 ? [] : [`  Import filters: ${peer.importFilters.join(', ')}`]),
    ...(peer.exportFilters.length === 0 ? [] : [`  Export filters: ${peer.exportFilters.join(', ')}`]),
    ...errorLines(peer),
  ].join('\n');
}

/** "BGP neighbor on eth0: fe80::1", as FRR has it, where the interface is what was configured. */
function whereOf({ name, interface: interfaceName, address }: PeerDetail): string {
  if (interfaceName === undefined) return `BGP neighbor is ${address}${name === address ? '' : ` (${name})`}`;
  const at = address === interfaceName ? 'none heard yet' : (address.split('%')[0] ?? '');
  return `BGP neighbor on ${interfaceName}: ${at}${name === interfaceName ? '' : ` (${name})`}`;
}

function timerLines(peer: PeerDetail): readonly string[] {
  const timers = Object.entries(peer.timers).map(([name, seconds]) => `${name} ${seconds} s`);
  return timers.length === 0 ? [] : [`  Timers: ${timers.join(', ')}`];
}

function capabilityLines(peer: PeerDetail): readonly string[] {
  const on = Object.entries(peer.capabilities).filter(([, value]) => value !== false && value !== 0);
  return on.length === 0
    ? []
    : [`  Agreed on: ${on.map(([name, value]) => (value === true ? name : `${name} ${value}`)).join(', ')}`];
}

function nameLines({ hostName, softwareVersion }: PeerDetail['offers']): readonly string[] {
  const parts = [
    ...(hostName === undefined ? [] : [`host name ${escaped(hostName)}`]),
    ...(softwareVersion === undefined ? [] : [`software ${escaped(softwareVersion)}`]),
  ];
  return parts.length === 0 ? [] : [`  Remote ${parts.join(', ')}`];
}

/** A line each, as there may be many, and each may be long. */
function offerLines({ ours, theirs, refused }: PeerDetail['offers']): readonly string[] {
  const lines = (title: string, list: readonly CapabilityView[] | undefined): readonly string[] =>
    list === undefined
      ? []
      : [
          `  ${title}:${list.length === 0 ? ' nothing' : ''}`,
          ...list.map(({ name, value }) => `    ${name}${value === undefined ? '' : ` ${escaped(value)}`}`),
        ];
  return [
    ...lines('Offered by the peer', theirs),
    ...lines('Offered by us', ours),
    ...lines('Left out, for the peer refuses it', refused),
  ];
}

function messageLines({ received, sent, queuedBytes }: PeerDetail): readonly string[] {
  if (received === undefined || sent === undefined) return [];
  const row = (title: string, a: number, b: number): string =>
    `    ${title.padEnd(14)}${String(b).padStart(10)}${String(a).padStart(10)}`;
  return [
    `  Messages:${'Sent'.padStart(19)}${'Rcvd'.padStart(10)}`,
    row('Opens', received.open, sent.open),
    row('Notifications', received.notification, sent.notification),
    row('Updates', received.update, sent.update),
    row('Keepalives', received.keepalive, sent.keepalive),
    row('Route Refresh', received.routeRefresh, sent.routeRefresh),
    row('Octets', received.bytes, sent.bytes),
    ...(queuedBytes > 0 ? [`    ${queuedBytes} octets wait for the peer to read`] : []),
  ];
}

function errorLines({ errors }: PeerDetail): readonly string[] {
  const words = { sent: 'Last error sent', received: 'Last error received', local: 'Last local error' } as const;
  return (['sent', 'received', 'local'] as const).flatMap((direction) => {
    const error = errors[direction];
    return error === undefined ? [] : [`  ${words[direction]} (${error.at}): ${escaped(error.text)}`];
  });
}
