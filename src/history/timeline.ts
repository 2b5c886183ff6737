/** Entries of one or many nodes on one line of time, chosen and told. Pure. */
import { UserError } from '../errors.js';
import { escaped } from '../user-text.js';
import type { ChangedField, HistoryEntry, HistoryType } from './entry.js';

export interface TimelineEntry {
  /** Whose journal has it; an object's change is told once, by the first that saw it. */
  readonly node: string;
  readonly entry: HistoryEntry;
}

export interface Choice {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** "BGPPeer/rack", "rack", "shop/web": kind and case do not matter. */
  readonly object?: string;
  readonly types?: readonly HistoryType[];
}

const RFC_3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** "90m", "2h", "3d", or a time in RFC 3339. @throws UserError */
export function parseSince(text: string, now: number): number {
  const [, number, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
  const at =
    number === undefined
      ? RFC_3339.test(text)
        ? Date.parse(text)
        : NaN
      : now - Number(number) * (seconds[unit] ?? NaN) * 1_000;
  if (Number.isNaN(at))
    throw new UserError(
      `Cannot use --since "${text}": expected 90m, 2h, 3d, or a time such as 2026-12-01T08:00:00Z`,
      2,
    );
  return at;
}

/** Oldest first. */
export function timelineOf(
  entries: Iterable<TimelineEntry>,
  { since, object, types }: Choice,
): readonly TimelineEntry[] {
  const chosen = [...entries].filter(
    ({ entry }) =>
      Date.parse(entry.at) >= since &&
      (types === undefined || types.includes(entry.type)) &&
      (object === undefined || isOf(entry, object)),
  );
  chosen.sort((a, b) => Date.parse(a.entry.at) - Date.parse(b.entry.at) || (a.node < b.node ? -1 : 1));
  const seen = new Set<string>();
  return chosen.filter(({ entry }) => {
    if (entry.type !== 'object') return true;
    // "found" by one is "changed" to another: the version is what tells them apart.
    const key = `${entry.kind} ${entry.name} ${entry.version} ${entry.verb === 'deleted'}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function isOf(entry: HistoryEntry, wanted: string): boolean {
  const text = wanted.toLowerCase();
  switch (entry.type) {
    case 'object':
      return [entry.name, `${entry.kind}/${entry.name}`].some((name) => name.toLowerCase() === text);
    case 'session':
      return entry.peer.toLowerCase() === text || text === `bgppeer/${entry.peer.toLowerCase()}`;
    case 'route':
      return entry.prefix === text || entry.peer?.toLowerCase() === text;
    case 'process':
      return entry.process === text;
  }
}

export function formatTimeline(entries: readonly TimelineEntry[]): string {
  if (entries.length === 0) return 'Nothing has been noted';
  const widest = entries.reduce((width, { node }) => Math.max(width, node.length), 0);
  return entries
    .map(
      ({ node, entry }) =>
        `${entry.at.replace('T', ' ')}  ${node.padEnd(widest)}  ${entry.type.padEnd(7)}  ${wordsOf(entry)}`,
    )
    .join('\n');
}

function wordsOf(entry: HistoryEntry): string {
  switch (entry.type) {
    case 'object': {
      const by = entry.by === undefined ? '' : ` by ${escaped(entry.by)}`;
      const verb = entry.verb === 'found' ? 'was changed while nobody watched' : entry.verb;
      const fields = (entry.fields ?? []).map(fieldText);
      const more = entry.moreFields === undefined ? [] : [`and ${entry.moreFields} more`];
      const all = [...fields, ...more].join(', ');
      return `${entry.kind}/${escaped(entry.name)} ${verb}${by}${all === '' ? '' : `: ${all}`}`;
    }
    case 'session':
      return `${escaped(entry.peer)} ${entry.event}${entry.reason === undefined ? '' : `: ${escaped(entry.reason)}`}`;
    case 'route':
      return entry.event === 'more'
        ? `${entry.count ?? 0} more routes changed`
        : `${entry.prefix ?? ''} ${entry.event}${entry.peer === undefined ? '' : `, ${escaped(entry.peer)}`}`;
    case 'process':
      return `${entry.process}: ${escaped(entry.message)}`;
  }
}

function fieldText({ path, before, after }: ChangedField): string {
  if (before === undefined && after === undefined) return escaped(path);
  return `${escaped(path)} ${escaped(before ?? 'none')} -> ${escaped(after ?? 'none')}`;
}
