/**
 * Cuts objects down to what a node needs before they are kept: a cluster's pods carry kilobytes that no agent reads, and every
 * node holds them all.
 */
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { Container, Pod } from '../api/core.js';
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

export function trim<K extends KindName>(kind: K, object: ObjectOf[K]): ObjectOf[K] {
  if (kind === 'pods') return trimPod(object as Pod) as ObjectOf[K];
  return { ...object, metadata: trimMetadata(object.metadata, kind === 'nodes' || kind === 'namespaces') };
}

function trimMetadata(metadata: KubeObject['metadata'], mayHoldAnnotations: boolean): KubeObject['metadata'] {
  const { managedFields, ownerReferences, annotations, ...rest } = metadata;
  const kept = mayHoldAnnotations
    ? Object.entries(annotations ?? {}).filter(([key]) => ANNOTATION_PREFIXES.some((prefix) => key.startsWith(prefix)))
    : [];
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

function trimPod(pod: Pod): Pod {
  const { nodeName, hostNetwork, serviceAccountName, containers, initContainers } = pod.spec;
  const sidecars = initContainers?.filter((container) => container.restartPolicy === 'Always').map(trimContainer);
  return {
    metadata: trimMetadata(pod.metadata, true),
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
          },
        }),
  };
}

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
