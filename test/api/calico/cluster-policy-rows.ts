/** policy.networking.k8s.io: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy. */
import { statusRows } from './bgp-rows.js';
import { acts, type Proof, type Row, type Section } from './table.js';

const FILE = 'policy/src/translate/cluster-policy.ts';
const tiers = (title: string): Proof => ['test/policy/traps-tiers.test.ts', title];
const first = tiers(
  '57: the lower number goes first across policies and creation orders; inside a policy the first match',
);
const prose = tiers('66: what schema and prose allow');
const named = tiers('64: a port name matches every protocol the pod declares it under');
const peers = tiers('58: selecting isolates nobody; what no rule matches falls through');
const outside = tiers('62: networks cover pods and nodes of their family; a Pass for pods before them lets pods be');
const nodes = tiers("67: a nodes peer is the nodes' addresses, hostNetwork pods and the pod's own node among them");
const domain: Row = {
  path: 'spec.egress[].to[].domainNames',
  refusal: 'domain names are not supported by Tortie yet',
  file: 'policy/src/validate/cluster-policy.ts',
  proof: tiers('makes Accept match nothing and Deny and Pass deny everything'),
};

const PEERS = '{ingress[].from,egress[].to}';
const shared: readonly Row[] = [
  acts('spec', 'A policy of the cluster', FILE, first),
  acts('spec.subject', 'Pods it applies to', FILE, peers),
  acts('spec.subject.namespaces', 'All pods of these namespaces', FILE, peers, 'labels'),
  acts('spec.subject.pods', 'Some pods of some namespaces', FILE, peers),
  acts('spec.subject.pods.{namespaceSelector,podSelector}', 'Both must match', FILE, peers, 'labels'),
  acts('spec.{ingress,egress}', 'Rules, in order; the first that matches decides', FILE, first),
  acts('spec.{ingress,egress}[].name', 'For people', FILE, first),
  acts(
    'spec.{ingress,egress}[].action',
    'Accept (Allow), Deny, Pass to the next tier',
    FILE,
    tiers('59: Pass leaves the whole tier, and from Baseline to the default allow'),
  ),
  acts(`spec.${PEERS}`, 'Peers, any of them', FILE, peers),
  acts(`spec.${PEERS}[].namespaces`, 'Pods of these namespaces', FILE, peers, 'labels'),
  acts(`spec.${PEERS}[].pods`, 'Some pods of some namespaces', FILE, peers),
  acts(`spec.${PEERS}[].pods.{namespaceSelector,podSelector}`, 'Both must match', FILE, peers, 'labels'),
  acts('spec.egress[].to[].networks', 'Ranges of addresses, pods and nodes among them', FILE, outside),
  acts('spec.egress[].to[].nodes', 'Addresses of these nodes', FILE, nodes, 'labels'),
  ...statusRows,
];
const priority = acts('spec.priority', '0 to 1000, the lower first', FILE, first);

const PORT = 'spec.{ingress,egress}[].protocols[].{tcp,udp,sctp}';
const protocols: readonly Row[] = [
  acts('spec.{ingress,egress}[].protocols', 'Ports, any of them; none: all', FILE, prose),
  acts(PORT, 'A port of this protocol', FILE, prose),
  acts(`${PORT}.{destinationPort,destinationPort.number}`, 'One port', FILE, prose),
  acts(`${PORT}.destinationPort.{range,range.start,range.end}`, 'From one up to and with another', FILE, prose),
  acts(
    'spec.{ingress,egress}[].protocols[].destinationNamedPort',
    'A name that the destination pod gives',
    FILE,
    named,
  ),
];

const ports: readonly Row[] = [
  acts('spec.{ingress,egress}[].ports', 'Ports, any of them; none: all', FILE, prose),
  acts('spec.{ingress,egress}[].ports[].{portNumber,portNumber.protocol,portNumber.port}', 'One port', FILE, prose),
  acts(
    'spec.{ingress,egress}[].ports[].{portRange,portRange.protocol,portRange.start,portRange.end}',
    'From one up to and with another',
    FILE,
    prose,
  ),
  acts('spec.{ingress,egress}[].ports[].namedPort', 'A name that the destination pod gives', FILE, named),
];

export const clusterPolicySections: readonly Section[] = [
  {
    kinds: ['ClusterNetworkPolicy'],
    about: 'policy.networking.k8s.io/v1alpha2.',
    rows: [
      ...shared,
      ...protocols,
      priority,
      domain,
      acts(
        'spec.tier',
        'Admin before, Baseline after all other policies',
        FILE,
        tiers('60: a NetworkPolicy hides Baseline in its own direction only, and finally'),
      ),
    ],
  },
  {
    kinds: ['AdminNetworkPolicy'],
    about: 'policy.networking.k8s.io/v1alpha1.',
    rows: [...shared, ...ports, priority, domain],
  },
  {
    kinds: ['BaselineAdminNetworkPolicy'],
    about: 'policy.networking.k8s.io/v1alpha1; the one named `default`.',
    rows: [...shared, ...ports],
  },
];
