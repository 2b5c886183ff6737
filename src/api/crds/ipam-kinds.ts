/** IPPool, IPReservation, IPAMConfiguration (Calico's) IPAMBlock and NodeAddresses (ours). */
import { ageColumn, conditionColumns, customResourceDefinition } from './definition.js';
import { explained } from './explained.js';
import * as words from './ipam-words.js';
import {
  atomicList,
  bool,
  cidr,
  described,
  integer,
  listByKeys,
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
} from './schema-builders.js';

const ipPool = customResourceDefinition({
  group: 'projectcalico.org',
  version: 'v3',
  kind: 'IPPool',
  plural: 'ippools',
  scope: 'Cluster',
  description: 'A range of addresses: for pods, cut into blocks that nodes own, or for Services.',
  spec: withRules(
    explained(
      words.IP_POOL,
      object({
        cidr: required(described('The pool. Cannot change.', cidr)),
        blockSize: described(
          'Prefix length of the blocks nodes claim. Default 26 for IPv4, 122 for IPv6.',
          integer(0, 128),
        ),
        natOutgoing: described('Masquerade packets that leave for addresses outside all pools.', bool),
        disabled: described('Give out no new addresses from this pool.', bool),
        disableBGPExport: described('Keep the routes of this pool out of BGP.', bool),
        nodeSelector: described('Nodes that may take blocks of this pool; default all().', selector),
        namespaceSelector: described('Namespaces whose pods may take addresses of this pool.', selector),
        allowedUses: set(oneOf('Workload', 'Tunnel', 'LoadBalancer')),
        assignmentMode: withDefault('Automatic', oneOf('Automatic', 'Manual')),
        ipipMode: described(
          'IP in IP between nodes, for IPv4: Never, Always, or CrossSubnet: only between nodes that share no subnet.',
          oneOf('Never', 'Always', 'CrossSubnet'),
        ),
        vxlanMode: described(
          'VXLAN between nodes: Never, Always, or CrossSubnet: only between nodes that share no subnet.',
          oneOf('Never', 'Always', 'CrossSubnet'),
        ),
      }),
    ),
    { rule: 'self.cidr == oldSelf.cidr', message: 'cidr cannot be changed; make a new pool and disable this one' },
    {
      rule: 'has(self.blockSize) == has(oldSelf.blockSize) && (!has(self.blockSize) || self.blockSize == oldSelf.blockSize)',
      message: 'blockSize cannot be changed; make a new pool and disable this one',
    },
  ),
  columns: [
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidr', description: 'The pool' },
    { name: 'Block', type: 'integer', jsonPath: '.spec.blockSize', description: 'Prefix length of a block' },
    {
      name: 'NAT',
      type: 'boolean',
      jsonPath: '.spec.natOutgoing',
      description: 'Whether packets leaving the pools are masqueraded',
    },
    { name: 'Disabled', type: 'boolean', jsonPath: '.spec.disabled', description: 'Whether new addresses are refused' },
    {
      name: 'Selector',
      type: 'string',
      jsonPath: '.spec.nodeSelector',
      description: 'Nodes that may use the pool',
      priority: 1,
    },
    { name: 'BGP-Export-Off', type: 'boolean', jsonPath: '.spec.disableBGPExport', priority: 1 },
    ...conditionColumns,
    ageColumn,
  ],
  status: objectStatus,
});

const ipReservation = customResourceDefinition({
  group: 'projectcalico.org',
  version: 'v3',
  kind: 'IPReservation',
  plural: 'ipreservations',
  scope: 'Cluster',
  description: 'Addresses that no pod gets. Addresses already given out stay.',
  spec: explained(words.IP_RESERVATION, object({ reservedCIDRs: set(textUpTo(43), { maxItems: 10_000 }) })),
  status: objectStatus,
  columns: [{ name: 'CIDRs', type: 'string', jsonPath: '.spec.reservedCIDRs' }, ...conditionColumns, ageColumn],
});

const ipamConfiguration = customResourceDefinition({
  group: 'projectcalico.org',
  version: 'v3',
  kind: 'IPAMConfiguration',
  plural: 'ipamconfigurations',
  scope: 'Cluster',
  description: 'How nodes own blocks of addresses. The one named default rules the cluster.',
  spec: object({
    strictAffinity: described("No node borrows addresses of another node's block.", bool),
    maxBlocksPerHost: described(
      'Blocks of each address family that a node may own; 0: any number.',
      integer(0, 1_000_000),
    ),
    autoAllocateBlocks: described('Nodes claim the blocks they need. Only true is supported.', bool),
    kubeVirtVMAddressPersistence: described(
      'Enabled: the address of a virtual machine (KubeVirt) is kept for it while it is stopped or moves to another node.',
      oneOf('Enabled', 'Disabled'),
    ),
  }),
  status: objectStatus,
  columns: [
    { name: 'Strict', type: 'boolean', jsonPath: '.spec.strictAffinity' },
    { name: 'MaxBlocks', type: 'integer', jsonPath: '.spec.maxBlocksPerHost' },
    ...conditionColumns,
    ageColumn,
  ],
});

const ipamBlock = customResourceDefinition({
  group: 'tortie.dev',
  version: 'v1alpha1',
  kind: 'IPAMBlock',
  plural: 'ipamblocks',
  scope: 'Cluster',
  description: 'A block of addresses and the node that owns it. Creating it is the claim.',
  spec: withRules(
    explained(
      words.IPAM_BLOCK,
      object({
        cidr: required(cidr),
        node: required(described('Name of the owning node.', { ...text, minLength: 1, maxLength: 253 })),
        pool: required(
          described('Name of the IPPool the block is cut from.', { ...text, minLength: 1, maxLength: 253 }),
        ),
        offers: described(
          'Addresses that the owner gives to none of its pods and any node may borrow.',
          set(textUpTo(43), { maxItems: 4096 }),
        ),
        loans: described(
          'Addresses that other nodes have.',
          listByKeys(
            ['address'],
            object({
              address: required(textUpTo(43)),
              node: required({ ...text, minLength: 1, maxLength: 253 }),
              handle: described('For what, where no agent knows.', { ...text, minLength: 1, maxLength: 253 }),
            }),
            { maxItems: 4096 },
          ),
        ),
        kept: described(
          'Addresses that nobody has, each kept for a pod that may come again.',
          listByKeys(
            ['address'],
            object({
              address: required(textUpTo(43)),
              keptFor: required(
                described('Kind, namespace and name: "StatefulSet shop/web-0".', { ...textUpTo(600), minLength: 1 }),
              ),
              until: required({ type: 'string', format: 'date-time' }),
            }),
            { maxItems: 4096 },
          ),
        ),
        vacant: described('Nobody has an address of it: a node that needs a block may make it its own.', bool),
        agentless: described('No agent gives out its addresses; its loans are all that is given out.', bool),
      }),
    ),
    { rule: 'self.cidr == oldSelf.cidr && self.pool == oldSelf.pool', message: 'cidr and pool cannot be changed' },
  ),
  columns: [
    { name: 'CIDR', type: 'string', jsonPath: '.spec.cidr' },
    { name: 'Node', type: 'string', jsonPath: '.spec.node' },
    { name: 'Pool', type: 'string', jsonPath: '.spec.pool' },
    ageColumn,
  ],
  selectableFields: ['.spec.node', '.spec.pool'],
});

const nodeAddresses = customResourceDefinition({
  group: 'tortie.dev',
  version: 'v1alpha1',
  kind: 'NodeAddresses',
  plural: 'nodeaddresses',
  scope: 'Cluster',
  description:
    'Who has which address on the node of that name, as its agent last told; for readers such as `tortie ipam`.',
  spec: explained(
    words.NODE_ADDRESSES,
    object({
      publishedAt: required({ type: 'string', format: 'date-time' }),
      addresses: atomicList(
        object({
          address: required(textUpTo(43)),
          namespace: required(textUpTo(253)),
          pod: required(textUpTo(253)),
          tunnel: textUpTo(15),
          uid: textUpTo(253),
          containerId: required(textUpTo(253)),
        }),
        { maxItems: 65_536 },
      ),
    }),
  ),
  columns: [{ name: 'Published', type: 'date', jsonPath: '.spec.publishedAt' }, ageColumn],
});

export const ipamKinds = [ipPool, ipReservation, ipamConfiguration, ipamBlock, nodeAddresses];
