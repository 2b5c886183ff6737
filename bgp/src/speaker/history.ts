/** The last events of a speaker with their times. BOUNDED: a ring. */
import type { SpeakerEvent } from './event.js';

export interface HistoryEntry {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly event: SpeakerEvent;
}

export class History {
  private readonly ring: HistoryEntry[] = [];
  private next = 0;

  constructor(private readonly capacity = 2048) {}

  add(at: number, event: SpeakerEvent): void {
    this.ring[this.next] = { at, event };
    this.next = (this.next + 1) % this.capacity;
  }

  /** Oldest first; of one peer, if named. */
  entries(peer?: string): readonly HistoryEntry[] {
    const all = [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)];
    return peer === undefined ? all : all.filter(({ event }) => 'peer' in event && event.peer === peer);
  }
}
