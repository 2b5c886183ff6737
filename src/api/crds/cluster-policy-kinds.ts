/**
 * policy.networking.k8s.io: ClusterNetworkPolicy v1alpha2 (network-policy-api v0.2.0), AdminNetworkPolicy and
 * BaselineAdminNetworkPolicy v1alpha1 (v0.1.8), the experimental channel: what Tortie does not support of it is rejected by
 * the agent with a condition, which says more than a schema can.
 */
import { explained } from './explained.js';
import * as words from './policy-words.js';
import { ageColumn, conditionColumns, customResourceDefinition, type PrinterColumn } from './definition.js';
import {
  conditions,
  described,
  integer,
  labelSelector,
  list,
  object,
  oneOf,
  pattern,
  required,
  set,
  text,
  textUpTo,
  withDefault,
  withRules,
  type SchemaNode,
} from './schema-builders.js';

const GROUP = { group: 'policy.networking.k8s.io', scope: 'Cluster' } as const;

/** Exactly one member is set. */
const EXACTLY_ONE = { minProperties: 1, maxProperties: 1 };

const portNumber = integer(1, 65_535, 'int32');
const networks = described(
  'Ranges of addresses, in CIDR notation.',
  set(
    { ...withRules(textUpTo(43), { rule: 'isCIDR(self)', message: 'Invalid CIDR format provided' }) },
    { minItems: 1, maxItems: 25 },
  ),
);
const domainNames = described(
  words.DOMAIN_NAMES,
  set(pattern('^(\\*\\.)?([a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\\.)+[a-zA-z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\\.?$'), {
    minItems: 1,
    maxItems: 25,
  }),
);
const priority = required(described('0 to 1000; lower goes first.', integer(0, 1000, 'int32')));
const status = object({ conditions: required(conditions) });
const rangeRule = { rule: 'self.start < self.end', message: 'start must be smaller than end' };

/** The two API versions differ in what `pods` requires, in the words for a port, and in their limits. */
interface Dialect {
  readonly actions: readonly string[];
  readonly maxItems: number;
  readonly isNamespaceSelectorRequired: boolean;
  readonly portField: 'protocols' | 'ports';
  readonly port: SchemaNode;
  readonly namedPort: 'destinationNamedPort' | 'namedPort';
  readonly hasDomainNames: boolean;
}

const pods = (dialect: Dialect): SchemaNode =>
  described(
    words.PODS,
    object({
      namespaceSelector: described(
        words.NAMESPACE_OF_POD,
        dialect.isNamespaceSelectorRequired ? required(labelSelector) : labelSelector,
      ),
      podSelector: required(described(words.POD, labelSelector)),
    }),
  );

const namespaces = described(words.NAMESPACES, labelSelector);

const subject = (dialect: Dialect): SchemaNode =>
  required(described(words.SUBJECT, object({ namespaces, pods: pods(dialect) }, EXACTLY_ONE)));

function rules(dialect: Dialect, direction: 'ingress' | 'egress'): SchemaNode {
  const outside: Readonly<Record<string, SchemaNode>> =
    direction === 'ingress'
      ? {}
      : { networks, nodes: described(words.NODES, labelSelector), ...(dialect.hasDomainNames ? { domainNames } : {}) };
  const peers = list(object({ namespaces, pods: pods(dialect), ...outside }, EXACTLY_ONE), {
    minItems: 1,
    maxItems: dialect.maxItems,
  });
  const rule = object({
    name: described('For people.', textUpTo(100)),
    action: required(described(words.CLUSTER_ACTION, oneOf(...dialect.actions))),
    ...(direction === 'ingress'
      ? { from: required(described(words.FROM, peers)) }
      : { to: required(described(words.TO, peers)) }),
    [dialect.portField]: described(words.ANY_PORT, list(dialect.port, { minItems: 1, maxItems: dialect.maxItems })),
  });
  const external = `has(peer.networks) || has(peer.nodes)${dialect.hasDomainNames ? ' || has(peer.domainNames)' : ''}`;
  const withNames =
    direction === 'ingress'
      ? rule
      : withRules(rule, {
          rule:
            `!(self.to.exists(peer, ${external}) && has(self.${dialect.portField}) && ` +
            `self.${dialect.portField}.exists(port, has(port.${dialect.namedPort})))`,
          message: `networks, nodes and domainNames cannot be combined with ${dialect.namedPort}`,
        });
  return described(
    direction === 'ingress' ? words.INGRESS : words.EGRESS,
    list(withNames, { maxItems: dialect.maxItems }),
  );
}

const destination = object(
  {
    destinationPort: object(
      {
        number: portNumber,
        range: withRules(object({ start: required(portNumber), end: required(portNumber) }), rangeRule),
      },
      EXACTLY_ONE,
    ),
  },
  { minProperties: 1 },
);

const v1alpha2: Dialect = {
  actions: ['Accept', 'Deny', 'Pass'],
  maxItems: 25,
  isNamespaceSelectorRequired: false,
  portField: 'protocols',
  namedPort: 'destinationNamedPort',
  hasDomainNames: true,
  port: explained(
    words.PROTOCOLS,
    object({ tcp: destination, udp: destination, sctp: destination, destinationNamedPort: text }, EXACTLY_ONE),
  ),
};

const protocol = withDefault('TCP', text);

const v1alpha1: Dialect = {
  actions: ['Allow', 'Deny', 'Pass'],
  maxItems: 100,
  isNamespaceSelectorRequired: true,
  portField: 'ports',
  namedPort: 'namedPort',
  hasDomainNames: true,
  port: explained(
    words.PORTS,
    object(
      {
        portNumber: object({ protocol: required(protocol), port: required(portNumber) }),
        portRange: object({ protocol, start: required(portNumber), end: required(portNumber) }),
        namedPort: text,
      },
      EXACTLY_ONE,
    ),
  ),
};

const baseline: Dialect = { ...v1alpha1, actions: ['Allow', 'Deny'], hasDomainNames: false };

const priorityColumn: PrinterColumn = { name: 'Priority', type: 'string', jsonPath: '.spec.priority' };

const approved = (pull: number, version: string): Readonly<Record<string, string>> => ({
  'api-approved.kubernetes.io': `https://github.com/kubernetes-sigs/network-policy-api/pull/${pull}`,
  'policy.networking.k8s.io/bundle-version': version,
});

export const clusterPolicyKinds = [
  customResourceDefinition({
    ...GROUP,
    version: 'v1alpha2',
    kind: 'ClusterNetworkPolicy',
    plural: 'clusternetworkpolicies',
    shortNames: ['cnp'],
    annotations: approved(347, 'v0.2.0'),
    description: "A cluster administrator's policy, before (tier Admin) or after (tier Baseline) NetworkPolicy.",
    spec: object({
      tier: required(
        described(
          'Admin: before NetworkPolicy. Baseline: for what no NetworkPolicy decides.',
          oneOf('Admin', 'Baseline'),
        ),
      ),
      priority,
      subject: subject(v1alpha2),
      ingress: rules(v1alpha2, 'ingress'),
      egress: rules(v1alpha2, 'egress'),
    }),
    status,
    columns: [{ name: 'Tier', type: 'string', jsonPath: '.spec.tier' }, priorityColumn, ...conditionColumns, ageColumn],
  }),
  customResourceDefinition({
    ...GROUP,
    version: 'v1alpha1',
    kind: 'AdminNetworkPolicy',
    plural: 'adminnetworkpolicies',
    shortNames: ['anp'],
    annotations: approved(300, 'v0.1.7'),
    description: "A cluster administrator's policy that goes before NetworkPolicy.",
    spec: object({
      priority,
      subject: subject(v1alpha1),
      ingress: rules(v1alpha1, 'ingress'),
      egress: rules(v1alpha1, 'egress'),
    }),
    status,
    columns: [priorityColumn, ...conditionColumns, ageColumn],
  }),
  customResourceDefinition({
    ...GROUP,
    version: 'v1alpha1',
    kind: 'BaselineAdminNetworkPolicy',
    plural: 'baselineadminnetworkpolicies',
    shortNames: ['banp'],
    annotations: approved(300, 'v0.1.7'),
    description: 'What holds for pods that no NetworkPolicy isolates. There is one, named "default".',
    spec: object({
      subject: subject(baseline),
      ingress: rules(baseline, 'ingress'),
      egress: rules(baseline, 'egress'),
    }),
    status,
    columns: [...conditionColumns, ageColumn],
    root: {
      'x-kubernetes-validations': [
        {
          message: 'Only one baseline admin network policy with metadata.name="default" can be created in the cluster',
          rule: "self.metadata.name == 'default'",
        },
      ],
    },
  }),
];
