/** Serves what CRDs define: kinds appear when a CRD is stored, and go, with their objects, when it is removed. */
import type { Cluster } from '../cluster.js';
import { bucketOf, CRD_BUCKET, typesOf } from '../crd-type.js';

/** Starts; returns the function that stops. */
export function startCustomKinds(cluster: Cluster): () => void {
  for (const entry of cluster.store.list(CRD_BUCKET))
    cluster.registry.set(bucketOf(entry.object), typesOf(entry.object));
  return cluster.store.listen(CRD_BUCKET, (event) => {
    const bucket = bucketOf(event.entry.object);
    if (event.type === 'DELETED') {
      for (const entry of cluster.store.list(bucket)) cluster.store.remove(bucket, entry.key);
      cluster.registry.set(bucket, []);
    } else cluster.registry.set(bucket, typesOf(event.entry.object));
  });
}
