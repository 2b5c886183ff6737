/**
 * The Helm chart, made of manifests/base, so that both are one: what differs between clusters becomes a value, all else stands in the
 * templates as it is. Rendered with its own values it is the base; with those of an overlay (`valuesOf`), that overlay. Pure.
 */
import { stringify } from 'yaml';
import { isDeepStrictEqual } from 'node:util';
import { nameOf, type Manifest } from './manifest.js';

export interface ChartValues {
  readonly image: string;
  readonly imagePullPolicy: string;
  readonly imagePullSecrets: readonly { readonly name: string }[];
  /** Behind those that the DaemonSet gives its agent. */
  readonly agentArgs: readonly string[];
  /** Options of the agent by their environment variables. */
  readonly agentEnvironment: Readonly<Record<string, string>>;
  /** Where agents find the API server when no Service leads there. */
  readonly apiServer: { readonly host?: string; readonly port?: number };
  readonly ipPools: readonly NamedSpec[];
  /** Of the one named "default"; empty: whoever installs it keeps it elsewhere. */
  readonly bgpConfiguration: Readonly<Record<string, unknown>>;
  readonly bgpPeers: readonly NamedSpec[];
}

export interface NamedSpec {
  readonly name: string;
  readonly spec: Readonly<Record<string, unknown>>;
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly args: readonly string[];
}

interface PodSpec {
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

const CALICO = 'projectcalico.org/v3';
const API_SERVER = 'ConfigMap tortie-system/kubernetes-services-endpoint';
const AGENT_ENVIRONMENT = 'ConfigMap tortie-system/tortie-agent';
/** ValidatingAdmissionPolicy v1. */
const ADMISSION_SINCE = '>=1.30-0';
const HEAD = '# Written by `tortie install --chart` from manifests/base.\n';

/** Files of the chart by path. @param base objects of manifests/base @param version of Tortie */
export function helmChart(base: readonly Manifest[], version: string): ReadonlyMap<string, string> {
  const definitions = base.filter(({ kind }) => kind === 'CustomResourceDefinition');
  const rest = base.filter(({ kind }) => kind !== 'CustomResourceDefinition');
  return new Map([
    ['Chart.yaml', HEAD + yaml(chartOf(version))],
    ['values.yaml', valuesText(valuesOf(base, base))],
    ['values.schema.json', `${JSON.stringify(SCHEMA, undefined, 2)}\n`],
    // Helm makes definitions before all else, and never changes or removes them (docs/install.md).
    ...definitions.map((object): [string, string] => [`crds/${object.metadata.name}.yaml`, yaml(object)]),
    ['templates/tortie.yaml', rest.map(templateOf).join('---\n')],
    ['templates/cluster.yaml', CLUSTER_TEMPLATE],
    ['templates/NOTES.txt', NOTES],
  ]);
}

/** With these values the chart is `objects`. @throws Error naming what no value says */
export function valuesOf(objects: readonly Manifest[], base: readonly Manifest[]): ChartValues {
  const inBase = new Map(base.map((object) => [nameOf(object), object]));
  const added = objects.filter((object) => !inBase.has(nameOf(object)));
  const daemonSets = [objects, base].map((each) => agentOf(each));
  const [agent, plain] = daemonSets;
  if (agent === undefined || plain === undefined)
    throw new Error('Cannot make a chart: expected a DaemonSet with an agent');
  const agentArgs = agent.args.slice(plain.args.length);
  for (const object of objects) {
    const found = inBase.get(nameOf(object));
    if (
      found !== undefined &&
      !isDeepStrictEqual(object, object.kind === 'DaemonSet' ? withArgs(found, agentArgs) : found)
    )
      throw new Error(`Cannot say by values how ${nameOf(object)} differs from manifests/base`);
  }
  const named = (kind: string): readonly NamedSpec[] =>
    added
      .filter((object) => object.kind === kind && object.apiVersion === CALICO)
      .map(({ metadata: { name }, spec }) => ({ name, spec: spec as NamedSpec['spec'] }));
  const dataOf = (name: string): Readonly<Record<string, string>> | undefined =>
    added.find((object) => nameOf(object) === name)?.['data'] as Record<string, string> | undefined;
  const [apiServer, agentEnvironment] = [dataOf(API_SERVER), dataOf(AGENT_ENVIRONMENT)];
  const values: ChartValues = {
    image: plain.image,
    imagePullPolicy: plain.imagePullPolicy ?? 'IfNotPresent',
    imagePullSecrets: [],
    agentArgs,
    agentEnvironment: agentEnvironment ?? {},
    apiServer:
      apiServer === undefined
        ? {}
        : { host: apiServer['KUBERNETES_SERVICE_HOST'] ?? '', port: Number(apiServer['KUBERNETES_SERVICE_PORT']) },
    ipPools: named('IPPool'),
    bgpConfiguration: named('BGPConfiguration')[0]?.spec ?? {},
    bgpPeers: named('BGPPeer'),
  };
  const said =
    values.ipPools.length +
    values.bgpPeers.length +
    named('BGPConfiguration').length +
    [apiServer, agentEnvironment].filter((data) => data !== undefined).length;
  if (said !== added.length)
    throw new Error(`Cannot say by values: ${added.map(nameOf).join(', ')}; expected pools, peers, a BGPConfiguration`);
  return values;
}

const podSpecOf = (object: Manifest | undefined): PodSpec | undefined =>
  (object?.['spec'] as { readonly template?: { readonly spec: PodSpec } } | undefined)?.template?.spec;

const agentOf = (objects: readonly Manifest[]): Container | undefined =>
  podSpecOf(objects.find(({ kind }) => kind === 'DaemonSet'))?.containers.find(({ name }) => name === 'agent');

function withArgs(daemonSet: Manifest, args: readonly string[]): Manifest {
  return changed(daemonSet, (container) =>
    container.name === 'agent' ? { ...container, args: [...container.args, ...args] } : container,
  );
}

/** The same with other containers. */
function changed(object: Manifest, change: (container: Container) => object, more: object = {}): Manifest {
  const spec = podSpecOf(object);
  if (spec === undefined) return object;
  const { initContainers, containers } = spec;
  const { template, ...rest } = object['spec'] as { readonly template: object };
  const changedSpec = {
    ...spec,
    ...(initContainers === undefined ? {} : { initContainers: initContainers.map(change) }),
    containers: containers.map(change),
    ...more,
  };
  return { ...object, spec: { ...rest, template: { ...template, spec: changedSpec } } };
}

const yaml = (value: unknown): string => stringify(value, { lineWidth: 140, aliasDuplicateObjects: false });

/** Stand for what is a value until the object is text. */
const MARK = { image: 'VALUE-image', policy: 'VALUE-policy', args: 'VALUE-args', secrets: 'VALUE-secrets' };

function templateOf(object: Manifest): string {
  const marked = changed(
    object,
    (container) => ({
      ...container,
      image: MARK.image,
      imagePullPolicy: MARK.policy,
      args: container.name === 'agent' ? [...container.args, MARK.args] : container.args,
    }),
    { imagePullSecrets: MARK.secrets },
  );
  const text = yaml(marked)
    .replaceAll('{{', '{{ "{{" }}')
    .replaceAll(MARK.image, '{{ .Values.image | quote }}')
    .replaceAll(MARK.policy, '{{ .Values.imagePullPolicy }}')
    .replace(
      new RegExp(`^( *)- ${MARK.args}\n`, 'm'),
      '$1{{- range .Values.agentArgs }}\n$1- {{ . | quote }}\n$1{{- end }}\n',
    )
    .replace(new RegExp(`^( *)imagePullSecrets: ${MARK.secrets}\n`, 'm'), (_, indent: string) =>
      [
        `${indent}{{- with .Values.imagePullSecrets }}`,
        `${indent}imagePullSecrets:`,
        `${indent}  {{- toYaml . | nindent ${indent.length + 2} }}`,
        `${indent}{{- end }}`,
        '',
      ].join('\n'),
    );
  return object.kind.startsWith('ValidatingAdmissionPolicy')
    ? `{{- if semverCompare "${ADMISSION_SINCE}" .Capabilities.KubeVersion.Version }}\n${text}{{- end }}\n`
    : text;
}

const listTemplate = (kind: string, value: string): string => `{{- range .Values.${value} }}
---
apiVersion: ${CALICO}
kind: ${kind}
metadata:
  name: {{ .name }}
spec:
  {{- toYaml .spec | nindent 2 }}
{{- end }}
`;

const CLUSTER_TEMPLATE = `${listTemplate('IPPool', 'ipPools')}{{- with .Values.bgpConfiguration }}
---
apiVersion: ${CALICO}
kind: BGPConfiguration
metadata:
  name: default
spec:
  {{- toYaml . | nindent 2 }}
{{- end }}
${listTemplate('BGPPeer', 'bgpPeers')}{{- with .Values.apiServer.host }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kubernetes-services-endpoint
  namespace: tortie-system
data:
  KUBERNETES_SERVICE_HOST: {{ . | quote }}
  KUBERNETES_SERVICE_PORT: {{ $.Values.apiServer.port | quote }}
{{- end }}
{{- with .Values.agentEnvironment }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: tortie-agent
  namespace: tortie-system
data:
  {{- toYaml . | nindent 2 }}
{{- end }}
`;

const NOTES = `Tortie {{ .Chart.AppVersion }} is in namespace tortie-system.

  kubectl get nodestatuses
{{- if not .Values.ipPools }}

No IPPool is among the values: pods get addresses once there is one.
{{- end }}
`;

const chartOf = (version: string): object => ({
  apiVersion: 'v2',
  name: 'tortie',
  description: 'A BGP-routed underlay network for Kubernetes',
  type: 'application',
  version,
  appVersion: version,
  kubeVersion: '>=1.21.0-0',
});

const COMMENTS: Readonly<Record<keyof ChartValues, string>> = {
  image: 'Of every container.',
  imagePullPolicy: 'Of every container.',
  imagePullSecrets: 'Such as - name: registry',
  agentArgs: 'Further options of `tortie agent`, such as --policy-backend=nftables',
  agentEnvironment: 'The same by environment variables, such as {TORTIE_IP_SOURCE: node-cidrs}',
  apiServer: 'Where agents find the API server when no kube-proxy leads there: host and port.',
  ipPools:
    'Addresses of pods: name and spec of each IPPool, such as {name: default-ipv4, spec: {cidr: 10.244.0.0/16, blockSize: 26}}',
  bgpConfiguration: 'Spec of the BGPConfiguration "default", such as {asNumber: 64512, nodeToNodeMeshEnabled: true}',
  bgpPeers:
    'Name and spec of each BGPPeer, such as {name: tor1, spec: {peerIP: 192.0.2.1, asNumber: 65001, numAllowedLocalASNumbers: 1}}',
};

/** Values as a file of the chart, each with what it is. */
export const valuesText = (values: ChartValues): string =>
  Object.entries(COMMENTS)
    .map(([key, comment]) => `# ${comment}\n${yaml({ [key]: values[key as keyof ChartValues] })}`)
    .join('\n');

const NAMED_SPECS = {
  type: 'array',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['name', 'spec'],
    properties: { name: { type: 'string', minLength: 1 }, spec: { type: 'object', minProperties: 1 } },
  },
};

/** Helm refuses what it does not say: no value is taken and ignored. */
const SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  type: 'object',
  additionalProperties: false,
  properties: {
    // Helm itself gives these to every chart.
    global: { type: 'object' },
    image: { type: 'string', minLength: 1 },
    imagePullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
    imagePullSecrets: {
      type: 'array',
      items: {
        type: 'object',
        additionalProperties: false,
        required: ['name'],
        properties: { name: { type: 'string' } },
      },
    },
    agentArgs: { type: 'array', items: { type: 'string', minLength: 1 } },
    agentEnvironment: { type: 'object', additionalProperties: { type: 'string' } },
    apiServer: {
      type: 'object',
      additionalProperties: false,
      dependencies: { host: ['port'], port: ['host'] },
      properties: { host: { type: 'string', minLength: 1 }, port: { type: 'integer', minimum: 1, maximum: 65535 } },
    },
    ipPools: NAMED_SPECS,
    bgpConfiguration: { type: 'object' },
    bgpPeers: NAMED_SPECS,
  },
};
