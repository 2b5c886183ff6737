/**
 * Writes chains of iptables-nft's tables over netlink, from this process: its rules are nf_tables rules, and those of an endpoint
 * (interfaces, marks, jumps) need none of the xtables extensions. iptables-save shows them as its own, the comment too, which
 * it looks for in a rule's user data.
 *
 * Beside the time of a child it saves the kernel's: a rule with an xtables extension (a set, a comment the way iptables-restore
 * writes it) waits at its creation until what earlier commits deleted has been freed, a grace period of 20 ms and more
 * (nft_compat_wait_for_destructors in net/netfilter/nft_compat.c). Rules without one do not wait.
 */
import { ruleComment } from '@tortie/policy/render/iptables';
import type { Action, Family, Match, Rule, Table } from '@tortie/policy/ruleset';
import { NetlinkBatch } from '../netlink/batch.js';
import { SystemError } from '../system-error.js';
import type { Within } from './child.js';
import { writeExpression } from './nft/expression.js';
import { writeMatch } from './nft/match.js';
import { writeVerdictAction, type VerdictAction } from './nft/rule.js';
import {
  beginRule,
  NFTA_RULE_EXPRESSIONS,
  writeBatchBegin,
  writeBatchEnd,
  writeChain,
  writeChainDeletion,
  writeFlush,
  type Place,
} from './nft/protocol.js';
import { TransactionSocket } from './nft/transaction.js';
import { CLOSED_HASH, type TableChange } from './restore-script.js';

const NFPROTO: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

/** Everything but hooks, whose place among strangers' rules iptables knows to find. */
export type NativeChange = Exclude<TableChange, { readonly type: 'hook' }>;

/** Can it be written without xtables extensions? */
export function isNative(change: TableChange): change is NativeChange {
  if (change.type === 'hook') return false;
  return change.type !== 'write' || change.chain.rules.every(isNativeRule);
}

const isNativeRule = ({ matches, action }: Rule): boolean => matches.every(isNativeMatch) && isVerdict(action);

function isNativeMatch(match: Match): boolean {
  switch (match.type) {
    case 'in-interface':
    case 'out-interface':
      return match.name !== '+';
    case 'mark':
      return true;
    default:
      return false;
  }
}

const isVerdict = (action: Action): action is VerdictAction =>
  ['accept', 'drop', 'return', 'jump', 'goto'].includes(action.type);

/** The first iptables that itself writes marks as nf_tables' own expressions, so that it surely reads them. */
const FIRST_READER = [1, 8, 9] as const;

/** Does iptables-nft of this version ("1.8.9") show natively written rules as they are? */
export function readsNativeRules(version: string | undefined): boolean {
  if (version === undefined) return false;
  const parts = version.split('.').map(Number);
  for (const [index, wanted] of FIRST_READER.entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

export class NativeChains {
  private readonly batch = new NetlinkBatch();

  private constructor(
    private readonly family: Family,
    private readonly socket: TransactionSocket,
  ) {}

  /** Undefined where this process cannot speak netlink: the programs write everything then. */
  static open(family: Family, within: Within): NativeChains | undefined {
    try {
      return new NativeChains(
        family,
        within(() => new TransactionSocket()),
      );
    } catch (error) {
      if (error instanceof SystemError) return undefined;
      throw error;
    }
  }

  /** By it the kernel's events name our commits. */
  get portId(): number {
    return this.socket.portId;
  }

  /** True: all of it is in force. False: the kernel refused something, and nothing has changed. Throws SystemError. */
  write(changes: readonly NativeChange[]): boolean {
    const { batch } = this;
    batch.clear();
    writeBatchBegin(batch);
    for (const change of changes)
      if (change.type !== 'delete') writeChain(batch, nameOf(change), undefined, this.placeOf(change.table));
    for (const change of changes) writeFlush(batch, nameOf(change), this.placeOf(change.table));
    for (const change of changes) this.fill(change);
    for (const change of changes)
      if (change.type === 'delete') writeChainDeletion(batch, change.name, this.placeOf(change.table));
    writeBatchEnd(batch);
    return this.socket.commit(batch).length === 0;
  }

  close(): void {
    this.socket.close();
  }

  private placeOf(table: Table): Place {
    return { family: NFPROTO[this.family], table };
  }

  private fill(change: NativeChange): void {
    if (change.type === 'close')
      this.writeRule(
        change.table,
        change.name,
        { matches: [], action: { type: change.table === 'nat' ? 'return' : 'drop' } },
        CLOSED_HASH,
      );
    if (change.type !== 'write') return;
    const { name, rules, hashes } = change.chain;
    for (const [index, rule] of rules.entries()) this.writeRule(change.table, name, rule, hashes[index] ?? '');
  }

  /** The way iptables writes it: matches, a counter, the verdict. */
  private writeRule(table: Table, chain: string, rule: Rule, hash: string): void {
    const { batch } = this;
    beginRule(batch, chain, ruleComment(hash, rule.note), this.placeOf(table));
    const list = batch.beginNest(NFTA_RULE_EXPRESSIONS, true);
    for (const match of rule.matches) writeMatch(batch, match, this.family);
    writeExpression(batch, 'counter', () => undefined);
    if (!isVerdict(rule.action))
      throw new Error(`Cannot write action "${rule.action.type}" without xtables: expected a verdict`);
    writeVerdictAction(batch, rule.action);
    batch.endNest(list);
    batch.endMessage();
  }
}

const nameOf = (change: NativeChange): string => (change.type === 'write' ? change.chain.name : change.name);
