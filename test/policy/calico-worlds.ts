/**
 * Random worlds with Calico's policies. Selectors come from a table of texts and the predicates they stand for.
 */
import fc from 'fast-check';
import type { CalicoEntity, SelectorTable } from './reference-calico.js';
import { calicoPolicy, type World, type WorldPolicy } from './world.js';
import { anyNetworkPolicy, distinct, worldWith } from './worlds.js';

type Labels = ReadonlyMap<string, string>;

const ENDPOINT_SELECTORS: readonly (readonly [string, (labels: Labels) => boolean])[] = [
  ['all()', () => true],
  ['app == "a"', (l) => l.get('app') === 'a'],
  ['app != "a"', (l) => l.get('app') !== 'a'],
  ['has(app)', (l) => l.has('app')],
  ['!has(constructor)', (l) => !l.has('constructor')],
  ['app in {"a", "b"} && has(constructor)', (l) => ['a', 'b'].includes(l.get('app') ?? '-') && l.has('constructor')],
  ['app not in {""} || constructor == \'a\'', (l) => l.get('app') !== '' || l.get('constructor') === 'a'],
  ['app contains "a"', (l) => l.get('app')?.includes('a') ?? false],
  ['projectcalico.org/namespace == "x"', (l) => l.get('projectcalico.org/namespace') === 'x'],
  ['projectcalico.org/orchestrator == "k8s"', (l) => l.get('projectcalico.org/orchestrator') === 'k8s'],
  ['!(app == "a" && has(constructor))', (l) => !(l.get('app') === 'a' && l.has('constructor'))],
];
const NAMESPACE_SELECTORS: readonly (readonly [string, (labels: Labels) => boolean])[] = [
  ['app starts with "a"', (l) => l.get('app')?.startsWith('a') ?? false],
  ['projectcalico.org/name in {"x", "y"}', (l) => ['x', 'y'].includes(l.get('projectcalico.org/name') ?? '')],
  ['has(app) ', (l) => l.has('app')],
];
const ACCOUNT_SELECTORS: readonly (readonly [string, (labels: Labels) => boolean])[] = [
  ['trust == "high"', (l) => l.get('trust') === 'high'],
  ['!has(trust)', (l) => !l.has('trust')],
];

export const SELECTORS: SelectorTable = new Map([...ENDPOINT_SELECTORS, ...NAMESPACE_SELECTORS, ...ACCOUNT_SELECTORS]);

const endpointSelector = fc.constantFrom(...ENDPOINT_SELECTORS.map(([text]) => text));
const namespaceSelector = fc.constantFrom(...NAMESPACE_SELECTORS.map(([text]) => text), 'global()');
const accountSelector = fc.constantFrom(...ACCOUNT_SELECTORS.map(([text]) => text));
const net = fc.constantFrom(
  '0.0.0.0/0',
  '::/0',
  '10.65.0.0/24',
  '10.65.1.0/24',
  '192.0.2.9',
  'fd00:65::/32',
  '172.18.0.0/16',
);
const port = fc.constantFrom<number | string>(80, 81, '80:81', 'http', 'dns', '8000:9000');

const peer = (withPorts: boolean): fc.Arbitrary<CalicoEntity> =>
  fc
    .record(
      {
        selector: endpointSelector,
        notSelector: endpointSelector,
        namespaceSelector,
        serviceAccounts: fc.record(
          { names: fc.subarray(['default', 'web'], { minLength: 1 }), selector: accountSelector },
          { requiredKeys: [] },
        ),
        nets: fc.array(net, { minLength: 1, maxLength: 2 }),
        notNets: fc.array(net, { minLength: 1, maxLength: 2 }),
        ...(withPorts
          ? {
              ports: fc.array(port, { minLength: 1, maxLength: 3 }),
              notPorts: fc.array(port, { minLength: 1, maxLength: 2 }),
            }
          : {}),
      },
      { requiredKeys: [] },
    )
    .chain((full) =>
      fc
        .subarray(Object.keys(full), { maxLength: Math.min(2, Object.keys(full).length) })
        .map((keys) => Object.fromEntries(Object.entries(full).filter(([key]) => keys.includes(key))) as CalicoEntity),
    );

const action = fc.constantFrom('Allow', 'Allow', 'Deny', 'Pass', 'Log');
const rule = fc.oneof(
  fc.record(
    {
      action,
      protocol: fc.constantFrom<string | number>('TCP', 'UDP', 6),
      source: peer(false),
      destination: peer(true),
    },
    { requiredKeys: ['action', 'protocol'] },
  ),
  fc.record(
    {
      action,
      ipVersion: fc.constantFrom(4, 6),
      notProtocol: fc.constantFrom('TCP', 'UDP'),
      source: peer(false),
      destination: peer(false),
    },
    { requiredKeys: ['action'] },
  ),
);

const spec = fc.record(
  {
    tier: fc.constantFrom('default', 'front', 'back'),
    order: fc.constantFrom(1, 50.5, 999, 1001, 5000),
    selector: endpointSelector,
    types: fc.constantFrom(['Ingress'], ['Egress'], ['Ingress', 'Egress']),
    ingress: fc.array(rule, { maxLength: 3 }),
    egress: fc.array(rule, { maxLength: 3 }),
    serviceAccountSelector: accountSelector,
  },
  { requiredKeys: ['tier'] },
);

const policy: fc.Arbitrary<WorldPolicy> = fc.oneof(
  fc
    .tuple(fc.constantFrom('x', 'y', 'x-y'), fc.constantFrom('p', 'q'), spec)
    .map(([namespace, name, one]) => calicoPolicy('CalicoNetworkPolicy', namespace, name, one)),
  fc
    .tuple(
      fc.constantFrom('g', 'h'),
      spec,
      fc.option(fc.constantFrom(...NAMESPACE_SELECTORS.map(([text]) => text)), { nil: undefined }),
    )
    .map(([name, one, namespaces]) =>
      calicoPolicy(
        'GlobalNetworkPolicy',
        '',
        name,
        namespaces === undefined ? one : { ...one, namespaceSelector: namespaces },
      ),
    ),
);

const networkSets = fc
  .array(
    fc.record({
      namespace: fc.constantFrom(undefined, 'x'),
      name: fc.constantFrom('s', 't'),
      labels: fc.constantFrom<Readonly<Record<string, string>>>({ app: 'a' }, { constructor: 'a' }, {}),
      nets: fc.subarray(['192.0.2.0/24', '10.65.0.0/24', '10.65.0.0/16', 'fd00:65::/32', '0.0.0.0/0'], {
        maxLength: 3,
      }),
    }),
    { maxLength: 3 },
  )
  .map((sets) => [...new Map(sets.map((set) => [`${set.namespace}/${set.name}`, set])).values()]);

/** Names settle equal orders only within one kind and namespace here, as in Calico's own sort: orders are made unique. */
const unique = (policies: readonly WorldPolicy[]): readonly WorldPolicy[] =>
  policies.map((one, index) => {
    const own = one.object.spec as { readonly order?: number };
    return { ...one, object: { ...one.object, spec: { ...own, order: (own.order ?? 7000) + index / 100 } } };
  });

export const calicoWorld: fc.Arbitrary<World> = fc
  .tuple(
    worldWith(fc.array(anyNetworkPolicy, { maxLength: 1 })),
    fc.array(policy, { minLength: 1, maxLength: 4 }),
    networkSets,
    fc.record({
      front: fc.constantFrom(undefined, 'Deny', 'Pass'),
      back: fc.constantFrom(undefined, 'Pass'),
      order: fc.constantFrom(undefined, 2_000_000),
    }),
    fc.constantFrom(undefined, 'high', 'low'),
    fc.constantFrom('default', 'web'),
  )
  .map(([world, calico, sets, tiers, trust, account]) => ({
    ...world,
    pods: world.pods.map((pod, index) => (index % 2 === 0 ? { ...pod, serviceAccount: account } : pod)),
    policies: [...world.policies, ...unique(distinct(calico))],
    networkSets: sets,
    tiers: [
      { name: 'front', order: 10, ...(tiers.front === undefined ? {} : { defaultAction: tiers.front }) },
      {
        name: 'back',
        ...(tiers.order === undefined ? {} : { order: tiers.order }),
        ...(tiers.back === undefined ? {} : { defaultAction: tiers.back }),
      },
    ],
    serviceAccounts:
      trust === undefined ? [] : ['x', 'y'].map((namespace) => ({ namespace, name: account, labels: { trust } })),
  }));
