/**
 * The cluster of a running case: starts as a world, changes by actions, and says each change as the events that Tortie's policy
 * engine would have heard from the API server. Pure but for the state it owns; knows nothing of kernels.
 */
import type { Family } from 'node-bgp/address';
import { tryParseAddress } from 'node-bgp/address';
import {
  objectKindOf,
  OBJECT_KINDS,
  type KubeObject,
  type ObjectKind,
  type PodObject,
  type PolicyEvent,
} from '@tortie/policy/objects';
import type { Action, CaseNamespace, CasePod, EndpointId, Labels, World } from './case-file.js';

/** An action speaks of something that is not there. */
export class ActionError extends Error {
  override readonly name = 'ActionError';
}

interface PolicyIdentity {
  readonly kind: ObjectKind;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** Who an endpoint id means now. */
export type Party =
  | { readonly type: 'pod'; readonly pod: CasePod }
  | { readonly type: 'node'; readonly name: string; readonly ips: readonly string[] }
  | { readonly type: 'external'; readonly name: string; readonly ips: readonly string[] };

export class ClusterState {
  private readonly namespaceLabels = new Map<string, Labels>();
  /** In the order of creation. */
  private readonly podsById = new Map<string, CasePod>();
  private readonly policies = new Map<string, PolicyIdentity>();

  constructor(readonly world: World) {}

  /** Builds the world; the events an engine hears in its first sync. */
  start(): readonly PolicyEvent[] {
    const events: PolicyEvent[] = this.world.nodes.map((node) => ({
      type: 'upsert',
      kind: 'Node',
      object: {
        metadata: { name: node.name, labels: node.labels },
        status: { addresses: node.ips.map((address) => ({ type: 'InternalIP', address })) },
      } as KubeObject,
    }));
    for (const namespace of this.world.namespaces) events.push(this.putNamespace(namespace));
    for (const pod of this.world.pods) events.push(this.putPod(pod));
    return events;
  }

  /** Throws ActionError. */
  apply(action: Action): readonly PolicyEvent[] {
    switch (action.op) {
      case 'createPolicy':
      case 'updatePolicy':
        return [this.putPolicy(action.object)];
      case 'deletePolicy':
        return [this.deletePolicy(action)];
      case 'createNamespace':
      case 'setNamespaceLabels':
        return [this.putNamespace(action)];
      case 'deleteNamespace':
        return this.deleteNamespace(action.name);
      case 'createPod':
        return [this.putPod(action.pod)];
      case 'setPodLabels':
        return [this.putPod({ ...this.pod(action), labels: action.labels })];
      case 'setPodPhase':
        return [this.putPod({ ...this.pod(action), phase: action.phase })];
      case 'setPodTerminating':
        return [this.putPod({ ...this.pod(action), terminating: true })];
      case 'deletePod':
        return [this.deletePod(this.pod(action))];
    }
  }

  get pods(): readonly CasePod[] {
    return [...this.podsById.values()];
  }

  /** Throws ActionError when nobody has the id. */
  party(id: EndpointId): Party {
    const [, kind, name = ''] = /^(node|ext):(.*)$/.exec(id) ?? [];
    if (kind === 'node') {
      const node = this.world.nodes.find((one) => one.name === name);
      if (node !== undefined) return { type: 'node', name, ips: node.ips };
    } else if (kind === 'ext') {
      const external = this.world.externals.find((one) => one.name === name);
      if (external !== undefined) return { type: 'external', name, ips: external.ips };
    } else {
      const pod = this.podsById.get(id);
      if (pod !== undefined) return { type: 'pod', pod };
    }
    throw new ActionError(`Cannot find endpoint "${id}": expected a pod ns/name, node:name or ext:name of this world`);
  }

  /** The address that stands for the id in a family; a hostNetwork pod has its node's. */
  addressOf(id: EndpointId, family: Family): string | undefined {
    const party = this.party(id);
    const ips = party.type === 'pod' ? (isOnHost(party.pod) ? this.nodeIps(party.pod.node) : party.pod.ips) : party.ips;
    return ips.find((ip) => tryParseAddress(ip)?.family === family);
  }

  private nodeIps(name: string): readonly string[] {
    return this.world.nodes.find((node) => node.name === name)?.ips ?? [];
  }

  private pod({ namespace, name }: { readonly namespace: string; readonly name: string }): CasePod {
    const pod = this.podsById.get(`${namespace}/${name}`);
    if (pod === undefined) throw new ActionError(`Cannot change pod "${namespace}/${name}": there is none`);
    return pod;
  }

  private putNamespace({ name, labels }: CaseNamespace): PolicyEvent {
    const all = { ...labels, 'kubernetes.io/metadata.name': name };
    this.namespaceLabels.set(name, all);
    return { type: 'upsert', kind: 'Namespace', object: { metadata: { name, labels: all } } };
  }

  private deleteNamespace(name: string): readonly PolicyEvent[] {
    const pods = this.pods.filter((pod) => pod.namespace === name).map((pod) => this.deletePod(pod));
    const policies = [...this.policies.values()]
      .filter((policy) => policy.namespace === name)
      .map((policy) => this.forgetPolicy(policy));
    this.namespaceLabels.delete(name);
    return [...pods, ...policies, { type: 'delete', kind: 'Namespace', name }];
  }

  private putPod(pod: CasePod): PolicyEvent {
    if (!this.namespaceLabels.has(pod.namespace))
      throw new ActionError(
        `Cannot create pod "${pod.namespace}/${pod.name}": there is no namespace "${pod.namespace}"`,
      );
    if (!this.world.nodes.some((node) => node.name === pod.node))
      throw new ActionError(`Cannot create pod "${pod.namespace}/${pod.name}": there is no node "${pod.node}"`);
    this.podsById.set(`${pod.namespace}/${pod.name}`, pod);
    return { type: 'upsert', kind: 'Pod', object: this.podObject(pod) };
  }

  private deletePod(pod: CasePod): PolicyEvent {
    this.podsById.delete(`${pod.namespace}/${pod.name}`);
    return { type: 'delete', kind: 'Pod', namespace: pod.namespace, name: pod.name };
  }

  private putPolicy(object: KubeObject): PolicyEvent {
    const kind = objectKindOf(object);
    const name = object.metadata?.name ?? '';
    if (kind === undefined)
      throw new ActionError(
        `Cannot create "${name}": kind "${object.kind ?? ''}" of "${object.apiVersion ?? ''}" is unknown`,
      );
    const { namespace } = object.metadata ?? {};
    const identity: PolicyIdentity = { kind, namespace, name };
    this.policies.set(identityText(identity), identity);
    return { type: 'upsert', kind, object };
  }

  private deletePolicy({ kind, namespace, name }: Action & { readonly op: 'deletePolicy' }): PolicyEvent {
    const policy = [...this.policies.values()].find(
      (one) => kindNames(one.kind).includes(kind) && one.name === name && (one.namespace ?? '') === (namespace ?? ''),
    );
    if (policy === undefined)
      throw new ActionError(`Cannot delete ${kind} "${namespace ?? ''}/${name}": there is none`);
    return this.forgetPolicy(policy);
  }

  private forgetPolicy(policy: PolicyIdentity): PolicyEvent {
    this.policies.delete(identityText(policy));
    const { kind, namespace, name } = policy;
    return { type: 'delete', kind, name, ...(namespace === undefined ? {} : { namespace }) };
  }

  private podObject(pod: CasePod): PodObject {
    const ips = isOnHost(pod) ? this.nodeIps(pod.node) : pod.ips;
    const portsOf = (sidecar: boolean): readonly { name?: string; containerPort: number; protocol: string }[] =>
      pod.ports
        .filter((port) => (port.sidecar === true) === sidecar)
        .map((port) => ({
          ...(port.name === undefined ? {} : { name: port.name }),
          containerPort: port.port,
          protocol: port.protocol,
        }));
    const sidecars = portsOf(true);
    const metadata = {
      namespace: pod.namespace,
      name: pod.name,
      labels: pod.labels,
      ...(pod.terminating === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    };
    return {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        nodeName: pod.node,
        hostNetwork: isOnHost(pod),
        containers: [{ ports: portsOf(false) }],
        ...(sidecars.length === 0 ? {} : { initContainers: [{ restartPolicy: 'Always', ports: sidecars }] }),
      },
      status: {
        phase: pod.phase ?? 'Running',
        ...(ips[0] === undefined ? {} : { podIP: ips[0] }),
        podIPs: ips.map((ip) => ({ ip })),
      },
    };
  }
}

export const isOnHost = (pod: CasePod): boolean => pod.hostNetwork === true;

/** Its containers have ended for good: the kubelet has taken its network down. */
export const isFinished = (pod: CasePod): boolean => pod.phase === 'Succeeded' || pod.phase === 'Failed';

const identityText = ({ kind, namespace, name }: PolicyIdentity): string => `${kind} ${namespace ?? ''}/${name}`;

/** A file says "NetworkPolicy" of either group; the engine's name for Calico's differs. */
const kindNames = (kind: ObjectKind): readonly string[] => [kind, OBJECT_KINDS.get(kind)?.kind ?? kind];
