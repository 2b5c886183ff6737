/**
 * One watch: the events of a collection as lines on a response, from a revision on.
 *
 * A selector turns changes into what the client may see: an object that begins to match is ADDED, one that ceases to match is
 * DELETED (in its last matching form). A client that does not read is cut off at MAX_BUFFERED_BYTES; it watches again
 * from the last revision it saw, or lists again on 410.
 */
import type { Cluster, Target } from './cluster.js';
import { withVersion } from './object.js';
import { parseSelection, revisionNumber, tooNew, type Selection } from './read.js';
import type { Representation } from './representation.js';
import { apiVersionOf } from './resource-type.js';
import { Entry, type StoreEvent } from './store.js';
import { expired } from './api-error.js';

/** Where a watch's lines go; an HTTP response is one. */
export interface WatchSink {
  /** Sends a line; returns the bytes that wait to be read by the client. */
  readonly send: (line: string) => number;
  readonly end: () => void;
  /** Ends at once and forgets what waits. */
  readonly abort: () => void;
}

export interface WatchOptions {
  readonly selection: Selection;
  readonly revision: number | undefined;
  readonly wantsBookmarks: boolean;
  readonly sendsInitialEvents: boolean;
  readonly timeoutMilliseconds: number;
}

/** BOUNDED: what a watcher that does not read may cost. */
const MAX_BUFFERED_BYTES = 32 * 1024 * 1024;
const BOOKMARK_INTERVAL = 60_000;
/** Upstream's default: half an hour to an hour, spread so that watches do not all end at once. */
const MIN_TIMEOUT = 1_800_000;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export function parseWatchOptions(target: Target, query: URLSearchParams): WatchOptions {
  const version = query.get('resourceVersion') ?? '';
  const timeout = Number(query.get('timeoutSeconds') ?? '0');
  const sendsInitialEvents = isTrue(query.get('sendInitialEvents'));
  return {
    selection: parseSelection(target.type, query),
    revision: version === '' || version === '0' || sendsInitialEvents ? undefined : revisionNumber(version),
    wantsBookmarks: isTrue(query.get('allowWatchBookmarks')),
    sendsInitialEvents,
    timeoutMilliseconds: timeout > 0 ? timeout * 1000 : MIN_TIMEOUT * (1 + Math.random()),
  };
}

export const isTrue = (text: string | null): boolean => text === 'true' || text === '1';

/**
 * Starts a watch; the returned function stops it. Throws 410 when the events after the revision are forgotten, 504 when
 * the revision is of the future.
 */
export function startWatch(
  cluster: Cluster,
  target: Target,
  options: WatchOptions,
  representation: Representation,
  sink: WatchSink,
): () => void {
  const { type } = target;
  if (options.revision !== undefined && options.revision > cluster.store.revision)
    throw tooNew(options.revision, cluster.store.revision);
  const backlog = options.revision === undefined ? [] : cluster.store.since(type.bucket, options.revision);
  if (backlog === 'expired') throw expired(`too old resource version: ${options.revision} (${cluster.store.revision})`);

  let isFirst = true;
  let isEnded = false;
  const stops: (() => void)[] = [];
  const finish = (leave: () => void): void => {
    if (isEnded) return;
    isEnded = true;
    for (const stop of stops) stop();
    leave();
  };
  const end = (): void => finish(sink.end);
  const send = (kind: string, object: string): void => {
    if (isEnded) return;
    if (sink.send(`{"type":"${kind}","object":${object}}\n`) > MAX_BUFFERED_BYTES) finish(sink.abort);
  };
  const deliver = (event: StoreEvent): void => {
    const seen = visibleEvent(target, options.selection, event);
    if (seen === undefined) return;
    send(seen.type, representation.event(type, seen.entry, isFirst));
    isFirst = false;
  };
  const bookmark = (annotations?: Record<string, string>): void => {
    const metadata = {
      resourceVersion: String(cluster.store.revision),
      creationTimestamp: null,
      ...(annotations === undefined ? {} : { annotations }),
    };
    send('BOOKMARK', JSON.stringify({ kind: type.kind, apiVersion: apiVersionOf(type), metadata }));
  };

  if (options.revision === undefined) {
    for (const entry of cluster.store.list(type.bucket, target.namespace))
      deliver({ type: 'ADDED', revision: entry.revision, entry, previous: undefined });
    if (options.sendsInitialEvents && options.wantsBookmarks) bookmark({ [INITIAL_EVENTS_END]: 'true' });
  }
  for (const event of backlog) deliver(event);
  stops.push(cluster.store.listen(type.bucket, deliver));
  const timer = setTimeout(end, options.timeoutMilliseconds);
  stops.push(() => clearTimeout(timer));
  if (options.wantsBookmarks) {
    const interval = setInterval(() => bookmark(), BOOKMARK_INTERVAL);
    stops.push(() => clearInterval(interval));
  }
  if (isEnded) for (const stop of stops) stop(); // the backlog alone was more than the client took
  return end;
}

/** What a watcher with this selection sees of an event; undefined: nothing. */
function visibleEvent(
  target: Target,
  selection: Selection,
  event: StoreEvent,
): Pick<StoreEvent, 'type' | 'entry'> | undefined {
  const { entry, previous } = event;
  if (target.namespace !== undefined && target.type.namespaced && !entry.key.startsWith(`${target.namespace}/`))
    return undefined;
  const matches = selection.matches(entry.object);
  if (event.type === 'DELETED')
    return previous !== undefined && selection.matches(previous.object) ? { type: 'DELETED', entry } : undefined;
  const matched = previous !== undefined && selection.matches(previous.object);
  if (matches) return { type: matched ? 'MODIFIED' : 'ADDED', entry };
  return matched
    ? { type: 'DELETED', entry: new Entry(entry.key, withVersion(previous.object, entry.revision), entry.revision) }
    : undefined;
}
