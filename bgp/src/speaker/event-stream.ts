/**
 * Events as an async iterator: `for await (const event of speaker.events('peer-up', 'peer-down'))`. For those who would rather loop
 * than be called back; `Speaker.subscribe` is the other way.
 *
 * A reader that does not keep up must cost neither the speaker its memory nor others their events: of what waits for it the oldest is
 * dropped, and it is told how many.
 */
import type { SpeakerEvent, SpeakerEventListener } from './event.js';

/** In the place of events that a reader was too slow for. */
export interface EventsLost {
  readonly type: 'events-lost';
  readonly count: number;
}

export type EventOf<Type extends SpeakerEvent['type']> = Extract<SpeakerEvent, { readonly type: Type }>;

/** BOUNDED: events that wait for one reader. */
const MOST_WAITING = 4096;

/**
 * From the first call of `next` until the reader leaves its loop or `signal` aborts. Without types: every event.
 * @param subscribe Speaker.subscribe
 */
export async function* eventStream<Type extends SpeakerEvent['type']>(
  subscribe: (listener: SpeakerEventListener) => () => void,
  types: readonly Type[],
  signal?: AbortSignal,
): AsyncGenerator<EventOf<Type> | EventsLost, void, undefined> {
  const wanted = new Set<string>(types);
  const waiting: EventOf<Type>[] = [];
  let lost = 0;
  let wake = (): void => undefined;
  const isWanted = (event: SpeakerEvent): event is EventOf<Type> => wanted.size === 0 || wanted.has(event.type);
  const unsubscribe = subscribe((event) => {
    if (!isWanted(event)) return;
    if (waiting.push(event) > MOST_WAITING) {
      waiting.shift();
      lost++;
    }
    wake();
  });
  const ended = (): void => wake();
  signal?.addEventListener('abort', ended);
  try {
    while (signal?.aborted !== true) {
      if (lost > 0) {
        const count = lost;
        lost = 0;
        yield { type: 'events-lost', count };
      }
      const event = waiting.shift();
      if (event !== undefined) yield event;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    unsubscribe();
    signal?.removeEventListener('abort', ended);
  }
}
