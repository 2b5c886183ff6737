/**
 * What iptables-save prints, read for what concerns us: our chains with the hashes of their rules, and the rules of the
 * built-in chains that jump to us. Foreign chains are skipped line by line and never kept, so a kube-proxy with 50,000 rules costs a
 * scan and no memory. Pure.
 */
import { BUILTIN_CHAINS, TABLES as ALL_TABLES, type BuiltinChain, type Table } from '@tortie/policy/ruleset';

/** Every chain that starts so is ours: node-view's ownership mark. */
export const CHAIN_PREFIX = 'TORTIE-';

/** One rule as iptables-save words it, without "-A CHAIN". */
export interface SavedRule {
  /** From our comment `tortie:<hash>`; undefined when the rule carries none. */
  readonly hash: string | undefined;
  readonly text: string;
}

/** A jump of ours in a built-in chain and where it stands among all rules there, the first being 0. */
export interface SavedHook extends SavedRule {
  readonly builtin: BuiltinChain;
  readonly position: number;
}

export interface SavedTable {
  /** Our chains by name. */
  readonly chains: ReadonlyMap<string, readonly SavedRule[]>;
  readonly hooks: readonly SavedHook[];
}

const BUILTINS: ReadonlySet<string> = new Set(BUILTIN_CHAINS);
const TABLES: ReadonlySet<string> = new Set(ALL_TABLES);
const OUR_COMMENT = /--comment "?tortie:([A-Za-z0-9]+)"?(?: |$)/;
const OUR_TARGET = /(?:^| )-[jg] TORTIE-/;

export const isOurChain = (name: string): boolean => name.startsWith(CHAIN_PREFIX);

/** Parses the output of iptables-save, of one table or of all; tables that we never write are left out. */
export function parseSavedTables(text: string): ReadonlyMap<Table, SavedTable> {
  const tables = new Map<Table, SavedTable>();
  let table: TableInMaking | undefined;
  for (const line of text.split('\n')) {
    const first = line.charAt(0);
    if (first === '*') {
      const name = line.slice(1).trim();
      table = isTable(name) ? { chains: new Map(), hooks: [], positions: new Map() } : undefined;
      if (table !== undefined && isTable(name)) tables.set(name, table);
    } else if (table !== undefined && first === ':') {
      const name = line.slice(1, line.indexOf(' '));
      if (isOurChain(name)) table.chains.set(name, []);
    } else if (table !== undefined && line.startsWith('-A ')) takeRule(table, line);
  }
  return tables;
}

interface TableInMaking {
  readonly chains: Map<string, SavedRule[]>;
  readonly hooks: SavedHook[];
  /** Rules seen so far per built-in chain. */
  readonly positions: Map<string, number>;
}

const isTable = (name: string): name is Table => TABLES.has(name);
const isBuiltin = (name: string): name is BuiltinChain => BUILTINS.has(name);

function takeRule(table: TableInMaking, line: string): void {
  const end = line.indexOf(' ', 3);
  const chain = end < 0 ? line.slice(3) : line.slice(3, end);
  const text = end < 0 ? '' : line.slice(end + 1).trimEnd();
  if (isBuiltin(chain)) {
    const position = table.positions.get(chain) ?? 0;
    table.positions.set(chain, position + 1);
    const hash = OUR_COMMENT.exec(text)?.[1];
    // A jump to us without our comment is ours all the same: nobody else has business there, and a copy would stay for ever.
    if (hash !== undefined || OUR_TARGET.test(text)) table.hooks.push({ builtin: chain, position, hash, text });
    return;
  }
  table.chains.get(chain)?.push({ hash: OUR_COMMENT.exec(text)?.[1], text });
}
