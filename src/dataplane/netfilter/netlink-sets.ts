/**
 * Address sets over nfnetlink, synchronously from this process: some 6 us for one member, under 1 us each in bulk, where a
 * child process costs milliseconds. Large sets are read and written in turns of the event loop, so nobody else may use the socket until
 * an answer is there.
 */
import type { Family, SetType } from '@tortie/policy/ruleset';
import { breathe } from '../../breathe.js';
import { NetlinkBatch } from '../netlink/batch.js';
import { NetlinkError } from '../netlink/netlink-error.js';
import type { NetlinkSocket } from '../netlink/netlink-socket.js';
import { parseMember } from './set-member.js';
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

/** Messages of one exchange; between two of them others have their turn. */
const MESSAGES_PER_EXCHANGE = 16;

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

  async members(name: string): Promise<ReadonlySet<string> | undefined> {
    const members = new Set<string>();
    this.batch.clear();
    writeList(this.batch, name);
    try {
      await this.socket.dumpInTurns(
        this.batch,
        (message) => {
          for (const member of decodeList(message).members) members.add(member);
        },
        () => members.clear(),
        breathe,
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
    let owners: SetOperation[] = [];
    this.batch.clear();
    for (const operation of operations)
      for (const part of partsOf(operation)) {
        if (this.write(part, refusals)) owners.push(part);
        if (owners.length < MESSAGES_PER_EXCHANGE) continue;
        this.exchange(owners, refusals);
        owners = [];
        await breathe();
      }
    if (owners.length > 0) this.exchange(owners, refusals);
    return refusals;
  }

  close(): void {
    this.socket.close();
  }

  private exchange(owners: readonly SetOperation[], refusals: SetRefusal[]): void {
    for (const { index, error } of this.socket.transact(this.batch)) {
      const operation = owners[index];
      if (operation === undefined) throw error;
      if (isBulk(operation)) for (const each of this.applySingly(operation)) refusals.push(each);
      else refusals.push(refusalOf(operation, error));
    }
    this.batch.clear();
  }

  /** Adds the operation's message to the batch; false: there is none, since it is refused already. */
  private write(operation: SetOperation, refusals: SetRefusal[]): boolean {
    switch (operation.type) {
      case 'create': {
        const revision = this.revisionOf(operation.set.type, operation.set.family);
        if (revision instanceof NetlinkError) {
          refusals.push(refusalOf(operation, revision));
          return false;
        }
        writeCreate(this.batch, operation.set, revision);
        return true;
      }
      case 'add':
      case 'delete':
        writeMembersOf(this.batch, operation, operation.members);
        return true;
      case 'swap':
        writeSwap(this.batch, operation.name, operation.other);
        return true;
      case 'destroy':
        writeDestroy(this.batch, operation.name);
        return true;
    }
  }

  /** A bulk message stops at the first refused member; one message each finds out which, and brings the rest in. */
  private applySingly(operation: MemberOperation): readonly SetRefusal[] {
    const batch = new NetlinkBatch();
    for (const member of operation.members) writeMembersOf(batch, operation, [member]);
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

type MemberOperation = SetOperation & { readonly type: 'add' | 'delete' };

const isOfMembers = (operation: SetOperation): operation is MemberOperation =>
  operation.type === 'add' || operation.type === 'delete';

const isBulk = (operation: SetOperation): operation is MemberOperation =>
  isOfMembers(operation) && operation.members.length > 1;

/** What goes into one message each. */
function* partsOf(operation: SetOperation): Generator<SetOperation> {
  if (!isOfMembers(operation)) return yield operation;
  const { members } = operation;
  for (let at = 0; at < members.length; at += MEMBERS_PER_MESSAGE)
    yield { ...operation, members: members.slice(at, at + MEMBERS_PER_MESSAGE) };
}

function writeMembersOf(batch: NetlinkBatch, { type, set }: MemberOperation, members: readonly string[]): void {
  const parsed = members.map((member) => parseMember(set.type, set.family, member));
  writeMembers(batch, type, set.name, set.family, parsed);
}

function refusalOf(operation: SetOperation, error: NetlinkError): SetRefusal {
  const known = IPSET_ERRORS.get(error.errno);
  const [member] = isOfMembers(operation) ? operation.members : [];
  return {
    operation,
    ...(member === undefined ? {} : { member }),
    cause: known?.[0] ?? 'other',
    message: known === undefined ? error.message : `Cannot ${error.subject}: ${known[1]}`,
  };
}
