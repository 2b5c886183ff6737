/**
 * Nexthop objects: where routes lead, said once and named by a number that any number of routes carry (RTM_NEWNEXTHOP,
 * RTM_DELNEXTHOP, RTM_GETNEXTHOP; linux/nexthop.h, Linux 5.3). `ip nexthop` shows them.
 *
 * ```
 * struct nhmsg:       family(1) scope(1) protocol(1) reserved(1) flags(4), attributes
 * struct nexthop_grp: id(4) weight-1(1) weight's upper half(1) reserved(2)
 * ```
 *
 * What the kernel does by itself: an object goes, with its routes, when its interface goes down or loses its carrier; a group loses
 * that member, and goes with the last. Deleting an object deletes its routes. None of these deletions of routes is told to anybody.
 */
import type { IpAddress } from 'node-bgp/address';
import { AF_INET, AF_INET6, EOPNOTSUPP } from '../libc.js';
import type { NetlinkBatch } from './batch.js';
import { forEachAttribute, type NetlinkMessage, type Octets } from './message.js';
import { NetlinkError } from './netlink-error.js';
import type { NetlinkSocket } from './netlink-socket.js';
import { NLM_F_CREATE, NLM_F_EXCL } from './protocol.js';

export const RTM_NEWNEXTHOP = 104;
export const RTM_DELNEXTHOP = 105;
export const RTM_GETNEXTHOP = 106;

/** `way`: one way out. `group`: several, shared by weight. `other`: blackholes, bridge entries and what this list does not know. */
export type Nexthop =
  | {
      readonly type: 'way';
      readonly id: number;
      readonly family: 4 | 6;
      readonly via?: IpAddress;
      readonly interfaceIndex: number;
      readonly isOnlink?: boolean;
      readonly protocol: number;
    }
  | {
      readonly type: 'group';
      readonly id: number;
      readonly members: readonly NexthopMember[];
      readonly protocol: number;
    }
  | { readonly type: 'other'; readonly id: number; readonly protocol: number };

export interface NexthopMember {
  readonly id: number;
  /** 1 to 256; the kernel takes no more than 255 before Linux 6.12. */
  readonly weight: number;
}

const NHA_ID = 1;
const NHA_GROUP = 2;
const NHA_GROUP_TYPE = 3;
const NHA_OIF = 5;
const NHA_GATEWAY = 6;
/** NHA_BLACKHOLE, NHA_ENCAP_TYPE, NHA_ENCAP, NHA_FDB, NHA_RES_GROUP. */
const NOT_JUST_A_WAY: ReadonlySet<number> = new Set([4, 7, 8, 11, 12]);
/** Hash-threshold multipath, as of routes with several next hops. */
const NEXTHOP_GRP_TYPE_MPATH = 0;
const RTNH_F_ONLINK = 4;
const NHMSG_SIZE = 8;
const MEMBER_SIZE = 8;

/** Makes an object. Throws NetlinkError: EEXIST if anybody has the number, EOPNOTSUPP if the kernel knows no such objects. */
export function createNexthop(socket: NetlinkSocket, nexthop: Exclude<Nexthop, { type: 'other' }>): void {
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_NEWNEXTHOP, NLM_F_CREATE | NLM_F_EXCL, () => `add nexthop ${nexthop.id}`);
  switch (nexthop.type) {
    case 'way':
      writeHeader(
        batch,
        nexthop.via?.family ?? nexthop.family,
        nexthop.protocol,
        nexthop.isOnlink === true ? RTNH_F_ONLINK : 0,
      );
      batch.attributeU32(NHA_ID, nexthop.id);
      batch.attributeU32(NHA_OIF, nexthop.interfaceIndex);
      if (nexthop.via !== undefined) writeGateway(batch, nexthop.via);
      break;
    case 'group':
      writeHeader(batch, undefined, nexthop.protocol, 0);
      batch.attributeU32(NHA_ID, nexthop.id);
      writeMembers(batch, nexthop.members);
      batch.attributeU16(NHA_GROUP_TYPE, NEXTHOP_GRP_TYPE_MPATH);
      break;
  }
  batch.endMessage();
  socket.request(batch);
}

/** Deletes an object *and every route through it*. One that is not there: nothing happens. */
export function deleteNexthop(socket: NetlinkSocket, id: number): void {
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_DELNEXTHOP, 0, () => `delete nexthop ${id}`);
  writeHeader(batch, undefined, 0, 0);
  batch.attributeU32(NHA_ID, id);
  batch.endMessage();
  for (const failure of socket.transact(batch)) if (failure.code !== 'ENOENT') throw failure.error;
}

/** Everybody's objects. Throws NetlinkError with EOPNOTSUPP if the kernel knows none. */
export function listNexthops(socket: NetlinkSocket): Nexthop[] {
  const nexthops: Nexthop[] = [];
  const { batch } = socket;
  batch.clear();
  batch.beginMessage(RTM_GETNEXTHOP, 0, () => 'list nexthops');
  writeHeader(batch, undefined, 0, 0);
  batch.endMessage();
  socket.dump(
    batch,
    (message) => {
      if (message.type === RTM_NEWNEXTHOP) nexthops.push(decodeNexthop(message));
    },
    () => nexthops.splice(0),
  );
  return nexthops;
}

/** Is the refusal that of a kernel without nexthop objects? */
export const isUnsupported = (error: unknown): boolean => error instanceof NetlinkError && error.errno === EOPNOTSUPP;

/** Decodes RTM_NEWNEXTHOP and RTM_DELNEXTHOP. */
export function decodeNexthop({ body }: NetlinkMessage): Nexthop {
  const protocol = body.u8(2);
  let id = 0;
  let interfaceIndex: number | undefined;
  let via: IpAddress | undefined;
  let members: readonly NexthopMember[] | undefined;
  let isOther = false;
  forEachAttribute(body, NHMSG_SIZE, body.length, (type, start, end) => {
    if (type === NHA_ID) id = body.u32(start);
    else if (type === NHA_OIF) interfaceIndex = body.u32(start);
    else if (type === NHA_GATEWAY) via = body.address(start, end);
    else if (type === NHA_GROUP) members = readMembers(body, start, end);
    else if (type === NHA_GROUP_TYPE) isOther ||= body.u16(start) !== NEXTHOP_GRP_TYPE_MPATH;
    else if (NOT_JUST_A_WAY.has(type)) isOther = true;
  });
  if (members !== undefined && !isOther) return { type: 'group', id, members, protocol };
  if (interfaceIndex === undefined || isOther) return { type: 'other', id, protocol };
  return {
    type: 'way',
    id,
    family: body.u8(0) === AF_INET6 ? 6 : 4,
    interfaceIndex,
    protocol,
    ...(via === undefined ? {} : { via }),
    ...((body.u32(4) & RTNH_F_ONLINK) === 0 ? {} : { isOnlink: true }),
  };
}

function readMembers(body: Octets, start: number, end: number): readonly NexthopMember[] {
  const members: NexthopMember[] = [];
  for (let at = start; at + MEMBER_SIZE <= end; at += MEMBER_SIZE)
    members.push({ id: body.u32(at), weight: body.u8(at + 4) + 1 + (body.u8(at + 5) << 8) });
  return members;
}

/** Groups, deletions and listings are of no family. */
function writeHeader(batch: NetlinkBatch, family: 4 | 6 | undefined, protocol: number, flags: number): void {
  batch.u8(family === undefined ? 0 : family === 4 ? AF_INET : AF_INET6);
  batch.u8(0);
  batch.u8(protocol);
  batch.u8(0);
  batch.u32(flags);
}

function writeMembers(batch: NetlinkBatch, members: readonly NexthopMember[]): void {
  batch.attributeHeader(NHA_GROUP, members.length * MEMBER_SIZE);
  for (const { id, weight } of members) {
    batch.u32(id);
    batch.u8(weight - 1);
    batch.u8(0);
    batch.u16(0);
  }
}

function writeGateway(batch: NetlinkBatch, via: IpAddress): void {
  if (via.family === 4) {
    batch.attributeU32be(NHA_GATEWAY, Number(via.value));
    return;
  }
  batch.attributeHeader(NHA_GATEWAY, 16);
  batch.u64be(via.value >> 64n);
  batch.u64be(via.value & 0xffff_ffff_ffff_ffffn);
}
