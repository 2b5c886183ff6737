/**
 * The chains of what denies (compile/denied-chain.ts): there while a rule of this node leads to one, whoever's rule it is.
 *
 * `action` says what stands in a rule in the place of a drop, `replaced` counts the rules that stand; so nobody who makes chains has to
 * say when he no longer does.
 */
import {
  compileDeniedChain,
  deniedChainName,
  denyId,
  DROP,
  type DenyActions,
  type DenyPoint,
  type DenyReports,
} from '../compile/denied-chain.js';
import { chainKey, TABLES, type Action, type Chain, type ChainName, type Table } from '../ruleset.js';
import { NamedStore, sameChain } from './chain-store.js';

export class DeniedChains {
  /** By id. BOUNDED by what `users` holds, once collected. */
  private readonly points = new Map<string, DenyPoint>();
  /** By name; the same object for all rules that go there. */
  private readonly actions = new Map<string, Action>();
  /** Rules that lead to a chain, by chainKey. BOUNDED by the chains there are. */
  private readonly users = new Map<string, number>();

  constructor(private readonly reports: DenyReports | undefined) {}

  readonly action: DenyActions = (point) => {
    if (this.reports === undefined) return DROP;
    const id = denyId(point);
    const known = this.actions.get(id);
    if (known !== undefined) return known;
    const action: Action = { type: 'goto', chain: deniedChainName(id) };
    this.points.set(id, point);
    this.actions.set(id, action);
    return action;
  };

  /** What the id in a report's prefix stands for. */
  point(id: string): DenyPoint | undefined {
    return this.points.get(id);
  }

  standing(): readonly ChainName[] {
    return [...this.users.keys()].map((key) => {
      const [table, name] = key.split('/');
      return { table: TABLES.find((each) => each === table) ?? 'filter', name: name ?? '' };
    });
  }

  /** A chain stands for another, or for none, or none for it; `chains` is where those of ours go. */
  replaced(before: Chain | undefined, after: Chain | undefined, chains: NamedStore<Chain>): void {
    if (this.reports === undefined) return;
    for (const id of idsIn(after)) this.count(id, after?.table ?? 'filter', 1, chains);
    for (const id of idsIn(before)) this.count(id, before?.table ?? 'filter', -1, chains);
  }

  /** Forgets what no rule leads to. Call it when all chains stand. */
  collect(): void {
    if (this.points.size <= this.users.size) return;
    for (const id of this.points.keys())
      if (!TABLES.some((table) => this.users.has(keyOf(table, id)))) {
        this.points.delete(id);
        this.actions.delete(id);
      }
  }

  private count(id: string, table: Table, by: 1 | -1, chains: NamedStore<Chain>): void {
    const key = keyOf(table, id);
    const point = this.points.get(id);
    const users = (this.users.get(key) ?? 0) + by;
    if (users > 0) this.users.set(key, users);
    else this.users.delete(key);
    if (point === undefined || this.reports === undefined) return;
    if (users === 1 && by === 1) chains.put(compileDeniedChain(table, point, this.reports));
    else if (users === 0) chains.delete({ table, name: deniedChainName(id) });
  }
}

const PREFIX = deniedChainName('');
const keyOf = (table: Table, id: string): string => chainKey({ table, name: deniedChainName(id) });

function* idsIn(chain: Chain | undefined): Iterable<string> {
  for (const { action } of chain?.rules ?? [])
    if (action.type === 'goto' && action.chain.startsWith(PREFIX)) yield action.chain.slice(PREFIX.length);
}

/** Chains by name, and with them those of what they deny. */
export class ChainStore extends NamedStore<Chain> {
  constructor(private readonly denied: DeniedChains) {
    super(sameChain);
  }

  override put(chain: Chain): void {
    const before = this.all().get(chainKey(chain));
    super.put(chain);
    this.denied.replaced(before, chain, this);
  }

  override delete(name: Parameters<NamedStore<Chain>['delete']>[0]): void {
    const before = this.all().get(chainKey(name));
    super.delete(name);
    this.denied.replaced(before, undefined, this);
  }
}
