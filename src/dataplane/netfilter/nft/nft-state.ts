/**
 * What our nftables table must hold, what it was last seen to hold, and the difference as changes that write themselves into a
 * transaction. No I/O. Sets are counted by SetState, as for ipsets.
 */
import {
  renderNftChain,
  renderNftMapChain,
  nftChainName,
  nftHookName,
  partOfNftChain,
} from '@tortie/policy/render/nftables';
import type { Chain, ChainName, DispatchMap, Hook, MapChange, MapHead, Part } from '@tortie/policy/ruleset';
import type { HandedOver } from '../parts.js';
import { CLOSED_HASH } from '../restore-script.js';
import { NftMaps, type NftMapChange } from './nft-maps.js';
import type { ReadRule, ReadTable } from './reader.js';

export interface WantedChain {
  readonly name: string;
  readonly hashes: readonly string[];
  readonly content:
    | { readonly type: 'rules'; readonly chain: Chain }
    | { readonly type: 'lookup'; readonly map: MapHead }
    | { readonly type: 'hook'; readonly hook: Hook };
}

/** The smallest thing that can be refused by itself. */
export type NftChange =
  | { readonly type: 'write'; readonly chain: WantedChain }
  | { readonly type: 'close'; readonly name: string }
  | { readonly type: 'delete'; readonly name: string }
  | NftMapChange;

export class NftState {
  /** By nft name. */
  private readonly wanted = new Map<string, WantedChain>();
  private readonly kernel = new Map<string, readonly string[]>();
  /** Digests of rules as read back, by chain. */
  private readonly digests = new Map<string, readonly string[]>();
  /** Written and not read back since. BOUNDED by the chains there are. */
  private readonly unread = new Set<string>();
  private readonly maps: NftMaps;
  private readonly dirty = new Set<string>();
  /** Names of base chains, by part. */
  private readonly hooks = new Map<Part, readonly string[]>();

  constructor(private readonly handed: HandedOver) {
    this.maps = new NftMaps(handed);
  }

  upsertChain(chain: Chain): void {
    const { name, hashes } = renderNftChain(chain);
    this.want({ name, hashes, content: { type: 'rules', chain } });
  }

  deleteChain(name: ChainName): void {
    this.unwant(nftChainName(name));
  }

  upsertMap(map: DispatchMap): void {
    const { entries: _, ...head } = map;
    const { name, hashes } = renderNftMapChain(head);
    this.want({ name, hashes, content: { type: 'lookup', map: head } });
    this.maps.upsert(map);
  }

  changeMap(change: MapChange): void {
    this.maps.change(change);
  }

  deleteMap(name: ChainName): void {
    this.unwant(nftChainName(name));
    this.maps.delete(name);
  }

  setHooks(hooks: readonly Hook[], part: Part): void {
    for (const name of this.hooks.get(part) ?? []) this.unwant(name);
    this.hooks.set(part, hooks.map(nftHookName));
    for (const hook of hooks)
      this.want({
        name: nftHookName(hook),
        hashes: [`hook${hook.chain.replace(/[^A-Za-z0-9]/g, '')}`],
        content: { type: 'hook', hook },
      });
  }

  reset(part: Part): void {
    const isPart = (name: string): boolean => partOfNftChain(name) === part;
    for (const name of [...this.wanted.keys()].filter(isPart)) this.unwant(name);
    for (const name of this.kernel.keys()) if (isPart(name)) this.dirty.add(name);
    this.maps.reset(part);
    this.hooks.delete(part);
  }

  /**
   * Takes what the table holds now; says what is not as last written. `isForeign`: somebody else has touched the table, so a
   * chain that was never read back since it was written cannot be taken as ours.
   */
  observe(
    table: ReadTable,
    maps: ReadonlyMap<string, ReadonlyMap<string, string>>,
    isForeign = false,
  ): readonly string[] {
    const findings: string[] = [];
    for (const name of [...this.kernel.keys()])
      if (!table.chains.has(name)) {
        if (this.wanted.has(name)) findings.push(`chain ${name} is missing`);
        this.forget(name);
      }
    for (const [name, rules] of table.chains)
      for (const each of this.observeChain(name, rules, isForeign)) findings.push(each);
    for (const name of new Set([...this.maps.inKernel(), ...maps.keys()]))
      for (const each of this.observeMap(name, maps.get(name))) findings.push(each);
    return findings;
  }

  /** Takes one map's entries as they are now; undefined when there is none. */
  observeMap(name: string, present: ReadonlyMap<string, string> | undefined): readonly string[] {
    return this.maps.observe(name, present);
  }

  /** Chains that were written and not read back since. */
  unverified(): readonly string[] {
    return [...this.unread].filter((name) => this.kernel.has(name));
  }

  /** As `observe`, for chains alone that only we have touched; undefined: the chain is not there. */
  observeChains(chains: ReadonlyMap<string, readonly ReadRule[] | undefined>): readonly string[] {
    const findings: string[] = [];
    for (const [name, rules] of chains)
      if (rules !== undefined) for (const each of this.observeChain(name, rules, false)) findings.push(each);
      else {
        if (this.wanted.has(name)) findings.push(`chain ${name} is missing`);
        this.forget(name);
      }
    return findings;
  }

  /** Everything marked that differs; what does not is unmarked. */
  plan(): readonly NftChange[] {
    const changes: NftChange[] = [...this.maps.plan()];
    for (const name of this.dirty) {
      const chain = this.wanted.get(name);
      const present = this.kernel.get(name);
      if (chain !== undefined && (present === undefined || !isSame(chain.hashes, present)))
        changes.push({ type: 'write', chain });
      else if (chain === undefined && present !== undefined && this.handed.hasNft(name))
        changes.push({ type: 'delete', name });
      else this.dirty.delete(name);
    }
    return changes;
  }

  done(change: NftChange): void {
    switch (change.type) {
      case 'write':
        return this.note(change.chain.name, change.chain.hashes);
      case 'close':
        return this.note(change.name, [CLOSED_HASH]);
      case 'delete':
        return this.forget(change.name);
      case 'create-map':
      case 'delete-map':
      case 'map':
        return this.maps.done(change);
    }
  }

  /** The table is going to be made anew. */
  forgetKernel(): void {
    this.kernel.clear();
    this.unread.clear();
    this.digests.clear();
    for (const name of this.wanted.keys()) this.dirty.add(name);
    this.maps.forgetKernel();
  }

  isInKernel(name: string): boolean {
    return this.kernel.has(name);
  }

  chainsInKernel(): readonly string[] {
    return [...this.kernel.keys()];
  }

  get isClean(): boolean {
    return this.plan().length === 0;
  }

  private observeChain(name: string, rules: readonly ReadRule[], isForeign: boolean): readonly string[] {
    const hashes = rules.map((rule) => rule.hash);
    const digests = rules.map((rule) => rule.digest);
    const before = this.kernel.get(name);
    const seen = this.digests.get(name);
    this.unread.delete(name);
    this.dirty.add(name);
    if (before !== undefined && isSame(hashes, before)) {
      if (seen === undefined && isForeign) this.kernel.set(name, []);
      else if (seen === undefined || isSame(digests, seen)) this.digests.set(name, digests);
      else {
        this.kernel.set(name, []);
        return [`chain ${name} has a rule edited under its old comment`];
      }
      return [];
    }
    this.kernel.set(name, hashes);
    this.digests.set(name, digests);
    if (before === undefined && !this.handed.hasNft(name)) return [];
    return [before === undefined ? `chain ${name} is not ours` : `chain ${name} holds other rules`];
  }

  private want(chain: WantedChain): void {
    this.wanted.set(chain.name, chain);
    this.dirty.add(chain.name);
  }

  private unwant(name: string): void {
    this.wanted.delete(name);
    this.dirty.add(name);
  }

  private note(name: string, hashes: readonly string[]): void {
    this.kernel.set(name, hashes);
    this.digests.delete(name);
    this.unread.add(name);
  }

  private forget(name: string): void {
    this.unread.delete(name);
    this.kernel.delete(name);
    this.digests.delete(name);
    this.dirty.add(name);
  }
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);
