/**
 * A workload without Kubernetes: its Pod object first, for the agent asks for it, then the agent's CNI ADD, then the addresses in its
 * status, where the agents of other nodes find them. What fails leaves nothing: no object without a connection.
 */
import { stat } from 'node:fs/promises';
import { ensureNamespaces } from '../agent/node-registration.js';
import type { Pod } from '../api/core.js';
import { callAgent } from '../cni/agent-call.js';
import { ApiError, type Datastore } from '../datastore/datastore.js';
import { messageOf, UserError } from '../errors.js';

export interface WorkloadTarget {
  readonly node: string;
  readonly socketPath: string;
  readonly namespace: string;
  readonly name: string;
}

export interface NewWorkload extends WorkloadTarget {
  readonly netns: string;
  readonly interfaceName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** On the object: what DEL has to say again. */
const INTERFACE = 'tortie.dev/workload-interface';
const NETNS = 'tortie.dev/workload-netns';

/** Its addresses; the same ones for a workload that is connected already. @throws UserError */
export async function addWorkload(datastore: Datastore, workload: NewWorkload): Promise<readonly string[]> {
  const { namespace, name, node, netns, interfaceName, socketPath } = workload;
  if ((await stat(netns).catch(() => undefined)) === undefined)
    throw new UserError(`Cannot connect workload "${name}": there is no network namespace "${netns}"`);
  await ensureNamespaces(datastore, [namespace]);
  const { pod, isNew } = await podOf(datastore, workload);
  const uid = pod.metadata.uid ?? '';
  try {
    const call = { containerId: uid, netns, interfaceName, namespace, pod: name, uid };
    const addresses = addressesOf(await callAgent(socketPath, { command: 'ADD', ...call }));
    await tellAddresses(datastore, workload, addresses);
    return addresses;
  } catch (error) {
    if (isNew) await datastore.delete('pods', name, { namespace, uid });
    throw new UserError(`Cannot connect workload "${namespace}/${name}" on node "${node}": ${messageOf(error)}`, 1, {
      cause: error,
    });
  }
}

/** @throws UserError when there is none, or it is another node's */
export async function removeWorkload(datastore: Datastore, target: WorkloadTarget): Promise<void> {
  const { namespace, name, node, socketPath } = target;
  const pod = await datastore.get('pods', name, namespace);
  if (pod === undefined) throw new UserError(`Cannot delete workload "${namespace}/${name}": there is none`);
  expectHere(pod, target);
  const { uid = '', annotations = {} } = pod.metadata;
  const call = {
    containerId: uid,
    netns: annotations[NETNS] ?? '',
    interfaceName: annotations[INTERFACE] ?? 'eth0',
    namespace,
    pod: name,
    uid,
  };
  try {
    await callAgent(socketPath, { command: 'DEL', ...call });
  } catch (error) {
    throw new UserError(`Cannot disconnect workload "${namespace}/${name}" on node "${node}": ${messageOf(error)}`, 1, {
      cause: error,
    });
  }
  await datastore.delete('pods', name, { namespace, uid });
}

async function podOf(
  datastore: Datastore,
  workload: NewWorkload,
): Promise<{ readonly pod: Pod; readonly isNew: boolean }> {
  const { namespace, name, node, netns, interfaceName, labels, annotations } = workload;
  const object = {
    metadata: { name, namespace, labels, annotations: { ...annotations, [NETNS]: netns, [INTERFACE]: interfaceName } },
    // The API wants one; nobody starts it.
    spec: { nodeName: node, containers: [{ name: 'workload', image: 'none' }] },
  } as Pod;
  try {
    return { pod: await datastore.create('pods', object), isNew: true };
  } catch (error) {
    const isThere = error instanceof ApiError && error.reason === 'AlreadyExists';
    const pod = isThere ? await datastore.get('pods', name, namespace) : undefined;
    if (pod === undefined) throw error;
    expectHere(pod, workload);
    const before = pod.metadata.annotations ?? {};
    if (before[NETNS] !== netns || before[INTERFACE] !== interfaceName)
      throw new UserError(
        `Cannot connect workload "${namespace}/${name}": it is connected in ${before[NETNS] ?? 'another namespace'} as ` +
          `${before[INTERFACE] ?? 'eth0'}; delete it first`,
      );
    return { pod, isNew: false };
  }
}

function expectHere(pod: Pod, { namespace, name, node }: WorkloadTarget): void {
  if (pod.spec.nodeName !== node)
    throw new UserError(
      `Cannot use workload "${namespace}/${name}" here: it is on node "${pod.spec.nodeName ?? ''}", this is "${node}"`,
    );
}

async function tellAddresses(
  datastore: Datastore,
  { namespace, name }: WorkloadTarget,
  addresses: readonly string[],
): Promise<void> {
  for (;;) {
    const pod = await datastore.get('pods', name, namespace);
    if (pod === undefined) throw new Error('its object was deleted meanwhile');
    const podIPs = addresses.map((ip) => ({ ip }));
    const [podIP] = addresses;
    const status = { ...pod.status, phase: 'Running', podIPs, ...(podIP === undefined ? {} : { podIP }) };
    try {
      await datastore.replaceStatus('pods', { ...pod, status } as Pod);
      return;
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'Conflict')) throw error;
    }
  }
}

/** "10.65.0.7/32" without its length. */
function addressesOf(result: Readonly<Record<string, unknown>>): readonly string[] {
  const ips = Array.isArray(result['ips']) ? (result['ips'] as readonly { readonly address?: unknown }[]) : [];
  return ips.map(({ address }) => String(address).replace(/\/\d+$/, ''));
}
