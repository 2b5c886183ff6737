/**
 * Objects that ask for much: each kind of list, product, depth and text that a user of one namespace (or of policy at cluster scope) can
 * write, grown to a size. All are well-formed JSON that an API server would hand on.
 */
import type { KubeObject, ObjectKind } from '@tortie/policy';

export interface HostileObject {
  readonly shape: string;
  readonly kind: ObjectKind;
  readonly object: KubeObject;
}

export interface HostileOptions {
  readonly count: number;
  readonly namespace: string;
  /** Characters of JSON each. */
  readonly size: number;
}

type Json = Readonly<Record<string, unknown>>;
interface Shape {
  readonly name: string;
  readonly kind: ObjectKind;
  /** Characters that one more item adds, about. */
  readonly each: number;
  readonly spec: (items: number) => Json;
}

const times = <T>(count: number, make: (at: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, at) => make(at));
const address = (at: number): string => `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`;
const pods = { podSelector: {} };
const peers = (count: number) => times(count, (at) => ({ podSelector: { matchLabels: { n: `${at}` } } }));
const entity = (key: string, values: readonly unknown[]) => ({ [key]: values });
const rule = (extra: Json): Json => ({ action: 'Allow', protocol: 'TCP', ...extra });

/** As deep as an expression may be, with much inside. */
function nested(at: number): string {
  const outer = times(60, (term) => `has(o${at}-${term}) ${term % 2 === 0 ? '&&' : '||'} (`).join('');
  return `${outer}${times(1_800, (term) => `has(k${at}-${term})`).join(' && ')}${')'.repeat(60)}`;
}

const SHAPES: readonly Shape[] = [
  {
    name: 'excepts',
    kind: 'NetworkPolicy',
    each: 18,
    spec: (n) => ({
      ...pods,
      ingress: [{ from: [{ ipBlock: { cidr: '0.0.0.0/0', except: times(n, (at) => `${address(2 * at)}/32`) } }] }],
    }),
  },
  {
    name: 'blocks',
    kind: 'NetworkPolicy',
    each: 40,
    spec: (n) => ({ ...pods, egress: [{ to: times(n, (at) => ({ ipBlock: { cidr: `${address(2 * at)}/32` } })) }] }),
  },
  {
    name: 'ports',
    kind: 'NetworkPolicy',
    each: 15,
    spec: (n) => ({ ...pods, ingress: [{ ports: times(n, (at) => ({ port: 1 + ((2 * at) % 65_534) })) }] }),
  },
  {
    name: 'names x selectors',
    kind: 'NetworkPolicy',
    each: 80,
    spec: (n) => ({ ...pods, ingress: [{ from: peers(n), ports: times(n, (at) => ({ port: `p-${at}` })) }] }),
  },
  {
    name: 'rules',
    kind: 'NetworkPolicy',
    each: 60,
    spec: (n) => ({
      ...pods,
      ingress: times(n, (at) => ({ from: [{ podSelector: { matchLabels: { n: `${at}` } } }] })),
    }),
  },
  {
    name: 'bad parts',
    kind: 'NetworkPolicy',
    each: 14,
    spec: (n) => ({ ...pods, ingress: [{ ports: times(n, () => ({ port: 70_000 })) }] }),
  },
  {
    name: 'subject',
    kind: 'NetworkPolicy',
    each: 10,
    spec: (n) => ({
      podSelector: { matchExpressions: [{ key: 'a', operator: 'In', values: times(n, (at) => `v${at}`) }] },
    }),
  },
  {
    name: 'nets',
    kind: 'CalicoNetworkPolicy',
    each: 16,
    spec: (n) => ({
      selector: 'all()',
      ingress: [
        rule({
          source: entity(
            'nets',
            times(n, (at) => `${address(2 * at)}/32`),
          ),
        }),
      ],
    }),
  },
  {
    name: 'port names of both ends',
    kind: 'CalicoNetworkPolicy',
    each: 16,
    spec: (n) => ({
      selector: 'all()',
      ingress: [
        rule({
          source: entity(
            'ports',
            times(n / 2, (at) => `p-${at}`),
          ),
          destination: entity(
            'ports',
            times(n / 2, (at) => `q-${at}`),
          ),
        }),
      ],
    }),
  },
  {
    name: 'notPorts',
    kind: 'CalicoNetworkPolicy',
    each: 7,
    spec: (n) => ({
      selector: 'all()',
      ingress: [
        rule({
          destination: entity(
            'notPorts',
            times(n, (at) => 1 + ((2 * at) % 65_534)),
          ),
        }),
      ],
    }),
  },
  {
    name: 'long selectors',
    kind: 'CalicoNetworkPolicy',
    each: 30_000,
    spec: (n) => ({
      selector: 'all()',
      ingress: times(n, (at) =>
        rule({ source: { selector: times(2_000, (term) => `has(k${at}-${term})`).join(' || ') } }),
      ),
    }),
  },
  {
    name: 'deep selectors',
    kind: 'GlobalNetworkPolicy',
    each: 30_000,
    spec: (n) => ({
      selector: 'all()',
      ingress: times(n, () => rule({ source: { selector: `${'!('.repeat(15_000)}has(a)` } })),
    }),
  },
  {
    name: 'nested selectors',
    kind: 'GlobalNetworkPolicy',
    each: 30_000,
    spec: (n) => ({ selector: 'all()', ingress: times(n, (at) => rule({ source: { selector: nested(at) } })) }),
  },
  {
    name: 'cluster rules',
    kind: 'ClusterNetworkPolicy',
    each: 80,
    spec: (n) => ({
      tier: 'Admin',
      priority: 1,
      subject: { pods },
      ingress: times(n, () => ({ action: 'Accept', from: [{ namespaces: { matchLabels: { a: 'b' } } }] })),
    }),
  },
  {
    name: 'network set',
    kind: 'NetworkSet',
    each: 16,
    spec: (n) => ({ nets: times(n, (at) => `${address(2 * at)}/32`) }),
  },
  { name: 'tier', kind: 'Tier', each: 1, spec: (n) => ({ order: 'x'.repeat(n) }) },
  {
    name: 'host endpoint',
    kind: 'HostEndpoint',
    each: 14,
    spec: (n) => ({ node: 'elsewhere', interfaceName: 'eth0', expectedIPs: times(n, (at) => address(at)) }),
  },
];

const SLICE: Shape = {
  name: 'endpoint slice',
  kind: 'EndpointSlice',
  each: 34,
  spec: (n) => ({
    ports: times(100, (at) => ({ port: at + 1, protocol: 'TCP' })),
    endpoints: times(n, (at) => ({ addresses: [address(at)] })),
  }),
};

const CLUSTER_KINDS: ReadonlySet<ObjectKind> = new Set([
  'GlobalNetworkPolicy',
  'ClusterNetworkPolicy',
  'Tier',
  'HostEndpoint',
]);

export const SHAPE_NAMES: readonly string[] = [...SHAPES, SLICE].map(({ name }) => name);

/** One, its own text and objects, as it comes from an API server. */
export function hostileObject(wanted: {
  readonly shape: string;
  readonly name: string;
  readonly namespace: string;
  readonly size: number;
}): HostileObject {
  const { name, namespace, size } = wanted;
  const shape = [...SHAPES, SLICE].find((one) => one.name === wanted.shape);
  if (shape === undefined) throw new RangeError(`There is no hostile shape "${wanted.shape}"`);
  const isCluster = CLUSTER_KINDS.has(shape.kind);
  const labels = shape === SLICE ? { 'kubernetes.io/service-name': name } : { n: name };
  const metadata = { name, labels, ...(isCluster ? {} : { namespace }) };
  const own = shape.spec(Math.max(1, Math.floor(size / shape.each)));
  const scoped =
    isCluster && 'selector' in own ? { ...own, namespaceSelector: `projectcalico.org/name == "${namespace}"` } : own;
  const subject =
    'subject' in own ? { subject: { namespaces: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } } } : {};
  const text = JSON.stringify(shape === SLICE ? { metadata, ...own } : { metadata, spec: { ...scoped, ...subject } });
  return { shape: shape.name, kind: shape.kind, object: JSON.parse(text) as KubeObject };
}

/** Each shape in turn. */
export function* hostileObjects({ count, namespace, size }: HostileOptions): Generator<HostileObject> {
  for (let at = 0; at < count; at++) {
    const shape = SHAPE_NAMES[at % SHAPE_NAMES.length] ?? '';
    yield hostileObject({ shape, name: `hostile-${at}`, namespace, size });
  }
}
