/** What `kubectl explain` says of BGPConfiguration, BGPPeer, BGPFilter and NodeStatus. */
import type { Words } from './explained.js';

const passwordWords = (field: string): Words => ({
  [field]: 'TCP-MD5 signatures (RFC 2385) on the sessions. Without the Secret that it names there is no session.',
  [`${field}.secretKeyRef`]: "A Secret in the agent's namespace, tortie-system in the manifests.",
  [`${field}.secretKeyRef.name`]: 'Its name.',
  [`${field}.secretKeyRef.key`]: 'The key in it whose value is the password: 1 to 80 octets of text.',
  [`${field}.secretKeyRef.optional`]: 'true: a session without password while the Secret or the key is not there.',
});

const bfdWords = (field: string): Words => ({
  [`${field}.enabled`]: 'false turns it off.',
  [`${field}.intervalMilliseconds`]: 'Milliseconds between packets that are asked for, both ways. Default 300.',
  [`${field}.multiplier`]: 'Packets that may be missed before the session ends. Default 3.',
});

export const BGP_CONFIGURATION: Words = {
  logSeverityScreen:
    "Level of the BGP daemon's log: Trace, Debug, Info, Warning, Error or Fatal, in any case. Default Info.",
  bindMode: "NodeIP: the BGP daemon listens on the node's own addresses alone. Default None: on all addresses.",
  serviceClusterIPs: 'Ranges of cluster addresses that every node announces.',
  'serviceClusterIPs.cidr':
    'The range, announced whole; no /0. Addresses in it of Services with externalTrafficPolicy Local are ' +
    'announced by themselves, too, from nodes with a ready endpoint.',
  serviceExternalIPs: 'Ranges of external addresses of Services that every node announces.',
  'serviceExternalIPs.cidr':
    'As in serviceClusterIPs; one of a single address (/32, /128) only while a Service has it.',
  serviceLoadBalancerIPs: 'Ranges of load balancer addresses that every node announces.',
  'serviceLoadBalancerIPs.cidr': 'As in serviceExternalIPs.',
  serviceLoadBalancerAggregation:
    'Disabled: no range of serviceLoadBalancerIPs is announced, but each address in one that a Service ' +
    'has. Default Enabled.',
  communities: 'Names for community values, for prefixAdvertisements.',
  'communities.name': 'The name.',
  'communities.value': 'A standard community "aa:nn" (RFC 1997) or a large one "aa:nn:mm" (RFC 8092).',
  prefixAdvertisements: 'Communities on what nodes announce.',
  'prefixAdvertisements.cidr': 'On every prefix inside this range.',
  'prefixAdvertisements.communities': 'Values, or names of spec.communities.',
  ...passwordWords('nodeMeshPassword'),
  nodeMeshMaxRestartTime: 'Graceful restart time of mesh sessions (RFC 4724). Default 120s. In "default" alone.',
  ignoredInterfaces:
    'Interfaces whose networks count as no link: no peer is directly connected there, no next hop is ' +
    'found through them. * stands for any text, ? for one character.',
  localWorkloadPeeringIPV4:
    'IPv4 address at which pods that spec.localWorkloadSelector of a BGPPeer selects find the node, on ' +
    "their own interface. Nobody else's.",
  localWorkloadPeeringIPV6: 'The same for IPv6; not link-local.',
  ...bfdWords('nodeMeshBfd'),
};

export const BGP_PEER: Words = {
  nodeSelector: 'The nodes that peer, by their labels: rack == "1". Neither node nor nodeSelector: every node.',
  asNumber: 'AS number of the peer: 65001, "65001" or asdot "1.10" (RFC 5396).',
  keepOriginalNextHop: 'true is nextHopMode Keep; nextHopMode, where it is given, goes first.',
  nextHopMode:
    'NEXT_HOP of routes told to the peer. Self: this node. Keep: as learned. Default Auto: this node to ' +
    'external peers, as learned to internal ones.',
  ...passwordWords('password'),
  sourceAddress: 'None: the kernel chooses the local address. Default UseNodeIP: the address of the node.',
  maxRestartTime: 'Graceful restart time (RFC 4724). Default 120s.',
  keepaliveTime: 'Time between KEEPALIVEs. Default, and at most, a third of the hold time that both ends agreed to.',
  numAllowedLocalASNumbers:
    'How often the AS number of this node may stand in the AS path of a route that the peer tells. Default 0.',
  localASNumber: "The AS number that this peer sees, instead of the node's own.",
  ttlSecurity:
    'GTSM (RFC 5082): hops that the peer may be away; packets from further away are dropped. 0 or absent: off.',
  reachableBy: 'Address of a gateway; a host route to the peer through it is kept in the kernel.',
  filters:
    'Names of BGPFilters, asked in order and before what Tortie itself lets out. While one is missing, ' +
    'its last known rules stand.',
  localWorkloadSelector:
    'Peer with pods of the node, by their labels, over their own interfaces; needs ' +
    'localWorkloadPeeringIPV4 or IPV6 of BGPConfiguration.',
  reversePeering:
    'Manual: nodes that this peering leads to have no session back unless another BGPPeer says so. ' +
    'Default Auto: they have.',
  ...bfdWords('bfd'),
};

const PARTS = {
  exportV4: 'Of IPv4 routes told to the peer: rules in order, the first that matches decides.',
  importV4: 'Of IPv4 routes that the peer tells: rules in order, the first that matches decides.',
  exportV6: 'Of IPv6 routes told to the peer: rules in order, the first that matches decides.',
  importV6: 'Of IPv6 routes that the peer tells: rules in order, the first that matches decides.',
} as const;

const RULE: Words = {
  action: 'Accept or Reject what matches all that the rule says.',
  cidr: 'The prefix that the rule is about; needs matchOperator.',
  matchOperator: 'How routes compare with cidr: Equal, NotEqual, In (it or inside it), NotIn.',
  prefixLength: 'Narrows cidr to prefixes of these lengths.',
  'prefixLength.min': 'The shortest. Default the length of cidr.',
  'prefixLength.max': 'The longest. Default 32 for IPv4, 128 for IPv6.',
  source: 'RemotePeers: only routes learned from peers, not those of this node.',
  interface: 'Only routes out of this interface; * stands for any text.',
  peerType: 'Only with peers of this kind, eBGP or iBGP.',
  communities: 'Only routes that carry them.',
  'communities.values': 'One community, "aa:nn" (RFC 1997) or "aa:nn:mm" (RFC 8092).',
  asPathPrefix: 'Only routes whose AS path begins with these AS numbers.',
  priority: "Only routes with this metric in the node's kernel.",
  operations: 'What is changed in a route that is accepted, in order; each sees what those before it did.',
  'operations.addCommunity': 'Adds a community.',
  'operations.addCommunity.value': 'The community, "aa:nn" (RFC 1997) or "aa:nn:mm" (RFC 8092).',
  'operations.prependASPath': 'Puts AS numbers before the AS path.',
  'operations.prependASPath.prefix': 'The AS numbers; the first of them stands first.',
  'operations.setPriority': "Sets the metric of the route in the node's kernel; on import alone.",
  'operations.setPriority.value': 'The metric, 1 to 2147483646; lower goes first.',
};

export const BGP_FILTER: Words = Object.fromEntries(
  Object.entries(PARTS).flatMap(([part, words]) => [
    [part, words],
    ...Object.entries(RULE).map(([path, sentence]) => [`${part}.${path}`, sentence]),
  ]),
);

export const NODE_STATUS: Words = {
  agent: 'The agent that reports.',
  'agent.version': 'Its version.',
  'agent.startedAt': 'When it started.',
  'drain.cause': 'Requested, Evicted, Autoscaler, OutOfService, Shutdown or Deleted.',
  'drain.since': 'When that began.',
  'drain.phase':
    'Marked: addresses of Services carry GRACEFUL_SHUTDOWN. Withdrawn: other nodes alone announce them, ' +
    'but for those in kept. Empty: no pod is left.',
  'drain.kept': 'Addresses of Services that too few other nodes announce; the first of them.',
  'drain.message': 'How far it is, in words.',
  'change.name': 'Which Change.',
  'change.uid': 'Which of that name.',
  'change.state': 'Taken: on trial here. Well: all is as well as before. Reverted: all stands as before.',
  'change.message': 'What is looked at, or why the node went back.',
  blocks: 'Blocks of addresses that the node owns.',
  bgp: 'Sessions of the BGP daemon; absent while it does not answer.',
  'bgp.asNumber': 'AS number of the node.',
  'bgp.routerId': 'BGP identifier of the node.',
  'bgp.peers': 'Every session.',
  'bgp.peers.name': 'The BGPPeer that asks for it, or mesh-NODE-v4 and -v6.',
  'bgp.peers.address': 'Of the peer.',
  'bgp.peers.localAddress': 'Of this node, on this session.',
  'bgp.peers.asNumber': 'Of the peer; 0 while it may be any external one.',
  'bgp.peers.state': 'Idle, Connect, Active, OpenSent, OpenConfirm or Established (RFC 4271 section 8.2.2).',
  'bgp.peers.since': 'When it last became Established, or ceased to be.',
  'bgp.peers.establishedCount': 'How often it was Established.',
  'bgp.peers.receivedPrefixes': 'Routes that the peer tells.',
  'bgp.peers.acceptedPrefixes': 'Those that filters let in.',
  'bgp.peers.advertisedPrefixes': 'Routes told to the peer.',
  'bgp.peers.lastError': 'Why a session that is down is down.',
};
