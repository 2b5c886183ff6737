/**
 * One address family's tables: its wanted and observed state (table-plan.ts) together with the program that writes them.
 */
import { chainKey, TABLES, type Family, type Table } from '@tortie/policy/ruleset';
import { messageOf } from '../../errors.js';
import { NetlinkSocket } from '../netlink/netlink-socket.js';
import { SystemError } from '../system-error.js';
import type { Backoff } from './backoff.js';
import { detectBackend, hasIpv6, legacyTables, type BackendChoice } from './backend.js';
import { ChildError, type Within } from './child.js';
import { findIptables, type IptablesProgram } from './iptables-program.js';
import { isNative, NativeChains, readsNativeRules, type NativeChange } from './native-chains.js';
import { isTableSubject, subjectOf, type TableChange } from './restore-script.js';
import { HandedOver } from './parts.js';
import { parseSavedTables, type SavedTable } from './saved-tables.js';
import type { Backend, Observation } from './status.js';
import { TableState } from './table-plan.js';
import { writeTables, type WriteOutcome } from './table-writer.js';

/** The machine lacks what the applier needs. */
export class NetfilterSetupError extends Error {
  override readonly name = 'NetfilterSetupError';
}

export interface FamilyWritten {
  readonly restores: number;
  readonly chainsWritten: number;
  readonly tables: ReadonlySet<Table>;
}

/** BOUNDED: pids of our own children, remembered to recognise their events; older ones' events have long arrived. */
const OWN_PIDS = 256;

export class FamilyTables {
  readonly state: TableState;
  private readonly ownPids = new Set<number>();
  /** Of iptables-nft alone, and only where it reads back what is written past it. */
  private readonly native: NativeChains | undefined;

  constructor(
    readonly family: Family,
    readonly choice: BackendChoice,
    private readonly program: IptablesProgram,
    private readonly within: Within,
    handed: HandedOver,
  ) {
    this.state = new TableState(family, handed);
    this.native =
      choice.backend === 'nft' && readsNativeRules(program.version) ? NativeChains.open(family, within) : undefined;
  }

  /** Is this our netlink socket, or a child's? iptables has one, which the kernel numbers after the process. */
  isOwn(portId: number): boolean {
    return portId === this.native?.portId || this.ownPids.has(portId);
  }

  /** Reads one table; throws ChildError. */
  async read(table: Table): Promise<SavedTable> {
    if (this.choice.backend === 'legacy' && !legacyTables(this.family, this.within).includes(table)) return EMPTY_TABLE;
    return parseSavedTables(await this.program.save(table)).get(table) ?? EMPTY_TABLE;
  }

  /** Our chains per table, for start(). */
  async count(): Promise<Observation['tables']> {
    const tables: Observation['tables'][number][] = [];
    for (const table of TABLES) {
      const { chains } = await this.read(table);
      if (chains.size > 0) tables.push({ family: this.family, table, chains: chains.size });
    }
    return tables;
  }

  /**
   * Writes what differs and is not held back; notes what was refused. `before` is told the tables just before they are written.
   * `part`: "unused" are new chains that nothing leads to yet, written ahead so that all the rest can do without the program.
   */
  async write(
    backoff: Backoff,
    now: number,
    before: (tables: ReadonlySet<Table>) => void,
    part: 'unused' | 'all' = 'all',
  ): Promise<FamilyWritten> {
    const planned = this.state.plan();
    backoff.keepOnly(this.family, isTableSubject, new Set(planned.map(subjectOf)));
    const free = planned.filter((change) => !backoff.isHeld(this.family, subjectOf(change), contentOf(change), now));
    const changes = part === 'all' ? free : this.unusedOf(free);
    if (planned.length === 0) backoff.succeeded(this.family, 'iptables');
    if (changes.length === 0) return { restores: 0, chainsWritten: 0, tables: new Set() };
    before(new Set(changes.map((change) => change.table)));
    const { restores, ...outcome } = await this.writeChanges(changes);
    for (const change of outcome.done) {
      this.state.done(change);
      if (change.type !== 'close') backoff.succeeded(this.family, subjectOf(change));
    }
    for (const { change, message } of outcome.refused) {
      this.state.refuse(change);
      backoff.failed(this.family, subjectOf(change), contentOf(change), message, Date.now());
    }
    if (outcome.broken === undefined) backoff.succeeded(this.family, 'iptables');
    else backoff.failed(this.family, 'iptables', '', outcome.broken, Date.now());
    return {
      restores,
      chainsWritten: outcome.done.filter((change) => change.type === 'write').length,
      tables: new Set(outcome.done.map((change) => change.table)),
    };
  }

  /** A table over netlink if that can be, otherwise through the program, which also finds out what it is that the kernel refuses. */
  private async writeChanges(changes: readonly TableChange[]): Promise<WriteOutcome & { readonly restores: number }> {
    const written = this.writeNatively(changes);
    const rest = written.length === 0 ? changes : changes.filter((change) => !written.includes(change));
    if (rest.length === 0) return { done: written, refused: [], restores: 0 };
    const outcome = await this.restore(rest);
    return { ...outcome, done: [...written, ...outcome.done] };
  }

  /** What is in force now, whole tables at a time: a table changes at once. */
  private writeNatively(changes: readonly TableChange[]): readonly TableChange[] {
    const { native } = this;
    if (native === undefined) return [];
    const foreign = new Set(changes.filter((change) => !isNative(change)).map(({ table }) => table));
    const own = changes.filter(isNative).filter(({ table }) => !foreign.has(table));
    return own.length > 0 && tryNative(native, own) ? own : [];
  }

  private async restore(changes: readonly TableChange[]): Promise<WriteOutcome & { readonly restores: number }> {
    let restores = 0;
    const outcome = await writeTables(changes, {
      program: this.program,
      isInKernel: (change) => change.type === 'write' && this.state.isInKernel(chainKey(change.chain)),
      onStart: (pid) => {
        restores++;
        this.ownPids.add(pid);
        for (const oldest of this.ownPids) {
          if (this.ownPids.size <= OWN_PIDS) break;
          this.ownPids.delete(oldest);
        }
      },
    });
    return { ...outcome, restores };
  }

  /** A table changes at once; but a chain that nothing in the kernel leads to yet is no change that a packet could see. */
  private unusedOf(changes: readonly TableChange[]): readonly TableChange[] {
    if (this.native === undefined) return [];
    const others = changes.filter((change) => !isNative(change));
    return others.length < changes.length && others.every((change) => this.isUnused(change)) ? others : [];
  }

  private isUnused(change: TableChange): boolean {
    if (change.type !== 'write' || this.state.isInKernel(chainKey(change.chain))) return false;
    return change.chain.rules.every(
      ({ action }) =>
        (action.type !== 'jump' && action.type !== 'goto') ||
        this.state.isInKernel(chainKey({ table: change.table, name: action.chain })),
    );
  }

  close(): void {
    this.program.close();
    this.native?.close();
  }
}

function tryNative(native: NativeChains, changes: readonly NativeChange[]): boolean {
  try {
    return native.write(changes);
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

const EMPTY_TABLE: SavedTable = { chains: new Map(), hooks: [] };

/** What a change would write, short: a refused change with other content is another change. */
function contentOf(change: TableChange): string {
  switch (change.type) {
    case 'write':
      return `${change.chain.hashes.length} ${change.chain.hashes[change.chain.hashes.length - 1] ?? ''}`;
    case 'hook':
      return change.commands.join('\n');
    case 'close':
    case 'delete':
      return '';
  }
}

/** Undefined when the kernel has no IPv6 at all: then there is nothing to filter. `fallback` decides where nothing else does. */
export async function openFamily(
  family: Family,
  wanted: 'auto' | Backend,
  within: Within,
  fallback: BackendChoice | undefined,
  handed: HandedOver,
): Promise<FamilyTables | undefined> {
  if (family === 6 && !hasIpv6(within)) return undefined;
  const choice =
    wanted === 'auto' ? await choose(family, within, fallback) : { backend: wanted, reason: 'it is configured' };
  const program = choice === undefined ? undefined : await findIptables(choice.backend, family, within);
  const name = family === 4 ? 'iptables' : 'ip6tables';
  if (choice === undefined || program === undefined) {
    const which = choice === undefined ? '' : ` for the ${choice.backend} backend`;
    throw new NetfilterSetupError(
      `Cannot write IPv${family} policy: ${name}-save and ${name}-restore${which} were not found; install iptables`,
    );
  }
  try {
    await program.save('filter');
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    throw new NetfilterSetupError(`Cannot write IPv${family} policy: ${error.message}`);
  }
  return new FamilyTables(family, choice, program, within, handed);
}

/** IPv6 without evidence of its own follows IPv4: nobody looks for the two in different places. */
async function choose(
  family: Family,
  within: Within,
  fallback: BackendChoice | undefined,
): Promise<BackendChoice | undefined> {
  const socket = openNetfilterSocket(within);
  try {
    return await detectBackend(family, within, socket, fallback);
  } catch (error) {
    throw new NetfilterSetupError(`Cannot find out which iptables backend IPv${family} uses: ${messageOf(error)}`, {
      cause: error,
    });
  } finally {
    socket?.close();
  }
}

function openNetfilterSocket(within: Within): NetlinkSocket | undefined {
  try {
    return within(() => new NetlinkSocket({ family: 'netfilter' }));
  } catch (error) {
    if (error instanceof SystemError) return undefined; // asked by a child instead
    throw error;
  }
}

/** Removes our chains and jumps from the backend that is not in use. Returns why it could not, or undefined. */
export const sweepOtherBackend = (family: Family, used: Backend, within: Within): Promise<string | undefined> =>
  sweepBackend(family, used === 'nft' ? 'legacy' : 'nft', within);

/** Looking creates nothing: legacy tables are read only where they exist, and iptables-nft-save makes none. */
export async function sweepBackend(family: Family, backend: Backend, within: Within): Promise<string | undefined> {
  try {
    const program = await readerOf(family, backend, within);
    if (program === undefined) return undefined;
    const state = new TableState(family, HandedOver.everything());
    for (const [table, saved] of await savedTables(program, family, backend, within)) state.observe(table, saved);
    state.doubtHooks();
    const changes = state.plan();
    if (changes.length === 0) return undefined;
    const { refused, broken } = await writeTables(changes, {
      program,
      isInKernel: () => true,
      onStart: () => undefined,
    });
    program.close();
    return broken ?? refused[0]?.message;
  } catch (error) {
    if (!(error instanceof ChildError)) throw error;
    return `Cannot sweep iptables-${backend}: ${error.message}`;
  }
}

/** Our chains in each table of a backend; tables without any are left out. @throws ChildError */
export async function ownChains(
  family: Family,
  backend: Backend,
  within: Within,
): Promise<ReadonlyMap<Table, readonly string[]>> {
  const program = await readerOf(family, backend, within);
  if (program === undefined) return new Map();
  const saved = await savedTables(program, family, backend, within);
  program.close();
  return new Map(
    [...saved].filter(([, { chains }]) => chains.size > 0).map(([table, { chains }]) => [table, [...chains.keys()]]),
  );
}

/** Undefined: the backend has no tables here, or this machine no program for it. */
async function readerOf(family: Family, backend: Backend, within: Within): Promise<IptablesProgram | undefined> {
  return tablesOf(family, backend, within).length === 0 ? undefined : findIptables(backend, family, within);
}

const tablesOf = (family: Family, backend: Backend, within: Within): readonly Table[] => {
  const existing = backend === 'legacy' ? legacyTables(family, within) : TABLES;
  return TABLES.filter((table) => existing.includes(table));
};

async function savedTables(
  program: IptablesProgram,
  family: Family,
  backend: Backend,
  within: Within,
): Promise<ReadonlyMap<Table, SavedTable>> {
  const saved = new Map<Table, SavedTable>();
  for (const table of tablesOf(family, backend, within))
    saved.set(table, parseSavedTables(await program.save(table)).get(table) ?? EMPTY_TABLE);
  return saved;
}
