/** Annotations, labels and Secrets that Calico documents. */
import { FROM_TABLE, REFUSALS_FILE, type Mark, type Proof } from './table.js';

const NODE = 'src/topology/node-identity.ts';
const finer = (title: string): Proof => ['test/topology/marks.test.ts', title];
const address = finer("takes a node's addresses from Calico's annotations first");
const names: Proof = ['test/agent/refusals.test.ts', 'names what is asked for and not built'];
const asked: Proof = [
  'test/agent/pod-network.test.ts',
  'asks for what the namespace says where the pod says nothing, a family at a time',
];
const selectors: Proof = ['test/policy/calico-selector.test.ts', '-> '];
const SELECTOR = 'policy/src/translate/calico-selector.ts';

const acts = (on: string, name: string, does: string, file: string, proof: Proof): Mark => ({
  on,
  name,
  does,
  file,
  proof,
});
const refused = (on: string, name: string): Mark => ({
  on,
  name,
  refusal: FROM_TABLE,
  file: REFUSALS_FILE,
  proof: names,
});

const addresses = (title: string): Proof => ['test/controller/load-balancer/address-loop.test.ts', title];
const asks = addresses('does as ');
const shares = addresses('shares an address only when both ask for it, their ports differ, and any node will do');

export const marks: readonly Mark[] = [
  acts(
    'Node, annotation',
    'projectcalico.org/IPv4Address',
    "The node's IPv4 address, before the kubelet's; a prefix length may follow",
    NODE,
    address,
  ),
  acts('Node, annotation', 'projectcalico.org/IPv6Address', 'The same for IPv6', NODE, address),
  acts(
    'Node, annotation',
    'projectcalico.org/ASNumber',
    'Its AS number, before that of BGPConfiguration',
    NODE,
    finer("takes a node's AS number from its annotation"),
  ),
  acts(
    'Node, annotation',
    'projectcalico.org/RouteReflectorClusterID',
    'A reflector: outside the mesh, peers by BGPPeer',
    NODE,
    [
      'test/topology/speaker-config.test.ts',
      'keeps a reflector out of the mesh and peers it with its clients from both ends',
    ],
  ),
  acts(
    'Node, label',
    'node.kubernetes.io/exclude-from-external-load-balancers',
    'The node announces no service ranges, and no single addresses of Services',
    'src/topology/service-routes.ts',
    [
      'test/topology/service-routes.test.ts',
      'announces nothing of a node that load balancers leave out, nor of a pool with disableBGPExport',
    ],
  ),
  acts(
    'Secret',
    "the one a BGPPeer or BGPConfiguration names, in Tortie's namespace",
    'Password of the sessions; in that namespace only',
    'src/topology/peer-password.ts',
    ['test/topology/speaker-config.test.ts', 'peers with the routers of this node only, as each resource says'],
  ),
  acts(
    'Pod, annotation',
    'cni.projectcalico.org/ipv4pools',
    'Pools the pod takes its IPv4 address from, by name or CIDR',
    'src/agent/pool-annotations.ts',
    ['test/agent/pod-network.test.ts', 'reads the pools a pod asks for, and names an annotation it cannot read'],
  ),
  acts('Pod, annotation', 'cni.projectcalico.org/ipv6pools', 'The same for IPv6', 'src/agent/pool-annotations.ts', [
    'test/agent/pod-network.test.ts',
    'reads the pools a pod asks for, and names an annotation it cannot read',
  ]),
  acts(
    'Namespace, annotation',
    'cni.projectcalico.org/ipv4pools',
    'The same for all pods of the namespace that do not say',
    'src/agent/pool-annotations.ts',
    asked,
  ),
  acts(
    'Namespace, annotation',
    'cni.projectcalico.org/ipv6pools',
    'The same for IPv6',
    'src/agent/pool-annotations.ts',
    asked,
  ),
  acts(
    'Pod, annotation',
    'cni.projectcalico.org/ipAddrs',
    'The very addresses of the pod, one a family; reserved ones too, none from a block of another node',
    'src/agent/ipam-loop.ts',
    ['test/agent/ipam-loop.test.ts', 'gives a pod the very addresses it asks for, or says why not'],
  ),
  acts(
    'Pod, annotation',
    'cni.projectcalico.org/ipAddrsNoIpam',
    'The very addresses of the pod, of which nobody keeps account; the pod fails unless `tortie agent --ip-addrs-no-ipam accept`',
    'src/agent/pool-annotations.ts',
    [
      'test/agent/node-cidrs.test.ts',
      'gives a pod the addresses that nobody keeps account of, where the operator lets it',
    ],
  ),
  ...(['Pod', 'Namespace'] as const).map((kind) =>
    acts(
      `${kind}, annotation`,
      'tortie.dev/keep-addresses',
      kind === 'Pod'
        ? 'Ours: how long its addresses wait for its successor: of a StatefulSet, a VirtualMachine, or by its name'
        : 'The same for all pods of the namespace that do not say',
      'src/agent/sticky-pods.ts',
      [
        'test/agent/sticky-pods.test.ts',
        'keeps for a pod of a StatefulSet by its name, as long as its annotation says, or else its namespace',
      ],
    ),
  ),
  refused('Pod, annotation', 'cni.projectcalico.org/floatingIPs'),
  refused('Pod, annotation', 'cni.projectcalico.org/hwAddr'),
  refused('Pod, annotation', 'cni.projectcalico.org/allowedSourcePrefixes'),
  refused('Pod, annotation', 'qos.projectcalico.org/'),
  ...[
    ['kubernetes.io/ingress-bandwidth', 'What the pod receives, bits a second'],
    ['kubernetes.io/egress-bandwidth', 'What the pod sends, bits a second'],
    ['qos.projectcalico.org/ingressBandwidth', 'The same as kubernetes.io/ingress-bandwidth, and wins'],
    ['qos.projectcalico.org/egressBandwidth', 'The same as kubernetes.io/egress-bandwidth, and wins'],
    [
      'qos.projectcalico.org/ingressBurst',
      'Bits at once; default a tenth of a second of the bandwidth, at least 64 KiB',
    ],
    [
      'qos.projectcalico.org/egressBurst',
      'Bits at once; default a tenth of a second of the bandwidth, at least 64 KiB',
    ],
  ].map(([name = '', does = '']) =>
    acts('Pod, annotation', name, does, 'src/dataplane/shaper.ts', [
      'test/shaping/pod-limits.test.ts',
      "are Kubernetes' and Calico's, which win, in quantities of bits",
    ]),
  ),
  ...(['ingress', 'egress'] as const).flatMap((direction) =>
    [
      ['Peakrate', 'How fast what is saved up goes, bits a second; more than the bandwidth beside it'],
      ['Minburst', 'Octets that go without a pause at the peak rate; default and least one packet of the MTU'],
    ].map(([word = '', does = '']) =>
      acts('Pod, annotation', `qos.projectcalico.org/${direction}${word}`, does, 'src/dataplane/shaper.ts', [
        'test/shaping/shaper.test.ts',
        'puts a second bucket for a peak, and knows it again',
      ]),
    ),
  ),
  ...(['ingress', 'egress'] as const).flatMap((direction) =>
    [
      ['PacketRate', 'Packets a second in each family, 1 to 10,000; what is beyond is dropped'],
      ['PacketBurst', 'Packets at once, 1 to 10,000; default 5'],
      ['MaxConnections', 'Tracked connections in each family that were opened this way; new ones beyond are dropped'],
    ].map(([word = '', does = '']) =>
      acts('Pod, annotation', `qos.projectcalico.org/${direction}${word}`, does, 'policy/src/compile/limit-chain.ts', [
        'test/dataplane/netfilter/interface-limits.test.ts',
        'hold each way, are of one pod, and go',
      ]),
    ),
  ),
  acts(
    'Service, annotation',
    'projectcalico.org/loadBalancerIPs',
    'Its addresses, one a family, as a JSON list; from `tortie controller`',
    'src/controller/load-balancer/wish.ts',
    asks,
  ),
  acts(
    'Service, annotation',
    'projectcalico.org/{ipv4pools,ipv6pools}',
    'Pools of a family to take its address from, as a JSON list of names',
    'src/controller/load-balancer/wish.ts',
    asks,
  ),
  acts(
    'Service, annotation',
    'metallb.io/{loadBalancerIPs,address-pool,allow-shared-ip}',
    "MetalLB's: its addresses, its pool, and with whom it shares; also with metallb.universe.tf/",
    'src/controller/load-balancer/wish.ts',
    shares,
  ),
  acts(
    'Endpoint, label in selectors',
    'projectcalico.org/{namespace,orchestrator,serviceaccount,kind,name}',
    'Made by Tortie for policies to select on, as by Calico',
    SELECTOR,
    selectors,
  ),
];
