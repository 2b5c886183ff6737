/** Changes in words, for terminals. */
import type { Change, ChangeEntry } from '../api/change.js';

const GAP = 3;

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd((widths[index] ?? 0) + GAP))
        .join('')
        .trimEnd(),
    )
    .join('\n');
}

/** Newest first. @param at milliseconds since 1970 */
export function formatChanges(changes: readonly Change[], at: number): string {
  if (changes.length === 0) return 'No Changes';
  const madeAt = ({ metadata: { creationTimestamp = '' } }: Change): string => creationTimestamp;
  const sorted = [...changes].sort((a, b) => (madeAt(a) < madeAt(b) ? 1 : madeAt(a) > madeAt(b) ? -1 : 0));
  return table([
    ['NAME', 'PHASE', 'WELL', 'AGE', 'MESSAGE'],
    ...sorted.map((change) => [
      change.metadata.name,
      change.status?.phase ?? 'New',
      change.status?.well ?? '',
      formatSeconds((at - Date.parse(madeAt(change))) / 1000),
      change.status?.message ?? '',
    ]),
  ]);
}

export function formatChange(change: Change, at: number): string {
  const { metadata, spec, status } = change;
  const nodes = [...(status?.nodes ?? [])].sort((a, b) => a.step - b.step || (a.name < b.name ? -1 : 1));
  return [
    `${metadata.name}: ${status?.phase ?? 'New'}${status?.message === undefined ? '' : `, ${status.message}`}`,
    ...deadline(change, at),
    '',
    ...(spec.objects ?? []).map((entry) => `  ${formatEntry(entry)}`),
    ...(nodes.length === 0
      ? []
      : [
          '',
          table([
            ['NODE', 'STEP', 'STATE', 'MESSAGE'],
            ...nodes.map(({ name, step, state, message = '' }) => [name, String(step + 1), state, message]),
          ]),
        ]),
  ].join('\n');
}

/** Each node's own time counts; this is when the first of them began. */
function deadline({ spec, status }: Change, at: number): readonly string[] {
  if (status?.phase !== 'Trial') return [];
  const left = Date.parse(status.since ?? '') / 1000 + spec.confirmSeconds - at / 1000;
  return [`goes back by itself in ${formatSeconds(Math.max(left, 0))} unless it is confirmed`];
}

function formatEntry({ kind, namespace, name, labels = {}, removedLabels = [], object, remove }: ChangeEntry): string {
  const shown = `${kind}/${namespace === undefined ? '' : `${namespace}/`}${name}`;
  if (remove === true) return `${shown} goes`;
  if (object !== undefined) return `${shown} ${JSON.stringify(object['spec'] ?? {})}`;
  const words = [
    ...Object.entries(labels).map(([key, value]) => `${key}=${value}`),
    ...removedLabels.map((key) => `${key}-`),
  ];
  return `${shown} ${words.join(' ')}`;
}

export function formatSeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (!Number.isFinite(whole)) return '';
  if (whole < 120) return `${whole}s`;
  if (whole < 7200) return `${Math.floor(whole / 60)}m`;
  return whole < 172_800 ? `${Math.floor(whole / 3600)}h` : `${Math.floor(whole / 86_400)}d`;
}
