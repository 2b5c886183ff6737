/** A match of a rule as nf_tables expressions, and the anonymous sets that it needs for itself. */
import { addressToBytes, bitsOf, parsePrefix, type Family } from 'node-bgp/address';
import { METERED_SOURCES } from '@tortie/policy/render/nftables';
import { setName, type Match, type PortRange, type Side } from '@tortie/policy/ruleset';
import type { NetlinkBatch } from '../../netlink/batch.js';
import {
  Compare,
  compare,
  Fib,
  FibFlag,
  Header,
  loadAddress,
  loadAddressAndPort,
  loadFib,
  loadMeta,
  loadPayload,
  lookup,
  mask,
  maskBytes,
  Meta,
  portBytes,
  portOffset,
  REGISTER_1,
  writeExpression,
} from './expression.js';
import {
  DataType,
  hostWord,
  interfaceName,
  SetFlag,
  writeData,
  writeElements,
  writeSet,
  type Element,
} from './protocol.js';

const RTN_LOCAL = 2;
/** NF_CT_STATE_BIT of linux/netfilter/nf_conntrack_common.h, as `ct state` holds them. */
const STATE_BITS: Readonly<Record<string, number>> = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 };
const NUMGEN_RANDOM = 1;
const ANONYMOUS_SET = '__set%d';

/** Gives anonymous sets their numbers within one transaction. */
export interface SetNumbers {
  next(): number;
}

/** Writes the anonymous sets that these matches need, each under a number of its own: before the rule. */
export function writeOwnSets(
  batch: NetlinkBatch,
  matches: readonly Match[],
  family: Family,
  numbers: SetNumbers,
): ReadonlyMap<Match, number> {
  const ownSets = new Map<Match, number>();
  for (const match of matches)
    if (match.type === 'ports' && match.ports.length > 1)
      ownSets.set(match, writePortSet(batch, match.ports, numbers.next()));
    else if (match.type === 'connections') ownSets.set(match, writeMeter(batch, family, numbers.next()));
  return ownSets;
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
        batch.attributeU32be(3, match.burst ?? match.perSecond);
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
    case 'connections-in-all':
      return writeExpression(batch, 'connlimit', () => limitConnections(batch, match.moreThan));
    case 'reverse-path-fails':
      loadFib(batch, Fib.OutIndex, FibFlag.Source | FibFlag.InInterface);
      return compare(batch, Compare.Equal, hostWord(0));
    case 'local':
      loadFib(batch, Fib.AddressType, match.side === 'source' ? FibFlag.Source : FibFlag.Destination);
      return compare(batch, equal, hostWord(RTN_LOCAL));
  }
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

/** The sources that a rule counts connections of: added by packets, emptied by the kernel as connections end. */
function writeMeter(batch: NetlinkBatch, family: Family, id: number): number {
  const keyType = family === 4 ? DataType.Ipv4Address : DataType.Ipv6Address;
  const flags = SetFlag.Anonymous | SetFlag.Dynamic;
  writeSet(batch, { name: ANONYMOUS_SET, keyType, keyLength: bitsOf(family) / 8, flags, id, size: METERED_SOURCES });
  return id;
}

/** NFTA_CONNLIMIT_*: goes on where there are more (NFT_CONNLIMIT_F_INV). */
function limitConnections(batch: NetlinkBatch, moreThan: number): void {
  batch.attributeU32be(1, moreThan);
  batch.attributeU32be(2, 1);
}

/** NFTA_DYNSET_*: of the source in the register, a connlimit. */
function countConnections(batch: NetlinkBatch, moreThan: number, set: number | undefined): void {
  writeExpression(batch, 'dynset', () => {
    batch.attributeText(1, ANONYMOUS_SET);
    if (set !== undefined) batch.attributeU32be(2, set);
    batch.attributeU32be(3, 0);
    batch.attributeU32be(4, REGISTER_1);
    const expression = batch.beginNest(7, true);
    batch.attributeText(1, 'connlimit');
    const data = batch.beginNest(2, true);
    limitConnections(batch, moreThan);
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

function writeU64(batch: NetlinkBatch, type: number, value: number): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  batch.attribute(type, bytes);
}

function prefixMask(bytes: number, length: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (0xff00 >> Math.min(8, Math.max(0, length - 8 * i))) & 0xff);
}
