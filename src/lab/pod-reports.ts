/**
 * What the kubelet stand-in tells the API server: pod status, events, the end of a pod. Each is sent in its own order and
 * tried again until the server has heard it; a newer status of a pod replaces an older one that is still waiting.
 */
import type { Pod } from '../api/core.js';
import { kinds, resourcePath } from '../api/kinds.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { podStatus, type PodState } from './pod-status.js';
import type { PodReports } from './pod-worker.js';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 2_000;

interface Pending {
  readonly send: () => Promise<void>;
}

export class ApiPodReports implements PodReports {
  /** By pod uid: the newest status not yet sent. BOUNDED by the pods of the node. */
  private readonly statuses = new Map<string, Pending>();
  private readonly sending = new Set<string>();
  private eventNumber = 0;
  private isStopped = false;

  constructor(
    private readonly client: KubernetesClient,
    private readonly node: string,
    private readonly log: Logger,
  ) {}

  stop(): void {
    this.isStopped = true;
  }

  publish(pod: Pod, state: PodState): void {
    this.enqueue(pod.metadata.uid ?? '', async () => {
      const body = { metadata: { uid: pod.metadata.uid }, status: podStatus(pod, state) };
      await this.client.request('PATCH', `${pathOf(pod)}/status`, {
        contentType: 'application/strategic-merge-patch+json',
        value: body,
      });
    });
  }

  finalise(pod: Pod): void {
    this.enqueue(pod.metadata.uid ?? '', async () => {
      const value = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        gracePeriodSeconds: 0,
        preconditions: { uid: pod.metadata.uid },
      };
      await this.client.request('DELETE', pathOf(pod), { contentType: 'application/json', value });
    });
  }

  /** Events are for people: one that cannot be sent is logged and forgotten, as a kubelet does. */
  event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.log[type === 'Warning' ? 'warn' : 'info'](
      { pod: `${pod.metadata.namespace ?? 'default'}/${pod.metadata.name}`, reason },
      message,
    );
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const { namespace = 'default', name, uid } = pod.metadata;
    const value = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: `${name.slice(0, 200)}.${Date.now().toString(16)}${(this.eventNumber++).toString(16)}`,
        namespace,
      },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: 'kubelet', host: this.node },
      reportingComponent: 'kubelet',
      reportingInstance: this.node,
    };
    this.client
      .request('POST', resourcePath(kinds.coreEvents, namespace), { contentType: 'application/json', value })
      .catch((error: unknown) => this.log.debug({ reason, problem: messageOf(error) }, 'an event could not be sent'));
  }

  private enqueue(uid: string, send: () => Promise<void>): void {
    this.statuses.set(uid, { send });
    if (!this.sending.has(uid)) void this.drain(uid);
  }

  private async drain(uid: string): Promise<void> {
    this.sending.add(uid);
    let pause = FIRST_PAUSE;
    for (let next = this.statuses.get(uid); next !== undefined && !this.isStopped; next = this.statuses.get(uid)) {
      try {
        await next.send();
        if (this.statuses.get(uid) === next) this.statuses.delete(uid);
        pause = FIRST_PAUSE;
      } catch (error) {
        // Gone, or another pod of the same name by now: there is nobody left to tell.
        const isMoot =
          error instanceof ApiError && (error.status === 404 || error.status === 409 || error.status === 422);
        if (isMoot && this.statuses.get(uid) === next) this.statuses.delete(uid);
        if (isMoot) continue;
        this.log.debug({ problem: messageOf(error) }, 'the API server cannot be told yet');
        await new Promise((resolve) => setTimeout(resolve, pause));
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
    this.sending.delete(uid);
  }
}

const pathOf = (pod: Pod): string => resourcePath(kinds.pods, pod.metadata.namespace ?? 'default', pod.metadata.name);
