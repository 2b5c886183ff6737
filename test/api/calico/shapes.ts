/** Parts that stand in many places: label selectors, conditions, the ends of a Calico rule, a rule of a BGPFilter. */
import { acts, type Proof, type Row, type Shapes } from './table.js';

const SELECTOR = 'policy/src/validate/label-selector.ts';
const labels: readonly Row[] = [
  acts('matchLabels', 'All of these labels, with these values', SELECTOR, [
    'test/policy/traps-selectors.test.ts',
    '4: labels and expressions are ANDed, also twice about one key',
  ]),
  acts('matchExpressions', 'All of these conditions, beside matchLabels', SELECTOR, [
    'test/policy/traps-selectors.test.ts',
    '4: labels and expressions are ANDed, also twice about one key',
  ]),
  acts('matchExpressions[].key', 'The label a condition is about', SELECTOR, [
    'test/policy/traps-selectors.test.ts',
    '2: an empty value is a value, and missing is not empty',
  ]),
  acts(
    'matchExpressions[].operator',
    'In, NotIn, Exists or DoesNotExist; the last three hold without the label, too, as the API says',
    SELECTOR,
    ['test/policy/traps-selectors.test.ts', '1: NotIn and DoesNotExist match objects that lack the key'],
  ),
  acts('matchExpressions[].values', 'For In and NotIn; an empty text is a value', SELECTOR, [
    'test/policy/traps-selectors.test.ts',
    '2: an empty value is a value, and missing is not empty',
  ]),
];

const CONDITIONS = 'src/agent/object-conditions.ts';
const says: Proof = [
  'test/agent/object-status.test.ts',
  'says of every kind whether all of it can be used, and names what is not',
];
const follows: Proof = ['test/agent/object-status.test.ts', 'follows an edit, and keeps the time of a word that stays'];
const conditions: readonly Row[] = [
  acts('[].type', 'Accepted, InUse, or NODE/InUse of a node that cannot use it', CONDITIONS, says),
  acts('[].status', 'True or False', CONDITIONS, says),
  acts(
    '[].reason',
    'Accepted, FieldInvalid, FieldNotSupported, RefusedByNode; Used, NotUsed; Refused, LeftOut',
    CONDITIONS,
    says,
  ),
  acts(
    '[].message',
    'The fields that cannot be used, their values, what was expected; or who uses it',
    CONDITIONS,
    says,
  ),
  acts('[].observedGeneration', 'The generation of the object that this is about', CONDITIONS, follows),
  acts('[].lastTransitionTime', 'When the status last became another word', CONDITIONS, follows),
];

const ENTITY = 'policy/src/translate/calico-entity.ts';
const calico = (title: string): Proof => ['test/policy/calico.test.ts', title];
const nets = calico('nets, notNets, ipVersion, protocol numbers and notProtocol');
const ports = calico('ports: numbers, ranges, names and their negations');
const own = calico('a namespaced policy means its own namespace as soon as it selects anything');
const accounts = calico('service accounts: names, labels, both, and as subjects');
const services = calico(
  'Services: endpoints with their ports as destinations, by address as sources, following their slices',
);
const entity: readonly Row[] = [
  acts('nets', 'Addresses and CIDRs of either family, any of them', ENTITY, nets),
  acts('notNets', 'None of these', ENTITY, nets),
  acts(
    'selector',
    "Pods, network sets and host endpoints by label; of the policy's own namespace unless namespaceSelector is there",
    ENTITY,
    own,
  ),
  acts('notSelector', 'None of these', ENTITY, own),
  acts(
    'namespaceSelector',
    'Whose namespace has these labels; global() for network sets of no namespace',
    ENTITY,
    calico('network sets are meant by selectors, global() means those of no namespace'),
  ),
  acts('ports', 'Numbers, ranges "8080:8090" and names, any of them', ENTITY, ports),
  acts('notPorts', 'None of these', ENTITY, ports),
  acts('serviceAccounts', 'Pods that run as one of them', ENTITY, accounts),
  acts('serviceAccounts.names', 'By name', ENTITY, accounts),
  acts('serviceAccounts.selector', 'By label of the ServiceAccount', ENTITY, accounts),
  acts('services', 'The endpoints of a Service; as a destination with its ports', ENTITY, services),
  acts('services.name', 'The Service', ENTITY, services),
  acts('services.namespace', "Its namespace; default the policy's", ENTITY, services),
];

const FILTER = 'src/topology/bgp-filter.ts';
const topology = (title: string): Proof => ['test/topology/speaker-config.test.ts', title];
const filters = topology('asks the filters of users first, then our own, which lets through nothing that is not ours');
const whole: Proof = [
  'test/topology/marks.test.ts',
  'narrows the prefixes of a filter, and asks for routes of peers alone',
];
const matches: Proof = ['test/bgp/filter/policy.test.ts', "'matches' : 'does not match'"];
const sets: Proof = ['test/bgp/filter/policy.test.ts', '} makes '];
const filterRule: readonly Row[] = [
  acts('action', 'Accept or Reject; no rule that matches: accept', FILTER, filters),
  acts('cidr', 'The prefix the rule is about', FILTER, filters),
  acts('matchOperator', 'Equal, NotEqual, In, NotIn', FILTER, filters),
  acts('prefixLength', 'Narrows In and NotIn to these lengths', FILTER, whole),
  acts('prefixLength.min', 'Shortest; default the length of cidr', FILTER, whole),
  acts('prefixLength.max', 'Longest; default 32 or 128', FILTER, whole),
  acts('source', 'RemotePeers: only routes learned from peers', FILTER, whole),
  acts('interface', 'Only routes out of this interface; "*" is a wildcard', FILTER, [
    'test/bgp/filter/interface.test.ts',
    'are those of the next hop on import, and followed when links move',
  ]),
  acts('peerType', 'eBGP or iBGP: only peers of this kind', FILTER, matches),
  acts('communities', 'Only routes that carry them', FILTER, matches),
  acts('communities.values', 'One value, RFC 1997 "aa:nn" or RFC 8092 "aa:nn:mm"', FILTER, matches),
  acts('asPathPrefix', 'Only routes whose AS path begins so', FILTER, [
    'test/bgp/filter/policy.test.ts',
    'never takes an AS set for a prefix of the path',
  ]),
  acts('priority', 'Only routes with this metric in the kernel', FILTER, [
    'test/bgp/filter/policy.test.ts',
    'sees the kernel metric that import policy asked for',
  ]),
  acts('operations', 'What Accept changes, in order; later ones see what earlier ones did', FILTER, [
    'test/bgp/filter/policy.test.ts',
    'lets later rules see what earlier ones set',
  ]),
  acts('operations[].addCommunity', 'Adds a community', FILTER, sets),
  acts('operations[].addCommunity.value', 'RFC 1997 or RFC 8092', FILTER, sets),
  acts('operations[].prependASPath', 'Puts AS numbers before the path', FILTER, sets),
  acts('operations[].prependASPath.prefix', 'The first stands first', FILTER, sets),
  acts(
    'operations[].setPriority',
    'The metric of the route in the kernel; on export it is told that it has no effect',
    FILTER,
    sets,
  ),
  acts('operations[].setPriority.value', '1 to 2147483646', FILTER, sets),
];

export const shapes: Shapes = {
  labels: { title: 'Label selectors', rows: labels },
  conditions: { title: 'Conditions', rows: conditions },
  entity: { title: 'source and destination of a Calico rule', rows: entity },
  filterRule: {
    title: 'A rule of a BGPFilter',
    rows: filterRule.map((row) => ({ ...row, path: `[].${row.path}` })),
  },
};
