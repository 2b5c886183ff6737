/** Encoded messages on their way from the update groups to the sessions: who has some, and handing them out. */
import type { Family } from '../address.js';
import type { PeerId } from './rib-peer.js';
import type { Output } from './output-queue.js';
import type { PeerEntry } from './peers.js';
import type { UpdateGroups } from './update-groups.js';

const FAMILIES: readonly Family[] = [4, 6];

export class Outputs {
  readonly #groups: Readonly<Record<Family, UpdateGroups>>;
  /** Octets that may wait for a peer before its groups stop producing. */
  readonly #limit: number;

  constructor(groups: Readonly<Record<Family, UpdateGroups>>, limit: number) {
    this.#groups = groups;
    this.#limit = limit;
  }

  /** Tells of every member that has something and has not been told. */
  tell(ready: (peer: PeerId) => void): void {
    for (const family of FAMILIES)
      for (const group of this.#groups[family].all())
        for (const member of group.members.values()) {
          if (member.isTold || group.queue.pending(member.reader) === 0) continue;
          member.isTold = true;
          ready(member.peer);
        }
  }

  /** Appends up to about `limit` octets to `out`; true when a group that had to wait for this may go on. */
  take(entry: PeerEntry, limit: number, out: Output): boolean {
    let octets = 0;
    let isFreed = false;
    for (const family of FAMILIES) {
      const member = this.#groups[family].member(entry.id);
      if (member === undefined || octets >= limit) continue;
      const wasBlocked = member.group.queue.pending(member.reader) >= this.#limit;
      octets += member.group.queue.take(member.reader, limit - octets, out);
      member.isTold = member.group.queue.pending(member.reader) > 0;
      if (wasBlocked && !member.group.isCurrent) isFreed = true;
    }
    return isFreed;
  }

  /** Octets that wait for a peer. */
  pending(peer: PeerId): number {
    let octets = 0;
    for (const family of FAMILIES) {
      const member = this.#groups[family].member(peer);
      if (member !== undefined) octets += member.group.queue.pending(member.reader);
    }
    return octets;
  }
}
