/** BGPConfiguration, BGPPeer, BGPFilter, NodeStatus. */
import { acts, refused, type Proof, type Row, type Section } from './table.js';

const topology = (title: string): Proof => ['test/topology/speaker-config.test.ts', title];
const fields = (title: string): Proof => ['test/topology/fields.test.ts', title];
/** At a router that is BIRD. */
const atRouter = (title: string): Proof => ['test/lab/rack-fields.test.ts', title];
const refusals = (title: string): Proof => ['test/agent/refusals.test.ts', title];
const names = refusals('names what is asked for and not built');
const finer = (title: string): Proof => ['test/topology/marks.test.ts', title];
const hops = atRouter(
  'passes on what a filter accepts, with the next hop that nextHopMode and keepOriginalNextHop ask for',
);
const communities = atRouter('peers with a router behind a router, and says the communities of prefixAdvertisements');
const PEERS = 'src/topology/bgp-peers.ts';
const FIELDS = 'src/topology/peer-fields.ts';
const DAEMON = 'src/topology/daemon-fields.ts';
const ORIGIN = 'src/topology/originations.ts';
const SERVICES = 'src/topology/service-routes.ts';
const services = (title: string): Proof => ['test/topology/service-routes.test.ts', title];
const ranges = services('announces ranges whole from every node, and nothing of a Cluster Service beside them');
const locals = services(
  'announces every address of a Local Service from nodes with a ready endpoint, family by family',
);
const singles = services('announces a range of one address only while a Service has it');
const asks = topology('peers with the routers of this node only, as each resource says');
const mesh = topology('meshes all nodes by default, one session a family');
const workloads = fields(
  'are those that the selector selects, each over its own interface and in each of its families',
);
const times = topology(
  'takes keepaliveTime and maxRestartTime of a BGPPeer, and names values that no session can have',
);
const bfd = fields('of a peer and of the mesh: ');

const ready: Proof = ['test/agent/node-status.test.ts', 'is Ready only when every aspect is, and says why not'];

const status: readonly Row[] = [
  acts('status', 'What becomes of the object', 'src/agent/object-status.ts', [
    'test/agent/object-status.test.ts',
    'says of every kind whether all of it can be used, and names what is not',
  ]),
  acts(
    'status.conditions',
    'See Conditions',
    'src/agent/object-conditions.ts',
    ['test/agent/object-status.test.ts', 'shows what a node cannot do with an object, until it can'],
    'conditions',
  ),
];

const password = (field: string, where = ''): readonly Row[] => [
  acts(
    field,
    `MD5 signatures (RFC 2385) on the sessions; one key to an address, the oldest${where}`,
    'src/topology/peer-password.ts',
    asks,
  ),
  acts(
    `${field}.secretKeyRef`,
    "A Secret of Tortie's namespace; no session without it",
    'src/topology/peer-password.ts',
    asks,
  ),
  acts(`${field}.secretKeyRef.name`, 'Its name', 'src/topology/peer-password.ts', asks),
  acts(`${field}.secretKeyRef.key`, 'The key whose value is the password', 'src/topology/peer-password.ts', asks),
  acts(
    `${field}.secretKeyRef.optional`,
    'true: a session without password when the Secret is not there',
    'src/topology/peer-password.ts',
    finer('has no session without its password, unless that is optional'),
  ),
];

const bfdRows = (field: string, whose: string): readonly Row[] => [
  acts(field, `Tortie's own: BFD (RFC 5880) for ${whose}; {} turns it on`, 'src/topology/bfd.ts', bfd),
  acts(`${field}.enabled`, 'false: off', 'src/topology/bfd.ts', bfd),
  acts(`${field}.intervalMilliseconds`, 'Both ways; default 300', 'src/topology/bfd.ts', bfd),
  acts(`${field}.multiplier`, 'Packets that may be missed; default 3', 'src/topology/bfd.ts', bfd),
];

export const bgpSections: readonly Section[] = [
  {
    kinds: ['BGPConfiguration'],
    about:
      'One named `default` rules the cluster; one named `node.NAME` overrides fields for that node, which the others know, ' +
      'but for those that are of `default` alone: they are left out of `node.NAME`, and told of. What definitions fill in there ' +
      '(`Info`, `Enabled`) counts as not said. Any other resource is read by nobody, and InUse says so.',
    rows: [
      acts('spec', 'BGP of the cluster or of one node', 'src/topology/configuration.ts', mesh),
      acts(
        'spec.logSeverityScreen',
        "The BGP daemon's log: Trace to Fatal, in any case; default Info",
        DAEMON,
        fields('logs as logSeverityScreen says, in any case, and for this node as its own resource says'),
      ),
      acts('spec.nodeToNodeMeshEnabled', 'iBGP between all nodes; default true; in `default` alone', PEERS, mesh),
      acts(
        'spec.asNumber',
        'AS number of nodes that have none of their own; default 64512; "64512.10" is asdot; in `default` alone',
        'src/topology/configuration.ts',
        ['test/topology/values.test.ts', 'reads AS '],
      ),
      acts(
        'spec.listenPort',
        'Where nodes listen and are dialled; default 179',
        PEERS,
        fields('are dialled on the port of their own node.NAME resource'),
      ),
      acts(
        'spec.bindMode',
        "NodeIP: listen on the node's own addresses only",
        'src/topology/speaker-config.ts',
        atRouter('listens where bindMode and the port of node.NAME say, and the others dial that port'),
      ),
      acts('spec.serviceClusterIPs', 'Ranges that every node announces', SERVICES, ranges),
      acts(
        'spec.serviceClusterIPs[].cidr',
        'The range, whole, but no /0; addresses of Local Services in it also by themselves, from nodes with a ready endpoint',
        SERVICES,
        locals,
      ),
      acts('spec.serviceExternalIPs', 'Ranges that every node announces', SERVICES, ranges),
      acts(
        'spec.serviceExternalIPs[].cidr',
        'As of serviceClusterIPs; one address only while a Service has it',
        SERVICES,
        singles,
      ),
      acts('spec.serviceLoadBalancerIPs', 'Ranges that every node announces', SERVICES, ranges),
      acts('spec.serviceLoadBalancerIPs[].cidr', 'As of serviceExternalIPs', SERVICES, singles),
      acts(
        'spec.serviceLoadBalancerAggregation',
        'Disabled: no range of serviceLoadBalancerIPs is announced, each load balancer address in one is',
        SERVICES,
        services('announces each load balancer address by itself with serviceLoadBalancerAggregation Disabled'),
      ),
      acts('spec.communities', 'Names for community values, for prefixAdvertisements', ORIGIN, communities),
      acts('spec.communities[].name', 'A name', ORIGIN, communities),
      acts('spec.communities[].value', 'RFC 1997 "aa:nn" or RFC 8092 "aa:nn:mm"', ORIGIN, communities),
      acts('spec.prefixAdvertisements', 'Communities on what this node announces', ORIGIN, communities),
      acts('spec.prefixAdvertisements[].cidr', 'On everything inside this range', ORIGIN, communities),
      acts('spec.prefixAdvertisements[].communities', 'Values, or names of spec.communities', ORIGIN, communities),
      ...password('spec.nodeMeshPassword', '; in `default` alone'),
      acts(
        'spec.nodeMeshMaxRestartTime',
        'Graceful restart time of mesh sessions (RFC 4724); in `default` alone',
        PEERS,
        fields("takes nodeMeshMaxRestartTime for the mesh alone, and maxRestartTime for the peer's own"),
      ),
      acts(
        'spec.ignoredInterfaces',
        'Interfaces whose networks no peer is on and no next hop is found through; "*" and "?" are wildcards',
        DAEMON,
        atRouter('takes an ignored interface for no link'),
      ),
      acts(
        'spec.localWorkloadPeeringIPV4',
        'Address of the node on the interfaces of pods that it peers with',
        'src/topology/workload-peers.ts',
        workloads,
      ),
      acts('spec.localWorkloadPeeringIPV6', 'The same for IPv6', 'src/topology/workload-peers.ts', workloads),
      ...bfdRows('spec.nodeMeshBfd', 'mesh sessions, in `default` alone'),
      acts(
        'spec.holdTime',
        "Tortie's own: hold time of sessions that do not say otherwise; default 90s",
        FIELDS,
        finer('gives sessions the hold time of the cluster'),
      ),
      refused('spec.programClusterRoutes', names, 'Enabled (the default): the BGP daemon writes routes to other nodes'),
      acts(
        'spec.{ipv4NormalRoutePriority,ipv6NormalRoutePriority}',
        "Metric in the kernel of routes whose filters set none (default 20), and what a BGPFilter's priority calls it (default 1024)",
        DAEMON,
        fields('gives routes without a priority the metric, and filters the number, of the normal one'),
      ),
      ...status,
    ],
  },
  {
    kinds: ['BGPPeer'],
    rows: [
      acts('spec', 'Sessions of some nodes with a router, with nodes, or with pods', PEERS, asks),
      acts('spec.node', 'The one node that peers', PEERS, asks),
      acts('spec.nodeSelector', 'The nodes that peer; neither: every node', PEERS, asks),
      acts(
        'spec.peerIP',
        'Address of the peer, with a port ("192.0.2.1:1179") or an interface ("fe80::1%eth0")',
        PEERS,
        ['test/topology/values.test.ts', 'reads peer '],
      ),
      acts('spec.asNumber', 'Its AS number, a number or asdot', PEERS, asks),
      acts(
        'spec.peerSelector',
        'Nodes to peer with, from both ends',
        PEERS,
        topology('keeps a reflector out of the mesh and peers it with its clients from both ends'),
      ),
      acts('spec.keepOriginalNextHop', 'true is nextHopMode Keep, which goes first', FIELDS, hops),
      acts('spec.nextHopMode', 'Auto, Self, Keep', FIELDS, hops),
      ...password('spec.password'),
      acts('spec.sourceAddress', 'None: the kernel chooses; default the address of the node', PEERS, asks),
      acts('spec.maxRestartTime', 'Graceful restart time (RFC 4724)', FIELDS, times),
      acts('spec.keepaliveTime', 'Default, and at most, a third of the agreed hold time', FIELDS, times),
      acts(
        'spec.numAllowedLocalASNumbers',
        'How often our AS may stand in a received path',
        FIELDS,
        fields('takes as many own AS numbers in a path as Calico does'),
      ),
      acts(
        'spec.localASNumber',
        'The AS number that this peer sees',
        FIELDS,
        fields('shows a peer with localASNumber that AS alone'),
      ),
      acts(
        'spec.ttlSecurity',
        'GTSM (RFC 5082): hops the peer may be away',
        FIELDS,
        atRouter('asks for the hops that packets may have come (GTSM), and for a password'),
      ),
      acts(
        'spec.reachableBy',
        'Gateway through which a host route to the peer is kept',
        'src/topology/gateways.ts',
        fields('is a host route through the gateway, in both families'),
      ),
      acts(
        'spec.filters',
        'BGPFilters, in order, before our own; of a missing one the last known rules stand, else nothing passes there',
        'src/topology/filters.ts',
        topology('asks the filters of users first, then our own, which lets through nothing that is not ours'),
      ),
      acts('spec.localWorkloadSelector', 'Pods of the node to peer with', 'src/topology/workload-peers.ts', workloads),
      acts(
        'spec.reversePeering',
        'Manual: the other node is not told to peer back',
        PEERS,
        fields('named by peerIP have sessions back, over its family, unless reversePeering is Manual'),
      ),
      ...bfdRows('spec.bfd', 'the sessions'),
      acts(
        'spec.maxPrefixes',
        "Tortie's own: routes taken a family; default 10000; more ends the session (Cease/1)",
        FIELDS,
        asks,
      ),
      acts('spec.maxPrefixesRestartAfter', "Tortie's own: tries again so much later; default never", FIELDS, asks),
      acts('spec.holdTime', "Tortie's own; default the cluster's", FIELDS, asks),
      acts('spec.passive', "Tortie's own: waits for the peer to connect", FIELDS, asks),
      acts(
        'spec.multihop',
        "Tortie's own: hops an eBGP peer may be away; default: on the link 1, behind a router any",
        FIELDS,
        fields('is what the resource says, where it says'),
      ),
      ...status,
    ],
  },
  {
    kinds: ['BGPFilter'],
    about: 'Rules that cannot be understood reject all that comes after them, and are named.',
    rows: [
      acts(
        'spec',
        'Routes that a peer may tell or hear',
        'src/topology/bgp-filter.ts',
        topology('rejects everything from a rule on that it does not understand'),
      ),
      acts(
        'spec.{exportV4,importV4,exportV6,importV6}',
        'Rules of one direction and family; the first that matches decides',
        'src/topology/bgp-filter.ts',
        topology('asks the filters of users first, then our own, which lets through nothing that is not ours'),
        'filterRule',
      ),
      ...status,
    ],
  },
  {
    kinds: ['NodeStatus'],
    about:
      'Ours (tortie.dev/v1alpha1): written by the agent of the node of the same name, for people and for monitoring.',
    rows: [
      acts('spec', 'Empty', 'src/agent/node-status.ts', [
        'test/agent/node-status.test.ts',
        'is Ready only when every aspect is, and says why not',
      ]),
      acts('status', 'What the agent reports', 'src/agent/node-status.ts', [
        'test/agent/node-status.test.ts',
        'is Ready only when every aspect is, and says why not',
      ]),
      acts(
        'status.conditions',
        'Ready, IPAMReady, PolicyReady, RoutesReady, BGPReady, ResourcesAccepted',
        'src/agent/node-status.ts',
        ready,
      ),
      acts(
        'status.conditions[].{type,status,reason,message}',
        'True, or False with what is wrong in sentences; Unknown when the agent has said nothing for two minutes',
        'src/agent/node-status.ts',
        ready,
      ),
      acts(
        'status.conditions[].lastTransitionTime',
        'When the status last became another word',
        'src/agent/node-status.ts',
        ['test/agent/node-status.test.ts', 'moves the transition time only when the word changes'],
      ),
      acts(
        'status.conditions[].observedGeneration',
        'Not written: a NodeStatus has no spec',
        'src/agent/node-status.ts',
        ready,
      ),
      acts(
        'status.{agent,agent.version,agent.startedAt}',
        'Which agent, since when',
        'src/agent/node-status.ts',
        ready,
      ),
      acts('status.agent.heartbeatTime', 'When it last reported; once a minute at least', 'src/agent/node-status.ts', [
        'test/agent/node-status.test.ts',
        'says once in a while that it is there, in one write',
      ]),
      acts('status.blocks', 'Blocks that the node owns', 'src/agent/node-status.ts', ready),
      acts(
        'status.{change,change.name,change.uid,change.state,change.message}',
        'The Change that the node has to do with, and how it is with it',
        'src/change/trial-loop.ts',
        ['test/lab/rack-change.test.ts', 'is taken step by step, stays when it is confirmed, and is plain then'],
      ),
      acts(
        'status.{drain,drain.cause,drain.since,drain.phase,drain.kept,drain.message}',
        'The drain of the node: why, since when, how far, which addresses of Services stay for want of another node',
        'src/agent/drain-loop.ts',
        [
          'test/agent/drain-loop.test.ts',
          'an eviction from a cordoned node begins it, whichever is heard of first, and uncordoning ends it',
        ],
      ),
      acts(
        'status.{bgp,bgp.asNumber,bgp.routerId,bgp.sessions}',
        'The speaker; sessions that are up, and all: "7/8"',
        'src/agent/bgp-status.ts',
        ['test/agent/bgp-loop.test.ts', 'tells of sessions that are down, and of those that carry nothing'],
      ),
      acts('status.bgp.peers', 'Every session', 'src/agent/bgp-status.ts', [
        'test/agent/bgp-loop.test.ts',
        'tells of sessions that are down, and of those that carry nothing',
      ]),
      acts(
        'status.bgp.peers[].{name,address,asNumber,state,since,receivedPrefixes,acceptedPrefixes,advertisedPrefixes,localAddress,' +
          'establishedCount,lastError}',
        'Who it is, from where, how it is since when and how often it was up, its routes, the last error of one that is down',
        'src/agent/bgp-status.ts',
        ['test/agent/bgp-loop.test.ts', 'tells of sessions that are down, and of those that carry nothing'],
      ),
    ],
  },
];

export const statusRows = status;
