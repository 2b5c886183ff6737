/**
 * nf_tables over netlink (linux/netfilter/nf_tables.h): message and attribute numbers, and writers for tables, chains, sets and
 * elements. Rules are rule.ts. Pure.
 *
 * ```
 *  | nlmsghdr (type = 10 << 8 | message) | nfgenmsg: family(1) version(1) res_id(2) | attributes |
 * ```
 * Changes travel between BATCH_BEGIN and BATCH_END in one send: one transaction, all or nothing. Integers are in network order; data
 * in registers (marks, states) are in the machine's.
 */
import { endianness } from 'node:os';
import type { NetlinkBatch } from '../../netlink/batch.js';
import { NLM_F_APPEND, NLM_F_CREATE } from '../../netlink/protocol.js';

export const TABLE = 'tortie';
export const NFPROTO_INET = 1;
export const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

export const enum Message {
  NewTable = 0,
  GetTable = 1,
  DelTable = 2,
  NewChain = 3,
  GetChain = 4,
  DelChain = 5,
  NewRule = 6,
  GetRule = 7,
  DelRule = 8,
  NewSet = 9,
  GetSet = 10,
  DelSet = 11,
  NewElement = 12,
  GetElement = 13,
  DelElement = 14,
  NewGeneration = 15,
}

export const enum Hook {
  Prerouting = 0,
  LocalIn = 1,
  Forward = 2,
  LocalOut = 3,
  Postrouting = 4,
}

export const enum SetFlag {
  Anonymous = 1,
  Constant = 2,
  Interval = 4,
  Map = 8,
  Timeout = 16,
  /** NFT_SET_EVAL: rules add to it. */
  Dynamic = 32,
}
const ELEMENT_INTERVAL_END = 1;

export const enum Verdict {
  Drop = 0,
  Accept = 1,
  Jump = -3,
  Goto = -4,
  Return = -5,
}
/** NFT_DATA_VERDICT: the "type" of a map's data that are verdicts. */
const DATA_VERDICT = 0xffffff00;

/** nft's own numbers of data types, which the kernel keeps for its listings. */
export const enum DataType {
  Ipv4Address = 7,
  Ipv6Address = 8,
  Protocol = 12,
  Port = 13,
  InterfaceName = 41,
}
/** A concatenation's number is its parts' in groups of six bits. */
export const concatenation = (...types: readonly DataType[]): number =>
  types.reduce((number: number, type) => (number << 6) | type, 0);

const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
/** Where a rule's expressions stand in it. */
export const NFTA_RULE_EXPRESSIONS = 4;
export const NFTA_LIST_ELEM = 1;

export function writeBatchBegin(batch: NetlinkBatch): void {
  writeBatchMark(batch, NFNL_MSG_BATCH_BEGIN, 'begin the transaction');
}

export function writeBatchEnd(batch: NetlinkBatch): void {
  writeBatchMark(batch, NFNL_MSG_BATCH_END, 'end the transaction');
}

function writeBatchMark(batch: NetlinkBatch, type: number, subject: string): void {
  batch.beginMessage(type, 0, () => subject);
  batch.u8(0);
  batch.u8(0);
  batch.u16be(NFNL_SUBSYS_NFTABLES);
  batch.endMessage();
}

/** One table: its NFPROTO_* and its name. */
export interface Place {
  readonly family: number;
  readonly table: string;
}

const OURS: Place = { family: NFPROTO_INET, table: TABLE };

/** A message about a table; end it with `batch.endMessage()`. */
export function begin(
  batch: NetlinkBatch,
  message: Message,
  flags: number,
  subject: () => string,
  { family }: Place = OURS,
): void {
  batch.beginMessage((NFNL_SUBSYS_NFTABLES << 8) | message, flags, subject);
  batch.u8(family);
  batch.u8(0);
  batch.u16be(0);
}

export function writeTable(batch: NetlinkBatch): void {
  begin(batch, Message.NewTable, NLM_F_CREATE, () => `add table inet ${TABLE}`);
  batch.attributeText(1, TABLE);
  batch.endMessage();
}

/** With everything in it. */
export function writeTableDeletion(batch: NetlinkBatch): void {
  begin(batch, Message.DelTable, 0, () => `delete table inet ${TABLE}`);
  batch.attributeText(1, TABLE);
  batch.endMessage();
}

export function writeChain(
  batch: NetlinkBatch,
  name: string,
  hook?: { readonly type: 'filter' | 'nat'; readonly hook: Hook; readonly priority: number },
  place = OURS,
): void {
  begin(batch, Message.NewChain, NLM_F_CREATE, () => `add chain ${name}`, place);
  batch.attributeText(1, place.table);
  batch.attributeText(3, name);
  if (hook !== undefined) {
    const nest = batch.beginNest(4, true);
    batch.attributeU32be(1, hook.hook);
    batch.attributeU32be(2, hook.priority >>> 0);
    batch.endNest(nest);
    batch.attributeU32be(5, Verdict.Accept);
    batch.attributeText(7, hook.type);
  }
  batch.endMessage();
}

/** Removes all rules of a chain. */
export function writeFlush(batch: NetlinkBatch, chain: string, place = OURS): void {
  begin(batch, Message.DelRule, 0, () => `flush chain ${chain}`, place);
  batch.attributeText(1, place.table);
  batch.attributeText(2, chain);
  batch.endMessage();
}

export function writeChainDeletion(batch: NetlinkBatch, name: string, place = OURS): void {
  begin(batch, Message.DelChain, 0, () => `delete chain ${name}`, place);
  batch.attributeText(1, place.table);
  batch.attributeText(3, name);
  batch.endMessage();
}

/** Begins a rule at the end of its chain; the caller writes expressions (attribute 4), then endRule. */
export function beginRule(batch: NetlinkBatch, chain: string, comment: string, place = OURS): void {
  begin(batch, Message.NewRule, NLM_F_CREATE | NLM_F_APPEND, () => `add rule to chain ${chain}`, place);
  batch.attributeText(1, place.table);
  batch.attributeText(2, chain);
  // libnftnl's user data: type 0 is the comment, its length with the closing NUL.
  const text = Buffer.from(`${comment}\0`, 'utf8');
  batch.attribute(7, Buffer.concat([Buffer.from([0, text.length]), text]));
}

export interface SetDescription {
  readonly name: string;
  readonly keyType: number;
  readonly keyLength: number;
  readonly flags: number;
  /** Members that rules put in go after so long, and there are at most so many of them. */
  readonly remembers?: { readonly seconds: number; readonly most: number };
  /** Within one transaction, how rules refer to a set without a name of its own. */
  readonly id: number;
  /** Elements that it may come to have; absent: any number. */
  readonly size?: number;
}

export function writeSet(batch: NetlinkBatch, set: SetDescription): void {
  begin(batch, Message.NewSet, NLM_F_CREATE, () => `add set ${set.name}`);
  batch.attributeText(1, TABLE);
  batch.attributeText(2, set.name);
  batch.attributeU32be(3, set.flags);
  batch.attributeU32be(4, set.keyType);
  batch.attributeU32be(5, set.keyLength);
  if ((set.flags & SetFlag.Map) !== 0) batch.attributeU32be(6, DATA_VERDICT);
  const size = set.size ?? set.remembers?.most;
  if (size !== undefined) {
    const description = batch.beginNest(9, true);
    batch.attributeU32be(1, size);
    batch.endNest(description);
  }
  batch.attributeU32be(10, set.id);
  if (set.remembers !== undefined) batch.attribute(11, milliseconds(set.remembers.seconds));
  // libnftnl's user data: type 0 is the keys' byte order, 1 the host's. Without it `nft list` cannot print interface names.
  if (set.keyType === DataType.InterfaceName) batch.attribute(13, Buffer.concat([Buffer.from([0, 4]), hostWord(1)]));
  batch.endMessage();
}

function milliseconds(seconds: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(seconds) * 1000n);
  return bytes;
}

export function writeSetDeletion(batch: NetlinkBatch, name: string): void {
  begin(batch, Message.DelSet, 0, () => `delete set ${name}`);
  batch.attributeText(1, TABLE);
  batch.attributeText(2, name);
  batch.endMessage();
}

export interface Element {
  readonly key: Uint8Array;
  /** This key is the first one behind an interval. */
  readonly isEnd?: boolean;
  /** Of a verdict map: go to this chain. */
  readonly goto?: string;
}

/** `setId` names an anonymous set of this transaction; otherwise `set` is its name. */
export function writeElements(
  batch: NetlinkBatch,
  action: 'add' | 'delete',
  set: string,
  elements: readonly Element[],
  setId?: number,
): void {
  begin(
    batch,
    action === 'add' ? Message.NewElement : Message.DelElement,
    action === 'add' ? NLM_F_CREATE : 0,
    () => `${action} ${elements.length} elements of set ${set}`,
  );
  batch.attributeText(1, TABLE);
  batch.attributeText(2, set);
  if (setId !== undefined) batch.attributeU32be(4, setId);
  const list = batch.beginNest(3, true);
  for (const element of elements) {
    const nest = batch.beginNest(NFTA_LIST_ELEM, true);
    writeData(batch, 1, element.key);
    if (element.goto !== undefined) {
      const data = batch.beginNest(2, true);
      writeVerdict(batch, Verdict.Goto, element.goto);
      batch.endNest(data);
    }
    if (element.isEnd === true) batch.attributeU32be(3, ELEMENT_INTERVAL_END);
    batch.endNest(nest);
  }
  batch.endNest(list);
  batch.endMessage();
}

/** struct nft_data of a register's value, as nested attribute `type`. */
export function writeData(batch: NetlinkBatch, type: number, value: Uint8Array): void {
  const nest = batch.beginNest(type, true);
  batch.attribute(NFTA_DATA_VALUE, value);
  batch.endNest(nest);
}

export function writeVerdict(batch: NetlinkBatch, verdict: Verdict, chain?: string): void {
  const nest = batch.beginNest(NFTA_DATA_VERDICT, true);
  batch.attributeU32be(1, verdict >>> 0);
  if (chain !== undefined) batch.attributeText(2, chain);
  batch.endNest(nest);
}

/** Asks for everything of a kind in our table (or in all tables, of which the reader picks ours). */
export function writeQuery(
  batch: NetlinkBatch,
  message: Message.GetTable | Message.GetChain | Message.GetRule | Message.GetSet,
  chain?: string,
): void {
  begin(batch, message, 0, () => `list what is in table inet ${TABLE}`);
  if (message === Message.GetRule || message === Message.GetSet) batch.attributeText(1, TABLE);
  if (chain !== undefined) batch.attributeText(2, chain);
  batch.endMessage();
}

export function writeElementQuery(batch: NetlinkBatch, set: string): void {
  begin(batch, Message.GetElement, 0, () => `list the elements of set ${set}`);
  batch.attributeText(1, TABLE);
  batch.attributeText(2, set);
  batch.endMessage();
}

/** A 32-bit register value in the machine's byte order. */
export function hostWord(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value >>> 0, endianness() === 'LE');
  return bytes;
}

/** An interface name as registers hold it: 16 bytes, or for a prefix just its letters. */
export function interfaceName(name: string, isPrefix = false): Uint8Array {
  const text = Buffer.from(name, 'utf8');
  return isPrefix ? text : Buffer.concat([text, Buffer.alloc(16 - text.length)]);
}
