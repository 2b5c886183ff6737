/**
 * Ownership: an object whose owners are all gone is deleted; a foreground deletion waits for the dependents that block it;
 * an orphaning deletion first strips the references. Follows k8s.io/kubernetes/pkg/controller/garbagecollector in effect,
 * not in form: everything is in this process, so there is no graph to keep in step.
 */
import { targetOf, type Cluster } from '../cluster.js';
import { at, listAt, put, textAt } from '../json.js';
import { finalizersOf, isBeingDeleted, uidOf, type ApiObject } from '../object.js';
import { deleteObject, FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from '../remove.js';
import type { Entry, StoreEvent } from '../store.js';
import { isFinished } from '../write.js';

interface Place {
  readonly bucket: string;
  readonly key: string;
}

/** Starts; returns the function that stops. */
export function startGarbageCollector(cluster: Cluster): () => void {
  const collector = new GarbageCollector(cluster);
  return cluster.store.listenToAll((bucket, event) => collector.observe(bucket, event));
}

class GarbageCollector {
  /** BOUNDED by the objects stored: where each object stands. */
  readonly #places = new Map<string, Place>();
  /** Owner's uid to its dependents' uids; BOUNDED by the references stored. */
  readonly #dependents = new Map<string, Set<string>>();
  readonly #pending = new Set<string>();
  #isScheduled = false;

  constructor(private readonly cluster: Cluster) {}

  observe(bucket: string, event: StoreEvent): void {
    const { object, key } = event.entry;
    const uid = uidOf(object);
    this.#index(uid, event.previous?.object, event.type === 'DELETED' ? undefined : object);
    if (event.type === 'DELETED') {
      this.#places.delete(uid);
      for (const dependent of this.#dependents.get(uid) ?? []) this.#schedule(dependent);
      for (const owner of ownerUids(object)) this.#schedule(owner);
      return;
    }
    this.#places.set(uid, { bucket, key });
    const needsWork = ownerUids(object).some((owner) => !this.#places.has(owner)) || hasOurFinalizer(object);
    if (needsWork) this.#schedule(uid);
  }

  #index(uid: string, before: ApiObject | undefined, after: ApiObject | undefined): void {
    for (const owner of before === undefined ? [] : ownerUids(before)) {
      const set = this.#dependents.get(owner);
      set?.delete(uid);
      if (set?.size === 0) this.#dependents.delete(owner);
    }
    for (const owner of after === undefined ? [] : ownerUids(after))
      this.#dependents.set(owner, (this.#dependents.get(owner) ?? new Set()).add(uid));
  }

  #schedule(uid: string): void {
    this.#pending.add(uid);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const due = [...this.#pending];
      this.#pending.clear();
      for (const next of due) this.#process(next);
    });
  }

  #process(uid: string): void {
    const place = this.#places.get(uid);
    const entry = place === undefined ? undefined : this.cluster.store.get(place.bucket, place.key);
    if (place === undefined || entry === undefined || uidOf(entry.object) !== uid) return;
    const finalizers = finalizersOf(entry.object);
    if (isBeingDeleted(entry.object)) {
      if (finalizers.includes(ORPHAN_FINALIZER)) this.#orphan(uid, place, entry);
      else if (finalizers.includes(FOREGROUND_FINALIZER)) this.#foreground(uid, place, entry);
      return;
    }
    const owners = ownerUids(entry.object);
    if (owners.length > 0 && owners.every((owner) => !this.#places.has(owner))) this.#delete(place, entry);
  }

  #foreground(uid: string, place: Place, entry: Entry): void {
    let blocking = 0;
    for (const dependent of this.#entriesOf(uid)) {
      if (!isBeingDeleted(dependent.entry.object) && this.#delete(dependent.place, dependent.entry)) continue;
      if (references(dependent.entry.object, uid).some((owner) => at(owner, 'blockOwnerDeletion') === true))
        blocking += 1;
    }
    if (blocking === 0) this.#finish(place, entry, FOREGROUND_FINALIZER);
  }

  #orphan(uid: string, place: Place, entry: Entry): void {
    for (const dependent of this.#entriesOf(uid)) {
      const kept = listAt(dependent.entry.object, 'metadata', 'ownerReferences').filter(
        (owner) => textAt(owner, 'uid') !== uid,
      );
      const freed = put(dependent.entry.object, ['metadata', 'ownerReferences'], kept.length === 0 ? undefined : kept);
      this.cluster.store.write(dependent.place.bucket, dependent.place.key, freed);
    }
    this.#finish(place, entry, ORPHAN_FINALIZER);
  }

  /** Takes our finalizer off; the object goes when it was the last. */
  #finish(place: Place, entry: Entry, finalizer: string): void {
    const left = finalizersOf(entry.object).filter((name) => name !== finalizer);
    const object = put(entry.object, ['metadata', 'finalizers'], left.length === 0 ? undefined : left);
    if (isFinished(object)) this.cluster.store.remove(place.bucket, place.key);
    else this.cluster.store.write(place.bucket, place.key, object);
  }

  /** True when the object is gone. */
  #delete(place: Place, entry: Entry): boolean {
    const type = this.cluster.registry.all().find((candidate) => candidate.bucket === place.bucket);
    if (type === undefined) return false;
    return deleteObject(this.cluster, targetOf(type, entry.object), {
      graceSeconds: undefined,
      propagation: 'Background',
      dryRun: false,
    }).isGone;
  }

  #entriesOf(owner: string): readonly { readonly place: Place; readonly entry: Entry }[] {
    return [...(this.#dependents.get(owner) ?? [])].flatMap((uid) => {
      const place = this.#places.get(uid);
      const entry = place === undefined ? undefined : this.cluster.store.get(place.bucket, place.key);
      return place === undefined || entry === undefined ? [] : [{ place, entry }];
    });
  }
}

const ownerUids = (object: ApiObject): readonly string[] =>
  listAt(object, 'metadata', 'ownerReferences').map((owner) => textAt(owner, 'uid') ?? '');

const references = (object: ApiObject, uid: string): ReturnType<typeof listAt> =>
  listAt(object, 'metadata', 'ownerReferences').filter((owner) => textAt(owner, 'uid') === uid);

const hasOurFinalizer = (object: ApiObject): boolean =>
  isBeingDeleted(object) &&
  finalizersOf(object).some((name) => name === FOREGROUND_FINALIZER || name === ORPHAN_FINALIZER);
