/** `tortie bgp history`: one line per event. */

export interface HistoryLine {
  readonly at: string;
  readonly type: string;
  readonly peer?: string;
  readonly [field: string]: unknown;
}

export function formatHistory(events: readonly HistoryLine[]): string {
  if (events.length === 0) return 'Nothing has happened';
  return events
    .map(({ at, type, peer, ...rest }) => {
      const fields = Object.entries(rest).map(([name, value]) =>
        name === 'reason' ? String(value) : `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      );
      return [
        at.replace('T', ' ').replace('Z', ''),
        type.padEnd(18),
        ...(peer === undefined ? [] : [peer]),
        ...fields,
      ].join('  ');
    })
    .join('\n');
}
