/**
 * Which pods leave their addresses to their successors, for how long, and what their addresses are kept as. Pure.
 *
 *   tortie.dev/keep-addresses: 24h         on a pod or else its namespace: of a StatefulSet, a VirtualMachine (KubeVirt), or nobody
 *   kubeVirtVMAddressPersistence: Enabled  of the IPAMConfiguration "default": every VirtualMachine's, unless an annotation says otherwise
 *
 * Pods of other controllers never come again by the same name, so nothing is kept for them, whatever their namespace says.
 */
import type { Keep } from '@tortie/ipam';
import type { Namespace, Pod } from '../api/core.js';

export const KEEP_ADDRESSES = 'tortie.dev/keep-addresses';

const FORM = /^([1-9]\d{0,5})([smh])$/;
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
/** BOUNDED: seven days. */
const MOST_SECONDS = 168 * 3600;
/** A machine is stopped overnight. */
const MACHINE_SECONDS = 24 * 3600;
const EXPECTED = 'expected how long, such as 30m or 24h, at most 168h, or "false"';

/** What the text after "for" in a kept address says: kind, namespace and name, and the interface where it is not the first. */
export interface KeptFor {
  readonly kind: 'StatefulSet' | 'VirtualMachine' | 'Pod';
  readonly namespace: string;
  /** Of the pod; of the machine. */
  readonly name: string;
}

export function parseKeptFor(text: string): KeptFor | undefined {
  const [, kind, namespace, name] = /^(StatefulSet|VirtualMachine|Pod) ([^/ ]+)\/([^/ ]+)(?: [^ ]+)?$/.exec(text) ?? [];
  return kind === undefined || namespace === undefined || name === undefined
    ? undefined
    : { kind: kind as KeptFor['kind'], namespace, name };
}

/**
 * @param attachment which interface of the pod: "eth0" is not named
 * @returns undefined when nothing is kept
 * @throws Error that names the annotation and its value
 */
export function keepOf(
  pod: Pod,
  namespace: Namespace | undefined,
  keepsMachines: boolean,
  attachment: string,
): Keep | undefined {
  const text =
    pod.metadata.annotations?.[KEEP_ADDRESSES] ?? namespace?.metadata.annotations?.[KEEP_ADDRESSES] ?? undefined;
  const standing = standingOf(pod);
  const isMachine = standing?.kind === 'VirtualMachine';
  const seconds = text === undefined ? (isMachine && keepsMachines ? MACHINE_SECONDS : 0) : secondsOf(text);
  if (standing === undefined || seconds === 0) return undefined;
  const { kind, name } = standing;
  const whom = `${kind} ${pod.metadata.namespace ?? 'default'}/${name}`;
  return { keptFor: attachment === 'eth0' ? whom : `${whom} ${attachment}`, seconds };
}

function secondsOf(text: string): number {
  if (text === 'false') return 0;
  const [, count, unit = ''] = FORM.exec(text) ?? [];
  const seconds = Number(count) * (SECONDS[unit] ?? Number.NaN);
  if (seconds <= MOST_SECONDS) return seconds;
  throw new Error(`Cannot use annotation ${KEEP_ADDRESSES}: it is ${JSON.stringify(text)}; ${EXPECTED}`);
}

/** As whom the pod comes again; undefined: it does not. */
function standingOf({ metadata }: Pod): { readonly kind: KeptFor['kind']; readonly name: string } | undefined {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return { kind: 'Pod', name: metadata.name };
  if (owner.kind === 'StatefulSet' && owner.apiVersion.startsWith('apps/'))
    return { kind: 'StatefulSet', name: metadata.name };
  // KubeVirt names the instance after its machine.
  if (owner.kind === 'VirtualMachineInstance' && owner.apiVersion.startsWith('kubevirt.io/'))
    return { kind: 'VirtualMachine', name: owner.name };
  return undefined;
}
