/**
 * Random worlds for property tests: few labels, few values and few ports, so that selectors, ports and blocks meet often.
 */
import fc from 'fast-check';
import {
  clusterPolicy,
  networkPolicy,
  type World,
  type WorldNamespace,
  type WorldPod,
  type WorldPolicy,
} from './world.js';

/** `constructor` and `__proto__` are keys like any other. */
const KEYS = ['app', 'constructor'] as const;
const VALUES = ['a', ''] as const;
const NODES = ['n1', 'n2'] as const;
const NAMESPACES = ['x', 'y', 'x-y'] as const;

const labels = fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES), {
  maxKeys: 2,
  noNullPrototype: true,
});

const expression = fc.oneof(
  fc.record({
    key: fc.constantFrom(...KEYS),
    operator: fc.constantFrom('In', 'NotIn'),
    values: fc.subarray([...VALUES], { minLength: 1 }),
  }),
  fc.record({ key: fc.constantFrom(...KEYS), operator: fc.constantFrom('Exists', 'DoesNotExist') }),
);

export const labelSelector = fc.record(
  {
    matchLabels: fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    matchExpressions: fc.array(expression, { maxLength: 2 }),
  },
  { requiredKeys: [] },
);

const namespaceSelector = fc.oneof(
  labelSelector,
  fc.constant({}),
  fc.constantFrom(...NAMESPACES).map((name) => ({ matchLabels: { 'kubernetes.io/metadata.name': name } })),
);

/** Many holes at once: every second address of a few pods' subnets, and some of nodes and of the outside. */
const manyExcepts = fc
  .tuple(
    fc.constantFrom('10.64.0.0/14', '0.0.0.0/0', '10.65.0.0/16'),
    fc.integer({ min: 0, max: 1 }),
    fc.integer({ min: 20, max: 300 }),
  )
  .map(([cidr, odd, count]) => ({
    cidr,
    except: Array.from({ length: count }, (_, at) => `10.65.${at % 3}.${(2 * Math.floor(at / 3) + odd) % 256}/32`),
  }));

export const ipBlock = fc.oneof({ weight: 11, arbitrary: fewBlocks() }, { weight: 2, arbitrary: manyExcepts });

function fewBlocks() {
  return fc.constantFrom(
    { cidr: '0.0.0.0/0' },
    { cidr: '::/0' },
    { cidr: '0.0.0.0/0', except: ['10.65.0.0/24'] },
    { cidr: '10.65.0.0/16', except: ['10.65.0.0/30', '10.65.0.1/32'] },
    { cidr: '10.65.0.1/32' },
    { cidr: '10.65.1.9/24' },
    { cidr: '172.18.0.0/16' },
    { cidr: '192.0.2.0/24', except: ['192.0.2.0/28'] },
    { cidr: 'fd00:65::/32', except: ['fd00:65::a:0/112'] },
    { cidr: '::/0', except: ['fd00::/8'] },
    { cidr: '192.0.2.9/32' },
  );
}

const peer = fc.oneof(
  { weight: 3, arbitrary: fc.record({ podSelector: labelSelector }) },
  { weight: 2, arbitrary: fc.record({ namespaceSelector }) },
  { weight: 2, arbitrary: fc.record({ podSelector: labelSelector, namespaceSelector }) },
  { weight: 2, arbitrary: fc.record({ ipBlock }) },
);

const port = fc.oneof(
  { weight: 2, arbitrary: fc.record({ port: fc.constantFrom('http', 'dns') }) },
  fc.record(
    { port: fc.constantFrom<number | string>(80, 81, 'http', 'dns'), protocol: fc.constantFrom('TCP', 'UDP', 'SCTP') },
    { requiredKeys: [] },
  ),
  fc.record(
    { port: fc.constantFrom(79, 80, 81), endPort: fc.constantFrom(81, 90), protocol: fc.constantFrom('TCP', 'UDP') },
    { requiredKeys: ['port', 'endPort'] },
  ),
);

const rule = (peers: 'from' | 'to') =>
  fc.record(
    { [peers]: fc.array(peer, { maxLength: 2 }), ports: fc.array(port, { maxLength: 2 }) },
    { requiredKeys: [] },
  );

const spec = fc.record({
  podSelector: labelSelector,
  policyTypes: fc.constantFrom(undefined, [], ['Ingress'], ['Egress'], ['Ingress', 'Egress']),
  ingress: fc.option(fc.array(rule('from'), { maxLength: 2 }), { nil: undefined }),
  egress: fc.option(fc.array(rule('to'), { maxLength: 2 }), { nil: undefined }),
});

export const anyNetworkPolicy: fc.Arbitrary<WorldPolicy> = fc
  .tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom('p', 'q', 'y-p', 'r'), spec)
  .map(([namespace, name, one]) => networkPolicy(namespace, name, one));

const worldPort = fc.record({
  name: fc.constantFrom('http', 'http', 'dns', undefined),
  port: fc.constantFrom(80, 80, 81, 8080),
  protocol: fc.constantFrom('TCP', 'TCP', 'UDP'),
  sidecar: fc.boolean(),
});

const podShape = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  labels,
  node: fc.constantFrom(...NODES),
  ports: fc.array(worldPort, { minLength: 1, maxLength: 3 }),
  families: fc.constantFrom('both', 'both', 'both', '4', '6'),
  hostNetwork: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  phase: fc.constantFrom('Running', 'Running', 'Running', 'Pending', 'Succeeded'),
});

const pods: fc.Arbitrary<readonly WorldPod[]> = fc.array(podShape, { minLength: 2, maxLength: 6 }).map((shapes) =>
  shapes.map((shape, index) => {
    const [subnet, half] = shape.node === 'n1' ? [0, 'a'] : [1, 'b'];
    const own = [`10.65.${subnet}.${index + 1}`, `fd00:65::${half}:${index + 1}`];
    const node = shape.node === 'n1' ? ['172.18.0.1', 'fc00::1'] : ['172.18.0.2', 'fc00::2'];
    const ips = shape.hostNetwork
      ? node
      : own.filter((ip) => shape.families === 'both' || ip.includes(':') === (shape.families === '6'));
    return {
      namespace: shape.namespace,
      name: `p${index}`,
      labels: shape.labels,
      node: shape.node,
      ports: shape.ports,
      ips,
      hostNetwork: shape.hostNetwork,
      phase: shape.phase,
    };
  }),
);

const namespaces: fc.Arbitrary<readonly WorldNamespace[]> = fc.tuple(
  ...NAMESPACES.map((name) => labels.map((one) => ({ name, labels: one }))),
);

/** Later policies of one identity replace earlier ones, as an API would. */
export function distinct(policies: readonly WorldPolicy[]): readonly WorldPolicy[] {
  return [
    ...new Map(
      policies.map((policy) => [
        `${policy.kind} ${policy.object.metadata?.namespace}/${policy.object.metadata?.name}`,
        policy,
      ]),
    ).values(),
  ];
}

export const worldWith = (policies: fc.Arbitrary<readonly WorldPolicy[]>): fc.Arbitrary<World> =>
  fc.record({
    nodes: fc.constant([
      { name: 'n1', ips: ['172.18.0.1', 'fc00::1'], labels: { app: 'a' } },
      { name: 'n2', ips: ['172.18.0.2', 'fc00::2'], labels: {} },
    ]),
    namespaces,
    pods,
    externals: fc.constant([
      { name: 'out', ips: ['192.0.2.9', '2001:db8::9'] },
      { name: 'near', ips: ['192.0.2.65', 'fd00:65::ffff:1'] },
    ]),
    policies,
  });

export const anyWorld: fc.Arbitrary<World> = worldWith(fc.array(anyNetworkPolicy, { maxLength: 5 }).map(distinct));

const networks = fc.subarray(
  ['0.0.0.0/0', '::/0', '10.65.0.0/24', '10.65.1.0/24', '172.18.0.0/16', 'fd00:65::/32', '192.0.2.0/24'],
  { minLength: 1, maxLength: 3 },
);

const selecting = fc.oneof(
  fc.record({ namespaces: namespaceSelector }),
  fc.record({ pods: fc.record({ namespaceSelector, podSelector: labelSelector }) }),
);

const clusterPeer = (direction: 'ingress' | 'egress') =>
  direction === 'ingress'
    ? selecting
    : fc.oneof({ weight: 3, arbitrary: selecting }, fc.record({ networks }), fc.record({ nodes: labelSelector }));

const destination = fc.oneof(
  fc.record({ number: fc.constantFrom(80, 81) }),
  fc.constant({ range: { start: 80, end: 90 } }),
  fc.constant({ range: { start: 1, end: 65_535 } }),
);

const protocol = fc.oneof(
  fc.record({ destinationNamedPort: fc.constantFrom('http', 'dns') }),
  ...(['tcp', 'udp', 'sctp'] as const).map((one) => fc.record({ [one]: fc.record({ destinationPort: destination }) })),
);

const adminPort = fc.oneof(
  fc.record({ namedPort: fc.constantFrom('http', 'dns') }),
  fc.record({ portNumber: fc.record({ protocol: fc.constantFrom('TCP', 'UDP'), port: fc.constantFrom(80, 81) }) }),
  fc.record({
    portRange: fc.record({
      protocol: fc.constantFrom('TCP', 'UDP'),
      start: fc.constantFrom(70, 80),
      end: fc.constantFrom(81, 90),
    }),
  }),
);

/** Rules of a direction; a nameless peer never meets a port name, as the kinds' validation demands. */
function clusterRules(
  direction: 'ingress' | 'egress',
  actions: readonly string[],
  portsField: string,
  port: fc.Arbitrary<unknown>,
): fc.Arbitrary<unknown> {
  const rule = fc.record({
    action: fc.constantFrom(...actions),
    [direction === 'ingress' ? 'from' : 'to']: fc.array(clusterPeer(direction), { minLength: 1, maxLength: 2 }),
    [portsField]: fc.option(fc.array(port, { minLength: 1, maxLength: 2 }), { nil: undefined }),
  });
  return fc.array(
    rule.filter((one) => !/nodes|networks/.test(JSON.stringify(one)) || !/amedPort/.test(JSON.stringify(one))),
    { maxLength: 3 },
  );
}

function clusterSpec(actions: readonly string[], portsField: string, port: fc.Arbitrary<unknown>) {
  return fc.record({
    subject: selecting,
    ingress: clusterRules('ingress', actions, portsField, port),
    egress: clusterRules('egress', actions, portsField, port),
  });
}

/** Priorities are unique, because equal ones have no defined meaning. */
const clusterPolicies: fc.Arbitrary<readonly WorldPolicy[]> = fc
  .record({
    cluster: fc.array(
      fc.tuple(fc.constantFrom('Admin', 'Baseline'), clusterSpec(['Accept', 'Deny', 'Pass'], 'protocols', protocol)),
      { maxLength: 3 },
    ),
    admin: fc.array(clusterSpec(['Allow', 'Deny', 'Pass'], 'ports', adminPort), { maxLength: 2 }),
    baseline: fc.option(clusterSpec(['Allow', 'Deny'], 'ports', adminPort), { nil: undefined }),
    reversed: fc.boolean(),
  })
  .map(({ cluster, admin, baseline, reversed }) => {
    const priority = (index: number): number => (reversed ? 900 - index : index);
    return [
      ...cluster.map(([tier, one], index) =>
        clusterPolicy('ClusterNetworkPolicy', `c${index}`, { ...one, tier, priority: priority(2 * index) }),
      ),
      ...admin.map((one, index) =>
        clusterPolicy('AdminNetworkPolicy', `a${index}`, { ...one, priority: priority(2 * index + 1) }),
      ),
      ...(baseline === undefined ? [] : [clusterPolicy('BaselineAdminNetworkPolicy', 'default', baseline)]),
    ];
  });

/** Cluster tiers above and below a few NetworkPolicies. */
export const tieredWorld: fc.Arbitrary<World> = worldWith(
  fc
    .tuple(clusterPolicies, fc.array(anyNetworkPolicy, { maxLength: 2 }))
    .map(([cluster, own]) => distinct([...cluster, ...own])),
);
