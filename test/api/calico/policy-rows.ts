/** Calico's policy kinds. */
import { statusRows } from './bgp-rows.js';
import { acts, refused, type Proof, type Row, type Section } from './table.js';

const POLICY = 'policy/src/translate/calico-policy.ts';
const calico = (title: string): Proof => ['test/policy/calico.test.ts', title];
const hosts = (title: string): Proof => ['test/policy/host-endpoints.test.ts', title];
const traps = (file: string, title: string): Proof => [`test/policy/traps-${file}.test.ts`, title];
const order = calico('order decides, fractions and none at all included; equal orders go by name');
const types = calico('types default by the rules there are');
const nets = calico('nets, notNets, ipVersion, protocol numbers and notProtocol');
const icmp = calico('ICMP types and codes, and their negations');
const staged = calico('staged deletions and ignored ones add nothing; a staged NetworkPolicy only watches');
const log = calico('Log goes on, staged policies log what they would do, and both are limited');
const bad: Proof = ['test/policy/bad-objects.test.ts', ': an Allow matches nothing, a Deny what it can'];
const HTTP = 'HTTP matches are not supported by Tortie';
const http = (path: string): Row => ({ path, refusal: HTTP, file: POLICY, proof: bad });

const rules: readonly Row[] = [
  acts('spec.{ingress,egress}', 'Rules, in order; the first that matches decides', POLICY, order),
  acts('spec.{ingress,egress}[].action', 'Allow, Deny, Pass to the next tier, Log and go on', POLICY, log),
  acts('spec.{ingress,egress}[].ipVersion', 'Only packets of this version', POLICY, nets),
  acts('spec.{ingress,egress}[].{protocol,notProtocol}', 'By name or number', POLICY, nets),
  acts(
    'spec.{ingress,egress}[].{icmp,icmp.type,icmp.code,notICMP,notICMP.type,notICMP.code}',
    'ICMP or ICMPv6, by type and code',
    POLICY,
    icmp,
  ),
  acts(
    'spec.{ingress,egress}[].{source,destination}',
    'See source and destination',
    'policy/src/translate/calico-entity.ts',
    calico('a namespaced policy means its own namespace as soon as it selects anything'),
    'entity',
  ),
  http('spec.{ingress,egress}[].http'),
  http('spec.{ingress,egress}[].{http.methods,http.paths,http.paths[].exact,http.paths[].prefix}'),
  acts(
    'spec.{ingress,egress}[].{metadata,metadata.annotations}',
    'Notes for people: nothing acts on them, as in Calico',
    POLICY,
    ['test/api/crds/server-side-apply.test.ts', 'applies, applies again, edits one entry of every list'],
  ),
];

const common: readonly Row[] = [
  acts('spec', 'A policy', POLICY, order),
  acts(
    'spec.tier',
    'Its tier; default "default"; one whose tier is not there waits for it',
    POLICY,
    calico('tiers: order, default action, pass, and policies that wait for a tier'),
  ),
  acts('spec.order', 'Lower first, none is last; equal ones go by name', POLICY, order),
  ...rules,
  acts('spec.selector', 'Endpoints it applies to; empty is all', POLICY, [
    'test/policy/bad-objects.test.ts',
    'Calico: a policy whose own selector does not parse applies to nobody',
  ]),
  acts('spec.types', 'Directions; default by the rules there are', POLICY, types),
  acts(
    'spec.serviceAccountSelector',
    'Only endpoints that run as such an account',
    POLICY,
    calico('service accounts: names, labels, both, and as subjects'),
  ),
  acts(
    'spec.performanceHints',
    'A hint that changes no verdict: every node keeps what its endpoints need, always',
    POLICY,
    ['test/api/crds/server-side-apply.test.ts', 'the objects tried fill every list of every CRD'],
  ),
  ...statusRows,
];

const global: readonly Row[] = [
  acts(
    'spec.namespaceSelector',
    'Namespaces whose endpoints it applies to',
    POLICY,
    calico('network sets are meant by selectors, global() means those of no namespace'),
  ),
  acts(
    'spec.doNotTrack',
    'Host endpoints: what it allows is not tracked',
    POLICY,
    hosts('take packets that doNotTrack policies allow out of connection tracking, both ways'),
  ),
  acts(
    'spec.preDNAT',
    'Host endpoints: judged before DNAT',
    POLICY,
    hosts('ask preDNAT policies first; what they allow is not asked again, what they do not decide is'),
  ),
  acts(
    'spec.applyOnForward',
    'Host endpoints: also for what crosses the host',
    POLICY,
    hosts('judge what crosses only by policies that apply on forward'),
  ),
];

const stagedAction = acts(
  'spec.stagedAction',
  'Set and Learn log what the policy would decide; Delete and Ignore add nothing',
  POLICY,
  staged,
);
const KUBERNETES = 'policy/src/translate/network-policy.ts';
const isolation = traps('selectors', '14: empty or missing from and ports mean everything');
const portsOf = (title: string): Proof => traps('ports', title);
const objects = 'policy/src/resolve/calico-objects.ts';
const names: Proof = ['test/agent/refusals.test.ts', 'names what is asked for and not built'];
const parts = hosts("refuse names that are no interface's, wrong addresses and missing nodes, part by part");

const nodeSets: readonly Row[] = [
  acts(
    'spec',
    'Addresses under the labels of the object',
    objects,
    calico('network sets are meant by selectors, global() means those of no namespace'),
  ),
  acts(
    'spec.nets',
    'Addresses and CIDRs',
    objects,
    calico('network sets are meant by selectors, global() means those of no namespace'),
  ),
  ...statusRows,
];

export const policySections: readonly Section[] = [
  { kinds: ['NetworkPolicy'], about: "Calico's, projectcalico.org/v3.", rows: common },
  { kinds: ['GlobalNetworkPolicy'], rows: [...common, ...global] },
  { kinds: ['StagedNetworkPolicy'], rows: [...common, stagedAction] },
  { kinds: ['StagedGlobalNetworkPolicy'], rows: [...common, ...global, stagedAction] },
  {
    kinds: ['StagedKubernetesNetworkPolicy'],
    rows: [
      acts('spec', 'A NetworkPolicy of Kubernetes that is only watched', KUBERNETES, staged),
      stagedAction,
      acts(
        'spec.podSelector',
        'Pods it applies to',
        KUBERNETES,
        traps('selectors', '7: podSelector missing, null or {} is every pod of the namespace'),
        'labels',
      ),
      acts('spec.{ingress,egress}', 'What it allows', KUBERNETES, isolation),
      acts('spec.{ingress[].from,egress[].to}', 'Peers, any of them; empty is everybody', KUBERNETES, isolation),
      acts(
        'spec.{ingress[].from,egress[].to}[].ipBlock',
        'A range of addresses',
        KUBERNETES,
        portsOf('28: pods, nodes and the outside alike, of one family only'),
      ),
      acts(
        'spec.{ingress[].from,egress[].to}[].ipBlock.cidr',
        'The range; host bits are masked',
        KUBERNETES,
        portsOf('32: host bits are masked'),
      ),
      acts(
        'spec.{ingress[].from,egress[].to}[].ipBlock.except',
        'Holes in it',
        KUBERNETES,
        portsOf('29: an except is a hole in its own block: another peer, rule or policy may allow it again'),
      ),
      acts(
        'spec.{ingress[].from,egress[].to}[].namespaceSelector',
        'Pods of namespaces with these labels',
        KUBERNETES,
        traps('selectors', '6: namespaceSelector {} is all pods, not nodes and not the outside'),
        'labels',
      ),
      acts(
        'spec.{ingress[].from,egress[].to}[].podSelector',
        'Pods with these labels',
        KUBERNETES,
        traps('selectors', '5: a missing selector is not an empty one'),
        'labels',
      ),
      acts(
        'spec.{ingress,egress}[].ports',
        'Ports, any of them; empty is all',
        KUBERNETES,
        portsOf('19: a missing protocol is TCP, {} is all of TCP, {protocol} is all of that protocol'),
      ),
      acts(
        'spec.{ingress,egress}[].ports[].{port,protocol}',
        'A number, or a name that the destination pod gives; default TCP',
        KUBERNETES,
        portsOf("21: a named port is the destination pod's, with name and protocol both"),
      ),
      acts(
        'spec.{ingress,egress}[].ports[].endPort',
        'Up to and with this one',
        KUBERNETES,
        portsOf(
          '20: endPort is inclusive and may equal port; one that the API would refuse matches nothing and is named',
        ),
      ),
      acts(
        'spec.policyTypes',
        'Directions; default Ingress, and Egress where it has rules',
        KUBERNETES,
        traps('selectors', '11: without policyTypes ingress always, egress only with an egress rule'),
      ),
      ...statusRows,
    ],
  },
  {
    kinds: ['Tier'],
    rows: [
      acts(
        'spec',
        'A group of policies',
        'policy/src/translate/tier.ts',
        calico('tiers: order, default action, pass, and policies that wait for a tier'),
      ),
      acts(
        'spec.order',
        'Lower first, none is last',
        'policy/src/translate/tier.ts',
        calico('tiers: order, default action, pass, and policies that wait for a tier'),
      ),
      acts(
        'spec.defaultAction',
        'For what its policies select and do not decide; default Deny',
        'policy/src/translate/tier.ts',
        calico('tiers: order, default action, pass, and policies that wait for a tier'),
      ),
      ...statusRows,
    ],
  },
  { kinds: ['NetworkSet'], rows: nodeSets },
  { kinds: ['GlobalNetworkSet'], rows: nodeSets },
  {
    kinds: ['HostEndpoint'],
    rows: [
      acts(
        'spec',
        "A node's interface",
        objects,
        hosts('deny without a policy, but failsafe ports, replies and their pods; a profile may allow'),
      ),
      acts(
        'spec.node',
        'The node',
        objects,
        hosts('are found by address when they name no interface, and ignored on other nodes'),
      ),
      acts(
        'spec.interfaceName',
        'The interface; "*" is every one that is not a pod\'s',
        objects,
        hosts('"*" takes every interface that is not a pod'),
      ),
      acts(
        'spec.expectedIPs',
        'Finds the interface when it has no name; what policies about others know it by',
        objects,
        hosts('are found by address when they name no interface, and ignored on other nodes'),
      ),
      refused('spec.profiles', names, '"projectcalico-default-allow" allows what no policy decides'),
      acts(
        'spec.{ports,ports[].name,ports[].protocol,ports[].port}',
        'Names for ports that policies may use',
        objects,
        parts,
      ),
      ...statusRows,
    ],
  },
];
