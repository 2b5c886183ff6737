/**
 * A rule of the ruleset as nf_tables expressions: each match loads something into a register and compares it, the action closes
 * the rule. It is the same rule that policy's render/nftables.ts words for the nft program; a test holds the two together.
 */
import { addressToBytes, parseAddress, type Family } from 'node-bgp/address';
import { looksAtFamily, nftChainName } from '@tortie/policy/render/nftables';
import { setName, type Action, type MapHead, type Match, type Rule, type Table } from '@tortie/policy/ruleset';
import type { NetlinkBatch } from '../../netlink/batch.js';
import {
  loadAddress,
  loadAddressAndPort,
  loadFamily,
  loadImmediate,
  loadMeta,
  loadProtocolAndPort,
  mask,
  Meta,
  NFPROTO,
  portBytes,
  REGISTER_1,
  REGISTER_32,
  REGISTER_VERDICT,
  verdict,
  writeExpression,
} from './expression.js';
import { writeMatch, writeOwnSets, type SetNumbers } from './match.js';
import { beginRule, NFTA_RULE_EXPRESSIONS, Verdict } from './protocol.js';

const LOG_NOTICE = 5;
/** NFT_DYNSET_OP_UPDATE: adds, or sets the time anew. */
const DYNSET_UPDATE = 1;
const enum Reject {
  TcpReset = 1,
  IcmpxUnreachable = 2,
}
const ICMPX_PORT_UNREACHABLE = 1;

/** One rule of one family (or of both, where it looks at no address). Sets that it needs for itself are written before it. */
export function writeRule(
  batch: NetlinkBatch,
  chain: string,
  table: Table,
  rule: Rule,
  family: Family | undefined,
  comment: string,
  numbers: SetNumbers,
): void {
  const ownSets = writeOwnSets(batch, rule.matches, family ?? 4, numbers);
  beginRule(batch, chain, comment);
  const list = batch.beginNest(NFTA_RULE_EXPRESSIONS, true);
  writeMatches(batch, rule, family, ownSets);
  if (rule.note !== undefined || rule.action.type === 'drop') writeExpression(batch, 'counter', () => undefined);
  writeAction(batch, rule.action, table, family);
  batch.endNest(list);
  batch.endMessage();
}

/** The one rule of a dispatch map's chain, or of a hook's base chain. */
export function writeLookupRule(
  batch: NetlinkBatch,
  chain: string,
  map: MapHead,
  mapName: string,
  comment: string,
): void {
  beginRule(batch, chain, comment);
  const list = batch.beginNest(NFTA_RULE_EXPRESSIONS, true);
  loadMapKey(batch, map);
  writeExpression(batch, 'lookup', () => {
    batch.attributeText(1, mapName);
    batch.attributeU32be(2, REGISTER_1);
    batch.attributeU32be(3, REGISTER_VERDICT);
  });
  batch.endNest(list);
  batch.endMessage();
}

function loadMapKey(batch: NetlinkBatch, { key, family }: MapHead): void {
  switch (key) {
    case 'in-interface':
      return loadMeta(batch, Meta.InInterface);
    case 'out-interface':
      return loadMeta(batch, Meta.OutInterface);
    case 'destination':
      loadFamily(batch, family ?? 4);
      return loadAddress(batch, 'destination', family ?? 4);
    case 'destination-port':
      loadFamily(batch, family ?? 4);
      return loadAddressAndPort(batch, 'destination', family ?? 4);
    case 'port':
      return loadProtocolAndPort(batch, 'destination', REGISTER_32);
  }
}

/** `ip` addresses exist only after the family is known: the kernel would read the wrong header otherwise. */
function writeMatches(
  batch: NetlinkBatch,
  rule: Rule,
  family: Family | undefined,
  ownSets: ReadonlyMap<Match, number>,
): void {
  let isFamilyKnown = family === undefined;
  const learnFamily = (): void => {
    if (isFamilyKnown || family === undefined) return;
    isFamilyKnown = true;
    loadFamily(batch, family);
  };
  const seesAddresses = rule.matches.some(looksAtFamily);
  if (!seesAddresses) learnFamily();
  for (const match of rule.matches) {
    if (looksAtFamily(match)) learnFamily();
    writeMatch(batch, match, family ?? 4, ownSets.get(match));
  }
}

/** The families a rule is written for: once where it looks at no address. */
export function familiesOf(rule: Rule): readonly (Family | undefined)[] {
  if (rule.family !== undefined) return [rule.family];
  return rule.matches.some(looksAtFamily) ? [4, 6] : [undefined];
}

/** A rule that only jumps: a hook's, or with drop that of a closed chain. */
export function writeVerdictRule(
  batch: NetlinkBatch,
  chain: string,
  comment: string,
  target: { readonly jump: string } | 'drop' | 'return',
): void {
  beginRule(batch, chain, comment);
  const list = batch.beginNest(NFTA_RULE_EXPRESSIONS, true);
  if (target === 'drop') writeExpression(batch, 'counter', () => undefined);
  if (target === 'drop') verdict(batch, Verdict.Drop);
  else if (target === 'return') verdict(batch, Verdict.Return);
  else verdict(batch, Verdict.Jump, target.jump);
  batch.endNest(list);
  batch.endMessage();
}

/** Actions that end a rule and do nothing besides. */
export type VerdictAction = Extract<Action, { readonly type: 'accept' | 'drop' | 'return' | 'jump' | 'goto' }>;

/** `chainOf`: what a chain of the ruleset is called here. */
export function writeVerdictAction(
  batch: NetlinkBatch,
  action: VerdictAction,
  chainOf: (name: string) => string = (name) => name,
): void {
  switch (action.type) {
    case 'accept':
      return verdict(batch, Verdict.Accept);
    case 'drop':
      return verdict(batch, Verdict.Drop);
    case 'return':
      return verdict(batch, Verdict.Return);
    case 'jump':
      return verdict(batch, Verdict.Jump, chainOf(action.chain));
    case 'goto':
      return verdict(batch, Verdict.Goto, chainOf(action.chain));
  }
}

function writeAction(batch: NetlinkBatch, action: Action, table: Table, family: Family | undefined): void {
  switch (action.type) {
    case 'accept':
    case 'drop':
    case 'return':
    case 'jump':
    case 'goto':
      return writeVerdictAction(batch, action, (name) => nftChainName({ table, name }));
    case 'no-track':
      return writeExpression(batch, 'notrack', () => undefined);
    case 'set-mark':
      loadMeta(batch, Meta.Mark);
      mask(batch, ~action.mask, action.value);
      return writeExpression(batch, 'meta', () => {
        batch.attributeU32be(2, Meta.Mark);
        batch.attributeU32be(3, REGISTER_1);
      });
    case 'log':
      return writeExpression(batch, 'log', () => {
        batch.attributeText(2, action.prefix.replace(/[^A-Za-z0-9 ._:/=,()[\]+-]/g, '_').slice(0, 120));
        batch.attributeU32be(5, LOG_NOTICE);
      });
    case 'report':
      return writeExpression(batch, 'log', () => {
        batch.attributeU16be(1, action.group);
        batch.attributeText(2, action.prefix.replace(/[^A-Za-z0-9 ._:/=,()[\]+-]/g, '_').slice(0, 63));
      });
    case 'remember':
      loadAddress(batch, action.side, family ?? 4);
      return writeExpression(batch, 'dynset', () => {
        batch.attributeText(1, setName(family ?? 4, action.set));
        batch.attributeU32be(3, DYNSET_UPDATE);
        batch.attributeU32be(4, REGISTER_1);
      });
    case 'dnat':
    case 'snat':
    case 'masquerade':
      return writeTranslation(batch, action);
    case 'reject':
      return writeExpression(batch, 'reject', () => {
        batch.attributeU32be(1, action.with === 'tcp-reset' ? Reject.TcpReset : Reject.IcmpxUnreachable);
        batch.attribute(2, Uint8Array.of(action.with === 'tcp-reset' ? 0 : ICMPX_PORT_UNREACHABLE));
      });
  }
}

/** NFTA_NAT_*, NFTA_MASQ_*: addresses and ports come from registers. */
function writeTranslation(
  batch: NetlinkBatch,
  action: Action & { readonly type: 'dnat' | 'snat' | 'masquerade' },
): void {
  const range =
    action.type === 'dnat'
      ? action.port === undefined
        ? undefined
        : { from: action.port, to: action.port }
      : action.ports;
  const isRange = range !== undefined && range.from !== range.to;
  const portRegister = REGISTER_1 + 1;
  const address = action.type === 'masquerade' ? undefined : parseAddress(action.to);
  if (address !== undefined) loadImmediate(batch, REGISTER_1, addressToBytes(address));
  if (range !== undefined) loadImmediate(batch, portRegister, portBytes(range.from));
  if (isRange) loadImmediate(batch, portRegister + 1, portBytes(range.to));
  if (address === undefined || action.type === 'masquerade') {
    const isRandom = action.type === 'masquerade' && action.fullyRandom === true;
    return writeExpression(batch, 'masq', () => {
      const flags = (isRandom ? NAT_RANDOM_FULLY : 0) | (range === undefined ? 0 : NAT_PORTS_GIVEN);
      if (flags !== 0) batch.attributeU32be(1, flags);
      if (range !== undefined) batch.attributeU32be(2, portRegister);
      if (isRange) batch.attributeU32be(3, portRegister + 1);
    });
  }
  writeExpression(batch, 'nat', () => {
    batch.attributeU32be(1, action.type === 'dnat' ? 1 : 0);
    batch.attributeU32be(2, NFPROTO[address.family]);
    batch.attributeU32be(3, REGISTER_1);
    if (range !== undefined) batch.attributeU32be(5, portRegister);
    if (isRange) batch.attributeU32be(6, portRegister + 1);
  });
}

/** NF_NAT_RANGE_* of linux/netfilter/nf_nat.h. */
const NAT_PORTS_GIVEN = 2;
const NAT_RANDOM_FULLY = 16;
