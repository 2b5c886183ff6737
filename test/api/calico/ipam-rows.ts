/** IPPool, IPReservation, IPAMConfiguration, IPAMBlock, NodeAddresses. */
import { statusRows } from './bgp-rows.js';
import { acts, refused, type Proof, type Section } from './table.js';

const LOOP = 'src/agent/ipam-loop.ts';
const ipam = (title: string): Proof => ['test/agent/ipam-loop.test.ts', title];
const manual = ipam('never draws on a manual or disabled pool by itself');
const names: Proof = ['test/agent/refusals.test.ts', 'names what is asked for and not built'];
const reserves = ipam('gives no reserved address to a pod that does not ask for it');
const claims = ipam('claims a block of each family before anybody asks, and assigns from both');

const lending = (title: string): Proof => ['test/agent/block-lending.test.ts', title];
const borrows = lending('address when no block is free, and advertises that alone');

const assigns: Proof = [
  'test/ipam-command/assign.test.ts',
  'gives a handle an address of each family, and the same ones again',
];

const KEPT = 'src/agent/kept-addresses.ts';
const KEPT_TEST = 'test/agent/kept-addresses.test.ts';
const comesAgain: Proof = [
  KEPT_TEST,
  'lets the pod have its addresses on another node, which advertises them alone, and on the way back',
];

const PUBLISHER = 'src/agent/address-publisher.ts';
const publishes: Proof = [
  'test/agent/address-publisher.test.ts',
  'tells who has which address, a burst in one write, and what is new later',
];

export const ipamSections: readonly Section[] = [
  {
    kinds: ['IPPool'],
    rows: [
      acts('spec', 'A range of addresses for pods', LOOP, claims),
      acts('spec.cidr', 'The range; cannot change; of two that overlap the older is used', 'ipam/src/pool.ts', [
        'test/ipam/pool.test.ts',
        'lets the older of two overlapping pools stand, whatever its name or size',
      ]),
      acts('spec.blockSize', 'Prefix length of a block; default 26 and 122; cannot change', 'ipam/src/pool.ts', [
        'test/ipam/pool.test.ts',
        'fills in block sizes and keeps both families',
      ]),
      acts(
        'spec.natOutgoing',
        'Packets from it to addresses in no pool and of no node leave with an address of the node',
        'src/nat/nat-rules.ts',
        ['test/nat/nat-packets.test.ts', 'masquerades what leaves the pools and nothing else'],
      ),
      acts(
        'spec.disabled',
        'No new addresses or blocks, from blocks that nodes hold neither',
        LOOP,
        ipam('takes nothing more from a block it holds once its pool is disabled, and claims from another'),
      ),
      acts('spec.disableBGPExport', 'Blocks of the pool are announced to nobody', 'src/topology/originations.ts', [
        'test/lab/rack-fields.test.ts',
        'announces no block of a pool with disableBGPExport, to routers or nodes',
      ]),
      refused('spec.nodeSelector', names, 'Nodes whose pods take addresses of it unasked; in a pool for Services'),
      acts(
        'spec.namespaceSelector',
        'Namespaces whose pods take addresses of it unasked',
        'src/agent/node-pools.ts',
        ipam('chooses pools by the labels of the namespace, and lets a request beat selectors'),
      ),
      refused(
        'spec.allowedUses',
        names,
        'Without Workload no pod gets addresses of it, without Tunnel no tunnel of a node does; LoadBalancer: ' +
          'for Services (docs/services-bgp.md)',
      ),
      acts('spec.assignmentMode', 'Manual: only for pods that ask for the pool by annotation', LOOP, manual),
      refused(
        'spec.ipipMode',
        names,
        'The same by IP in IP, IPv4 only; a kernel without it (module ipip) is named in NodeStatus',
      ),
      acts(
        'spec.vxlanMode',
        'Packets to pods of other nodes go through VXLAN: Always, or CrossSubnet: where the nodes share no subnet (docs/ipam.md)',
        'src/overlay/overlay-plan.ts',
        [
          'test/lab/rack-overlay.test.ts',
          'carries packets of pods, and of nodes, through the tunnel, in both families',
        ],
      ),
      ...statusRows,
    ],
  },
  {
    kinds: ['IPReservation'],
    rows: [
      acts('spec', 'Holds reservedCIDRs', LOOP, reserves),
      refused(
        'spec.reservedCIDRs',
        names,
        'Addresses that only a pod which names one gets; what is no address or range',
      ),
      ...statusRows,
    ],
  },
  {
    kinds: ['IPAMConfiguration'],
    about: 'The one named `default` rules the cluster. Any other is read by nobody, and InUse says so.',
    rows: [
      acts('spec', 'How nodes own blocks', 'src/agent/lending-plan.ts', borrows),
      acts(
        'spec.strictAffinity',
        'true: no node borrows from another, or offers anything',
        'src/agent/lending-plan.ts',
        lending('neither offers nor borrows with strictAffinity'),
      ),
      acts(
        'spec.maxBlocksPerHost',
        'Blocks of each family that a node may own; 0 or absent: any number (Calico documents 20)',
        'src/agent/block-claims.ts',
        lending('claims no more blocks of a family than maxBlocksPerHost, names the limit, and borrows instead'),
      ),
      refused('spec.autoAllocateBlocks', names, 'true'),
      acts(
        'spec.kubeVirtVMAddressPersistence',
        'Enabled: the addresses of a stopped VirtualMachine wait for it a day, on any node',
        'src/agent/sticky-pods.ts',
        [
          'test/agent/sticky-pods.test.ts',
          "keeps for a virtual machine by the machine's name, a day, where IPAMConfiguration says so",
        ],
      ),
      ...statusRows,
    ],
  },
  {
    kinds: ['IPAMBlock'],
    about: 'Ours (tortie.dev/v1alpha1): agents write it; creating one is the claim.',
    rows: [
      acts('spec', 'A claim', 'src/agent/kubernetes-block-store.ts', claims),
      acts('spec.cidr', 'The block', 'src/agent/kubernetes-block-store.ts', claims),
      acts(
        'spec.node',
        'Its owner',
        LOOP,
        ipam('takes back blocks the API says are ours, and gives up those that are not'),
      ),
      acts(
        'spec.offers',
        'Free addresses that the owner lends',
        'src/agent/block-lending.ts',
        lending('takes back what it offers before its own pods lack an address'),
      ),
      acts('spec.loans', 'Addresses that other nodes have', 'src/agent/block-lending.ts', borrows),
      acts('spec.loans[].address', 'One of them', 'src/agent/block-lending.ts', borrows),
      acts('spec.loans[].node', 'Who has it, and advertises it', 'src/agent/block-lending.ts', borrows),
      acts('spec.loans[].handle', 'For what, where `tortie ipam assign` gave it', 'src/ipam/assign.ts', assigns),
      acts('spec.kept', 'Addresses that nobody has, each for a pod that may come again', KEPT, comesAgain),
      acts('spec.kept[].address', 'One of them', KEPT, comesAgain),
      acts('spec.kept[].keptFor', 'Kind, namespace and name of who gets it', KEPT, comesAgain),
      acts('spec.kept[].until', 'When anybody does', KEPT, [KEPT_TEST, 'frees them when their time is over']),
      acts('spec.agentless', 'No agent gives out of it: `tortie ipam assign` does', 'src/ipam/assign.ts', assigns),
      acts(
        'spec.vacant',
        'Empty: who needs a block makes it its own',
        'src/agent/block-claims.ts',
        lending('makes a block its own that has been empty for two looks, when the pool has no other'),
      ),
      acts(
        'spec.pool',
        'The pool it is cut from',
        LOOP,
        ipam('takes back blocks the API says are ours, and gives up those that are not'),
      ),
    ],
  },
  {
    kinds: ['NodeAddresses'],
    about: 'Ours (tortie.dev/v1alpha1): a copy for readers such as `tortie ipam`, a minute old at most.',
    rows: [
      acts('spec', 'Who has which address on the node', PUBLISHER, publishes),
      acts('spec.publishedAt', 'When that was', PUBLISHER, publishes),
      acts('spec.addresses', 'Addresses of the node, borrowed ones too', PUBLISHER, publishes),
      acts('spec.addresses[].address', 'One of them', PUBLISHER, publishes),
      acts('spec.addresses[].{namespace,pod,uid}', 'The pod that has it', PUBLISHER, publishes),
      acts('spec.addresses[].containerId', 'Its sandbox', PUBLISHER, publishes),
      acts('spec.addresses[].tunnel', 'The node itself has it, on this interface of a tunnel', PUBLISHER, [
        'test/agent/tunnel-addresses.test.ts',
        'takes an address of each family, keeps it, and tells readers',
      ]),
    ],
  },
];
