/** IPPool, IPReservation, IPAMBlock. */
import { statusRows } from './bgp-rows.js';
import { acts, refused, type Proof, type Section } from './table.js';

const LOOP = 'src/agent/ipam-loop.ts';
const ipam = (title: string): Proof => ['test/agent/ipam-loop.test.ts', title];
const serves = ipam('serves only pools that select this node, and names those it cannot use');
const manual = ipam('never draws on a manual or disabled pool by itself');
const names: Proof = ['test/agent/refusals.test.ts', 'names what is asked for and not built'];
const reserves = ipam('gives no reserved address to a pod that does not ask for it');
const claims = ipam('claims a block of each family before anybody asks, and assigns from both');

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
      refused('spec.natOutgoing', names),
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
      acts('spec.nodeSelector', 'Nodes whose pods take addresses of it unasked', 'src/agent/node-pools.ts', serves),
      acts(
        'spec.namespaceSelector',
        'Namespaces whose pods take addresses of it unasked',
        'src/agent/node-pools.ts',
        ipam('chooses pools by the labels of the namespace, and lets a request beat selectors'),
      ),
      refused(
        'spec.allowedUses',
        names,
        'Without Workload no pod gets addresses of it; Tunnel asks for nothing, there are no tunnels',
      ),
      acts('spec.assignmentMode', 'Manual: only for pods that ask for the pool by annotation', LOOP, manual),
      refused('spec.ipipMode', names, 'Never'),
      refused('spec.vxlanMode', names, 'Never'),
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
        'spec.pool',
        'The pool it is cut from',
        LOOP,
        ipam('takes back blocks the API says are ours, and gives up those that are not'),
      ),
    ],
  },
];
