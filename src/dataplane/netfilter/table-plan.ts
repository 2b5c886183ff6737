/**
 * What must change in one family's tables: the wanted chains and hooks, the kernel's as last seen, and the difference as
 * TableChanges. Pure but for its own bookkeeping; one TableState per family, owned by the applier.
 *
 * A change costs what it touches: chains are marked when a delta names them or when the kernel was seen to differ, and
 * only marked ones are compared. A chain whose hashes already stand in the kernel in the same order is not written.
 */
import {
  BUILTIN_CHAINS,
  chainKey,
  partOfChain,
  TABLES,
  type Chain,
  type ChainName,
  type DispatchMap,
  type Family,
  type Hook,
  type MapChange,
  type Part,
  type Table,
} from '@tortie/policy/ruleset';
import { AddressTree } from '@tortie/policy/render/address-tree';
import { renderChain, renderHook, renderMap, type RenderedChain } from '@tortie/policy/render/iptables';
import { CLOSED_HASH, type TableChange } from './restore-script.js';
import { PartHooks, type HandedOver } from './parts.js';
import type { SavedHook, SavedTable } from './saved-tables.js';

/** A dispatch map, and what it has become. */
interface ExpandedMap {
  readonly map: DispatchMap;
  /** Keys of its chains. */
  readonly chains: Set<string>;
  /** From its first change by entries on. */
  readonly tree?: AddressTree;
}

export class TableState {
  /** By chainKey; dispatch maps expanded. */
  private readonly wanted = new Map<string, RenderedChain>();
  /** By chainKey. */
  private readonly maps = new Map<string, ExpandedMap>();
  private readonly hooks = new PartHooks();
  /** By chainKey: hashes of the rules in the kernel, in order; an unreadable rule is "". */
  private readonly kernel = new Map<string, readonly string[]>();
  private kernelHooks = new Map<Table, readonly SavedHook[]>();
  /** Rule texts as the kernel prints them, once seen: finds a rule edited under its old comment. */
  private readonly texts = new Map<string, readonly string[]>();
  private readonly dirty = new Set<string>();
  private hooksDirty = false;
  /** Tables whose jumps were written and not read back since. */
  private readonly unverifiedHooks = new Set<Table>();
  /** When a change last went in, by Date.now(). */
  writtenAt = 0;
  /** Since when something written has not been read back; undefined when all has. */
  unverifiedSince: number | undefined;

  constructor(
    readonly family: Family,
    private readonly handed: HandedOver,
  ) {}

  upsertChain(chain: Chain): void {
    this.want(renderChain(chain, this.family));
  }

  deleteChain(name: ChainName): void {
    this.unwant(chainKey(name));
  }

  upsertMap(map: DispatchMap): void {
    const chains = renderMap(map, this.family, (key) => this.wanted.get(key));
    const keys = new Set(chains.map(chainKey));
    for (const old of this.maps.get(chainKey(map))?.chains ?? []) if (!keys.has(old)) this.unwant(old);
    this.maps.set(chainKey(map), { map, chains: keys });
    for (const chain of chains) if (this.wanted.get(chainKey(chain)) !== chain) this.want(chain);
  }

  changeMap(change: MapChange): void {
    const expanded = this.maps.get(chainKey(change));
    if (expanded === undefined) throw new Error(`Cannot change map "${chainKey(change)}": no such map was handed over`);
    const { map, chains } = expanded;
    if (map.family !== undefined && map.family !== this.family) return;
    // A map of both families, or of interfaces, is small, and its tree is shared.
    if (map.family === undefined) return this.upsertMap({ ...map, entries: changedEntries(map.entries, change) });
    const tree = expanded.tree ?? new AddressTree(map);
    if (expanded.tree === undefined)
      this.maps.set(chainKey(map), { map: { ...map, entries: new Map() }, chains, tree });
    const { upserted, deleted } = tree.change(change.added, change.removed);
    for (const name of deleted) {
      this.unwant(chainKey({ table: map.table, name }));
      chains.delete(chainKey({ table: map.table, name }));
    }
    for (const chain of upserted) {
      this.want(renderChain(chain, this.family));
      chains.add(chainKey(chain));
    }
  }

  deleteMap(name: ChainName): void {
    for (const key of this.maps.get(chainKey(name))?.chains ?? []) this.unwant(key);
    this.maps.delete(chainKey(name));
  }

  setHooks(hooks: readonly Hook[], part: Part): void {
    this.hooks.set(part, hooks);
    this.doubtHooks();
  }

  /** Compare the jumps at the next plan. */
  doubtHooks(): void {
    this.hooksDirty = true;
  }

  /** Forgets what is wanted of a part, for a whole new state; the kernel's side stays. */
  reset(part: Part): void {
    const isPart = (key: string): boolean => partOfChain(nameOf(key)) === part;
    for (const key of [...this.wanted.keys()].filter(isPart)) this.unwant(key);
    for (const key of [...this.maps.keys()].filter(isPart)) this.maps.delete(key);
    for (const key of this.kernel.keys()) if (isPart(key)) this.dirty.add(key);
    this.setHooks([], part);
  }

  /** Tables that hold or must hold something of ours. */
  tables(): ReadonlySet<Table> {
    const tables = new Set<Table>(this.hooks.all().map((hook) => hook.table));
    for (const chain of this.wanted.values()) tables.add(chain.table);
    return tables;
  }

  /** Takes what the kernel holds now in one table; says in words what is not as it was last written. */
  observe(table: Table, saved: SavedTable): readonly string[] {
    const findings: string[] = [];
    for (const key of [...this.kernel.keys()])
      if (tableOf(key) === table && !saved.chains.has(nameOf(key))) {
        if (this.wanted.has(key)) findings.push(`chain ${key} is missing`);
        this.forget(key);
      }
    for (const [name, rules] of saved.chains) {
      const key = chainKey({ table, name });
      const hashes = rules.map((rule) => rule.hash ?? '');
      const texts = rules.map((rule) => rule.text);
      const before = this.kernel.get(key);
      const seen = this.texts.get(key);
      const isEdited = seen !== undefined && isSame(hashes, before ?? []) && !isSame(texts, seen);
      if (isEdited) findings.push(`chain ${key} has a rule edited under its old comment`);
      else if (before === undefined && this.handed.hasChain(name)) findings.push(`chain ${key} is not ours`);
      else if (before !== undefined && !isSame(hashes, before)) findings.push(`chain ${key} holds other rules`);
      this.dirty.add(key);
      this.kernel.set(key, isEdited ? [] : hashes);
      if (!isEdited) this.texts.set(key, texts);
    }
    this.kernelHooks.set(table, saved.hooks);
    this.unverifiedHooks.delete(table);
    if (this.hookChanges(table).length > 0) {
      findings.push(`jumps from the built-in chains of table ${table} are not as wanted`);
      this.hooksDirty = true;
    }
    return findings;
  }

  /** Everything marked that really differs; what does not is unmarked. */
  plan(): readonly TableChange[] {
    const writes: TableChange[] = [];
    const deletions: TableChange[] = [];
    for (const key of this.dirty) {
      const chain = this.wanted.get(key);
      const present = this.kernel.get(key);
      if (chain !== undefined && (present === undefined || !isSame(chain.hashes, present)))
        writes.push({ type: 'write', table: chain.table, chain });
      else if (chain === undefined && present !== undefined && this.handed.hasChain(nameOf(key)))
        deletions.push({ type: 'delete', table: tableOf(key), name: nameOf(key) });
      else this.dirty.delete(key);
    }
    const hooks = this.hooksDirty ? TABLES.flatMap((table) => this.hookChanges(table)) : [];
    this.hooksDirty = hooks.length > 0;
    return [...writes, ...hooks, ...deletions];
  }

  /** A change was refused: it goes to the end, so that a run that gives up early does not meet the same changes first again. */
  refuse(change: TableChange): void {
    if (change.type === 'hook') return;
    const key = chainKey(change.type === 'write' ? change.chain : change);
    if (this.dirty.delete(key)) this.dirty.add(key);
  }

  /** Tables with chains or jumps that were written but not read back since. */
  unverified(): ReadonlySet<Table> {
    const tables = new Set<Table>(this.unverifiedHooks);
    for (const key of this.kernel.keys()) if (!this.texts.has(key)) tables.add(tableOf(key));
    if (tables.size === 0) this.unverifiedSince = undefined;
    return tables;
  }

  /** A change is in the kernel. */
  done(change: TableChange): void {
    this.writtenAt = Date.now();
    this.unverifiedSince ??= this.writtenAt;
    switch (change.type) {
      case 'write':
        return this.note(chainKey(change.chain), change.chain.hashes);
      case 'close':
        return this.note(chainKey(change), [CLOSED_HASH]);
      case 'delete':
        return this.forget(chainKey(change));
      case 'hook': {
        const present = this.kernelHooks.get(change.table) ?? [];
        const rest = present.filter((hook) => hook.builtin !== change.builtin);
        const own = this.hooks.all().filter((hook) => hook.table === change.table && hook.builtin === change.builtin);
        this.unverifiedHooks.add(change.table);
        // Ours went in first, in front of what is kept.
        const kept = present
          .filter((hook) => hook.builtin === change.builtin && !this.isHanded(hook))
          .map((hook, index) => ({ ...hook, position: own.length + index }));
        const now = own.map((hook, position) => ({
          builtin: hook.builtin,
          position,
          hash: renderHook(hook).hash,
          text: renderHook(hook).body,
        }));
        this.kernelHooks.set(change.table, [...rest, ...now, ...kept]);
        this.hooksDirty = TABLES.some((table) => this.hookChanges(table).length > 0);
      }
    }
  }

  /** Nothing is marked. */
  get isClean(): boolean {
    return this.dirty.size === 0 && !this.hooksDirty;
  }

  isInKernel(key: string): boolean {
    return this.kernel.has(key);
  }

  chainsInKernel(): number {
    return this.kernel.size;
  }

  private want(chain: RenderedChain): void {
    const key = chainKey(chain);
    this.wanted.set(key, chain);
    this.dirty.add(key);
  }

  private unwant(key: string): void {
    this.wanted.delete(key);
    this.dirty.add(key);
  }

  private note(key: string, hashes: readonly string[]): void {
    this.kernel.set(key, hashes);
    this.texts.delete(key);
    if (isSame(hashes, this.wanted.get(key)?.hashes ?? [])) this.dirty.delete(key);
  }

  private forget(key: string): void {
    this.kernel.delete(key);
    this.texts.delete(key);
    if (this.wanted.has(key)) this.dirty.add(key);
    else this.dirty.delete(key);
  }

  /** Ours must be the first rules of the built-in chain, each once: an ACCEPT in front of them would bypass policy. */
  private hookChanges(table: Table): readonly TableChange[] {
    const present = this.kernelHooks.get(table) ?? [];
    const wanted = this.hooks.all().filter((hook) => hook.table === table);
    const changes: TableChange[] = [];
    for (const builtin of BUILTIN_CHAINS) {
      const want = wanted.filter((hook) => hook.builtin === builtin).map((hook) => renderHook(hook));
      const own = present.filter((hook) => hook.builtin === builtin);
      const have = own.filter((hook) => this.isHanded(hook));
      const kept = own.filter((hook) => !have.includes(hook));
      const isRight =
        want.length === have.length &&
        want.every((hook, i) => have[i]?.hash === hook.hash && have[i]?.position === freePosition(i, kept));
      if (isRight) continue;
      const commands = [
        ...have.map((hook) => `-D ${builtin} ${hook.text}`),
        ...want.map((hook, i) => `-I ${builtin} ${i + 1} ${hook.body}`),
      ];
      changes.push({ type: 'hook', table, builtin, commands });
    }
    return changes;
  }

  /** A jump of a part that is not handed over is its predecessor's, and stays. */
  private isHanded({ text }: SavedHook): boolean {
    const target = /(?:^| )-[jg] (\S+)/.exec(text)?.[1];
    return target === undefined || this.handed.hasChain(target);
  }
}

function changedEntries(
  entries: ReadonlyMap<string, string>,
  { added, removed }: MapChange,
): ReadonlyMap<string, string> {
  const changed = new Map(entries);
  for (const key of removed) changed.delete(key);
  for (const [key, chain] of added) changed.set(key, chain);
  return changed;
}

/** Where the jump of that index stands: behind those before it and whatever kept ones stand among them. */
function freePosition(index: number, kept: readonly SavedHook[]): number {
  let position = index;
  for (const hook of [...kept].sort((a, b) => a.position - b.position)) if (hook.position <= position) position++;
  return position;
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);
const tableOf = (key: string): Table => {
  const table = key.slice(0, key.indexOf('/'));
  const known = TABLES.find((one) => one === table);
  if (known !== undefined) return known;
  throw new Error(`Cannot tell the table of chain "${key}": expected ${TABLES.join(', ')} before the slash`);
};
const nameOf = (key: string): string => key.slice(key.indexOf('/') + 1);
