/** What a kubelet makes of the DaemonSet's manifest: containers for a runtime, with exactly its rights and mounts. */
import { fileURLToPath } from 'node:url';
import { loadKustomization } from '../../src/install/kustomization.js';
import type { Manifest } from '../../src/install/manifest.js';
import type { ContainerConfig } from '../cni/cri-client.js';

interface EnvVar {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef: { readonly fieldPath: string } };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly envFrom?: readonly unknown[];
  readonly securityContext: {
    readonly capabilities: { readonly add?: readonly string[]; readonly drop: readonly string[] };
  };
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly mountPropagation?: string;
  }[];
}

interface PodSpec {
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly hostPath?: { readonly path: string; readonly type: string };
    readonly projected?: object;
  }[];
}

export interface PlanOptions {
  readonly image: string;
  /** By the path of the field: "spec.nodeName". */
  readonly fields: Readonly<Record<string, string>>;
  /** Of the ConfigMap kubernetes-services-endpoint. */
  readonly apiServer: Readonly<Record<string, string>>;
  /** What stands for the projected volume: a folder with token, ca.crt and namespace. */
  readonly tokenFolder: string;
}

export interface DaemonSetPlan {
  readonly init: readonly ContainerConfig[];
  readonly containers: readonly ContainerConfig[];
  /** Of the host, as the volumes name it. */
  readonly hostPaths: readonly { readonly path: string; readonly type: string }[];
}

const BASE = fileURLToPath(new URL('../../../manifests/base', import.meta.url));

export function installedDaemonSet(): Manifest {
  const found = loadKustomization(BASE).find(({ kind }) => kind === 'DaemonSet');
  if (found === undefined) throw new Error(`There is no DaemonSet in ${BASE}`);
  return found;
}

export function daemonSetPlan(options: PlanOptions, daemonSet: Manifest = installedDaemonSet()): DaemonSetPlan {
  const { spec } = (daemonSet as unknown as { readonly spec: { readonly template: { readonly spec: PodSpec } } }).spec
    .template;
  const plan = (container: Container): ContainerConfig => planOf(container, spec, options);
  return {
    init: spec.initContainers.map(plan),
    containers: spec.containers.map(plan),
    hostPaths: spec.volumes.map(({ hostPath }) => hostPath).filter((hostPath) => hostPath !== undefined),
  };
}

function planOf(container: Container, { volumes }: PodSpec, options: PlanOptions): ContainerConfig {
  const { name, args = [], env = [], envFrom = [], securityContext, volumeMounts = [] } = container;
  const textOf = ({ value, valueFrom }: EnvVar): string =>
    value ?? options.fields[valueFrom?.fieldRef.fieldPath ?? ''] ?? '';
  return {
    name,
    args,
    image: options.image,
    env: {
      ...(envFrom.length > 0 ? options.apiServer : {}),
      ...Object.fromEntries(env.map((each) => [each.name, textOf(each)])),
    },
    capabilities: { add: [], ...securityContext.capabilities },
    mounts: volumeMounts.map(({ name: volume, mountPath, readOnly = false, mountPropagation }) => ({
      containerPath: mountPath,
      hostPath: volumes.find((each) => each.name === volume)?.hostPath?.path ?? options.tokenFolder,
      isReadOnly: readOnly,
      isFollowing: mountPropagation === 'HostToContainer',
    })),
  };
}
