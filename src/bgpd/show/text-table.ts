/** Rows of text in columns that line up. */
import { escaped } from '../../user-text.js';

export interface Column<T> {
  readonly title: string;
  readonly text: (row: T) => string;
  readonly align?: 'right';
}

/** One line per row under a line of titles; the last column is not padded. */
export function formatTable<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ text }) => escaped(text(row)))),
  ];
  const widths = columns.map((_, index) =>
    cells.reduce((width, line) => Math.max(width, (line[index] ?? '').length), 0),
  );
  return cells
    .map((line) =>
      line
        .map((cell, index) => {
          if (columns[index]?.align === 'right') return cell.padStart(widths[index] ?? 0);
          return index === columns.length - 1 ? cell : cell.padEnd(widths[index] ?? 0);
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** As much as one screen holds: a line that wraps, or one too many, would scroll the rest away. */
export function fitted(text: string, columns: number, rows: number): string {
  const lines = text.split('\n');
  const shown =
    lines.length < rows
      ? lines
      : [...lines.slice(0, Math.max(rows - 2, 1)), `... ${lines.length - Math.max(rows - 2, 1)} more lines`];
  return shown
    .map((line) => (line.length <= columns ? line : `${line.slice(0, Math.max(columns - 1, 0))}>`))
    .join('\n');
}

/** "1 path", "2 paths", "3 prefixes" */
export const counted = (count: number, noun: string): string =>
  `${count} ${noun}${count === 1 ? '' : noun.endsWith('x') ? 'es' : 's'}`;

/** "00:01:02" below a day, "3d04h" below a week, "2w3d" above, as routers write it. */
export function formatUptime(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 86400) return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (seconds < 604800) return `${Math.floor(seconds / 86400)}d${two((seconds / 3600) % 24)}h`;
  return `${Math.floor(seconds / 604800)}w${Math.floor((seconds / 86400) % 7)}d`;
}
