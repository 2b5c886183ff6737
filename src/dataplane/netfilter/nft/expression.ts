/**
 * A rule of the ruleset as nf_tables expressions: each match loads something into a register and compares it, the action closes
 * the rule. It is the same rule that policy's render/nftables.ts words for the nft program; a test holds the two together.
 *
 * Register 1 takes every single value; a concatenation (address, protocol, port) spreads over the 4-byte registers behind it.
 */
import { addressToBytes, parseAddress, parsePrefix, bitsOf, type Family } from 'node-bgp/address';
import { looksAtFamily, METERED_SOURCES, nftChainName } from '@tortie/policy/render/nftables';
import {
  setName,
  type Action,
  type DispatchMap,
  type Match,
  type PortRange,
  type Rule,
  type Side,
  type Table,
} from '@tortie/policy/ruleset';
import type { NetlinkBatch } from '../../netlink/batch.js';
import {
  beginRule,
  DataType,
  hostWord,
  interfaceName,
  NFTA_LIST_ELEM,
  SetFlag,
  Verdict,
  writeData,
  writeElements,
  writeSet,
  writeVerdict,
  type Element,
} from './protocol.js';

const REGISTER_1 = 1;
const REGISTER_VERDICT = 0;
/** NFT_REG32_00, which is where register 1 begins. */
const REGISTER_32 = 8;

const enum Compare {
  Equal = 0,
  NotEqual = 1,
  LessOrEqual = 3,
  GreaterOrEqual = 5,
}
const enum Meta {
  Mark = 3,
  InInterface = 6,
  OutInterface = 7,
  Family = 15,
  Protocol = 16,
}
const enum Header {
  Network = 1,
  Transport = 2,
}
const enum Fib {
  OutIndex = 1,
  AddressType = 3,
}
const enum FibFlag {
  Source = 1,
  Destination = 2,
  InInterface = 8,
}

const NFPROTO: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };
const RTN_LOCAL = 2;
/** NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h, as `ct state` holds them. */
const STATE_BITS: Readonly<Record<string, number>> = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 };
const LOG_NOTICE = 5;
const NUMGEN_RANDOM = 1;
/** NFT_DYNSET_OP_UPDATE: adds, or sets the time anew. */
const DYNSET_UPDATE = 1;
const enum Reject {
  TcpReset = 1,
  IcmpxUnreachable = 2,
}
const ICMPX_PORT_UNREACHABLE = 1;

/** Gives anonymous sets their numbers within one transaction. */
export interface SetNumbers {
  next(): number;
}

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
  const ownSets = new Map<Match, number>();
  for (const match of rule.matches)
    if (match.type === 'ports' && match.ports.length > 1)
      ownSets.set(match, writePortSet(batch, match.ports, numbers.next()));
    else if (match.type === 'connections') ownSets.set(match, writeMeter(batch, family ?? 4, numbers.next()));
  beginRule(batch, chain, comment);
  const list = batch.beginNest(4, true);
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
  map: DispatchMap,
  mapName: string,
  comment: string,
): void {
  beginRule(batch, chain, comment);
  const list = batch.beginNest(4, true);
  loadMapKey(batch, map);
  writeExpression(batch, 'lookup', () => {
    batch.attributeText(1, mapName);
    batch.attributeU32be(2, REGISTER_1);
    batch.attributeU32be(3, REGISTER_VERDICT);
  });
  batch.endNest(list);
  batch.endMessage();
}

function loadMapKey(batch: NetlinkBatch, { key, family }: DispatchMap): void {
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

/** `ownSet`: number of the anonymous set that holds the match's ports, where there are several, or the sources that it counts. */
export function writeMatch(batch: NetlinkBatch, match: Match, family: Family, ownSet?: number): void {
  const not = 'not' in match && match.not === true;
  const equal = not ? Compare.NotEqual : Compare.Equal;
  switch (match.type) {
    case 'in-interface':
    case 'out-interface': {
      loadMeta(batch, match.type === 'in-interface' ? Meta.InInterface : Meta.OutInterface);
      const isPrefix = match.name.endsWith('+');
      return compare(batch, equal, interfaceName(isPrefix ? match.name.slice(0, -1) : match.name, isPrefix));
    }
    case 'protocol':
      loadMeta(batch, Meta.Protocol);
      return compare(batch, equal, Uint8Array.of(match.protocol));
    case 'set':
      loadAddress(batch, match.side, family);
      return lookup(batch, setName(family, match.set), not);
    case 'set-port':
      loadAddressAndPort(batch, match.side, family);
      return lookup(batch, setName(family, match.set), not);
    case 'network':
      return matchNetwork(batch, match.side, match.prefix, equal);
    case 'ports':
      return matchPorts(batch, match.side, match.ports, not, ownSet);
    case 'icmp':
      loadPayload(batch, Header.Transport, 0, match.code === undefined ? 1 : 2);
      return compare(
        batch,
        equal,
        match.code === undefined ? Uint8Array.of(match.icmpType) : Uint8Array.of(match.icmpType, match.code),
      );
    case 'state':
      writeExpression(batch, 'ct', () => {
        batch.attributeU32be(1, REGISTER_1);
        batch.attributeU32be(2, 0);
      });
      mask(
        batch,
        match.states.reduce((bits, state) => bits | (STATE_BITS[state] ?? 0), 0),
        0,
      );
      return compare(batch, Compare.NotEqual, hostWord(0));
    case 'mark':
      loadMeta(batch, Meta.Mark);
      mask(batch, match.mask, 0);
      return compare(batch, equal, hostWord(match.value));
    case 'limit':
      return writeExpression(batch, 'limit', () => {
        writeU64(batch, 1, match.perSecond);
        writeU64(batch, 2, 1);
        batch.attributeU32be(3, match.perSecond);
        batch.attributeU32be(4, 0);
      });
    case 'random':
      writeExpression(batch, 'numgen', () => {
        batch.attributeU32be(1, REGISTER_1);
        batch.attributeU32be(2, match.oneIn);
        batch.attributeU32be(3, NUMGEN_RANDOM);
        batch.attributeU32be(4, 0);
      });
      return compare(batch, Compare.Equal, hostWord(0));
    case 'connections':
      loadAddress(batch, 'source', family);
      return countConnections(batch, match.moreThan, ownSet);
    case 'reverse-path-fails':
      loadFib(batch, Fib.OutIndex, FibFlag.Source | FibFlag.InInterface);
      return compare(batch, Compare.Equal, hostWord(0));
    case 'local':
      loadFib(batch, Fib.AddressType, match.side === 'source' ? FibFlag.Source : FibFlag.Destination);
      return compare(batch, equal, hostWord(RTN_LOCAL));
  }
}

function writeAction(batch: NetlinkBatch, action: Action, table: Table, family: Family | undefined): void {
  switch (action.type) {
    case 'accept':
      return verdict(batch, Verdict.Accept);
    case 'drop':
      return verdict(batch, Verdict.Drop);
    case 'return':
      return verdict(batch, Verdict.Return);
    case 'jump':
      return verdict(batch, Verdict.Jump, nftChainName({ table, name: action.chain }));
    case 'goto':
      return verdict(batch, Verdict.Goto, nftChainName({ table, name: action.chain }));
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

function loadImmediate(batch: NetlinkBatch, register: number, value: Uint8Array): void {
  writeExpression(batch, 'immediate', () => {
    batch.attributeU32be(1, register);
    writeData(batch, 2, value);
  });
}

/** A rule that only jumps: a hook's, or with drop that of a closed chain. */
export function writeVerdictRule(
  batch: NetlinkBatch,
  chain: string,
  comment: string,
  target: { readonly jump: string } | 'drop' | 'return',
): void {
  beginRule(batch, chain, comment);
  const list = batch.beginNest(4, true);
  if (target === 'drop') writeExpression(batch, 'counter', () => undefined);
  if (target === 'drop') verdict(batch, Verdict.Drop);
  else if (target === 'return') verdict(batch, Verdict.Return);
  else verdict(batch, Verdict.Jump, target.jump);
  batch.endNest(list);
  batch.endMessage();
}

/** One expression by the kernel's name; `fill` writes its attributes. */
export function writeExpression(batch: NetlinkBatch, name: string, fill: () => void): void {
  const element = batch.beginNest(NFTA_LIST_ELEM, true);
  batch.attributeText(1, name);
  const data = batch.beginNest(2, true);
  fill();
  batch.endNest(data);
  batch.endNest(element);
}

function loadMeta(batch: NetlinkBatch, key: Meta, register = REGISTER_1): void {
  writeExpression(batch, 'meta', () => {
    batch.attributeU32be(1, register);
    batch.attributeU32be(2, key);
  });
}

/** Goes on only with packets of this family. */
function loadFamily(batch: NetlinkBatch, family: Family): void {
  loadMeta(batch, Meta.Family);
  compare(batch, Compare.Equal, Uint8Array.of(NFPROTO[family]));
}

function loadPayload(batch: NetlinkBatch, base: Header, offset: number, length: number, register = REGISTER_1): void {
  writeExpression(batch, 'payload', () => {
    batch.attributeU32be(1, register);
    batch.attributeU32be(2, base);
    batch.attributeU32be(3, offset);
    batch.attributeU32be(4, length);
  });
}

/** Offsets of struct iphdr and struct ipv6hdr. */
const addressOffset = (side: Side, family: Family): number =>
  family === 4 ? (side === 'source' ? 12 : 16) : side === 'source' ? 8 : 24;
const portOffset = (side: Side): number => (side === 'source' ? 0 : 2);

const loadAddress = (batch: NetlinkBatch, side: Side, family: Family): void =>
  loadPayload(batch, Header.Network, addressOffset(side, family), bitsOf(family) / 8);

function loadAddressAndPort(batch: NetlinkBatch, side: Side, family: Family): void {
  loadAddress(batch, side, family);
  loadProtocolAndPort(batch, side, REGISTER_32 + bitsOf(family) / 32);
}

function loadProtocolAndPort(batch: NetlinkBatch, side: Side, register: number): void {
  loadMeta(batch, Meta.Protocol, register);
  loadPayload(batch, Header.Transport, portOffset(side), 2, register + 1);
}

function loadFib(batch: NetlinkBatch, result: Fib, flags: number): void {
  writeExpression(batch, 'fib', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, result);
    batch.attributeU32be(3, flags);
  });
}

function matchNetwork(batch: NetlinkBatch, side: Side, text: string, equal: Compare): void {
  const prefix = parsePrefix(text);
  const value = addressToBytes(prefix);
  loadAddress(batch, side, prefix.family);
  if (prefix.length < bitsOf(prefix.family))
    maskBytes(batch, prefixMask(value.length, prefix.length), new Uint8Array(value.length));
  compare(batch, equal, value);
}

function matchPorts(
  batch: NetlinkBatch,
  side: Side,
  ports: readonly PortRange[],
  not: boolean,
  set: number | undefined,
): void {
  loadPayload(batch, Header.Transport, portOffset(side), 2);
  const [first] = ports;
  if (set !== undefined) return lookup(batch, ANONYMOUS_SET, not, set);
  if (first === undefined) return;
  if (first.from === first.to) return compare(batch, not ? Compare.NotEqual : Compare.Equal, portBytes(first.from));
  if (not) {
    return writeExpression(batch, 'range', () => {
      batch.attributeU32be(1, REGISTER_1);
      batch.attributeU32be(2, 1);
      writeData(batch, 3, portBytes(first.from));
      writeData(batch, 4, portBytes(first.to));
    });
  }
  compare(batch, Compare.GreaterOrEqual, portBytes(first.from));
  compare(batch, Compare.LessOrEqual, portBytes(first.to));
}

const ANONYMOUS_SET = '__set%d';

/** The sources that a rule counts connections of: added by packets, emptied by the kernel as connections end. */
function writeMeter(batch: NetlinkBatch, family: Family, id: number): number {
  const keyType = family === 4 ? DataType.Ipv4Address : DataType.Ipv6Address;
  const flags = SetFlag.Anonymous | SetFlag.Dynamic;
  writeSet(batch, { name: ANONYMOUS_SET, keyType, keyLength: bitsOf(family) / 8, flags, id, size: METERED_SOURCES });
  return id;
}

/** NFTA_DYNSET_*: of the source in the register, a connlimit that goes on where there are more (NFT_CONNLIMIT_F_INV). */
function countConnections(batch: NetlinkBatch, moreThan: number, set: number | undefined): void {
  writeExpression(batch, 'dynset', () => {
    batch.attributeText(1, ANONYMOUS_SET);
    if (set !== undefined) batch.attributeU32be(2, set);
    batch.attributeU32be(3, 0);
    batch.attributeU32be(4, REGISTER_1);
    const expression = batch.beginNest(7, true);
    batch.attributeText(1, 'connlimit');
    const data = batch.beginNest(2, true);
    batch.attributeU32be(1, moreThan);
    batch.attributeU32be(2, 1);
    batch.endNest(data);
    batch.endNest(expression);
  });
}

function writePortSet(batch: NetlinkBatch, ports: readonly PortRange[], id: number): number {
  const isInterval = ports.some((range) => range.from !== range.to);
  const flags = SetFlag.Anonymous | SetFlag.Constant | (isInterval ? SetFlag.Interval : 0);
  writeSet(batch, { name: ANONYMOUS_SET, keyType: DataType.Port, keyLength: 2, flags, id });
  const elements = mergeRanges(ports).flatMap(({ from, to }): readonly Element[] => {
    if (!isInterval) return [{ key: portBytes(from) }];
    return to === 65535
      ? [{ key: portBytes(from) }]
      : [{ key: portBytes(from) }, { key: portBytes(to + 1), isEnd: true }];
  });
  writeElements(batch, 'add', ANONYMOUS_SET, elements, id);
  return id;
}

/** Interval sets hold no two intervals that overlap. */
function mergeRanges(ports: readonly PortRange[]): readonly PortRange[] {
  const merged: { from: number; to: number }[] = [];
  for (const range of [...ports].sort((a, b) => a.from - b.from)) {
    const last = merged[merged.length - 1];
    if (last !== undefined && range.from <= last.to) last.to = Math.max(last.to, range.to);
    else merged.push({ ...range });
  }
  return merged;
}

function lookup(batch: NetlinkBatch, set: string, not: boolean, id?: number): void {
  writeExpression(batch, 'lookup', () => {
    batch.attributeText(1, set);
    batch.attributeU32be(2, REGISTER_1);
    if (id !== undefined) batch.attributeU32be(4, id);
    if (not) batch.attributeU32be(5, 1);
  });
}

function compare(batch: NetlinkBatch, operation: Compare, value: Uint8Array): void {
  writeExpression(batch, 'cmp', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, operation);
    writeData(batch, 3, value);
  });
}

/** register = (register & bits) ^ flip, on 32 bits of the machine's order. */
const mask = (batch: NetlinkBatch, bits: number, flip: number): void =>
  maskBytes(batch, hostWord(bits), hostWord(flip));

function maskBytes(batch: NetlinkBatch, bits: Uint8Array, flip: Uint8Array): void {
  writeExpression(batch, 'bitwise', () => {
    batch.attributeU32be(1, REGISTER_1);
    batch.attributeU32be(2, REGISTER_1);
    batch.attributeU32be(3, bits.length);
    writeData(batch, 4, bits);
    writeData(batch, 5, flip);
  });
}

/** Ends the rule; `chain` is where a jump or goto leads. */
export function verdict(batch: NetlinkBatch, code: Verdict, chain?: string): void {
  writeExpression(batch, 'immediate', () => {
    batch.attributeU32be(1, REGISTER_VERDICT);
    const data = batch.beginNest(2, true);
    writeVerdict(batch, code, chain);
    batch.endNest(data);
  });
}

function writeU64(batch: NetlinkBatch, type: number, value: number): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  batch.attribute(type, bytes);
}

const portBytes = (port: number): Uint8Array => Uint8Array.of(port >> 8, port & 255);

function prefixMask(bytes: number, length: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff);
}
