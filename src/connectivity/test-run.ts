/**
 * `tortie connectivity test`: makes servers and clients on some nodes, has the clients try everything, and takes all of it away again,
 * whatever happened. It needs of the cluster what anybody's pods need, and asks the API server alone: results are the clients'
 * termination messages, so that nothing has to be executed in pods and no log has to be read.
 */
import { randomBytes } from 'node:crypto';
import { kinds, resourcePath } from '../api/kinds.js';
import type { Node, Pod, Service } from '../api/core.js';
import type { KubeList } from '../api/meta.js';
import { ApiError } from '../datastore/datastore.js';
import type { KubernetesClient } from '../datastore/kubernetes-client.js';
import { KubernetesDatastore } from '../datastore/kubernetes-datastore.js';
import { messageOf, UserError } from '../errors.js';
import {
  clientPod,
  namespaceObject,
  policyObject,
  serverPod,
  SERVICE_PORT,
  serviceObject,
  type Place,
} from './objects.js';
import { reportOf, type ConnectivityReport, type Tried } from './report.js';
import { targetsOf, type ClientKind, type ProbeResult, type Scene, type Server } from './targets.js';

export interface TestOptions {
  readonly client: KubernetesClient;
  readonly image: string;
  /** Most nodes to take part. */
  readonly nodes: number;
  /** Milliseconds for pods to start; and again for clients to end. */
  readonly timeout: number;
  /** Leave everything there. */
  readonly keep: boolean;
  readonly progress: (line: string) => void;
  readonly signal: AbortSignal;
}

const POLL = 500;
const GONE_WITHIN = 60_000;
const CLIENTS: readonly ClientKind[] = ['stranger', 'friend', 'node'];

export async function testConnectivity(options: TestOptions): Promise<ConnectivityReport> {
  const place: Place = {
    namespace: `tortie-connectivity-${randomBytes(3).toString('hex')}`,
    image: options.image,
  };
  const store = new KubernetesDatastore(options.client);
  const nodes = chooseNodes(await store.list('nodes'), options.nodes);
  options.progress(
    `Making servers on ${nodes.map(({ metadata }) => metadata.name).join(', ')}, in namespace ${place.namespace}`,
  );
  try {
    await store.create('namespaces', namespaceObject(place.namespace));
    await untilServiceAccount(options, place);
    const scene = await makeServers(options, store, place, nodes);
    const tried = await runClients(options, store, place, scene);
    return reportOf(scene, tried);
  } finally {
    if (options.keep) options.progress(`Left there: namespace ${place.namespace}`);
    else await cleanUp(options, store, place);
  }
}

function chooseNodes(nodes: readonly Node[], most: number): readonly Node[] {
  const ready = nodes.filter(
    ({ status }) => status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True',
  );
  if (ready.length === 0) throw new UserError(`Cannot test: none of ${nodes.length} nodes is Ready`);
  return ready.slice(0, most);
}

/** Where a controller makes one, pods are refused before it has. */
async function untilServiceAccount(options: TestOptions, { namespace }: Place): Promise<void> {
  const path = resourcePath(kinds.serviceAccounts, namespace, 'default');
  const end = performance.now() + 10_000;
  while (performance.now() < end) {
    try {
      await options.client.request('GET', path);
      return;
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
      await pause(options);
    }
  }
}

async function makeServers(
  options: TestOptions,
  store: KubernetesDatastore,
  place: Place,
  nodes: readonly Node[],
): Promise<Scene> {
  await store.create('networkPolicies', policyObject(place));
  await store.create('services', serviceObject(place));
  for (const [index, { metadata }] of nodes.entries())
    for (const kind of ['open', 'closed'] as const)
      await store.create('pods', serverPod(place, kind, metadata.name, index));
  const pods = await untilAll(options, place, 'servers to be ready', isReady, () => true);
  const service = await store.get('services', 'open', place.namespace);
  return {
    namespace: place.namespace,
    servers: pods.map(
      (pod): Server => ({
        name: pod.metadata.name,
        node: pod.spec.nodeName ?? '',
        kind: pod.metadata.name.startsWith('open-') ? 'open' : 'closed',
        addresses: (pod.status?.podIPs ?? []).map(({ ip }) => ip),
      }),
    ),
    nodes: nodes.map((node) => ({
      name: node.metadata.name,
      addresses: (node.status?.addresses ?? [])
        .filter(({ type }) => type === 'InternalIP')
        .map(({ address }) => address),
    })),
    service: { addresses: clusterAddresses(service), port: SERVICE_PORT },
  };
}

const clusterAddresses = (service: Service | undefined): readonly string[] =>
  (service?.spec?.clusterIPs ?? []).filter((address) => address !== 'None');

async function runClients(
  options: TestOptions,
  store: KubernetesDatastore,
  place: Place,
  scene: Scene,
): Promise<readonly Tried[]> {
  const plans = scene.nodes.flatMap(({ name: node }, index) =>
    CLIENTS.map((kind) => ({ kind, node, index, targets: targetsOf(kind, node, scene) })),
  );
  options.progress(
    `Trying ${plans.reduce((sum, { targets }) => sum + targets.length, 0)} paths from ${plans.length} clients`,
  );
  for (const plan of plans) await store.create('pods', clientPod(place, plan));
  const isClient = ({ metadata }: Pod): boolean =>
    plans.some(({ kind, index }) => metadata.name === `${kind}-${index}`);
  const pods = await untilAll(options, place, 'clients to end', isOver, isClient);
  return plans.map((plan) => {
    const pod = pods.find(({ metadata }) => metadata.name === `${plan.kind}-${plan.index}`);
    return { ...plan, ...resultOf(pod) };
  });
}

/** The container's termination message. */
function resultOf(pod: Pod | undefined): { readonly result: ProbeResult } | { readonly problem: string } {
  const state = pod?.status?.containerStatuses?.[0]?.state as
    | { readonly terminated?: { readonly message?: string; readonly reason?: string; readonly exitCode?: number } }
    | undefined;
  const { message = '', reason = 'unknown', exitCode = -1 } = state?.terminated ?? {};
  try {
    const read = JSON.parse(message) as Partial<ProbeResult>;
    if (typeof read.tried === 'number' && Array.isArray(read.failures))
      return { result: { tried: read.tried, failures: read.failures } };
  } catch {
    // Told below: it is no result.
  }
  return {
    problem: `the client ended with ${reason} (exit code ${exitCode}): ${message.slice(0, 200) || 'without a result'}`,
  };
}

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True' && (status.podIPs?.length ?? 0) > 0;
const isOver = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** The pods, once `holds` for every one of them that is meant. */
async function untilAll(
  options: TestOptions,
  { namespace }: Place,
  what: string,
  holds: (pod: Pod) => boolean,
  isMeant: (pod: Pod) => boolean,
): Promise<readonly Pod[]> {
  const end = performance.now() + options.timeout;
  let told = '';
  for (;;) {
    const { items } = await options.client.request<KubeList<Pod>>('GET', resourcePath(kinds.pods, namespace));
    const pods = items.filter(isMeant);
    const waiting = pods.filter((pod) => !holds(pod));
    if (waiting.length === 0 && pods.length > 0) return pods;
    const line = `Waiting for ${what}: ${pods.length - waiting.length} of ${pods.length}`;
    if (line !== told) options.progress(line);
    told = line;
    if (performance.now() >= end)
      throw new UserError(
        `Waited ${options.timeout / 1000} s in vain for ${what}: ${waiting.map(whyWaiting).join('; ')}`,
      );
    await pause(options);
  }
}

function whyWaiting({ metadata, spec, status }: Pod): string {
  const state = status?.containerStatuses?.[0]?.state as
    | { readonly waiting?: { readonly reason?: string; readonly message?: string } }
    | undefined;
  const why = [status?.phase, state?.waiting?.reason, state?.waiting?.message].filter(
    (word) => word !== undefined && word !== '',
  );
  return `${metadata.name} on ${spec.nodeName ?? ''} is ${why.join(', ') || 'not there'}`;
}

async function pause({ signal }: TestOptions): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, POLL));
  signal.throwIfAborted();
}

/** Waits, for a bounded time, until nothing is left. A failure is told, and does not take the place of what happened before. */
async function cleanUp(
  { client, progress }: TestOptions,
  store: KubernetesDatastore,
  { namespace }: Place,
): Promise<void> {
  progress(`Deleting namespace ${namespace}`);
  try {
    await store.delete('namespaces', namespace);
    const end = performance.now() + GONE_WITHIN;
    while (performance.now() < end) {
      if ((await store.get('namespaces', namespace)) === undefined) return;
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
    const { items } = await client.request<KubeList<Pod>>('GET', resourcePath(kinds.pods, namespace));
    progress(`Namespace ${namespace} is still going, with ${items.length} pods; nothing more is needed than time`);
  } catch (error) {
    progress(`Cannot delete namespace ${namespace}: ${messageOf(error)}; do it: kubectl delete namespace ${namespace}`);
  }
}
