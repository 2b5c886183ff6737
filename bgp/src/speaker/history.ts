/**
 * The last events of a speaker with their times. BOUNDED: a ring, and one set of states per peer.
 *
 * A peer that is away goes through the same states with every attempt. Each of them is kept once until something else happens to
 * the peer: a dead peer must not push out what happened to the others.
 */
import type { FsmStateType } from '../fsm/state.js';
import type { SpeakerEvent } from './event.js';

export interface HistoryEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly event: SpeakerEvent;
}

const MOST_PEERS = 10_000;

export class History {
  private readonly ring: HistoryEntry[] = [];
  private next = 0;
  /** States since the last other event. BOUNDED: all forgotten at MOST_PEERS, as peers out of ranges come and go. */
  private readonly states = new Map<string, Set<FsmStateType>>();

  constructor(private readonly capacity = 2048) {}

  add(at: number, event: SpeakerEvent): void {
    if (this.isRepeated(event)) return;
    this.ring[this.next] = { at, event };
    this.next = (this.next + 1) % this.capacity;
  }

  private isRepeated(event: SpeakerEvent): boolean {
    if (!('peer' in event)) return false;
    if (event.type !== 'peer-state') {
      this.states.delete(event.peer);
      return false;
    }
    if (this.states.size >= MOST_PEERS) this.states.clear();
    const known = this.states.get(event.peer) ?? new Set();
    if (known.has(event.state)) return true;
    this.states.set(event.peer, known.add(event.state));
    return false;
  }

  /** Oldest first; of one peer, if named. */
  entries(peer?: string): readonly HistoryEntry[] {
    const all = [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)];
    return peer === undefined ? all : all.filter(({ event }) => 'peer' in event && event.peer === peer);
  }
}
