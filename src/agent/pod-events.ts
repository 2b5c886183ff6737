/**
 * What befalls pods of this node, as events beside them: why one is not connected, or waits to be; and which of its annotations are
 * refused. A refusal is said once for each pod and text, however often the pod's object changes.
 */
import { AddressRefusedError, NoAddressError } from '@tortie/ipam';
import type { Pod } from '../api/core.js';
import { objectKey } from '../cluster/cluster.js';
import type { Happening } from '../cluster/event-recorder.js';
import { messageOf } from '../errors.js';
import { FormerPodError, isPodOf, type PodReference } from './pod-identity.js';
import { refusalsOf } from './refusals.js';

export interface PodEventsOptions {
  readonly record: (happening: Happening) => void;
  readonly pod: (namespace: string, name: string) => Pod | undefined;
  /** Has it a connection here? */
  readonly isHere: (namespace: string, name: string) => boolean;
}

export class PodEvents {
  /** By pod: what of it was refused, of the object with this UID. BOUNDED by the pods that live here. */
  private readonly told = new Map<string, { readonly uid: string | undefined; readonly texts: ReadonlySet<string> }>();

  constructor(private readonly options: PodEventsOptions) {}

  attached({ namespace, pod }: PodReference): void {
    const found = this.options.pod(namespace, pod);
    if (found !== undefined) this.tellRefusals(found);
  }

  /** A call that nobody repeats for a pod of before is no news of the one that has its name. */
  attachFailed(reference: PodReference, error: unknown): void {
    if (error instanceof FormerPodError) return;
    const isAddress = error instanceof NoAddressError || error instanceof AddressRefusedError;
    this.warn(reference, isAddress ? 'AddressUnavailable' : 'AttachFailed', messageOf(error));
  }

  attachWaits(reference: PodReference, waitsFor: string, seconds: number): void {
    const { namespace, pod } = reference;
    const note = `Pod "${namespace}/${pod}" has waited ${seconds} s to be connected: for ${waitsFor}`;
    this.warn(reference, 'AttachDelayed', note);
  }

  /** An object came or changed. */
  changed(pod: Pod): void {
    const { namespace = '', name } = pod.metadata;
    if (!this.told.has(objectKey(namespace, name)) && refusalsOf('pods', pod).length === 0) return;
    if (this.options.isHere(namespace, name)) this.tellRefusals(pod);
  }

  gone({ metadata: { namespace = '', name } }: Pod): void {
    this.told.delete(objectKey(namespace, name));
  }

  private tellRefusals(pod: Pod): void {
    const { namespace = '', name, uid } = pod.metadata;
    const key = objectKey(namespace, name);
    const before = this.told.get(key);
    const known = before?.uid === uid ? before?.texts : undefined;
    const texts = new Set(refusalsOf('pods', pod).map(({ message }) => message));
    if (texts.size === 0) this.told.delete(key);
    else this.told.set(key, { uid, texts });
    for (const note of texts)
      if (known?.has(note) !== true)
        this.options.record({
          kind: 'pods',
          object: pod,
          type: 'Warning',
          reason: 'AnnotationRefused',
          action: 'ReadingAnnotations',
          note,
        });
  }

  private warn({ namespace, pod, uid }: PodReference, reason: string, note: string): void {
    const found = this.options.pod(namespace, pod);
    // "kubectl describe" asks by UID; of a static pod by that of its object.
    const object =
      found !== undefined && isPodOf(found, uid)
        ? found
        : { metadata: { namespace, name: pod, ...(uid === undefined ? {} : { uid }) } };
    this.options.record({ kind: 'pods', object, type: 'Warning', reason, action: 'Attaching', note });
  }
}
