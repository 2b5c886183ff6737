/**
 * A small scheduler: binds every pod without a node to the node with the fewest pods among those that the pod's nodeSelector
 * and the nodes' own state allow. A pod that names its node is none of its business.
 */
import type { Node, Pod } from '../api/core.js';
import { kinds, resourcePath } from '../api/kinds.js';
import { ApiError, type Datastore, type Watch } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { logHealth } from './watch-health.js';

const RETRY_AFTER = 1_000;

/** The node for a pod: fewest pods first, then by name; undefined when none fits. Pure. */
export function chooseNode(pod: Pod, nodes: Iterable<Node>, podsOn: (node: string) => number): string | undefined {
  const wanted = Object.entries(pod.spec.nodeSelector ?? {});
  const fitting = [...nodes].filter(
    (node) =>
      node.spec?.unschedulable !== true &&
      wanted.every(([key, value]) => new Map(Object.entries(node.metadata.labels ?? {})).get(key) === value),
  );
  const names = fitting.map((node) => node.metadata.name).sort((a, b) => podsOn(a) - podsOn(b) || (a < b ? -1 : 1));
  return names[0];
}

export class Scheduler {
  /** By namespace/name. BOUNDED by the pods of the cluster. */
  private readonly pods = new Map<string, Pod>();
  private readonly nodes = new Map<string, Node>();
  private readonly waiting = new Set<string>();
  private readonly watches: Watch[] = [];
  private readonly bound = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;
  private isBusy = false;

  constructor(
    private readonly datastore: Datastore,
    private readonly client: KubernetesClient,
    private readonly log: Logger,
  ) {}

  start(): void {
    const health = logHealth(this.log);
    this.watches.push(
      this.datastore.watch<'nodes'>('nodes', {
        upsert: (_kind, node) => this.setNode(node),
        delete: (_kind, node) => void this.nodes.delete(node.metadata.name),
        firstListDone: () => undefined,
        health,
      }),
      this.datastore.watch<'pods'>('pods', {
        upsert: (_kind, pod) => this.setPod(pod),
        delete: (_kind, pod) => this.forget(keyOf(pod)),
        firstListDone: () => undefined,
        health,
      }),
    );
  }

  stop(): void {
    for (const watch of this.watches) watch.stop();
    clearTimeout(this.timer);
  }

  private setNode(node: Node): void {
    this.nodes.set(node.metadata.name, node);
    this.kick(0);
  }

  private setPod(pod: Pod): void {
    const key = keyOf(pod);
    this.pods.set(key, pod);
    const node = pod.spec.nodeName ?? '';
    if (node !== '') this.bound.set(key, node);
    const isOpen = node === '' && pod.metadata.deletionTimestamp === undefined;
    if (!isOpen) this.waiting.delete(key);
    if (!isOpen || this.bound.get(key) !== undefined) return;
    this.waiting.add(key);
    this.kick(0);
  }

  private forget(key: string): void {
    this.pods.delete(key);
    this.waiting.delete(key);
    this.bound.delete(key);
  }

  private kick(delay: number): void {
    if (this.isBusy || this.waiting.size === 0) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.bindAll(), delay);
  }

  private async bindAll(): Promise<void> {
    this.isBusy = true;
    for (const key of [...this.waiting]) await this.bind(key);
    this.isBusy = false;
    this.kick(RETRY_AFTER);
  }

  private async bind(key: string): Promise<void> {
    const seen = this.pods.get(key);
    if (seen === undefined) return;
    try {
      const pod = await this.datastore.get('pods', seen.metadata.name, seen.metadata.namespace);
      const counts = new Map<string, number>();
      for (const name of this.bound.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
      const node =
        pod === undefined ? undefined : chooseNode(pod, this.nodes.values(), (name) => counts.get(name) ?? 0);
      if (pod === undefined || node === undefined) return;
      await this.client.request(
        'POST',
        `${resourcePath(kinds.pods, pod.metadata.namespace, pod.metadata.name)}/binding`,
        {
          contentType: 'application/json',
          value: {
            apiVersion: 'v1',
            kind: 'Binding',
            metadata: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid },
            target: { apiVersion: 'v1', kind: 'Node', name: node },
          },
        },
      );
      this.bound.set(key, node);
      this.waiting.delete(key);
    } catch (error) {
      // 409: somebody else bound it. Anything else is tried again.
      if (error instanceof ApiError && (error.status === 409 || error.status === 404)) this.waiting.delete(key);
      else this.log.warn({ pod: key, problem: messageOf(error) }, 'a pod could not be bound yet');
    }
  }
}

const keyOf = (pod: Pod): string => `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
