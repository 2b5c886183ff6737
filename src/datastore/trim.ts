/**
 * Cuts objects down to what a node needs before they are kept: a cluster's pods carry kilobytes that no agent reads, and every
 * node holds them all.
 */
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { Container, EndpointSlice, Pod, Service } from '../api/core.js';
import type { KubeObject } from '../api/meta.js';

/** Annotations the agent understands, or refuses by name; the last is the kubelet's, on the objects of static pods. */
const ANNOTATION_PREFIXES = [
  'cni.projectcalico.org/',
  'projectcalico.org/',
  'qos.projectcalico.org/',
  'tortie.dev/',
  'kubernetes.io/ingress-bandwidth',
  'kubernetes.io/egress-bandwidth',
  'kubernetes.io/config.mirror',
];

/** What users write on Services: for kube-proxy, for Calico's and MetalLB's addresses. */
const SERVICE_ANNOTATION_PREFIXES = [
  'service.kubernetes.io/',
  'projectcalico.org/',
  'metallb.io/',
  'metallb.universe.tf/',
  'tortie.dev/',
];

/** Of what users write, whether a guard is asked for (src/change/guard.ts). */
const GUARDED: readonly KindName[] = ['bgpConfigurations', 'bgpPeers', 'ipPools'];
const GUARD_ANNOTATIONS = ['tortie.dev/guard'];

/** When what a slice says became so: the beginning of the time that kube-proxy's metrics measure. */
const SLICE_ANNOTATIONS = ['endpoints.kubernetes.io/last-change-trigger-time'];

export function trim<K extends KindName>(kind: K, object: ObjectOf[K]): ObjectOf[K] {
  if (kind === 'pods') return trimPod(object as Pod) as ObjectOf[K];
  if (kind === 'services') return trimService(object as Service) as ObjectOf[K];
  if (kind === 'endpointSlices') return trimEndpointSlice(object as EndpointSlice) as ObjectOf[K];
  const annotations =
    kind === 'nodes' || kind === 'namespaces' ? ANNOTATION_PREFIXES : GUARDED.includes(kind) ? GUARD_ANNOTATIONS : [];
  return { ...object, metadata: trimMetadata(object.metadata, annotations) };
}

/** @param prefixes of the annotations that are kept. */
function trimMetadata(metadata: KubeObject['metadata'], prefixes: readonly string[]): KubeObject['metadata'] {
  const { managedFields, ownerReferences, annotations, ...rest } = metadata;
  const kept = Object.entries(annotations ?? {}).filter(([key]) => prefixes.some((prefix) => key.startsWith(prefix)));
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

/** That it is evicted: of a node's pods, what tells a drain from a cordon. */
const DISRUPTION = 'DisruptionTarget';

function trimPod(pod: Pod): Pod {
  const disruption = pod.status?.conditions?.filter(({ type }) => type === DISRUPTION) ?? [];
  const { nodeName, hostNetwork, serviceAccountName, containers, initContainers } = pod.spec;
  const sidecars = initContainers?.filter((container) => container.restartPolicy === 'Always').map(trimContainer);
  return {
    metadata: { ...trimMetadata(pod.metadata, ANNOTATION_PREFIXES), ...controllerOf(pod) },
    spec: {
      containers: containers.map(trimContainer),
      ...(sidecars === undefined || sidecars.length === 0 ? {} : { initContainers: sidecars }),
      ...(nodeName === undefined ? {} : { nodeName }),
      ...(hostNetwork === undefined ? {} : { hostNetwork }),
      ...(serviceAccountName === undefined ? {} : { serviceAccountName }),
    },
    ...(pod.status === undefined
      ? {}
      : {
          status: {
            ...(pod.status.phase && { phase: pod.status.phase }),
            ...(pod.status.podIPs && { podIPs: pod.status.podIPs }),
            ...(pod.status.podIP && { podIP: pod.status.podIP }),
            ...(disruption.length === 0 ? {} : { conditions: disruption }),
          },
        }),
  };
}

/** Who has a pod made anew says whether it comes again by its name, and of which workload its flows are. */
function controllerOf({ metadata }: Pod): Pick<Pod['metadata'], 'ownerReferences'> {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner === undefined) return {};
  const { apiVersion, kind, name } = owner;
  const key = `${apiVersion} ${kind} ${name}`;
  const known = controllers.get(key);
  if (known !== undefined) return known;
  if (controllers.size >= MOST_CONTROLLERS) controllers = new Map();
  const kept = { ownerReferences: [{ apiVersion, kind, name, uid: '', controller: true }] };
  controllers.set(key, kept);
  return kept;
}

/** One for all replicas: a cluster has very many pods. BOUNDED: begun anew when full. */
const MOST_CONTROLLERS = 16_384;
let controllers = new Map<string, Pick<Pod['metadata'], 'ownerReferences'>>();

const trimContainer = ({ name, ports, restartPolicy }: Container): Container => ({
  name,
  ...(ports === undefined || ports.length === 0
    ? {}
    : {
        ports: ports.map(({ name: portName, containerPort, protocol }) => ({
          containerPort,
          ...(portName && { name: portName }),
          ...(protocol && { protocol }),
        })),
      }),
  ...(restartPolicy === undefined ? {} : { restartPolicy }),
});

/** Of the status only what load balancers say, and what we say of them. */
function trimService({ metadata, spec, status }: Service): Service {
  const ingress = status?.loadBalancer?.ingress ?? [];
  const conditions = status?.conditions?.filter(({ type }) => type.startsWith('tortie.dev/')) ?? [];
  const kept = {
    ...(ingress.length === 0 ? {} : { loadBalancer: { ingress } }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
  return {
    metadata: trimMetadata(metadata, SERVICE_ANNOTATION_PREFIXES),
    ...(spec === undefined ? {} : { spec }),
    ...(Object.keys(kept).length === 0 ? {} : { status: kept }),
  };
}

/** Names of pods are for people, but policy and `tortie service` tell of them; uids and versions are for nobody. */
function trimEndpointSlice(slice: EndpointSlice): EndpointSlice {
  const { metadata, endpoints, ...rest } = slice;
  return {
    ...rest,
    metadata: trimMetadata(metadata, SLICE_ANNOTATIONS),
    endpoints: (endpoints ?? []).map(({ targetRef, ...endpoint }) => ({
      ...endpoint,
      ...(targetRef === undefined
        ? {}
        : {
            targetRef: {
              ...(targetRef.kind && { kind: targetRef.kind }),
              ...(targetRef.namespace && { namespace: targetRef.namespace }),
              ...(targetRef.name && { name: targetRef.name }),
            },
          }),
    })),
  };
}
