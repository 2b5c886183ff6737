/** `tortie bgp bfd`: one line per session, and what is wrong with it. */
import type { BfdStatus } from 'node-bgp/bfd/contract';
import { formatTable, formatUptime, type Column } from './text-table.js';

const milliseconds = (value: number | undefined): string => (value === undefined ? '-' : `${value} ms`);

const columns = (now: number): readonly Column<BfdStatus>[] => [
  { title: 'Session', text: ({ key }) => key },
  { title: 'State', text: ({ state }) => state },
  { title: 'Remote', text: ({ remoteState }) => remoteState },
  { title: 'Since', text: ({ since }) => formatUptime(Math.max(0, (now - since) / 1000)), align: 'right' },
  { title: 'Sends', text: ({ transmitInterval }) => milliseconds(transmitInterval), align: 'right' },
  { title: 'Detects', text: ({ detectionTime }) => milliseconds(detectionTime), align: 'right' },
  { title: 'Failures', text: ({ failures }) => String(failures), align: 'right' },
  { title: 'PktsIn', text: ({ packetsIn }) => String(packetsIn), align: 'right' },
  { title: 'PktsOut', text: ({ packetsOut }) => String(packetsOut), align: 'right' },
  { title: 'Echo', text: ({ echo }) => echo?.state ?? '-' },
  { title: 'Info', text: infoOf },
];

function infoOf(session: BfdStatus): string {
  const { state, diagnostic, remoteDiagnostic, sendError, echo, scheduling } = session;
  const isWell = state === 'up';
  return [
    ...(sendError === undefined ? [] : [sendError]),
    ...(isWell || isNothing(diagnostic) ? [] : [`we say: ${diagnostic}`]),
    ...(isWell || isNothing(remoteDiagnostic) ? [] : [`the peer says: ${remoteDiagnostic}`]),
    ...(echo?.problem === undefined ? [] : [echo.problem]),
    ...(scheduling === 'normal' ? ['runs without priority: a busy machine may delay it'] : []),
  ].join('; ');
}

/** RFC 5880 section 4.1, diagnostic 0. */
const isNothing = (diagnostic: string): boolean => /^no diagnostic$/i.test(diagnostic);

/** `now`: milliseconds since 1970. */
export const formatBfd = (sessions: readonly BfdStatus[], now: number): string =>
  sessions.length === 0
    ? 'No BFD sessions: no peer has "bfd" in the configuration'
    : formatTable(columns(now), sessions);
