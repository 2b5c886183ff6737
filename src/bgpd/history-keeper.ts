/**
 * What happens to sessions and best paths, noted in the node's journal (history/journal.ts). Sessions as they happen; routes are read once
 * a second from the speaker's own ring, and of a flood of them the first: a full table must cost neither disk nor time.
 */
import { formatPrefix } from 'node-bgp/address';
import type { RibQueries } from 'node-bgp/rib/answers';
import type { SpeakerEvent } from 'node-bgp/speaker/event';
import { nowText, type HistoryEntry, type SessionEntry } from '../history/entry.js';

const INTERVAL = 1_000;
/** BOUNDED: routes that are named of one second. */
const MOST_ROUTES = 100;

export interface HistoryKeeperOptions {
  readonly note: (entry: HistoryEntry) => void;
  /** Undefined before the first configuration. */
  readonly rib: () => Pick<RibQueries, 'changes' | 'changeCount'> | undefined;
}

export class HistoryKeeper {
  private timer: NodeJS.Timeout | undefined;
  /** Of the table's changes, how many have been read. */
  private seen = 0;

  constructor(private readonly options: HistoryKeeperOptions) {}

  start(): void {
    this.timer = setInterval(() => this.readRoutes(), INTERVAL);
    this.timer.unref();
  }

  stop(): void {
    clearInterval(this.timer);
    this.readRoutes();
  }

  heard(event: SpeakerEvent): void {
    const entry = sessionEntryOf(event);
    if (entry !== undefined) this.options.note({ at: nowText(), ...entry });
  }

  readRoutes(): void {
    const rib = this.options.rib();
    if (rib === undefined) return;
    const { changeCount } = rib;
    // Another table has begun.
    if (changeCount < this.seen) this.seen = 0;
    if (changeCount === this.seen) return;
    let told = 0;
    for (const { at, type, prefix, peer } of rib.changes(this.seen)) {
      if (told === MOST_ROUTES) break;
      told++;
      const from = peer === undefined ? {} : { peer };
      this.options.note({ at: nowText(at), type: 'route', event: type, prefix: formatPrefix(prefix), ...from });
    }
    const count = changeCount - this.seen - told;
    if (count > 0) this.options.note({ at: nowText(), type: 'route', event: 'more', count });
    this.seen = changeCount;
  }
}

function sessionEntryOf(event: SpeakerEvent): Omit<SessionEntry, 'at'> | undefined {
  switch (event.type) {
    case 'peer-up':
      return {
        type: 'session',
        peer: event.peer,
        event: 'up',
        reason: `AS ${event.remoteAs}, router id ${event.routerId}`,
      };
    case 'peer-down':
      return { type: 'session', peer: event.peer, event: 'down', reason: event.reason };
    case 'attempt-failed':
      return { type: 'session', peer: event.peer, event: 'failed', reason: event.reason };
    case 'peer-warning':
    case 'update-error':
      return { type: 'session', peer: event.peer, event: 'warning', reason: event.reason };
    default:
      return undefined;
  }
}
