/**
 * A pod's sandbox: its network namespace and what CNI put into it. Made in one go or not at all; taken away in steps that
 * may each be repeated.
 */
import { randomBytes } from 'node:crypto';
import type { Pod } from '../api/core.js';
import type { Attachment, CniResult, CniRuntime } from './cni-runtime.js';
import { run } from './command.js';
import { removeNamespace } from './network.js';
import { netnsPrefixOf } from './rack.js';

export interface Sandbox {
  readonly attachment: Attachment;
  readonly netns: string;
  readonly ips: readonly string[];
}

const INTERFACE = 'eth0';
/** A namespace's name is a file name; a pod's may be 253 characters. */
const LONGEST_POD_NAME = 100;

/** Namespace with `lo` up, then ADD. After a failed ADD comes a DEL, as the specification asks, and the namespace goes. */
export async function createSandbox(lab: string, pod: Pod, runtime: CniRuntime): Promise<Sandbox> {
  const containerId = randomBytes(32).toString('hex');
  const { namespace = 'default', name, uid = '' } = pod.metadata;
  const netns = `${netnsPrefixOf(lab)}${namespace}.${name.slice(0, LONGEST_POD_NAME)}.${containerId.slice(0, 6)}`;
  const attachment: Attachment = {
    containerId,
    netns: `/run/netns/${netns}`,
    interface: INTERFACE,
    args: {
      IgnoreUnknown: '1',
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: name,
      K8S_POD_INFRA_CONTAINER_ID: containerId,
      K8S_POD_UID: uid,
    },
  };
  await run(['ip', 'netns', 'add', netns]);
  try {
    await run(['ip', '-n', netns, 'link', 'set', 'dev', 'lo', 'up']);
    return { attachment, netns, ips: addressesOf(await runtime.add(attachment)) };
  } catch (error) {
    await runtime.delete(attachment).catch(() => undefined); // The failure to report is ADD's; GC at the next start repeats this DEL.
    await removeNamespace(netns);
    throw error;
  }
}

export async function removeSandbox(sandbox: Sandbox, runtime: CniRuntime): Promise<void> {
  await runtime.delete(sandbox.attachment);
  await removeNamespace(sandbox.netns);
}

/** Addresses without their lengths, in the order of the result: the first is status.podIP. */
function addressesOf(result: CniResult): readonly string[] {
  return (result.ips ?? []).map((ip) => ip.address.split('/')[0] ?? ip.address);
}
