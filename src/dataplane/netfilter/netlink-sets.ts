/**
 * Address sets over nfnetlink, synchronously from this process: some 6 us for one member, under 1 us each in bulk, where a
 * child process costs milliseconds.
 */
import type { Family, SetType } from '@tortie/policy/ruleset';
import { NetlinkBatch } from '../netlink/batch.js';
import { NetlinkError } from '../netlink/netlink-error.js';
import type { NetlinkSocket } from '../netlink/netlink-socket.js';
import { memberKey, type SetMember } from './set-member.js';
import {
  decodeList,
  decodeRevision,
  NEWEST_REVISION,
  writeCreate,
  writeDestroy,
  writeList,
  writeMembers,
  writeSwap,
  writeTypeQuery,
  type SetHeader,
} from './set-protocol.js';
import { isOurSet, type SetOperation, type SetRefusal, type SetTransport } from './set-transport.js';

/** Members of one message: an attribute's length has 16 bits, and an IPv6 member with port takes some 60 bytes. */
const MEMBERS_PER_MESSAGE = 500;

/** ipset's own error numbers (linux/netfilter/ipset/ip_set.h, ip_set_hash.h), in words. */
const ENOENT = 2;
const EEXIST = 17;
const IPSET_ERRORS: ReadonlyMap<number, readonly [cause: SetRefusal['cause'], words: string]> = new Map([
  [ENOENT, ['missing', 'the set does not exist']],
  [EEXIST, ['exists', 'a set of this name exists already']],
  [4097, ['other', 'the kernel speaks another ipset protocol']],
  [4098, ['other', 'the kernel does not know this set type']],
  [4099, ['other', 'the kernel has no room for another set']],
  [4100, ['in-use', 'a rule refers to the set']],
  [4102, ['other', 'the two sets are of different types']],
  [4104, ['other', 'the prefix length is not valid']],
  [4106, ['other', 'the address family is not that of the set']],
  [4108, ['in-use', 'the set is referred to']],
  [4352, ['full', 'the set is full']],
  [4354, ['other', 'the protocol is not valid here']],
]);

export class NetlinkSets implements SetTransport {
  readonly type = 'netlink';
  private readonly batch = new NetlinkBatch();
  private readonly revisions = new Map<string, number>();

  /** @param socket a netfilter socket of the wanted namespace; owned from now on. */
  constructor(private readonly socket: NetlinkSocket) {}

  async headers(): Promise<readonly SetHeader[]> {
    const headers: SetHeader[] = [];
    this.batch.clear();
    writeList(this.batch);
    this.socket.dump(
      this.batch,
      (message) => {
        const { header } = decodeList(message);
        if (header !== undefined && isOurSet(header.name)) headers.push(header);
      },
      () => void (headers.length = 0),
    );
    return headers;
  }

  async members(name: string): Promise<ReadonlyMap<string, SetMember> | undefined> {
    const members = new Map<string, SetMember>();
    this.batch.clear();
    writeList(this.batch, name);
    try {
      this.socket.dump(
        this.batch,
        (message) => {
          for (const member of decodeList(message).members) members.set(memberKey(member), member);
        },
        () => members.clear(),
      );
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
      throw error;
    }
    return members;
  }

  async apply(operations: readonly SetOperation[]): Promise<readonly SetRefusal[]> {
    const refusals: SetRefusal[] = [];
    /** Which operation each message of the batch belongs to. */
    const owners: SetOperation[] = [];
    this.batch.clear();
    for (const operation of operations) this.write(operation, owners, refusals);
    for (const { index, error } of this.socket.transact(this.batch)) {
      const operation = owners[index];
      if (operation === undefined) throw error;
      if (isBulk(operation)) for (const each of this.applySingly(operation)) refusals.push(each);
      else refusals.push(refusalOf(operation, error));
    }
    return refusals;
  }

  close(): void {
    this.socket.close();
  }

  private write(operation: SetOperation, owners: SetOperation[], refusals: SetRefusal[]): void {
    switch (operation.type) {
      case 'create': {
        const revision = this.revisionOf(operation.set.type, operation.set.family);
        if (revision instanceof NetlinkError) {
          refusals.push(refusalOf(operation, revision));
          return;
        }
        writeCreate(this.batch, operation.set, revision);
        break;
      }
      case 'add':
      case 'delete': {
        const { name, family } = operation.set;
        for (let at = 0; at < operation.members.length; at += MEMBERS_PER_MESSAGE) {
          const members = operation.members.slice(at, at + MEMBERS_PER_MESSAGE);
          writeMembers(this.batch, operation.type, name, family, members);
          owners.push({ ...operation, members });
        }
        return;
      }
      case 'swap':
        writeSwap(this.batch, operation.name, operation.other);
        break;
      case 'destroy':
        writeDestroy(this.batch, operation.name);
        break;
    }
    owners.push(operation);
  }

  /** A bulk message stops at the first refused member; one message each finds out which, and brings the rest in. */
  private applySingly(operation: SetOperation & { readonly type: 'add' | 'delete' }): readonly SetRefusal[] {
    const batch = new NetlinkBatch();
    for (const member of operation.members)
      writeMembers(batch, operation.type, operation.set.name, operation.set.family, [member]);
    return this.socket.transact(batch).map(({ index, error }) => {
      const member = operation.members[index];
      return member === undefined ? refusalOf(operation, error) : { ...refusalOf(operation, error), member };
    });
  }

  private revisionOf(type: SetType, family: Family): number | NetlinkError {
    const key = `${type} ${family}`;
    const known = this.revisions.get(key);
    if (known !== undefined) return known;
    const batch = new NetlinkBatch(256);
    writeTypeQuery(batch, type, family);
    let revision = 0;
    try {
      this.socket.query(batch, (message) => (revision = decodeRevision(message) ?? revision));
    } catch (error) {
      if (error instanceof NetlinkError) return error;
      throw error;
    }
    revision = Math.min(revision, NEWEST_REVISION[type]);
    this.revisions.set(key, revision);
    return revision;
  }
}

function isBulk(operation: SetOperation): operation is SetOperation & { readonly type: 'add' | 'delete' } {
  return (operation.type === 'add' || operation.type === 'delete') && operation.members.length > 1;
}

function refusalOf(operation: SetOperation, error: NetlinkError): SetRefusal {
  const known = IPSET_ERRORS.get(error.errno);
  const [member] = operation.type === 'add' || operation.type === 'delete' ? operation.members : [];
  return {
    operation,
    ...(member === undefined ? {} : { member }),
    cause: known?.[0] ?? 'other',
    message: known === undefined ? error.message : `Cannot ${error.subject}: ${known[1]}`,
  };
}
