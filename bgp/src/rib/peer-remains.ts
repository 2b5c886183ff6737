/**
 * What is left of a peer without a session: its number is another's only when no path, no job and no attribute set of it is there any more.
 * A set may outlive the last path that had it, as long as something that was sent is known by it.
 */
import type { PathNames } from './adj-rib-out.js';
import { LOCAL_PEER, type PeerEntry, type Peers } from './peers.js';
import type { PeerId } from './rib-peer.js';

export class PeerRemains {
  /** Attribute sets in use per peer. BOUNDED by the peers. */
  readonly #sets = new Map<PeerId, number>();
  readonly #peers: Peers;
  readonly #names: PathNames;

  constructor(peers: Peers, names: PathNames) {
    this.#peers = peers;
    this.#names = names;
  }

  setMade(peer: PeerId): void {
    this.#sets.set(peer, (this.#sets.get(peer) ?? 0) + 1);
  }

  setGone(peer: PeerId): void {
    const left = (this.#sets.get(peer) ?? 0) - 1;
    if (left > 0) {
      this.#sets.set(peer, left);
      return;
    }
    this.#sets.delete(peer);
    if (peer !== LOCAL_PEER) this.freeIfDone(this.#peers.get(peer));
  }

  /** Nothing of a peer without a session is left: its number may be used again. */
  freeIfDone(entry: PeerEntry): void {
    const isEmpty = entry.family[4].received === 0 && entry.family[6].received === 0;
    if (entry.state !== 'gone' || entry.jobs > 0 || !isEmpty || this.#sets.has(entry.id)) return;
    this.#names.forgetPeer(entry.id);
    this.#peers.free(entry);
  }
}
