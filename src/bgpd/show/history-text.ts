/** `tortie bgp history`: one line per event, in columns. Times are UTC. */

import { escaped } from '../../user-text.js';

export interface HistoryLine {
  readonly at: string;
  readonly type: string;
  readonly peer?: string;
  readonly [field: string]: unknown;
}

export function formatHistory(events: readonly HistoryLine[]): string {
  if (events.length === 0) return 'Nothing has happened';
  const width = events.reduce((most, { peer }) => Math.max(most, (peer ?? '-').length), 0);
  return events
    .map(({ at, type, peer, ...rest }) =>
      [
        at.replace('T', ' '),
        type.padEnd(18),
        escaped(peer ?? '-').padEnd(width),
        ...Object.entries(rest).map(([name, value]) => fieldText(name, value)),
      ]
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function fieldText(name: string, value: unknown): string {
  if (name === 'reason') return escaped(String(value));
  if (name === 'family') return familyText(value);
  if (name === 'families' && Array.isArray(value)) return value.map(familyText).join(' ');
  return `${name}=${typeof value === 'string' ? escaped(value) : JSON.stringify(value)}`;
}

const familyText = (family: unknown): string => (family === 4 || family === 6 ? `IPv${family}` : String(family));
