/**
 * One iptables-restore input from a list of changes, and the way back from a line number in an error message to the change
 * that stands on it. Pure.
 *
 * The input is for --noflush: chains that are not named stay as they are. Within a table all chains that are written
 * or deleted are declared first (":CHAIN - [0:0]" creates or empties), then filled, then the jumps from the built-in
 * chains are put right, then what nobody refers to any more is deleted. iptables commits a table as one transaction, so
 * no packet sees a state between.
 */
import { TABLES, type BuiltinChain, type Table } from '@tortie/policy/ruleset';
import type { RenderedChain } from '@tortie/policy/render/iptables';

/** The smallest thing that can succeed or fail by itself. */
export type TableChange =
  | { readonly type: 'write'; readonly table: Table; readonly chain: RenderedChain }
  /** Must exist because others jump to it, but its rules were refused: everything is dropped, or in `nat` left as it is. */
  | { readonly type: 'close'; readonly table: Table; readonly name: string }
  | { readonly type: 'delete'; readonly table: Table; readonly name: string }
  /** Whole commands: "-D FORWARD ..." for jumps to remove, "-I FORWARD 1 ..." for the one to insert. */
  | {
      readonly type: 'hook';
      readonly table: Table;
      readonly builtin: BuiltinChain;
      readonly commands: readonly string[];
    };

export interface RestoreScript {
  readonly text: string;
  /** Line number, from 1, to the change it belongs to; table headers and COMMIT belong to none. */
  readonly changeAt: ReadonlyMap<number, TableChange>;
  readonly lineAt: (line: number) => string;
}

/** Hash in the comment of a closed chain's only rule; no rendered rule has it, so a closed chain always differs from the wanted one. */
export const CLOSED_HASH = 'closed';

export const closedRule = (table: Table, name: string): string =>
  `-A ${name} -m comment --comment tortie:${CLOSED_HASH} -j ${table === 'nat' ? 'RETURN' : 'DROP'}`;

export function buildRestoreScript(changes: readonly TableChange[]): RestoreScript {
  const lines: string[] = [];
  const changeAt = new Map<number, TableChange>();
  const put = (line: string, change?: TableChange): void => {
    lines.push(line);
    if (change !== undefined) changeAt.set(lines.length, change);
  };
  for (const table of TABLES) {
    const own = changes.filter((change) => change.table === table);
    if (own.length === 0) continue;
    put(`*${table}`);
    for (const change of own) if (change.type !== 'hook') put(`:${nameOf(change)} - [0:0]`, change);
    for (const change of own) if (change.type !== 'hook') for (const line of bodyOf(change)) put(line, change);
    for (const change of own) if (change.type === 'hook') for (const line of bodyOf(change)) put(line, change);
    for (const change of own) if (change.type === 'delete') put(`-X ${change.name}`, change);
    put('COMMIT');
  }
  return { text: `${lines.join('\n')}\n`, changeAt, lineAt: (line) => lines[line - 1] ?? '' };
}

/** "filter/TORTIE-FORWARD" or "hook filter/FORWARD": what failures call it. */
export function subjectOf(change: TableChange): string {
  return change.type === 'hook' ? `hook ${change.table}/${change.builtin}` : `${change.table}/${nameOf(change)}`;
}

/** Is it a subject that subjectOf makes? */
export const isTableSubject = (subject: string): boolean => /^(hook )?(raw|mangle|nat|filter)\//.test(subject);

const nameOf = (change: Exclude<TableChange, { type: 'hook' }>): string =>
  change.type === 'write' ? change.chain.name : change.name;

function bodyOf(change: TableChange): readonly string[] {
  switch (change.type) {
    case 'write':
      return change.chain.lines;
    case 'close':
      return [closedRule(change.table, change.name)];
    case 'hook':
      return change.commands;
    case 'delete':
      return [];
  }
}
