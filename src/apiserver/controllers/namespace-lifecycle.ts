/**
 * A namespace that is being deleted takes its content with it: everything in it is deleted (pods with their grace), and
 * when the last object is gone, so is the namespace. Every namespace gets a service account "default".
 */
import { internalWrite, targetOf, type Cluster } from '../cluster.js';
import { listAt, objectAt, put } from '../json.js';
import { isBeingDeleted } from '../object.js';
import { deleteObject } from '../remove.js';
import type { ResourceType } from '../resource-type.js';
import { keyOf } from '../store.js';
import { createObject, isFinished } from '../write.js';

const BUCKET = 'namespaces';

/** Starts; returns the function that stops. */
export function startNamespaceLifecycle(cluster: Cluster): () => void {
  const ending = new Set<string>();
  let isScheduled = false;
  let isStopped = false;
  const schedule = (): void => {
    if (isScheduled || isStopped) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      for (const name of [...ending]) if (!isStopped && isEmptied(cluster, name)) ending.delete(name);
    });
  };
  const stop = cluster.store.listenToAll((bucket, event) => {
    if (bucket === BUCKET) {
      if (event.type === 'ADDED') addDefaultAccount(cluster, event.entry.key);
      if (event.type !== 'DELETED' && isBeingDeleted(event.entry.object)) ending.add(event.entry.key);
    }
    if (ending.size > 0) schedule();
  });
  return () => {
    isStopped = true;
    stop();
  };
}

function addDefaultAccount(cluster: Cluster, namespace: string): void {
  const type = cluster.registry.find('', 'v1', 'serviceaccounts');
  if (type === undefined) return;
  createObject(
    cluster,
    { type, namespace, name: '', subresource: '' },
    { metadata: { name: 'default' } },
    internalWrite('kube-controller-manager'),
  );
}

/** Deletes what is left in the namespace. True when nothing was left and the namespace itself is gone. */
function isEmptied(cluster: Cluster, namespace: string): boolean {
  const current = cluster.store.get(BUCKET, namespace);
  if (current === undefined) return true;
  let remaining = 0;
  for (const type of contentTypes(cluster))
    for (const entry of cluster.store.list(type.bucket, namespace)) {
      const isGone =
        !isBeingDeleted(entry.object) &&
        deleteObject(cluster, targetOf(type, entry.object), {
          graceSeconds: undefined,
          propagation: 'Background',
          dryRun: false,
        }).isGone;
      if (!isGone) remaining += 1;
    }
  if (remaining > 0) return false;
  const finalizers = listAt(current.object, 'spec', 'finalizers').filter((name) => name !== 'kubernetes');
  const latest = cluster.store.get(BUCKET, keyOf(undefined, namespace));
  if (latest === undefined) return true;
  const finished = put(
    latest.object,
    ['spec'],
    finalizers.length === 0 ? {} : { ...objectAt(latest.object, 'spec'), finalizers },
  );
  if (isFinished(finished)) {
    cluster.store.remove(BUCKET, namespace);
    return true;
  }
  if (finalizers.length !== listAt(latest.object, 'spec', 'finalizers').length)
    cluster.store.write(BUCKET, namespace, finished);
  return false;
}

/** One type per bucket of namespaced objects. */
function contentTypes(cluster: Cluster): readonly ResourceType[] {
  const byBucket = new Map<string, ResourceType>();
  for (const type of cluster.registry.all()) if (type.namespaced) byBucket.set(type.bucket, type);
  return [...byBucket.values()];
}
