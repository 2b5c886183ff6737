/**
 * `tortie uninstall`: Tortie out of a cluster, its nodes first. What could make the rest anew ends; then a DaemonSet cleans every
 * node; then what Tortie wrote into others' objects goes, and its own objects. Each step looks first: after a failure, say it again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { kinds, resourcePath } from '../api/kinds.js';
import type { Pod } from '../api/core.js';
import { statusWithout } from '../controller/load-balancer/service-status.js';
import { ApiError } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import { loadKustomization } from '../install/kustomization.js';
import {
  listed,
  PART_OF,
  readClusterObjects,
  type Asks,
  type ClusterObject,
  type ClusterObjects,
} from './cluster-objects.js';
import { CLEANER, cleanerOf, type NodeDaemonSet } from './node-cleaner.js';
import type { Trace, UninstallPlan, UninstallResult } from './traces.js';

export interface ClusterUninstall {
  /** Definitions stay, and with them all objects of users. */
  readonly keepsDefinitions: boolean;
  /** Nodes are cleaned by somebody else. */
  readonly leavesNodes: boolean;
  readonly image?: string;
  /** Milliseconds for each step. */
  readonly timeout: number;
  readonly onProgress: (sentence: string) => void;
}

const JSON_TYPE = 'application/json';
const MERGE_TYPE = 'application/strategic-merge-patch+json';
const INTERVAL = 500;
const BASE = fileURLToPath(new URL('../../../manifests/base', import.meta.url));

export async function planForCluster(client: Asks, options: ClusterUninstall): Promise<UninstallPlan> {
  const objects = await readClusterObjects(client);
  const pods = await listed<Pod>(client, resourcePath(kinds.pods));
  const onNetwork = pods.filter(({ spec, status }) => spec?.hostNetwork !== true && isRunning(status?.phase)).length;
  const isPresent = objects.workloads.length + objects.others.length > 0;
  return {
    where: client.url,
    traces: tracesOf(objects, options),
    left: [
      ...(options.keepsDefinitions ? ['definitions of kinds and all objects in them, as asked'] : []),
      ...(options.leavesNodes ? ['what is on nodes, as asked: `tortie uninstall --this-node` on each of them'] : []),
    ],
    warnings: isPresent && onNetwork > 0 ? [`${onNetwork} pods lose their network`] : [],
  };
}

function tracesOf(
  { workloads, definitions, others, nodes, services }: ClusterObjects,
  options: ClusterUninstall,
): readonly Trace[] {
  const shown = ({ kind, name, detail }: ClusterObject): Trace => ({
    kind,
    name,
    ...(detail === undefined ? {} : { detail }),
  });
  const isInstalled = workloads.some(({ kind }) => kind === 'DaemonSet');
  return [
    ...workloads.map(shown),
    ...(isInstalled && !options.leavesNodes
      ? [
          {
            kind: 'nodes',
            name: 'all',
            detail: 'interfaces, routes, rules, sets, files: as `tortie uninstall --this-node` lists',
          },
        ]
      : []),
    ...nodes.map(({ metadata }) => ({ kind: 'Node', name: metadata.name, detail: 'its condition NetworkUnavailable' })),
    ...services.map(({ metadata }) => ({
      kind: 'Service',
      name: `${metadata.namespace ?? ''}/${metadata.name}`,
      detail: 'its load balancer addresses',
    })),
    ...(options.keepsDefinitions ? [] : definitions.map(shown)),
    ...others.map(shown),
  ];
}

const isRunning = (phase: string | undefined): boolean => phase !== 'Succeeded' && phase !== 'Failed';

/** Stops where nodes are left that could not be cleaned: their objects say what is on them. */
export async function uninstallCluster(client: Asks, options: ClusterUninstall): Promise<UninstallResult> {
  const before = await readClusterObjects(client);
  const problems = options.leavesNodes
    ? await end(client, before.workloads, options)
    : await cleanNodes(client, before.workloads, options);
  if (problems.length === 0) {
    const cleaners = (await readClusterObjects(client)).workloads;
    problems.push(...(await end(client, cleaners, options)), ...(await forget(client, before)));
    options.onProgress('removing the objects of Tortie');
    const removed = [...(options.keepsDefinitions ? [] : before.definitions), ...before.others];
    for (const object of removed) problems.push(...(await remove(client, object)));
    await until(options.timeout, async () => tracesOf(await readClusterObjects(client), options).length === 0);
  }
  const remaining = tracesOf(await readClusterObjects(client), options);
  return { removed: tracesOf(before, options).length - remaining.length, problems, remaining };
}

async function cleanNodes(
  client: Asks,
  workloads: readonly ClusterObject[],
  options: ClusterUninstall,
): Promise<string[]> {
  const found = workloads.filter(({ kind }) => kind === 'DaemonSet');
  const cleaner = found.find(({ name }) => name.endsWith(`/${CLEANER}`));
  const installed = found.find((each) => each !== cleaner);
  if (found.length === 0 && workloads.length === 0) return [];
  const template =
    installed === undefined ? defaultDaemonSet() : await client.request<NodeDaemonSet>('GET', installed.path);
  options.onProgress('stopping agents, bgpd and controllers');
  const problems = await end(
    client,
    workloads.filter((each) => each !== cleaner),
    options,
  );
  if (problems.length > 0) return problems;
  const manifest = cleanerOf(template, options.image);
  const path = `/apis/apps/v1/namespaces/${manifest.metadata.namespace ?? ''}/daemonsets`;
  if (cleaner === undefined) await client.request('POST', path, { contentType: JSON_TYPE, value: manifest });
  return waitForCleaner(client, cleaner?.path ?? `${path}/${CLEANER}`, options);
}

/** An earlier run got no further than ending the installed one. */
function defaultDaemonSet(): NodeDaemonSet {
  const found = loadKustomization(BASE).find(({ kind }) => kind === 'DaemonSet');
  if (found === undefined) throw new Error(`Cannot find the DaemonSet in ${BASE}`);
  return found as NodeDaemonSet;
}

interface DaemonSetStatus {
  readonly metadata: { readonly generation?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled?: number;
    readonly numberReady?: number;
  };
}

async function waitForCleaner(
  client: Asks,
  path: string,
  { timeout, onProgress }: ClusterUninstall,
): Promise<string[]> {
  let said = '';
  const isDone = await until(timeout, async () => {
    const { metadata, status = {} } = await client.request<DaemonSetStatus>('GET', path);
    if ((status.observedGeneration ?? 0) < (metadata.generation ?? 1)) return false;
    const { numberReady = 0, desiredNumberScheduled = 0 } = status;
    const sentence = `${numberReady} of ${desiredNumberScheduled} nodes are clean`;
    if (sentence !== said) onProgress(sentence);
    said = sentence;
    return numberReady === desiredNumberScheduled;
  });
  if (isDone) return [];
  const pods = await listed<Pod>(
    client,
    `/api/v1/pods?labelSelector=${encodeURIComponent(`app.kubernetes.io/name=${CLEANER}`)}`,
  );
  return pods
    .filter(
      ({ status }) => status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') !== true,
    )
    .map(
      ({ metadata: { name, namespace = '' }, spec }) =>
        `Cannot clean node "${spec?.nodeName ?? 'none yet'}" within ${timeout / 1000} s: expected pod ${namespace}/${name} to be ready ` +
        `(kubectl logs -n ${namespace} ${name} -c clean); say it again, or leave nodes with --leave-nodes`,
    );
}

/** Workloads, and settles when their pods are gone. */
async function end(
  client: Asks,
  workloads: readonly ClusterObject[],
  { timeout }: ClusterUninstall,
): Promise<string[]> {
  const problems: string[] = [];
  for (const object of workloads) problems.push(...(await remove(client, object)));
  const names = new Set(workloads.map(({ name }) => name.slice(name.indexOf('/') + 1)));
  const pods = async (): Promise<readonly Pod[]> =>
    (await listed<Pod>(client, `/api/v1/pods?labelSelector=${encodeURIComponent(PART_OF)}`)).filter(({ metadata }) =>
      names.has(metadata.labels?.['app.kubernetes.io/name'] ?? ''),
    );
  if (!(await until(timeout, async () => (await pods()).length === 0)))
    for (const { metadata, spec } of await pods())
      problems.push(
        `Cannot end pod ${metadata.namespace ?? ''}/${metadata.name} of node "${spec?.nodeName ?? ''}" within ${timeout / 1000} s`,
      );
  return problems;
}

/** What Tortie wrote into Nodes and Services. */
async function forget(client: Asks, { nodes, services }: ClusterObjects): Promise<readonly string[]> {
  const problems: string[] = [];
  const value = { status: { conditions: [{ $patch: 'delete', type: 'NetworkUnavailable' }] } };
  for (const { metadata } of nodes)
    problems.push(
      ...(await attempt(`take the condition NetworkUnavailable off node "${metadata.name}"`, () =>
        client.request('PATCH', `${resourcePath(kinds.nodes, undefined, metadata.name)}/status`, {
          contentType: MERGE_TYPE,
          value,
        }),
      )),
    );
  for (const service of services) {
    const { name, namespace } = service.metadata;
    const object = { apiVersion: 'v1', kind: 'Service', ...service, status: statusWithout(service) };
    problems.push(
      ...(await attempt(`take the addresses off Service ${namespace ?? ''}/${name}`, () =>
        client.request('PUT', `${resourcePath(kinds.services, namespace, name)}/status`, {
          contentType: JSON_TYPE,
          value: object,
        }),
      )),
    );
  }
  return problems;
}

const remove = (client: Asks, { kind, name, path }: ClusterObject): Promise<readonly string[]> =>
  attempt(`remove ${kind} ${name}`, () => client.request('DELETE', path));

/** Gone already is as good. */
async function attempt(what: string, work: () => Promise<unknown>): Promise<readonly string[]> {
  try {
    await work();
    return [];
  } catch (error) {
    return error instanceof ApiError && error.status === 404 ? [] : [`Cannot ${what}: ${messageOf(error)}`];
  }
}

async function until(timeout: number, isMet: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + timeout;
  while (!(await isMet())) {
    if (performance.now() > deadline) return false;
    await sleep(INTERVAL);
  }
  return true;
}
