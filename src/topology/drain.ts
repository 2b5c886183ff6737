/**
 * A node that is being taken out of service: how one can tell, and what it goes on announcing. Pure.
 *
 *   1  addresses and ranges of Services   told on, with GRACEFUL_SHUTDOWN (RFC 8326) and, to our own AS, LOCAL_PREF 0
 *   2  the same                           withdrawn, once others have had time to move and `floor` other nodes tell them
 *   3  blocks of pods                     until the last pod is gone
 *
 * A cordon alone asks for nothing: no pod leaves the node for it. What nobody else tells stays told, whoever drains how many nodes.
 */
import type { Node } from '../api/core.js';

/** On a Node, by `tortie drain`; whatever its value, usually since when. */
export const DRAIN_ANNOTATION = 'tortie.dev/drain';

export type DrainCause = 'Requested' | 'Evicted' | 'Autoscaler' | 'OutOfService' | 'Shutdown' | 'Deleted';

export interface Drain {
  readonly cause: DrainCause;
  /** For people: the object and field that say so. */
  readonly because: string;
}

/** The cluster autoscaler is about to delete the node. */
const AUTOSCALER_TAINT = 'ToBeDeletedByClusterAutoscaler';
/** Somebody, or a cloud's controller, says that the machine is off. */
const OUT_OF_SERVICE_TAINTS = ['node.kubernetes.io/out-of-service', 'node.cloudprovider.kubernetes.io/shutdown'];
/** kubelet, pkg/kubelet/nodeshutdown: what it says of a machine that is going down while its pods are still ended. */
const SHUTTING_DOWN = 'node is shutting down';

/** What the Node object itself says; undefined: it is in service, cordoned or not. */
export function drainOf({ metadata, spec, status }: Node): Drain | undefined {
  const value = metadata.annotations?.[DRAIN_ANNOTATION];
  if (value !== undefined)
    return { cause: 'Requested', because: `it has the annotation ${DRAIN_ANNOTATION} (tortie drain)` };
  const taints = new Set((spec?.taints ?? []).map(({ key }) => key));
  if (taints.has(AUTOSCALER_TAINT)) return { cause: 'Autoscaler', because: `it has the taint ${AUTOSCALER_TAINT}` };
  const out = OUT_OF_SERVICE_TAINTS.find((taint) => taints.has(taint));
  if (out !== undefined) return { cause: 'OutOfService', because: `it has the taint ${out}` };
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'False' && ready.message?.includes(SHUTTING_DOWN) === true)
    return { cause: 'Shutdown', because: 'its kubelet says that the node is shutting down' };
  if (metadata.deletionTimestamp !== undefined) return { cause: 'Deleted', because: 'the Node is being deleted' };
  return undefined;
}

/** How far the drain of this node is, for what it announces. */
export interface DrainInput {
  /** Neighbours have had time to move away from what is marked. */
  readonly hasSettled: boolean;
  /** So many other nodes have to tell an address of a Service before this one withdraws it; 1 or more. */
  readonly floor: number;
  /** Is this other node in service, and do neighbours hear it? */
  readonly tells: (node: string) => boolean;
  /** Any here that have an address of our blocks? */
  readonly hasPods: boolean;
}

/** What became of it; prefixes, canonical. */
export interface DrainOutcome {
  /** Told, and marked. */
  readonly marked: readonly string[];
  /** Left to others. */
  readonly withdrawn: readonly string[];
}
