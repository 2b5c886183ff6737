/** Subresources that are verbs: a pod's binding and eviction, a namespace's finalize. */
import { badRequest, conflict, pathNotFound, preconditionFailed, staleVersion } from './api-error.js';
import { requireEntry, type Cluster, type Target, type WriteOptions } from './cluster.js';
import { at, listAt, put, textAt, type Json, type JsonObject } from './json.js';
import { bound } from './kinds/pods.js';
import { formatTime } from './object-meta.js';
import { isBeingDeleted, uidOf, versionOf } from './object.js';
import { deleteObject, parseDeleteOptions } from './remove.js';
import type { Entry } from './store.js';
import { isFinished } from './write.js';

const success: JsonObject = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** POST to a subresource. */
export function postSubresource(
  cluster: Cluster,
  target: Target,
  body: Json | undefined,
  options: WriteOptions,
): JsonObject {
  switch (target.type.kind === 'Pod' ? target.subresource : '') {
    case 'binding':
      return bindPod(cluster, target, body, options);
    case 'eviction': {
      const query = new URLSearchParams(options.dryRun ? { dryRun: 'All' } : {});
      const deletion = parseDeleteOptions(at(body, 'deleteOptions'), query);
      if (!options.dryRun) markEvicted(cluster, target);
      deleteObject(cluster, target, deletion);
      return success;
    }
    default:
      throw pathNotFound();
  }
}

/** As k8s.io/kubernetes/pkg/registry/core/pod/storage (EvictionREST) does before it deletes: whoever watches sees why the pod goes. */
function markEvicted(cluster: Cluster, target: Target): void {
  const entry = requireEntry(cluster, target);
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastTransitionTime: formatTime(cluster.now()),
  };
  const others = listAt(entry.object, 'status', 'conditions').filter((each) => textAt(each, 'type') !== condition.type);
  const marked = put(entry.object, ['status', 'conditions'], [...others, condition]);
  cluster.store.write(target.type.bucket, entry.key, marked);
}

/** Sets the pod's node, once (k8s.io/kubernetes/pkg/registry/core/pod/storage assignPod). */
function bindPod(cluster: Cluster, target: Target, body: Json | undefined, options: WriteOptions): JsonObject {
  const entry = requireEntry(cluster, target);
  const node = textAt(body, 'target', 'name') ?? '';
  const kind = textAt(body, 'target', 'kind') ?? 'Node';
  if (node === '' || kind !== 'Node') throw badRequest('Cannot bind a pod: expected target {kind: Node, name: NODE}');
  const [asked, stored] = [textAt(body, 'metadata', 'uid') ?? '', uidOf(entry.object)];
  if (asked !== '' && asked !== stored) throw preconditionFailed(target.type, target.name, 'UID', asked, stored);
  if (isBeingDeleted(entry.object))
    throw conflict(target.type, target.name, `pod ${target.name} is being deleted, cannot be assigned to a host`);
  const current = textAt(entry.object, 'spec', 'nodeName') ?? '';
  if (current !== '')
    throw conflict(target.type, target.name, `pod ${target.name} is already assigned to node "${current}"`);
  if (!options.dryRun)
    cluster.store.write(target.type.bucket, entry.key, bound(entry.object, node, formatTime(cluster.now())));
  return success;
}

/** PUT …/finalize: a namespace's spec.finalizers. The namespace goes when the list is empty and it is being deleted. */
export function finalizeNamespace(cluster: Cluster, target: Target, body: Json | undefined): Entry {
  if (target.type.isNamespaceItself !== true) throw pathNotFound();
  const current = requireEntry(cluster, target);
  const seen = versionOf(body);
  if (seen !== '' && seen !== String(current.revision)) throw staleVersion(target.type, target.name);
  const finalizers = listAt(body, 'spec', 'finalizers');
  const object = put(current.object, ['spec'], finalizers.length === 0 ? {} : { finalizers });
  if (isFinished(object)) return cluster.store.remove(target.type.bucket, current.key) ?? current;
  return cluster.store.write(target.type.bucket, current.key, object);
}
