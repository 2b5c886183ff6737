/**
 * ipset's netlink protocol (linux/netfilter/ipset/ip_set.h), as much as address sets need: writers into a NetlinkBatch, and
 * the decoder of what LIST and TYPE answer. Pure.
 *
 * ```
 *  | nlmsghdr (type = 6 << 8 | command) | nfgenmsg: family(1) version(1) res_id(2) | attributes |
 * ```
 * Integers in attributes are in network order and must say so (NLA_F_NET_BYTEORDER), or the kernel calls them a protocol error.
 * Without NLM_F_EXCL an add of a member that is there, and a delete of one that is not, succeed.
 */
import type { Family, SetType } from '@tortie/policy/ruleset';
import type { NetlinkBatch } from '../netlink/batch.js';
import { forEachAttribute, type NetlinkMessage } from '../netlink/message.js';
import { NLM_F_CREATE, NLM_F_EXCL } from '../netlink/protocol.js';
import { addressBytes, keyFromBytes, memberKey, type SetMember } from './set-member.js';

const NFNL_SUBSYS_IPSET = 6;
/** The oldest protocol in use (Linux 2.6.39) and one that every later kernel takes. */
const PROTOCOL = 6;
const NLA_F_NET_BYTEORDER = 0x4000;
const AF: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

const enum Command {
  Create = 2,
  Destroy = 3,
  Swap = 6,
  List = 7,
  Add = 9,
  Del = 10,
  Type = 13,
}

const enum Attribute {
  Protocol = 1,
  SetName = 2,
  TypeName = 3,
  SetName2 = 3,
  Revision = 4,
  Family = 5,
  Flags = 6,
  Data = 7,
  Adt = 8,
  LineNumber = 9,
}
/** Inside Data: of a member, or of a set's creation and header. */
const enum Field {
  Ip = 1,
  Cidr = 3,
  Port = 4,
  Timeout = 6,
  Protocol = 7,
  LineNumber = 9,
  HashSize = 18,
  MaxElements = 19,
  Elements = 24,
  References = 25,
}
const enum Address {
  V4 = 1,
  V6 = 2,
}

const LIST_HEADER_ONLY = 1 << 2;

/** A set as the kernel describes it; `type` is undefined for types that we never create. */
export interface SetHeader {
  readonly name: string;
  readonly kernelType: string;
  readonly type: SetType | undefined;
  readonly family: Family;
  readonly maxElements: number;
  readonly elements: number;
  /** How many rules refer to it. */
  readonly references: number;
}

export interface NewSet {
  readonly name: string;
  readonly type: SetType;
  readonly family: Family;
  readonly maxElements: number;
  readonly timeoutSeconds?: number;
}

const KERNEL_TYPES: Readonly<Record<SetType, string>> = {
  address: 'hash:ip',
  network: 'hash:net',
  'address-port': 'hash:ip,port',
};

export const kernelTypeOf = (type: SetType): string => KERNEL_TYPES[type];

export function setTypeOf(kernelType: string): SetType | undefined {
  return (['address', 'network', 'address-port'] as const).find((type) => KERNEL_TYPES[type] === kernelType);
}

/**
 * Revisions up to which every ipset program of the last ten years can print a set; a newer kernel offers more, which would
 * only make an old `ipset list` fail on our sets.
 */
export const NEWEST_REVISION: Readonly<Record<SetType, number>> = { address: 4, network: 6, 'address-port': 5 };

export function writeCreate(batch: NetlinkBatch, set: NewSet, revision: number): void {
  begin(batch, Command.Create, NLM_F_CREATE | NLM_F_EXCL, set.family, () => `create set ${set.name}`);
  batch.attributeText(Attribute.SetName, set.name);
  batch.attributeText(Attribute.TypeName, kernelTypeOf(set.type));
  batch.attributeU8(Attribute.Revision, revision);
  batch.attributeU8(Attribute.Family, AF[set.family]);
  const creation = batch.beginNest(Attribute.Data, true);
  batch.attributeU32be(Field.MaxElements | NLA_F_NET_BYTEORDER, set.maxElements);
  if (set.timeoutSeconds !== undefined) batch.attributeU32be(Field.Timeout | NLA_F_NET_BYTEORDER, set.timeoutSeconds);
  batch.endNest(creation);
  batch.endMessage();
}

export function writeDestroy(batch: NetlinkBatch, name: string): void {
  begin(batch, Command.Destroy, 0, 4, () => `destroy set ${name}`);
  batch.attributeText(Attribute.SetName, name);
  batch.endMessage();
}

/** Exchanges the contents of two sets in one step; rules keep referring to the name. */
export function writeSwap(batch: NetlinkBatch, name: string, other: string): void {
  begin(batch, Command.Swap, 0, 4, () => `swap sets ${name} and ${other}`);
  batch.attributeText(Attribute.SetName, name);
  batch.attributeText(Attribute.SetName2, other);
  batch.endMessage();
}

/** One message for many members: a refused one ends the message, those before it are in. */
export function writeMembers(
  batch: NetlinkBatch,
  action: 'add' | 'delete',
  name: string,
  family: Family,
  members: readonly SetMember[],
): void {
  const word = action === 'add' ? 'add' : 'delete';
  const [first] = members;
  const what =
    members.length === 1 && first !== undefined ? `${word} ${memberKey(first)}` : `${word} ${members.length} members`;
  begin(
    batch,
    action === 'add' ? Command.Add : Command.Del,
    0,
    family,
    () => `${what} ${action === 'add' ? 'to' : 'from'} set ${name}`,
  );
  batch.attributeText(Attribute.SetName, name);
  batch.attributeU32(Attribute.LineNumber, 0);
  const list = batch.beginNest(Attribute.Adt, true);
  for (const [index, member] of members.entries()) writeMember(batch, member, index + 1);
  batch.endNest(list);
  batch.endMessage();
}

function writeMember(batch: NetlinkBatch, member: SetMember, line: number): void {
  const fields = batch.beginNest(Attribute.Data, true);
  const address = batch.beginNest(Field.Ip, true);
  batch.attribute((member.address.family === 4 ? Address.V4 : Address.V6) | NLA_F_NET_BYTEORDER, addressBytes(member));
  batch.endNest(address);
  if (member.length !== undefined) batch.attributeU8(Field.Cidr, member.length);
  if (member.port !== undefined) batch.attributeU16be(Field.Port | NLA_F_NET_BYTEORDER, member.port);
  if (member.protocol !== undefined) batch.attributeU8(Field.Protocol, member.protocol);
  batch.attributeU32be(Field.LineNumber | NLA_F_NET_BYTEORDER, line);
  batch.endNest(fields);
}

/** A dump: all sets' headers, or one set with its members. */
export function writeList(batch: NetlinkBatch, name?: string): void {
  begin(batch, Command.List, 0, 4, () => (name === undefined ? 'list the sets' : `list set ${name}`));
  if (name === undefined) batch.attributeU32be(Attribute.Flags | NLA_F_NET_BYTEORDER, LIST_HEADER_ONLY);
  else batch.attributeText(Attribute.SetName, name);
  batch.endMessage();
}

/** Asks for the newest revision of a type that this kernel knows; loads the type's module. */
export function writeTypeQuery(batch: NetlinkBatch, type: SetType, family: Family): void {
  begin(batch, Command.Type, 0, family, () => `find set type ${kernelTypeOf(type)}`);
  batch.attributeText(Attribute.TypeName, kernelTypeOf(type));
  batch.attributeU8(Attribute.Family, AF[family]);
  batch.endMessage();
}

export function decodeRevision(message: NetlinkMessage): number | undefined {
  let revision: number | undefined;
  forEachAttribute(message.body, 4, message.body.length, (type, start) => {
    if (type === Attribute.Revision) revision = message.body.u8(start);
  });
  return revision;
}

/** One datagram of a listing: the header comes with a set's first one only, members with any. */
export interface ListPart {
  readonly name: string;
  readonly header: SetHeader | undefined;
  /** Each a memberKey. */
  readonly members: readonly string[];
}

export function decodeList(message: NetlinkMessage): ListPart {
  const { body } = message;
  let name = '';
  let kernelType: string | undefined;
  let family: Family = 4;
  let counts = { maxElements: 0, elements: 0, references: 0 };
  const members: string[] = [];
  forEachAttribute(body, 4, body.length, (type, start, end) => {
    if (type === Attribute.SetName) name = body.text(start, end);
    else if (type === Attribute.TypeName) kernelType = body.text(start, end);
    else if (type === Attribute.Family) family = body.u8(start) === AF[6] ? 6 : 4;
    else if (type === Attribute.Data) counts = decodeCounts(message, start, end);
    else if (type === Attribute.Adt)
      forEachAttribute(body, start, end, (_, from, to) => members.push(decodeMember(message, from, to)));
  });
  const header =
    kernelType === undefined ? undefined : { name, kernelType, type: setTypeOf(kernelType), family, ...counts };
  return { name, header, members };
}

function decodeCounts(
  { body }: NetlinkMessage,
  from: number,
  to: number,
): { maxElements: number; elements: number; references: number } {
  const counts = { maxElements: 0, elements: 0, references: 0 };
  forEachAttribute(body, from, to, (type, start) => {
    if (type === Field.MaxElements) counts.maxElements = body.u32be(start);
    else if (type === Field.Elements) counts.elements = body.u32be(start);
    else if (type === Field.References) counts.references = body.u32be(start);
  });
  return counts;
}

function decodeMember({ body }: NetlinkMessage, from: number, to: number): string {
  let address: Uint8Array = NO_BYTES;
  const rest: { length?: number; port?: number; protocol?: number } = {};
  forEachAttribute(body, from, to, (type, start, end) => {
    if (type === Field.Ip) forEachAttribute(body, start, end, (_, first, last) => (address = body.slice(first, last)));
    else if (type === Field.Cidr) rest.length = body.u8(start);
    else if (type === Field.Port) rest.port = body.u16be(start);
    else if (type === Field.Protocol) rest.protocol = body.u8(start);
  });
  return keyFromBytes(address, rest);
}

const NO_BYTES = new Uint8Array(0);

function begin(batch: NetlinkBatch, command: Command, flags: number, family: Family, subject: () => string): void {
  batch.beginMessage((NFNL_SUBSYS_IPSET << 8) | command, flags, subject);
  batch.u8(AF[family]);
  batch.u8(0); // NFNETLINK_V0
  batch.u16be(0);
  batch.attributeU8(Attribute.Protocol, PROTOCOL);
}
