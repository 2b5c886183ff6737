/**
 * The update groups of one family: who is in which, splits and merges.
 *
 * Peers with the same key belong together, but only while they have been told the same. A newcomer gets a group of its own that walks
 * the table; so does a peer that asked for a refresh, or one that does not read as fast as the others (with a copy of what it has
 * been told). A group that has caught up is merged with another of the same key that has, too: both then have been told exactly the
 * Loc-RIB of now.
 */
import { type AdjRibOut, AddPathOut, SinglePathOut, type PathNames } from './adj-rib-out.js';
import { encodeControlMessage } from '../codec/message.js';
import { UpdateWriter } from '../codec/update-writer.js';
import { Afi, MAX_EXTENDED_MESSAGE_LENGTH, MAX_MESSAGE_LENGTH, Safi } from '../iana.js';
import type { FamilySession, PeerId, RibPeer } from './rib-peer.js';
import type { Decision } from './decision.js';
import { Export, groupKeyOf } from './export.js';
import type { FamilyTable } from './family-table.js';
import type { PeerEntry } from './peers.js';
import type { RouteTables } from './policy-route.js';
import type { PrefixId } from './prefix-table.js';
import type { EncodeParameters } from '../codec/negotiated.js';
import { UpdateGroup, type GroupContext, type GroupMember } from './update-group.js';

export interface GroupsContext extends GroupContext {
  readonly tables: RouteTables;
  readonly decision: Decision;
  readonly names: PathNames;
  /** Octets that may wait for a peer. */
  readonly outputLimit: number;
  /** Nothing is advertised for now. */
  readonly isHeld: () => boolean;
}

export class UpdateGroups {
  readonly #context: GroupsContext;
  readonly #table: FamilyTable;
  readonly #groups = new Set<UpdateGroup>();
  readonly #byKey = new Map<string, Set<UpdateGroup>>();
  /** Each peer's place, while its session is up and has the family. */
  readonly #members = new Map<PeerId, GroupMember>();

  constructor(context: GroupsContext) {
    this.#context = context;
    this.#table = context.table;
  }

  get size(): number {
    return this.#groups.size;
  }

  /** Does any group want more than the best path? */
  get hasAddPath(): boolean {
    for (const { out } of this.#groups) if (out instanceof AddPathOut) return true;
    return false;
  }

  /** A session of this family is up: it will get the whole table, then End-of-RIB. */
  join(entry: PeerEntry, session: FamilySession): void {
    const key = groupKeyOf(entry.options, session);
    const endOfRib = this.#endOfRib();
    for (const group of this.#byKey.get(key) ?? []) {
      if (!group.hasNothing) continue;
      const joinsWalk = group.isWalking;
      if (!joinsWalk && this.#context.isHeld()) continue;
      const member = this.#enter(group, entry);
      if (!joinsWalk) group.queue.addFor(member.reader, endOfRib);
      return;
    }
    const group = this.#make(key, entry, session, (rules) => this.#emptyOut(session, rules));
    group.startWalk(false, [], [endOfRib]);
    this.#enter(group, entry);
  }

  /** The peer's place in a group, if its session has the family. */
  member(peer: PeerId): GroupMember | undefined {
    return this.#members.get(peer);
  }

  leave(peer: PeerId): void {
    const member = this.#members.get(peer);
    if (member === undefined) return;
    this.#members.delete(peer);
    const { group } = member;
    group.members.delete(member.peer);
    group.queue.leave(member.reader);
    if (group.members.size === 0) this.#dissolve(group);
  }

  /** Everything goes to this peer again (RFC 2918), between BoRR and EoRR if demarcated (RFC 7313). */
  refresh(member: GroupMember, entry: PeerEntry, session: FamilySession, demarcated: boolean): void {
    const group =
      member.group.members.size === 1
        ? member.group
        : this.#split([member], entry, session, groupKeyOf(entry.options, session));
    const marks = demarcated ? [this.#mark('begin'), this.#mark('end')] : [];
    group.startWalk(true, marks.slice(0, 1), marks.slice(1));
  }

  /** The peer's parameters changed: into a group of the new kind, everything is encoded anew. */
  regroup(member: GroupMember, entry: PeerEntry, session: FamilySession): void {
    this.#split([member], entry, session, groupKeyOf(entry.options, session)).startWalk(true);
  }

  /** The same for all groups at once: policies or own prefixes changed in a way that keys do not show. */
  rewalk(): void {
    for (const group of this.#groups) group.startWalk(false);
  }

  /** Lets each group that may produce look at its share of `budget` prefixes; returns how many were looked at. */
  step(budget: number, peerOf: (member: GroupMember) => PeerEntry): number {
    let seen = 0;
    for (const group of [...this.#groups]) {
      if (group.isCurrent) this.#merge(group);
      else if (this.#mayProduce(group, peerOf)) seen += group.step(Math.max(budget - seen, 256));
      else group.loseLongLog();
      if (seen >= budget) break;
    }
    return seen;
  }

  /** Our own prefixes go out though everything else is held: nobody has to be waited for to know them. */
  tellOwn(prefixes: ReadonlySet<PrefixId>, version: number): void {
    for (const group of this.#groups) if (group.owesOwn(version)) group.tellOwn(prefixes, version);
  }

  owesOwn(version: number): boolean {
    for (const group of this.#groups) if (group.owesOwn(version)) return true;
    return false;
  }

  /** Does some group that walks still have to take this prefix back? */
  remember(prefix: PrefixId): boolean {
    for (const group of this.#groups) if (group.remembers(prefix)) return true;
    return false;
  }

  /** Some group could go on right now. */
  hasWork(): boolean {
    for (const group of this.#groups)
      if (!group.isCurrent && this.#leastPending(group) < this.#context.outputLimit) return true;
    return false;
  }

  all(): Iterable<UpdateGroup> {
    return this.#groups;
  }

  #enter(group: UpdateGroup, entry: PeerEntry): GroupMember {
    const member: GroupMember = { peer: entry.id, reader: group.queue.join(entry.id), group, isTold: false };
    group.members.set(entry.id, member);
    this.#members.set(entry.id, member);
    return member;
  }

  #make(key: string, entry: PeerEntry, session: FamilySession, outOf: (rules: Export) => AdjRibOut): UpdateGroup {
    const choice = new Export(entry, session, this.#table, this.#context.tables);
    const group = new UpdateGroup(
      key,
      choice.rules,
      parametersOf(entry.options, session),
      outOf(choice),
      this.#context,
    );
    this.#groups.add(group);
    const alike = this.#byKey.get(key);
    if (alike === undefined) this.#byKey.set(key, new Set([group]));
    else alike.add(group);
    return group;
  }

  #emptyOut(session: FamilySession, rules: Export): AdjRibOut {
    const { sets } = this.#context.tables;
    if (session.addPathSend !== true) return new SinglePathOut(this.#table, sets, rules);
    const choose = (table: FamilyTable, prefix: PrefixId): readonly number[] =>
      this.#context.decision.ranking(table, prefix).map(({ path }) => path);
    return new AddPathOut(this.#table, sets, rules, this.#context.names, choose);
  }

  /** Moves members of one group into a new one that has been told the same. */
  #split(members: readonly GroupMember[], entry: PeerEntry, session: FamilySession, key: string): UpdateGroup {
    const [first] = members;
    if (first === undefined) throw new Error('A split needs members');
    const from = first.group;
    const group = this.#make(key, entry, session, (rules) => from.out.copy(rules));
    group.startFrom(from);
    for (const member of members) this.#moveTo(group, member);
    return group;
  }

  #moveTo(group: UpdateGroup, member: GroupMember): void {
    const from = member.group;
    from.members.delete(member.peer);
    from.queue.move(member.reader, group.queue);
    group.members.set(member.peer, member);
    member.group = group;
    if (from.members.size === 0) this.#dissolve(from);
  }

  #merge(group: UpdateGroup): void {
    const alike = this.#byKey.get(group.key);
    if (alike === undefined || alike.size === 1) return;
    for (const other of alike) {
      if (other === group || !other.isCurrent) continue;
      const [small, large] = group.members.size < other.members.size ? [group, other] : [other, group];
      // One that is still slow would only be set apart again.
      if (this.#mostPending(small) * 2 > this.#context.outputLimit) continue;
      for (const member of [...small.members.values()]) this.#moveTo(large, member);
      return;
    }
  }

  #dissolve(group: UpdateGroup): void {
    this.#groups.delete(group);
    const alike = this.#byKey.get(group.key);
    alike?.delete(group);
    if (alike?.size === 0) this.#byKey.delete(group.key);
    group.dissolve();
  }

  /** Room for the fastest member is room for the group; members far behind it are set apart first. */
  #mayProduce(group: UpdateGroup, peerOf: (member: GroupMember) => PeerEntry): boolean {
    const { outputLimit } = this.#context;
    if (this.#leastPending(group) >= outputLimit) return false;
    if (group.members.size === 1) return true;
    const slow = [...group.members.values()].filter(({ reader }) => group.queue.pending(reader) > 2 * outputLimit);
    const [first] = slow;
    if (first === undefined) return true;
    const entry = peerOf(first);
    const session = entry.options.families.find(({ family }) => family === this.#table.family);
    if (session !== undefined) this.#split(slow, entry, session, group.key);
    return true;
  }

  #leastPending(group: UpdateGroup): number {
    let least = Infinity;
    for (const { reader } of group.members.values()) {
      const pending = group.queue.pending(reader);
      if (pending === 0) return 0;
      if (pending < least) least = pending;
    }
    return least;
  }

  #mostPending(group: UpdateGroup): number {
    let most = 0;
    for (const { reader } of group.members.values()) most = Math.max(most, group.queue.pending(reader));
    return most;
  }

  #endOfRib(): Uint8Array {
    const { family } = this.#table;
    const out = new Uint8Array(64);
    const writer = new UpdateWriter(NEW_SESSION);
    writer.into(out, 0);
    writer.endOfRib(family);
    return out.slice(0, writer.at);
  }

  #mark(subtype: 'begin' | 'end'): Uint8Array {
    return encodeControlMessage({
      type: 'route-refresh',
      afi: this.#table.family === 4 ? Afi.ipv4 : Afi.ipv6,
      safi: Safi.unicast,
      subtype,
    });
  }
}

const NEW_SESSION: EncodeParameters = {
  as4: true,
  addPathIpv4: false,
  addPathIpv6: false,
  extendedNextHop: false,
  maxMessageLength: MAX_MESSAGE_LENGTH,
};

const parametersOf = (peer: RibPeer, session: FamilySession): EncodeParameters => ({
  as4: peer.fourOctetAs !== false,
  addPathIpv4: session.family === 4 && session.addPathSend === true,
  addPathIpv6: session.family === 6 && session.addPathSend === true,
  extendedNextHop: session.extendedNextHop === true,
  maxMessageLength: peer.extendedMessage === true ? MAX_EXTENDED_MESSAGE_LENGTH : MAX_MESSAGE_LENGTH,
});
