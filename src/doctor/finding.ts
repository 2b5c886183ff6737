/** What `tortie doctor` says: a finding is one thing that is wrong, or worth knowing, with what shows it and what mends it. */

/** `error`: packets are lost, or will be; `warning`: it holds until something else happens; `info`: nothing is wrong. */
export type Severity = 'error' | 'warning' | 'info';

export type Finding = FindingOf<CheckName>;

export interface FindingOf<Check extends string> {
  /** The name that `--ignore` takes. */
  readonly check: Check;
  readonly severity: Severity;
  /** `node "n1"`, or `cluster`. */
  readonly where: string;
  /** What was seen, with its values, in a sentence. */
  readonly evidence: string;
  /** What to do, in a sentence. */
  readonly remedy: string;
}

/** Each with what it looks at: `tortie doctor --help` and docs/operations.md list them. */
export const CHECKS = {
  'kernel-feature': 'what the kernel can do, tried in a scratch namespace',
  forwarding: 'net.ipv4.ip_forward, net.ipv6.conf.all.forwarding',
  'rp-filter': 'reverse path filters that drop what comes back by another link, or that let pods fill the table of ARP',
  'multipath-hash': 'fib_multipath_hash_policy where routes have several next hops',
  'optmem-max': 'room for TCP-MD5 keys on the listening socket',
  conntrack: 'how full the connection table is',
  neighbours: 'how full the tables of ARP and ND are',
  'network-manager': 'NetworkManager or systemd-networkd that may take interfaces and routes away',
  mtu: "pods' interfaces against the links that routes leave by",
  'node-address': 'the addresses of the Node object against those of this machine',
  bgpd: 'whether bgpd answers, and holds a configuration',
  'bgp-port': 'who listens on the BGP port',
  'bgp-session': 'sessions that are not up',
  'bgp-routes': 'learned routes that the kernel refuses, lacks, or has from somebody else',
  'pod-route': "routes to this node's pods and blackholes of its blocks, as the kernel has them",
  leftover: 'interfaces, routes and rules of other networks',
  'cni-config': 'which network configuration the container runtime reads first',
  'duplicate-address': 'two Nodes with one address',
  'duplicate-router-id': 'two speakers with one BGP identifier',
  'as-loop': 'nodes of one AS that hear of each other only through routers of another',
  'node-status': 'nodes whose agent is silent, or says that something is wrong',
  object: 'objects that are refused, whole or in part',
  pool: 'whether there is an IPPool that can be used',
  guard: 'the ValidatingAdmissionPolicies that hold agents to their own node',
  'other-network': 'DaemonSets of other networks',
  uninstallation: 'a DaemonSet of `tortie uninstall` that was broken off, and goes on at the next start of a node',
  unread: 'what could not be looked at',
} as const;

export type CheckName = keyof typeof CHECKS;

export const nodeName = (name: string): string => `node "${name}"`;
