/**
 * What policy needs to know of a pod, read once from the API object: small, immutable, comparable.
 *
 * A pod without an address, on the host's network or finished (Succeeded, Failed) is in no address set, though the API goes on listing
 * it; a pod that is terminating still is.
 */
import { formatAddress, tryParseAddress, type Family } from 'node-bgp/address';
import type { ContainerObject, PodObject } from '../objects.js';
import { Interner } from '../model/interner.js';
import { protocolNumber, TCP } from '../model/ports.js';
import type { Labels } from '../selector/selector.js';

export interface NamedPort {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
}

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  /** Kept of this node's pods alone. */
  readonly uid?: string;
  readonly labels: Labels;
  /** Canonical text; at most one per family counts (Kubernetes gives no more). */
  readonly addresses: readonly string[];
  readonly ports: readonly NamedPort[];
  readonly node: string;
  readonly serviceAccount: string;
  readonly hostNetwork: boolean;
  readonly finished: boolean;
}

/**
 * Labels that Calico's selectors see on every pod. They live in the label map under keys that no user label can have
 * (validation refuses control characters), so that a Kubernetes selector never meets them.
 */
export const NAMESPACE_LABEL = '\u0001namespace';
export const ORCHESTRATOR_LABEL = '\u0001orchestrator';
export const SERVICE_ACCOUNT_LABEL = '\u0001serviceaccount';

/** Labels of the pod's service account stand in the pod's label map under this prefix. */
export const SERVICE_ACCOUNT_PREFIX = '\u0002';

export function podOf(
  namespace: string,
  name: string,
  object: PodObject,
  accountLabels: (account: string) => Labels,
  nodeName: string | undefined,
): Pod {
  const spec = object.spec;
  const uid = nodeName !== undefined && spec?.nodeName === nodeName ? object.metadata?.uid : undefined;
  const phase = object.status?.phase;
  const serviceAccount = spec?.serviceAccountName ?? 'default';
  return {
    namespace,
    name,
    ...(uid === undefined ? {} : { uid }),
    serviceAccount,
    labels: internLabels(
      withAccountLabels(podLabels(object.metadata?.labels, namespace, serviceAccount), accountLabels(serviceAccount)),
    ),
    addresses: podAddresses(object),
    ports: internPorts(namedPorts(spec?.containers, spec?.initContainers)),
    node: spec?.nodeName ?? '',
    hostNetwork: spec?.hostNetwork === true,
    finished: phase === 'Succeeded' || phase === 'Failed',
  };
}

/** Pods of one ReplicaSet have the same labels and ports, thousands of times over. */
const labelsInUse = new Interner<Labels>();
const portsInUse = new Interner<readonly NamedPort[]>();

const internLabels = (labels: Labels): Labels => labelsInUse.intern(JSON.stringify([...labels]), labels);
const internPorts = (ports: readonly NamedPort[]): readonly NamedPort[] =>
  portsInUse.intern(JSON.stringify(ports), ports);

/** The address of one family. */
export const addressOf = (addresses: readonly string[], family: Family): string | undefined =>
  addresses.find((address) => address.includes(':') === (family === 6));

/** Own, string-valued properties as a Map: "constructor" and "__proto__" are labels like any other. */
export function labelMap(labels: Readonly<Record<string, string>> | null | undefined): Map<string, string> {
  const map = new Map<string, string>();
  if (labels === undefined || labels === null) return map;
  for (const key of Object.keys(labels)) {
    const value = labels[key];
    if (typeof value === 'string') map.set(key, value);
  }
  return map;
}

export function samePod(a: Pod, b: Pod): boolean {
  return (
    a.uid === b.uid &&
    a.node === b.node &&
    a.hostNetwork === b.hostNetwork &&
    a.finished === b.finished &&
    a.serviceAccount === b.serviceAccount &&
    sameLabels(a.labels, b.labels) &&
    sameTexts(a.addresses, b.addresses) &&
    samePorts(a.ports, b.ports)
  );
}

export function sameLabels(a: Labels, b: Labels): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

export const sameTexts = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((text, index) => text === b[index]);

export function samePorts(a: readonly NamedPort[], b: readonly NamedPort[]): boolean {
  return (
    a.length === b.length &&
    a.every((port, index) => {
      const other = b[index];
      return (
        other !== undefined && port.name === other.name && port.protocol === other.protocol && port.port === other.port
      );
    })
  );
}

/** Canonical text of addresses, one per family, first come first kept; what is no address is left out. */
export function canonicalAddresses(texts: Iterable<string | undefined>): readonly string[] {
  const addresses: string[] = [];
  for (const text of texts) {
    const address = text === undefined ? undefined : tryParseAddress(text);
    if (address !== undefined && addressOf(addresses, address.family) === undefined)
      addresses.push(formatAddress(address));
  }
  return addresses.sort();
}

/** Canonical text of an endpoint's addresses in their order, each once. */
export function endpointAddresses(texts: readonly string[]): readonly string[] {
  const parsed = texts.map(tryParseAddress).filter((address) => address !== undefined);
  return [...new Set(parsed.map(formatAddress))];
}

function podLabels(
  labels: Readonly<Record<string, string>> | null | undefined,
  namespace: string,
  serviceAccount: string,
): Map<string, string> {
  const map = labelMap(labels);
  map.set(NAMESPACE_LABEL, namespace);
  map.set(ORCHESTRATOR_LABEL, 'k8s');
  map.set(SERVICE_ACCOUNT_LABEL, serviceAccount);
  return map;
}

/** The same labels with the service account's as they are now. */
export function withAccountLabels(labels: Labels, account: Labels): Labels {
  if (account.size === 0 && ![...labels.keys()].some((key) => key.startsWith(SERVICE_ACCOUNT_PREFIX))) return labels;
  const map = new Map([...labels].filter(([key]) => !key.startsWith(SERVICE_ACCOUNT_PREFIX)));
  for (const [key, value] of account) map.set(SERVICE_ACCOUNT_PREFIX + key, value);
  return map;
}

/** podIPs is the list, podIP the first of it; old writers set podIP alone. */
function podAddresses(object: PodObject): readonly string[] {
  const status = object.status;
  return canonicalAddresses([...(status?.podIPs ?? []).map((entry) => entry.ip), status?.podIP]);
}

/** Ports of containers and of sidecars (init containers that keep running); only ports with names can be asked for. */
function namedPorts(
  containers: readonly ContainerObject[] | null | undefined,
  initContainers: readonly ContainerObject[] | null | undefined,
): readonly NamedPort[] {
  const ports: NamedPort[] = [];
  for (const container of [
    ...(containers ?? []),
    ...(initContainers ?? []).filter((one) => one.restartPolicy === 'Always'),
  ])
    for (const port of container.ports ?? []) {
      const protocol = port.protocol === undefined || port.protocol === null ? TCP : protocolNumber(port.protocol);
      if (
        port.name !== undefined &&
        port.name !== null &&
        port.name !== '' &&
        port.containerPort !== undefined &&
        protocol !== undefined
      )
        ports.push({ name: port.name, protocol, port: port.containerPort });
    }
  return ports;
}
