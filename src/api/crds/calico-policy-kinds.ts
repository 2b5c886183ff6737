/** Calico's policy kinds. Limits, rules and their sentences are Calico's own (api/pkg/apis/projectcalico/v3). */
import {
  ageColumn,
  conditionColumns,
  customResourceDefinition,
  type KindDefinition,
  type PrinterColumn,
} from './definition.js';
import { explained } from './explained.js';
import * as words from './policy-words.js';
import {
  atomicList,
  bool,
  described,
  integer,
  intOrString,
  labelSelector,
  list,
  mapOf,
  number,
  object,
  objectStatus,
  oneOf,
  required,
  selector,
  set,
  text,
  textUpTo,
  withDefault,
  withRules,
  type Rule,
  type SchemaNode,
} from './schema-builders.js';

const GROUP = { group: 'projectcalico.org', version: 'v3' } as const;

const noGlobal = (field: string): Rule => ({
  rule: `!has(self.${field}) || !self.${field}.contains('global(')`,
  message: 'global() can only be used in an EntityRule namespaceSelector',
  reason: 'FieldValueInvalid',
});

const empty = (field: string): string => `(!has(self.${field}) || size(self.${field}) == 0)`;

const entityRule = withRules(
  explained(
    words.ENTITY,
    object({
      nets: set(textUpTo(49), { maxItems: 256 }),
      notNets: set(textUpTo(49), { maxItems: 256 }),
      selector,
      notSelector: selector,
      namespaceSelector: selector,
      ports: atomicList(intOrString, { maxItems: 50 }),
      notPorts: atomicList(intOrString, { maxItems: 50 }),
      serviceAccounts: object({ names: set(text), selector: text }),
      services: object({ name: textUpTo(253), namespace: textUpTo(253) }),
    }),
  ),
  noGlobal('selector'),
  {
    rule: `!has(self.services) || ${empty('namespaceSelector')}`,
    message: 'cannot specify NamespaceSelector and Services on the same rule',
    reason: 'FieldValueForbidden',
  },
  {
    rule: '!has(self.services) || !has(self.serviceAccounts)',
    message: 'cannot specify ServiceAccounts and Services on the same rule',
    reason: 'FieldValueForbidden',
  },
  {
    rule: '!has(self.services) || (has(self.services.name) && size(self.services.name) > 0)',
    message: 'services must specify a service name',
    reason: 'FieldValueRequired',
  },
  {
    rule: `!has(self.services) || (${empty('selector')} && ${empty('notSelector')})`,
    message: 'cannot specify Selector/NotSelector and Services on the same rule',
    reason: 'FieldValueForbidden',
  },
  {
    rule: `!has(self.services) || (${empty('nets')} && ${empty('notNets')})`,
    message: 'cannot specify Nets/NotNets and Services on the same rule',
    reason: 'FieldValueForbidden',
  },
);

const icmp = withRules(object({ type: integer(0, 254), code: integer(0, 255) }), {
  rule: '!has(self.code) || has(self.type)',
  message: 'ICMP code specified without an ICMP type',
  reason: 'FieldValueInvalid',
});

/** A protocol of one IP version needs that version. */
const versionRule = (field: string, name: string, protocol: number, version: number): Rule => ({
  rule:
    `(!has(self.${field}) || (self.${field} != '${name}' && self.${field} != ${protocol})) || ` +
    `!has(self.ipVersion) || self.ipVersion == ${version}`,
  message: `protocol ${name} requires ipVersion ${version}`,
  reason: 'FieldValueInvalid',
});

const rule = withRules(
  explained(
    words.RULE,
    object({
      action: required(oneOf('Allow', 'Deny', 'Log', 'Pass')),
      ipVersion: { type: 'integer', enum: [4, 6] },
      protocol: intOrString,
      notProtocol: intOrString,
      icmp,
      notICMP: icmp,
      source: entityRule,
      destination: entityRule,
      http: object({
        methods: atomicList(text, { maxItems: 20 }),
        paths: atomicList(object({ exact: textUpTo(1024), prefix: textUpTo(1024) }), { maxItems: 20 }),
      }),
      metadata: object({ annotations: mapOf(text) }),
    }),
  ),
  {
    rule: "!has(self.http) || !has(self.protocol) || self.protocol == 'TCP' || self.protocol == 6",
    message: 'rules with HTTP match must have protocol TCP or unset',
    reason: 'FieldValueInvalid',
  },
  {
    rule: "self.action == 'Allow' || !has(self.http)",
    message: 'HTTP match is only valid on Allow rules',
    reason: 'FieldValueForbidden',
  },
  {
    rule:
      '!has(self.destination) || !has(self.destination.services) || (!has(self.destination.ports) || ' +
      'size(self.destination.ports) == 0) && (!has(self.destination.notPorts) || size(self.destination.notPorts) == 0)',
    message: 'ports and notPorts cannot be specified with services',
    reason: 'FieldValueForbidden',
  },
  {
    rule:
      "!has(self.icmp) || (has(self.protocol) && (self.protocol == 'ICMP' || self.protocol == 'ICMPv6' || " +
      'self.protocol == 1 || self.protocol == 58))',
    message: 'ICMP fields require protocol to be ICMP or ICMPv6',
    reason: 'FieldValueInvalid',
  },
  versionRule('protocol', 'ICMP', 1, 4),
  versionRule('protocol', 'ICMPv6', 58, 6),
  versionRule('notProtocol', 'ICMP', 1, 4),
  versionRule('notProtocol', 'ICMPv6', 58, 6),
);

const ruleList = atomicList(rule, { maxItems: 1024 });
const stagedAction = described(words.STAGED_ACTION, withDefault('Set', oneOf('Set', 'Delete', 'Learn', 'Ignore')));
const policyTypes = set(oneOf('Ingress', 'Egress'), { minItems: 1, maxItems: 2 });

const common: Readonly<Record<string, SchemaNode>> = {
  tier: withDefault('default', textUpTo(253)),
  order: described('Lower first; absent is last.', number),
  ingress: ruleList,
  egress: ruleList,
  selector: described('Endpoints the policy applies to; empty is all.', selector),
  types: policyTypes,
  serviceAccountSelector: selector,
  performanceHints: set(oneOf('AssumeNeededOnEveryNode')),
};

const namespacedSpec = (extra: Readonly<Record<string, SchemaNode>> = {}): SchemaNode =>
  withRules(
    explained(words.POLICY, object({ ...extra, ...common })),
    noGlobal('selector'),
    noGlobal('serviceAccountSelector'),
  );

const isSet = (field: string): string => `(has(self.${field}) && self.${field})`;

const globalSpec = (extra: Readonly<Record<string, SchemaNode>> = {}): SchemaNode =>
  withRules(
    explained(
      words.GLOBAL_POLICY,
      object({
        ...extra,
        ...common,
        namespaceSelector: selector,
        doNotTrack: bool,
        preDNAT: bool,
        applyOnForward: bool,
      }),
    ),
    {
      rule: `!(${isSet('doNotTrack')} && ${isSet('preDNAT')})`,
      message: 'preDNAT and doNotTrack cannot both be true',
      reason: 'FieldValueForbidden',
    },
    {
      rule: `!${isSet('preDNAT')} || ${empty('egress')}`,
      message: 'preDNAT policy cannot have any egress rules',
      reason: 'FieldValueForbidden',
    },
    {
      rule: `!${isSet('preDNAT')} || !has(self.types) || !self.types.exists(t, t == 'Egress')`,
      message: "preDNAT policy cannot have 'Egress' type",
      reason: 'FieldValueForbidden',
    },
    {
      rule: `${isSet('applyOnForward')} || (!${isSet('doNotTrack')} && !${isSet('preDNAT')})`,
      message: 'applyOnForward must be true if either preDNAT or doNotTrack is true',
      reason: 'FieldValueInvalid',
    },
    noGlobal('selector'),
    noGlobal('serviceAccountSelector'),
    noGlobal('namespaceSelector'),
  );

const port = object({ endPort: integer(1, 65_535, 'int32'), port: intOrString, protocol: oneOf('TCP', 'UDP', 'SCTP') });
const peer = object({
  ipBlock: object({ cidr: required(text), except: atomicList(text) }),
  namespaceSelector: labelSelector,
  podSelector: labelSelector,
});

const kubernetesSpec = explained(
  words.KUBERNETES_POLICY,
  object({
    stagedAction,
    podSelector: labelSelector,
    ingress: atomicList(object({ from: atomicList(peer), ports: atomicList(port) })),
    egress: atomicList(object({ to: atomicList(peer), ports: atomicList(port) })),
    policyTypes,
  }),
);

const policyColumns: readonly PrinterColumn[] = [
  { name: 'Tier', type: 'string', jsonPath: '.spec.tier' },
  { name: 'Order', type: 'number', jsonPath: '.spec.order' },
];
const stagedColumn: PrinterColumn = { name: 'Action', type: 'string', jsonPath: '.spec.stagedAction' };

/** A policy kind: its tier can be selected on. */
const policy = (
  row: Pick<KindDefinition, 'kind' | 'plural' | 'shortNames' | 'scope' | 'description' | 'spec'>,
  columns: readonly PrinterColumn[],
  hasTier: boolean,
): Readonly<Record<string, unknown>> =>
  customResourceDefinition({
    ...GROUP,
    ...row,
    status: objectStatus,
    columns: [...columns, ...conditionColumns, ageColumn],
    ...(hasTier ? { selectableFields: ['.spec.tier'] } : {}),
  });

const tier = customResourceDefinition({
  ...GROUP,
  kind: 'Tier',
  plural: 'tiers',
  scope: 'Cluster',
  description: 'A group of policies, applied before groups of higher order.',
  spec: object({
    order: described('Lower first; absent is last.', number),
    defaultAction: described(
      'For traffic of selected endpoints that no policy of the tier decided. Default Deny.',
      oneOf('Pass', 'Deny'),
    ),
  }),
  root: {
    'x-kubernetes-validations': [
      ...(['kube-admin', 'kube-baseline'] as const).map((name) => ({
        message: `The '${name}' tier must have default action 'Pass'`,
        rule: `self.metadata.name == '${name}' ? has(self.spec.defaultAction) && self.spec.defaultAction == 'Pass' : true`,
      })),
      {
        message: "The 'default' tier must have default action 'Deny'",
        rule: "self.metadata.name == 'default' ? !has(self.spec.defaultAction) || self.spec.defaultAction == 'Deny' : true",
      },
    ],
  },
  columns: [
    { name: 'Order', type: 'number', jsonPath: '.spec.order' },
    { name: 'DefaultAction', type: 'string', jsonPath: '.spec.defaultAction' },
    ...conditionColumns,
    ageColumn,
  ],
  status: objectStatus,
});

const nets = explained(
  words.NETWORK_SET,
  object({
    nets: withRules(set(textUpTo(49), { maxItems: 100_000 }), {
      rule: 'self.all(n, isCIDR(n) || isIP(n))',
      message: 'nets entries must be IP addresses or CIDRs',
      reason: 'FieldValueInvalid',
    }),
  }),
);

const networkSet = customResourceDefinition({
  ...GROUP,
  kind: 'NetworkSet',
  plural: 'networksets',
  shortNames: ['netsets'],
  scope: 'Namespaced',
  description: 'Addresses under labels, for policies of the namespace to select.',
  spec: nets,
  status: objectStatus,
  columns: [...conditionColumns, ageColumn],
});

const globalNetworkSet = customResourceDefinition({
  ...GROUP,
  kind: 'GlobalNetworkSet',
  plural: 'globalnetworksets',
  shortNames: ['gns'],
  scope: 'Cluster',
  description: 'Addresses under labels, for all policies to select.',
  spec: nets,
  status: objectStatus,
  columns: [...conditionColumns, ageColumn],
});

const hostEndpoint = customResourceDefinition({
  ...GROUP,
  kind: 'HostEndpoint',
  plural: 'hostendpoints',
  shortNames: ['hep', 'heps'],
  scope: 'Cluster',
  description: "A node's interface, for policies to apply to.",
  spec: withRules(
    explained(
      words.HOST_ENDPOINT,
      object({
        node: textUpTo(253),
        interfaceName: described('"*" is every interface of the node.', textUpTo(15)),
        expectedIPs: set(textUpTo(43)),
        profiles: set(text),
        ports: list(
          object({ name: required(text), protocol: required(intOrString), port: required(integer(1, 65_535)) }),
        ),
      }),
    ),
    {
      rule: '(has(self.interfaceName) && size(self.interfaceName) > 0) || (has(self.expectedIPs) && size(self.expectedIPs) > 0)',
      message: 'at least one of interfaceName or expectedIPs must be specified',
      reason: 'FieldValueInvalid',
    },
    { rule: 'has(self.node) && size(self.node) > 0', message: 'node must be specified', reason: 'FieldValueInvalid' },
  ),
  columns: [
    { name: 'Node', type: 'string', jsonPath: '.spec.node' },
    { name: 'Interface', type: 'string', jsonPath: '.spec.interfaceName' },
    ...conditionColumns,
    ageColumn,
  ],
  status: objectStatus,
});

export const calicoPolicyKinds = [
  policy(
    {
      kind: 'NetworkPolicy',
      plural: 'networkpolicies',
      shortNames: ['cnp', 'caliconetworkpolicy'],
      scope: 'Namespaced',
      description: "Calico's policy of one namespace.",
      spec: namespacedSpec(),
    },
    policyColumns,
    true,
  ),
  policy(
    {
      kind: 'GlobalNetworkPolicy',
      plural: 'globalnetworkpolicies',
      shortNames: ['gnp', 'cgnp'],
      scope: 'Cluster',
      description: "Calico's policy of the whole cluster.",
      spec: globalSpec(),
    },
    policyColumns,
    true,
  ),
  policy(
    {
      kind: 'StagedNetworkPolicy',
      plural: 'stagednetworkpolicies',
      shortNames: ['snp'],
      scope: 'Namespaced',
      description: 'A NetworkPolicy that counts and logs but does not act.',
      spec: namespacedSpec({ stagedAction }),
    },
    [...policyColumns, stagedColumn],
    true,
  ),
  policy(
    {
      kind: 'StagedGlobalNetworkPolicy',
      plural: 'stagedglobalnetworkpolicies',
      shortNames: ['sgnp'],
      scope: 'Cluster',
      description: 'A GlobalNetworkPolicy that counts and logs but does not act.',
      spec: globalSpec({ stagedAction }),
    },
    [...policyColumns, stagedColumn],
    true,
  ),
  policy(
    {
      kind: 'StagedKubernetesNetworkPolicy',
      plural: 'stagedkubernetesnetworkpolicies',
      shortNames: ['sknp'],
      scope: 'Namespaced',
      description: 'A Kubernetes NetworkPolicy that counts and logs but does not act.',
      spec: kubernetesSpec,
    },
    [stagedColumn],
    false,
  ),
  tier,
  networkSet,
  globalNetworkSet,
  hostEndpoint,
];
