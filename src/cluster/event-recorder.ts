/**
 * Kubernetes events: what `kubectl describe` shows beside an object. For people only; nobody waits for one, and none that cannot be
 * written stops anything.
 *
 * What is said again word for word is counted in the event that there is (`series`), as client-go does it: written when it comes for the
 * second time, then once a minute at most. Everything is bounded: events remembered, different ones of one object, writes a second.
 * An API server that is away is asked again for a while; one that refuses is not.
 */
import { apiVersionOf, kinds, type KindName } from '../api/kinds.js';
import type { Event } from '../api/core.js';
import type { ObjectMeta } from '../api/meta.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { userText } from '../user-text.js';

/** What happened, and to what. */
export interface Happening {
  readonly kind: KindName;
  readonly object: { readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'uid' | 'resourceVersion'> };
  readonly type: Event['type'];
  /** Why, in one word of the field: "FailedAttach". */
  readonly reason: string;
  /** What was done or tried: "Attaching". */
  readonly action: string;
  /** A sentence. May hold what users wrote. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly datastore: Pick<Datastore, 'create' | 'replace'>;
  /** "tortie-agent" */
  readonly component: string;
  /** Which of them: the node, the process. */
  readonly instance: string;
  readonly log: Logger;
  readonly now?: () => number;
}

interface Remembered {
  readonly subject: string;
  readonly event: Event;
  count: number;
  lastAt: number;
  /** As the server has it; undefined: it has none. */
  written: Event | undefined;
  writtenCount: number;
  writtenAt: number;
}

/** BOUNDED: events remembered, the longest silent forgotten first. */
const MOST_EVENTS = 512;
/** BOUNDED: different ones about one object; a text that differs each time must not drown the others. */
const MOST_OF_ONE = 20;
/** Between two writes of how often one came. */
const SERIES_PAUSE = 60_000;
/** Said again after this long, it is a new event: servers forget after an hour. */
const MOST_SILENCE = 30 * 60_000;
/** At once, and one more for each such pause. */
const BURST = 25;
const REFILL = 1_000;
const RETRY = 10_000;
const MOST_RETRIES = 12;
/** The API's own bounds. */
const MOST_NOTE_BYTES = 1024;
const MOST_WORD = 128;
const MOST_NAME = 200;

export class EventRecorder {
  /** In the order in which they were last said. */
  private readonly remembered = new Map<string, Remembered>();
  private readonly now: () => number;
  private tokens = BURST;
  private refilledAt: number;
  private retries = 0;
  private dropped = 0;
  private sequence = 0;
  private timer: NodeJS.Timeout | undefined;
  /** A server that does not answer is left alone for so long. */
  private awayUntil = 0;
  private isRefusalTold = false;
  private isSending = false;
  private isStopped = false;

  constructor(private readonly options: EventRecorderOptions) {
    this.now = options.now ?? Date.now;
    this.refilledAt = this.now();
  }

  /** Says it, now or later or never. */
  record(happening: Happening): void {
    if (this.isStopped) return;
    const now = this.now();
    const event = this.eventOf(happening, now);
    const subject = subjectOf(event);
    const key = [subject, event.type, event.reason, event.action, event.note].join('\n');
    const known = this.remembered.get(key);
    this.remembered.delete(key);
    if (known !== undefined && now - known.lastAt < MOST_SILENCE) {
      known.count += 1;
      known.lastAt = now;
      this.remembered.set(key, known);
    } else if (!this.makeRoom(subject)) {
      this.dropped += 1;
      return;
    } else
      this.remembered.set(key, {
        subject,
        event,
        count: 1,
        lastAt: now,
        written: undefined,
        writtenCount: 0,
        writtenAt: 0,
      });
    this.wake(0);
  }

  /** What was not written is not written any more. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** Is there a place for one more about this object? One that is written makes way. */
  private makeRoom(subject: string): boolean {
    const ofOne = [...this.remembered].filter(([, each]) => each.subject === subject);
    const crowd = ofOne.length >= MOST_OF_ONE ? ofOne : this.remembered.size >= MOST_EVENTS ? [...this.remembered] : [];
    if (crowd.length === 0) return true;
    const spare = crowd.find(([, each]) => !isDue(each));
    // What differs each time about one object would be written each time: it waits until the oldest is no longer news.
    if (spare === undefined || (ofOne.length >= MOST_OF_ONE && this.now() - spare[1].lastAt < SERIES_PAUSE))
      return false;
    this.remembered.delete(spare[0]);
    return true;
  }

  private wake(pause: number): void {
    if (this.isStopped || this.isSending) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.send(), pause).unref();
  }

  private async send(): Promise<void> {
    this.isSending = true;
    let pause: number | undefined;
    while (!this.isStopped && pause === undefined) {
      const next = this.nextDue();
      if (next === undefined) break;
      const wait = Math.max(next.at, this.awayUntil) - this.now();
      if (wait > 0) pause = wait;
      else if (!this.takeToken()) pause = REFILL;
      else if (!(await this.write(next.entry))) this.awayUntil = this.now() + RETRY;
    }
    this.isSending = false;
    if (pause !== undefined) this.wake(pause);
  }

  /** What is to be written next, and when. */
  private nextDue(): { readonly entry: Remembered; readonly at: number } | undefined {
    let first: { entry: Remembered; at: number } | undefined;
    for (const entry of this.remembered.values()) {
      if (!isDue(entry)) continue;
      const at = entry.writtenCount < 2 ? 0 : entry.writtenAt + SERIES_PAUSE;
      if (first === undefined || at < first.at) first = { entry, at };
    }
    return first;
  }

  private takeToken(): boolean {
    const now = this.now();
    const gained = Math.floor((now - this.refilledAt) / REFILL);
    if (gained > 0) {
      this.tokens = Math.min(BURST, this.tokens + gained);
      this.refilledAt = now;
    }
    if (this.tokens === 0) return false;
    this.tokens -= 1;
    return true;
  }

  /** False: the server could not be asked. */
  private async write(entry: Remembered): Promise<boolean> {
    const { datastore, log } = this.options;
    const { count, written } = entry;
    const series = { count, lastObservedTime: microTime(entry.lastAt) };
    try {
      entry.written =
        written === undefined
          ? await datastore.create('events', count < 2 ? entry.event : { ...entry.event, series })
          : await datastore.replace('events', { ...written, series });
      entry.writtenCount = count;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status >= 500 || error.status === 429) {
        this.retries += 1;
        log.debug(
          { problem: messageOf(error), dropped: this.dropped },
          'The API server cannot be told of an event yet',
        );
        if (this.retries <= MOST_RETRIES) return false;
        this.forgetUnwritten();
        return true;
      }
      // Its server has forgotten it, or its namespace is going: the next time it is a new one.
      this.tellRefusal(error, entry.event.reason);
      this.forget(entry);
    }
    this.retries = 0;
    entry.writtenAt = this.now();
    return true;
  }

  /** A right that is missing is missing for every event: it is said once. */
  private tellRefusal({ message, status }: ApiError, reason: string): void {
    const { log } = this.options;
    const level = status === 403 && !this.isRefusalTold ? 'warn' : 'debug';
    this.isRefusalTold ||= status === 403;
    log[level]({ problem: message, reason }, 'An event was refused');
  }

  private forget(entry: Remembered): void {
    for (const [key, each] of this.remembered) if (each === entry) this.remembered.delete(key);
  }

  private forgetUnwritten(): void {
    this.retries = 0;
    for (const [key, each] of this.remembered) if (isDue(each)) this.remembered.delete(key);
  }

  private eventOf({ kind, object, type, reason, action, note }: Happening, now: number): Event {
    const { component, instance } = this.options;
    const { name, namespace, uid, resourceVersion } = object.metadata;
    return {
      metadata: {
        name: `${name.slice(0, MOST_NAME)}.${now.toString(16)}${(this.sequence++ % 0xffff).toString(16).padStart(4, '0')}`,
        namespace: namespace ?? 'default',
      },
      regarding: {
        apiVersion: apiVersionOf(kinds[kind]),
        kind: kinds[kind].kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      eventTime: microTime(now),
      type,
      reason: userText(reason, MOST_WORD),
      action: userText(action, MOST_WORD),
      note: noteText(note),
      reportingController: component,
      reportingInstance: userText(instance, MOST_WORD),
    };
  }
}

const isDue = ({ count, writtenCount }: Remembered): boolean => count > writtenCount;

const subjectOf = ({ regarding }: Event): string =>
  [regarding.apiVersion, regarding.kind, regarding.namespace, regarding.name, regarding.uid].join('\n');

const microTime = (at: number): string => new Date(at).toISOString().replace('Z', '000Z');

/** The API counts octets. */
function noteText(text: string): string {
  let note = userText(text, MOST_NOTE_BYTES);
  for (
    let excess = Buffer.byteLength(note) - MOST_NOTE_BYTES;
    excess > 0;
    excess = Buffer.byteLength(note) - MOST_NOTE_BYTES
  )
    note = userText(text, note.length - Math.ceil(excess / 3));
  return note;
}
