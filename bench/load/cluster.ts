/**
 * The cluster under load, as objects: namespaces of ten policies each, of the shapes people write, and pods spread over them, of
 * which the first ones are this node's. Beside them the namespace `probe`, whose pods the measured flows run between.
 *
 * Probe pods (all of this node):
 *   peer-client-N, peer-server-N       the server admits clients labelled access=granted; the client's label is flipped
 *   select-client-N, select-server-N   the server is isolated; its own label open=yes selects a policy that admits
 *   steady-client, steady-server       always allowed, through a policy that names the client
 *   denied-client, denied-server       never allowed; the server's label shut=a|b moves it between two policies that both deny
 * N is the flow's number; even flows use IPv4, odd ones IPv6.
 */
import type { Write } from '../node/api-client.js';
import { NODE } from '../node/node.js';

export const PORT = 80;
const POLICIES_PER_NAMESPACE = 10;
const PROBE = 'probe';

export interface ClusterSize {
  readonly policies: number;
  readonly pods: number;
  /** Pods of this node; the others are objects alone. */
  readonly local: number;
}

/** What a flow's label change does in the kernel: members of a set, or chains of an endpoint. */
export type FlipKind = 'peer' | 'select';
export const FLIP_FLOWS: readonly { readonly kind: FlipKind; readonly number: number }[] = [
  { kind: 'peer', number: 0 },
  { kind: 'peer', number: 1 },
  { kind: 'select', number: 0 },
  { kind: 'select', number: 1 },
];

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

interface PodObject extends PodName {
  readonly labels: Readonly<Record<string, string>>;
}

export const podPath = ({ namespace, name }: PodName): string => `/api/v1/namespaces/${namespace}/pods/${name}`;
export const policyPath = ({ namespace, name }: PodName): string =>
  `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies/${name}`;
const inProbe = (name: string, labels: PodObject['labels'] = {}): PodObject => ({
  namespace: PROBE,
  name,
  labels: { pod: name, ...labels },
});

const PROBE_PODS: readonly PodObject[] = [
  ...FLIP_FLOWS.flatMap(({ kind, number }) => [
    inProbe(`${kind}-client-${number}`),
    inProbe(`${kind}-server-${number}`),
  ]),
  inProbe('steady-client'),
  inProbe('steady-server'),
  inProbe('denied-client'),
  inProbe('denied-server', { shut: 'a' }),
];

export const namespaceCount = ({ policies }: ClusterSize): number =>
  Math.max(1, Math.ceil(policies / POLICIES_PER_NAMESPACE));

/** The pods of this node: the probe pods, then those of the first namespaces. */
export function localPods(size: ClusterSize): readonly PodName[] {
  const others = Array.from({ length: Math.max(0, size.local - PROBE_PODS.length) }, (_, index) => podAt(size, index));
  return [...PROBE_PODS, ...others];
}

/** Namespaces and what else has no namespace. */
export function* clusterBase(size: ClusterSize): Generator<Write> {
  const names = [PROBE, ...Array.from({ length: namespaceCount(size) }, (_, index) => `ns${index}`)];
  for (const [index, name] of names.entries())
    yield {
      path: '/api/v1/namespaces',
      object: { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { team: `team${index % 20}` } } },
    };
  yield {
    path: '/api/v1/nodes',
    object: {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: NODE },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    },
  };
  for (const [name, cidr, blockSize] of [
    ['ipv4', '10.65.0.0/16', 24],
    ['ipv6', 'fd00:65::/112', 120],
  ] as const)
    yield {
      path: '/apis/projectcalico.org/v3/ippools',
      object: { apiVersion: 'projectcalico.org/v3', kind: 'IPPool', metadata: { name }, spec: { cidr, blockSize } },
    };
}

export function* clusterObjects(size: ClusterSize): Generator<Write> {
  for (const pod of PROBE_PODS) yield podWrite(pod, NODE, []);
  const local = size.local - PROBE_PODS.length;
  for (let index = 0; index < size.pods - PROBE_PODS.length; index++) {
    const addresses = [
      `10.${70 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`,
      `fd00:70::${(index + 1).toString(16)}`,
    ];
    yield index < local
      ? podWrite(podAt(size, index), NODE, [])
      : podWrite(podAt(size, index), `other${index % 100}`, addresses);
  }
  for (const policy of probePolicies()) yield policy;
  for (let index = 0; index < size.policies - PROBE_POLICIES; index++)
    yield policyWrite(
      { namespace: `ns${Math.floor(index / POLICIES_PER_NAMESPACE)}`, name: `policy${index}` },
      specAt(index),
    );
}

function podAt(size: ClusterSize, index: number): PodObject {
  return {
    namespace: `ns${index % namespaceCount(size)}`,
    name: `pod${index}`,
    labels: { app: ['front', 'back', 'job'][index % 3] ?? '', zone: `z${index % 7}` },
  };
}

function podWrite({ namespace, name, labels }: PodObject, nodeName: string, addresses: readonly string[]): Write {
  return {
    path: `/api/v1/namespaces/${namespace}/pods`,
    object: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels },
      spec: {
        nodeName,
        containers: [{ name: 'main', image: 'main', ports: [{ name: 'web', containerPort: PORT, protocol: 'UDP' }] }],
      },
      ...(addresses.length === 0
        ? {}
        : { status: { phase: 'Running', podIP: addresses[0], podIPs: addresses.map((ip) => ({ ip })) } }),
    },
  };
}

function policyWrite({ namespace, name }: PodName, spec: object): Write {
  return {
    path: `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`,
    object: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name }, spec },
  };
}

const podsNamed = (name: string): object => ({ podSelector: { matchLabels: { pod: name } } });
const udp = [{ protocol: 'UDP', port: PORT }];

/** The policies of the steady flow and of the denied one, for who wants to disturb exactly those. */
export const STEADY_POLICY: PodName = { namespace: PROBE, name: 'steady' };
export const SHUT_POLICIES: readonly PodName[] = ['a', 'b'].map((side) => ({ namespace: PROBE, name: `shut-${side}` }));
const PROBE_POLICIES = 2 * FLIP_FLOWS.length + 3;

function* probePolicies(): Generator<Write> {
  const of = (name: string, spec: object): Write => policyWrite({ namespace: PROBE, name }, spec);
  for (const { kind, number } of FLIP_FLOWS) {
    const server = podsNamed(`${kind}-server-${number}`);
    yield of(`${kind}-${number}-isolated`, { ...server, policyTypes: ['Ingress'] });
    if (kind === 'peer')
      yield of(`peer-${number}-admits`, {
        ...server,
        ingress: [
          { from: [{ podSelector: { matchLabels: { pod: `peer-client-${number}`, access: 'granted' } } }], ports: udp },
        ],
      });
    else
      yield of(`select-${number}-admits`, {
        podSelector: { matchLabels: { pod: `select-server-${number}`, open: 'yes' } },
        ingress: [{ from: [podsNamed(`select-client-${number}`)], ports: udp }],
      });
  }
  yield of(STEADY_POLICY.name, { ...podsNamed('steady-server'), ingress: steadyIngress(0) });
  for (const side of ['a', 'b'])
    yield of(`shut-${side}`, {
      podSelector: { matchLabels: { pod: 'denied-server', shut: side } },
      ingress: shutIngress(0),
    });
}

/** Always admits the steady client; the second rule differs with `variant`. */
export const steadyIngress = (variant: number): readonly object[] => [
  { from: [podsNamed('steady-client')], ports: udp },
  { ports: [{ protocol: 'TCP', port: 10_000 + variant }] },
];

/** Never admits the denied client on the probed port, whatever the variant. */
export const shutIngress = (variant: number): readonly object[] => [
  { from: [podsNamed('steady-client')] },
  { ports: [{ protocol: 'TCP', port: 10_000 + variant }] },
];

/** Ten shapes. */
function specAt(index: number): object {
  const front = { podSelector: { matchLabels: { app: 'front' } } };
  const shapes: readonly object[] = [
    { podSelector: {}, policyTypes: ['Ingress'] },
    { podSelector: {}, policyTypes: ['Egress'] },
    { podSelector: { matchLabels: { app: 'back' } }, ingress: [{ from: [front], ports: [{ port: 5432 }] }] },
    {
      podSelector: {},
      ingress: [
        { from: [{ namespaceSelector: { matchLabels: { team: `team${index % 20}` } } }], ports: [{ port: 9090 }] },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'job' } },
      policyTypes: ['Egress'],
      egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8', '192.168.0.0/16'] } }] }],
    },
    {
      podSelector: {},
      policyTypes: ['Egress'],
      egress: [
        {
          to: [{ namespaceSelector: {}, podSelector: { matchLabels: { app: 'back', zone: `z${index % 7}` } } }],
          ports: [{ protocol: 'UDP', port: 53 }],
        },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'back' } },
      ingress: [
        { from: [{ ipBlock: { cidr: `172.${16 + (index % 16)}.0.0/16` } }], ports: [{ port: 8000, endPort: 8100 }] },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'front' } },
      ingress: [
        {
          from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['back', 'job'] }] } }],
          ports: [{ port: 8443 }],
        },
      ],
    },
    {
      podSelector: { matchLabels: { app: 'front' } },
      policyTypes: ['Egress'],
      egress: [{ to: [front], ports: [{ protocol: 'UDP', port: 'web' }] }],
    },
    {
      podSelector: { matchLabels: { app: 'front' } },
      ingress: [{ from: [front], ports: [{ protocol: 'UDP', port: 'web' }] }],
    },
  ];
  return shapes[index % shapes.length] ?? {};
}
