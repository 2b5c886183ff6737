/**
 * The kubelet stand-in of one node: watches the pods bound to it, runs a worker for each, checks their networking from time to
 * time, and says whether the node is ready to take pods (CNI STATUS).
 *
 * Like a kubelet it takes no pods before the network is ready for the first time. Nothing runs then, so every attachment
 * that an earlier life left is garbage, and CNI GC says so to the plugins.
 */
import type { Pod } from '../api/core.js';
import { kinds, resourcePath } from '../api/kinds.js';
import { ApiError, type Datastore, type Watch } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { logHealth } from './watch-health.js';
import type { SandboxStatus } from './control.js';
import { ApiPodReports } from './pod-reports.js';
import { LAB_LABEL } from './rack-objects.js';
import { PodWorker, type PodPlace } from './pod-worker.js';

const CHECK_EVERY = 10_000;
const STATUS_EVERY = 2_000;
/** As kubelets do; a cluster's node controller calls a node lost after four of these. */
const RENEW_EVERY = 10_000;
const LEASE_NAMESPACE = 'kube-node-lease';
const LOOK_AGAIN_AFTER = 100;

export class Kubelet {
  /** By pod uid. BOUNDED by the pods bound to the node. */
  private readonly workers = new Map<string, PodWorker>();
  private readonly reports: ApiPodReports;
  private readonly timers: NodeJS.Timeout[] = [];
  private watch: Watch | undefined;
  private ready: Promise<void> = Promise.resolve();
  /** Why the node takes no pods, as last found. */
  private nodeProblem: string | undefined;
  /** What the API server was told last. */
  private reported: string | undefined;
  private isChecking = false;
  private isStopped = false;

  constructor(
    private readonly place: PodPlace,
    private readonly datastore: Datastore,
    private readonly client: KubernetesClient,
    private readonly log: Logger,
  ) {
    this.reports = new ApiPodReports(client, place.node, log);
  }

  /** Settles when the node takes pods, or after `within` milliseconds with the reason why it does not yet. */
  async start(within: number): Promise<string | undefined> {
    await this.place.runtime.checkVersions();
    this.timers.push(
      setInterval(() => void this.checkAll(), CHECK_EVERY),
      setInterval(() => void this.reportNode(), STATUS_EVERY),
      setInterval(() => void this.renewLease(), RENEW_EVERY),
    );
    await this.reportNode();
    await this.renewLease();
    this.ready = this.takePodsOnceReady();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>(
      (resolve) => (timer = setTimeout(() => resolve(this.nodeProblem ?? 'CNI GC does not succeed'), within)),
    );
    const problem = await Promise.race([this.ready.then(() => undefined), late]);
    clearTimeout(timer);
    return problem;
  }

  private async takePodsOnceReady(): Promise<void> {
    while (!this.isStopped) {
      const problem = await this.place.runtime
        .status()
        .then(() => this.place.runtime.collectGarbage([]))
        .then(() => undefined, messageOf);
      if (problem === undefined) break;
      this.nodeProblem = problem;
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_AFTER));
    }
    if (this.isStopped) return;
    await this.reportNode();
    this.watch = this.datastore.watch<'pods'>(
      'pods',
      {
        upsert: (_kind, pod) =>
          void this.upsert(pod).catch((error: unknown) =>
            this.log.error({ pod: pod.metadata.name, problem: messageOf(error) }, 'a pod could not be taken on'),
          ),
        delete: (_kind, pod) => this.workers.get(pod.metadata.uid ?? '')?.terminate(),
        firstListDone: () => undefined,
        health: logHealth(this.log),
      },
      { fieldSelector: `spec.nodeName=${this.place.node}` },
    );
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.ready;
    this.watch?.stop();
    for (const timer of this.timers) clearInterval(timer);
    this.reports.stop();
    await Promise.all([...this.workers.values()].map((worker) => worker.stop()));
  }

  sandboxes(): readonly SandboxStatus[] {
    return [...this.workers.values()].map((worker) => worker.status);
  }

  /** False when this node does not run that pod. */
  restartPod(namespace: string, name: string): boolean {
    for (const worker of this.workers.values()) {
      if (worker.status.namespace !== namespace || worker.status.name !== name) continue;
      worker.restart();
      return true;
    }
    return false;
  }

  private async upsert(seen: Pod): Promise<void> {
    const uid = seen.metadata.uid ?? '';
    const known = this.workers.get(uid);
    if (known !== undefined) return known.update(seen);
    // The watch keeps only what an agent needs of a pod; images and the like are read once.
    const pod = await this.readPod(seen);
    const raced = this.workers.get(uid);
    if (raced !== undefined) return raced.update(seen);
    if (
      pod === undefined ||
      pod.metadata.uid !== uid ||
      pod.status?.phase === 'Succeeded' ||
      pod.status?.phase === 'Failed'
    )
      return;
    const worker = new PodWorker(pod, this.place, this.reports);
    this.workers.set(uid, worker);
    void worker.done.then(() => this.workers.delete(uid));
    if (pod.metadata.deletionTimestamp !== undefined) worker.terminate();
  }

  private async readPod(pod: Pod): Promise<Pod | undefined> {
    const found = await this.datastore
      .get('pods', pod.metadata.name, pod.metadata.namespace)
      .catch((error: unknown) => {
        if (error instanceof ApiError) throw error;
        return pod; // The server went away in between: what the watch said is enough to run it.
      });
    return found === undefined
      ? undefined
      : {
          ...found,
          metadata: { ...found.metadata, annotations: { ...pod.metadata.annotations, ...found.metadata.annotations } },
        };
  }

  private async checkAll(): Promise<void> {
    if (this.isChecking) return;
    this.isChecking = true;
    for (const worker of this.workers.values()) await worker.check();
    this.isChecking = false;
  }

  /** Node condition Ready, from CNI STATUS: what a kubelet calls "container runtime network ready". */
  private async reportNode(): Promise<void> {
    const problem = await this.place.runtime.status().then(() => undefined, messageOf);
    this.nodeProblem = problem;
    if (this.reported === (problem ?? '')) return;
    const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const condition = {
      type: 'Ready',
      status: problem === undefined ? 'True' : 'False',
      reason: problem === undefined ? 'KubeletReady' : 'KubeletNotReady',
      message:
        problem === undefined
          ? 'kubelet stand-in is posting ready status'
          : `container runtime network not ready: ${problem}`,
      lastHeartbeatTime: now,
      lastTransitionTime: now,
    };
    try {
      await this.client.request('PATCH', `${resourcePath(kinds.nodes, undefined, this.place.node)}/status`, {
        contentType: 'application/strategic-merge-patch+json',
        value: { status: { conditions: [condition] } },
      });
      this.reported = problem ?? '';
    } catch (error) {
      this.log.debug({ problem: messageOf(error) }, 'the node condition could not be reported');
    }
  }

  private async renewLease(): Promise<void> {
    const { node, lab } = this.place;
    const value = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: node, namespace: LEASE_NAMESPACE, labels: { [LAB_LABEL]: lab } },
      spec: {
        holderIdentity: node,
        leaseDurationSeconds: 40,
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    };
    await this.client
      .request('PATCH', `${resourcePath(kinds.leases, LEASE_NAMESPACE, node)}?fieldManager=kubelet&force=true`, {
        contentType: 'application/apply-patch+yaml',
        value,
      })
      .catch((error: unknown) => this.log.debug({ problem: messageOf(error) }, 'the lease could not be renewed'));
  }
}
