/** What `kubectl explain` says of pools, reservations and blocks. */
import type { Words } from './explained.js';

export const IP_POOL: Words = {
  allowedUses:
    'Workload: addresses for pods. Tunnel: for the ends of tunnels of nodes. LoadBalancer, which stands ' +
    'alone: for Services of that type. Default Workload and Tunnel.',
  assignmentMode:
    'Manual: only for pods that name the pool in the annotation cni.projectcalico.org/ipv4pools or ' +
    'ipv6pools. Default Automatic.',
};

export const IP_RESERVATION: Words = {
  reservedCIDRs: 'Addresses, or ranges in CIDR notation, that no pod gets unless it asks for that very address.',
};

export const IPAM_BLOCK: Words = {
  cidr: 'The block.',
  'loans.address': 'The address.',
  'kept.address': 'The address.',
  'kept.until': 'When it is given to others again.',
  'loans.node': 'The node that has it, and announces it.',
};

export const NODE_ADDRESSES: Words = {
  publishedAt: 'When the agent last told.',
  addresses: 'Addresses in use on the node, those borrowed of blocks of other nodes among them.',
  'addresses.address': 'The address.',
  'addresses.namespace': 'Namespace of the pod that has it.',
  'addresses.pod': 'Name of the pod that has it.',
  'addresses.tunnel': 'The node itself has it, on this interface of a tunnel.',
  'addresses.uid': 'UID of the pod.',
  'addresses.containerId': 'Sandbox of the pod.',
};
