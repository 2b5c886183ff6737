/**
 * What one sink has been told of one kind, and so what it has to be told next: of lists only what differs, of events all but what it
 * never heard of. Not here: where lists and events come from (reflector.ts, table-datastore.ts).
 */
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { WatchObserver, WatchOptions, WatchSink } from './datastore.js';
import { trim } from './trim.js';

/** The sink threw: our own fault, never the server's. It ends the process, which starts again from what it can trust. */
export class SinkFault extends Error {}

export class KnownObjects<K extends KindName> {
  /** By namespace/name. BOUNDED by the objects of the kind. */
  private readonly known = new Map<string, ObjectOf[K]>();
  private isSynced = false;

  constructor(
    private readonly kind: K,
    private readonly sink: WatchSink<K>,
    private readonly options: Pick<WatchOptions, 'keep' | 'observer'>,
  ) {}

  /** Cut down to what is kept: lists are long, so before they are whole. */
  kept(object: ObjectOf[K]): ObjectOf[K] {
    const { keep, observer } = this.options;
    observer?.seen(object);
    const trimmed = trim(this.kind, object);
    return keep === undefined ? trimmed : (keep(trimmed) as ObjectOf[K]);
  }

  /**
   * All objects that there are, as `kept` answers them.
   * @param isOtherHistory the versions of before mean nothing here: whatever has one of them may be something else
   */
  listed(items: readonly ObjectOf[K][], isOtherHistory = false): void {
    const steps = this.listing(items, isOtherHistory);
    while (steps.next().done !== true);
  }

  /** The same in steps, one for each object. */
  *listing(items: readonly ObjectOf[K][], isOtherHistory = false): Generator<void> {
    const seen = new Set<string>();
    for (const item of items) {
      const key = keyOf(item);
      seen.add(key);
      const before = this.known.get(key);
      const isSame =
        before?.metadata.uid === item.metadata.uid &&
        before?.metadata.resourceVersion === item.metadata.resourceVersion;
      if (isOtherHistory || !isSame) this.upsert(item);
      yield;
    }
    for (const [key, object] of this.known) {
      if (!seen.has(key)) this.remove(key, object);
      yield;
    }
    if (this.isSynced) return;
    this.isSynced = true;
    this.tell(() => this.sink.firstListDone(this.kind));
  }

  /** As `kept` answers it. */
  upsert(object: ObjectOf[K]): void {
    const key = keyOf(object);
    const before = this.known.get(key);
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) this.remove(key, before);
    this.known.set(key, object);
    const was = before?.metadata.uid === object.metadata.uid && before !== undefined ? { before } : {};
    this.observe({ type: 'upsert', object, ...was });
    this.tell(() => this.sink.upsert(this.kind, object));
  }

  deleted(object: KubeObject): void {
    const key = keyOf(object);
    const before = this.known.get(key);
    if (before !== undefined) this.remove(key, before);
  }

  private remove(key: string, object: ObjectOf[K]): void {
    this.known.delete(key);
    this.observe({ type: 'delete', object });
    this.tell(() => this.sink.delete(this.kind, object));
  }

  private observe(change: Omit<Parameters<WatchObserver['changed']>[0], 'isFirstList'>): void {
    this.options.observer?.changed({ ...change, isFirstList: !this.isSynced });
  }

  private tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      throw new SinkFault('the sink threw', { cause: error });
    }
  }
}

const keyOf = (object: KubeObject): string => `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
