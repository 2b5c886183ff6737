/** What `kubectl explain` says of Calico's policy kinds and of policy.networking.k8s.io. */
import type { Words } from './explained.js';

/** Of `words`, each behind a path. */
const behind = (path: string, words: Words): Words =>
  Object.fromEntries(Object.entries(words).map(([name, sentence]) => [`${path}.${name}`, sentence]));

export const ENTITY: Words = {
  nets: 'Addresses and CIDRs of either family; any of them matches.',
  notNets: 'None of these addresses and CIDRs.',
  selector:
    "Pods, network sets and host endpoints by their labels; of the policy's own namespace unless namespaceSelector is there.",
  notSelector: 'None that these labels select.',
  namespaceSelector:
    'In namespaces with these labels; global() means network sets and host endpoints, which are in none.',
  ports:
    'Numbers, ranges "8080:8090", or names that pods give their ports; any of them matches. Needs protocol TCP, UDP or SCTP.',
  notPorts: 'None of these ports.',
  serviceAccounts: 'Pods that run as one of these ServiceAccounts.',
  'serviceAccounts.names': 'By name.',
  'serviceAccounts.selector': 'By the labels of the ServiceAccount.',
  services: 'The endpoints of a Service; as a destination with their ports.',
  'services.name': 'Name of the Service.',
  'services.namespace': "Its namespace. Default the policy's own.",
};

export const RULE: Words = {
  action: 'What to do with what matches all of the rule: Allow, Deny, Pass to the next tier, or Log and go on.',
  ipVersion: 'Only packets of IP version 4 or 6.',
  protocol: 'By name (TCP, UDP, SCTP, ICMP, ICMPv6, UDPLite) or by number.',
  notProtocol: 'All protocols but this one.',
  icmp: 'Only these ICMP messages; needs protocol ICMP or ICMPv6.',
  'icmp.type': 'ICMP type.',
  'icmp.code': 'ICMP code; needs type.',
  notICMP: 'None of these ICMP messages.',
  'notICMP.type': 'ICMP type.',
  'notICMP.code': 'ICMP code; needs type.',
  source: 'Where packets come from.',
  destination: 'Where packets go.',
  http: 'HTTP requests. Not supported: a rule with it allows nothing, and the condition Accepted says so.',
  'http.methods': 'Not supported.',
  'http.paths': 'Not supported.',
  'http.paths.exact': 'Not supported.',
  'http.paths.prefix': 'Not supported.',
  metadata: 'Notes for people; nothing acts on them.',
  'metadata.annotations': 'Notes for people; nothing acts on them.',
};

export const POLICY: Words = {
  tier: 'Name of its Tier. Default "default". A policy whose tier is not there waits for it.',
  ingress: 'Rules about what endpoints receive, in order; the first that matches decides.',
  egress: 'Rules about what endpoints send, in order; the first that matches decides.',
  types: 'Directions that the policy decides, Ingress or Egress or both. Default by the rules that there are.',
  serviceAccountSelector: 'Only endpoints that run as a ServiceAccount with these labels.',
  performanceHints: 'Changes no verdict: every node keeps what its endpoints need, always.',
};

export const GLOBAL_POLICY: Words = {
  ...POLICY,
  namespaceSelector: 'Only endpoints in namespaces with these labels.',
  doNotTrack: 'Of host endpoints: connections that it allows are not tracked. Needs applyOnForward.',
  preDNAT: 'Of host endpoints: decides before destinations are translated. Needs applyOnForward.',
  applyOnForward: 'Of host endpoints: also for packets that cross the host, not only for its own.',
};

export const STAGED_ACTION =
  'Set and Learn tell what the policy would decide; Delete and Ignore tell nothing of it. Default Set.';

const PEER: Words = {
  ipBlock: 'A range of addresses.',
  'ipBlock.cidr': 'The range, in CIDR notation.',
  'ipBlock.except': 'Ranges inside it that are left out.',
  namespaceSelector: 'Pods of namespaces with these labels.',
  podSelector: 'Pods with these labels.',
};

const kubernetesRule = (peers: 'from' | 'to'): Words => ({
  [peers]: 'Peers, any of them; empty is everybody.',
  ...behind(peers, PEER),
  ports: 'Ports, any of them; empty is all.',
  'ports.port': 'A number, or a name that the destination pod gives.',
  'ports.endPort': 'The last of a range that begins with port.',
  'ports.protocol': 'TCP, UDP or SCTP. Default TCP.',
});

export const KUBERNETES_POLICY: Words = {
  podSelector: 'Pods that it applies to, by their labels; empty is all of the namespace.',
  policyTypes: 'Directions that the policy decides. Default Ingress, and Egress where it has such rules.',
  ingress: 'What pods may receive.',
  ...behind('ingress', kubernetesRule('from')),
  egress: 'What pods may send.',
  ...behind('egress', kubernetesRule('to')),
};

export const NETWORK_SET: Words = { nets: 'Addresses and CIDRs of either family.' };

export const HOST_ENDPOINT: Words = {
  node: 'Name of the node.',
  expectedIPs:
    "The interface's addresses: they find it where interfaceName is absent, and are what selectors of policies mean by it.",
  profiles:
    '"projectcalico-default-allow" allows what no policy decides; no other profile is there. Default none: that is denied.',
  ports: 'Names for ports that policies may use.',
  'ports.name': 'The name.',
  'ports.protocol': 'By name or number.',
  'ports.port': 'The number.',
};

// ---- policy.networking.k8s.io

const RANGE: Words = { range: 'A range of ports.', 'range.start': 'The first.', 'range.end': 'The last.' };

/** Of `protocols` in v1alpha2, each protocol by itself. */
export const PROTOCOLS: Words = {
  ...Object.fromEntries(
    ['tcp', 'udp', 'sctp'].flatMap((name) => [
      [name, `${name.toUpperCase()}, to some ports.`],
      [`${name}.destinationPort`, 'One port, or a range.'],
      [`${name}.destinationPort.number`, 'One port.'],
      ...Object.entries(behind(`${name}.destinationPort`, RANGE)),
    ]),
  ),
  destinationNamedPort: 'A name that the destination pod gives its port.',
};

/** Of `ports` in v1alpha1. */
export const PORTS: Words = {
  portNumber: 'One port.',
  'portNumber.protocol': 'TCP, UDP or SCTP. Default TCP.',
  'portNumber.port': 'The number.',
  portRange: 'A range of ports.',
  'portRange.protocol': 'TCP, UDP or SCTP. Default TCP.',
  'portRange.start': 'The first.',
  'portRange.end': 'The last.',
  namedPort: 'A name that the destination pod gives its port.',
};

export const NAMESPACES = 'All pods of namespaces with these labels.';
export const PODS = 'Some pods of some namespaces; both selectors have to match.';
export const NAMESPACE_OF_POD = 'Labels of the namespace.';
export const POD = 'Labels of the pod.';
export const NODES = 'Nodes with these labels.';
export const SUBJECT = 'Pods that it applies to.';
export const CLUSTER_ACTION =
  'What to do with what matches: Accept (in v1alpha1 Allow), Deny, or Pass to what comes next.';
export const FROM = 'Where packets come from, any of these.';
export const TO = 'Where packets go, any of these.';
export const ANY_PORT = 'Ports, any of these; absent: all.';
export const INGRESS = 'Rules about what the pods receive, in order; the first that matches decides.';
export const EGRESS = 'Rules about what the pods send, in order; the first that matches decides.';
export const DOMAIN_NAMES = 'Names of hosts. Not supported: the condition Accepted says so.';
