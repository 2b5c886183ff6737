/** BGPConfiguration, BGPPeer, BGPFilter (Calico's, with optional fields of ours) and NodeStatus (ours). */
import * as words from './bgp-words.js';
import { ageColumn, conditionColumns, customResourceDefinition } from './definition.js';
import { explained } from './explained.js';
import {
  asNumber,
  atomicList,
  bool,
  cidr,
  conditions,
  described,
  duration,
  integer,
  list,
  listByKeys,
  object,
  objectStatus,
  oneOf,
  pattern,
  plainAsNumber,
  required,
  selector,
  set,
  text,
  textUpTo,
  withDefault,
  withRules,
  type Rule,
  type SchemaNode,
} from './schema-builders.js';

const GROUP = { group: 'projectcalico.org', version: 'v3', scope: 'Cluster' } as const;

const PART_16 = '([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])';
const PART_32 =
  '([0-9]|[1-9][0-9]{1,8}|[1-3][0-9]{9}|4[0-1][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|' +
  '429496[0-6][0-9]{3}|4294967[0-1][0-9]{2}|42949672[0-8][0-9]|429496729[0-5])';

/** RFC 1997 "aa:nn" or RFC 8092 "aa:nn:mm". */
const community = pattern(`^(${PART_16}:${PART_16}|${PART_32}:${PART_32}:${PART_32})$`, { maxLength: 32 });

const password = object({
  secretKeyRef: object(
    { name: withDefault('', text), key: required(text), optional: bool },
    { 'x-kubernetes-map-type': 'atomic' },
  ),
});

const bfd = described(
  "Tortie's own: Bidirectional Forwarding Detection (RFC 5880). An empty object turns it on.",
  object({
    enabled: withDefault(true, bool),
    intervalMilliseconds: withDefault(300, integer(10, 60_000)),
    multiplier: withDefault(3, integer(1, 255)),
  }),
);

/** Calico declares these as sets of objects, which no API server can apply (see docs/decisions/0027-lists-of-objects.md). */
const cidrEntries = listByKeys(['cidr'], object({ cidr: required(cidr) }));

/** Calico's: what only the mesh uses has to go with it. */
const meshRule = (field: string): Rule => ({
  rule: `!has(self.${field}) || !has(self.nodeToNodeMeshEnabled) || self.nodeToNodeMeshEnabled == true`,
  message: `${field} cannot be set when nodeToNodeMeshEnabled is false`,
  reason: 'FieldValueForbidden',
});

const priority = integer(1, 2_147_483_646);

const bgpConfiguration = customResourceDefinition({
  ...GROUP,
  kind: 'BGPConfiguration',
  plural: 'bgpconfigurations',
  shortNames: ['bgpconfig', 'bgpconfigs'],
  description: 'BGP of the whole cluster (named "default") or of one node (named "node.NAME").',
  status: objectStatus,
  spec: withRules(
    explained(
      words.BGP_CONFIGURATION,
      object({
        logSeverityScreen: withDefault('Info', pattern('^(?i)(Trace|Debug|Info|Warning|Error|Fatal)?$')),
        nodeToNodeMeshEnabled: described('iBGP between all nodes. Default true.', bool),
        asNumber: described('AS number of the nodes. Default 64512.', asNumber),
        listenPort: described('Default 179.', integer(1, 65_535)),
        bindMode: oneOf('None', 'NodeIP'),
        serviceClusterIPs: cidrEntries,
        serviceExternalIPs: cidrEntries,
        serviceLoadBalancerIPs: cidrEntries,
        serviceLoadBalancerAggregation: withDefault('Enabled', oneOf('Enabled', 'Disabled')),
        communities: listByKeys(['name'], object({ name: required(textUpTo(253)), value: required(community) })),
        prefixAdvertisements: listByKeys(
          ['cidr'],
          object({ cidr: required(cidr), communities: atomicList(textUpTo(253)) }),
        ),
        nodeMeshPassword: password,
        nodeMeshMaxRestartTime: duration,
        ignoredInterfaces: set(text),
        localWorkloadPeeringIPV4: text,
        localWorkloadPeeringIPV6: text,
        nodeMeshBfd: bfd,
        holdTime: described("Tortie's own: hold time of sessions that do not say otherwise. Default 90s.", duration),
        programClusterRoutes: described(
          'Who writes routes to other nodes. In Tortie it is always the BGP daemon: Disabled and EnabledIPIPOnly are not supported.',
          oneOf('Enabled', 'Disabled', 'EnabledIPIPOnly', 'EnabledNoEncapOnly'),
        ),
        ipv4NormalRoutePriority: described(
          'Metric in the kernel of learned IPv4 routes whose filters set no priority. Default 20; filters call theirs 1024.',
          priority,
        ),
        ipv6NormalRoutePriority: described('The same for IPv6.', priority),
      }),
    ),
    meshRule('nodeMeshPassword'),
    meshRule('nodeMeshMaxRestartTime'),
  ),
  columns: [
    { name: 'AS', type: 'string', jsonPath: '.spec.asNumber' },
    { name: 'Mesh', type: 'boolean', jsonPath: '.spec.nodeToNodeMeshEnabled' },
    { name: 'Port', type: 'integer', jsonPath: '.spec.listenPort', priority: 1 },
    ...conditionColumns,
    ageColumn,
  ],
});

/** The interface of a link-local address (RFC 4007 section 11). */
const ZONE = '(%[A-Za-z0-9_.@-]{1,15})?';

const bgpPeer = customResourceDefinition({
  ...GROUP,
  kind: 'BGPPeer',
  plural: 'bgppeers',
  shortNames: ['bgpp'],
  description: 'A BGP session between some nodes and a router, or among nodes.',
  status: objectStatus,
  spec: withRules(
    explained(
      words.BGP_PEER,
      object({
        node: described('The one node that peers. Neither node nor nodeSelector: every node.', textUpTo(253)),
        nodeSelector: selector,
        peerIP: described(
          'Address of the peer, with a port if it is not 179: 192.0.2.1:1179, [2001:db8::1]:1179, fe80::1%eth0.',
          pattern(`^([0-9.]+(:[0-9]{1,5})?|[0-9A-Fa-f:.]+${ZONE}|\\[[0-9A-Fa-f:.]+${ZONE}\\](:[0-9]{1,5})?)$`, {
            maxLength: 70,
          }),
        ),
        asNumber,
        peerSelector: described('Nodes to peer with, instead of peerIP and asNumber.', selector),
        keepOriginalNextHop: bool,
        nextHopMode: oneOf('Auto', 'Self', 'Keep'),
        password,
        sourceAddress: oneOf('UseNodeIP', 'None'),
        maxRestartTime: duration,
        keepaliveTime: duration,
        numAllowedLocalASNumbers: integer(0, 255, 'int32'),
        localASNumber: asNumber,
        ttlSecurity: integer(0, 255),
        reachableBy: textUpTo(39),
        filters: atomicList(textUpTo(253), { maxItems: 100 }),
        localWorkloadSelector: selector,
        reversePeering: oneOf('Auto', 'Manual'),
        bfd,
        maxPrefixes: described(
          "Tortie's own: most prefixes accepted per family. Default 10000.",
          integer(1, 4_294_967_295, 'int64'),
        ),
        maxPrefixesRestartAfter: described(
          "Tortie's own: when to try again after maxPrefixes was crossed. Default: never by itself.",
          duration,
        ),
        holdTime: described("Tortie's own: default is the cluster's.", duration),
        passive: described("Tortie's own: wait for the peer to connect.", bool),
        multihop: described("Tortie's own: hops an eBGP peer may be away. Default 1.", integer(1, 255)),
      }),
    ),
    {
      rule: '!(has(self.node) && size(self.node) > 0 && has(self.nodeSelector) && size(self.nodeSelector) > 0)',
      message: 'node and nodeSelector cannot both be set',
      reason: 'FieldValueForbidden',
    },
    {
      rule: '!(has(self.peerIP) && size(self.peerIP) > 0 && has(self.peerSelector) && size(self.peerSelector) > 0)',
      message: 'peerIP and peerSelector cannot both be set',
      reason: 'FieldValueForbidden',
    },
    {
      rule: '!(has(self.asNumber) && has(self.peerSelector) && size(self.peerSelector) > 0)',
      message: 'asNumber must be empty when peerSelector is set',
      reason: 'FieldValueForbidden',
    },
  ),
  columns: [
    { name: 'Peer', type: 'string', jsonPath: '.spec.peerIP' },
    { name: 'AS', type: 'string', jsonPath: '.spec.asNumber' },
    { name: 'Node', type: 'string', jsonPath: '.spec.node' },
    { name: 'Node-Selector', type: 'string', jsonPath: '.spec.nodeSelector' },
    { name: 'Peer-Selector', type: 'string', jsonPath: '.spec.peerSelector', priority: 1 },
    { name: 'Filters', type: 'string', jsonPath: '.spec.filters', priority: 1 },
    ...conditionColumns,
    ageColumn,
  ],
});

function filterRule(bits: 32 | 128, maxLength: number): SchemaNode {
  return withRules(
    object(
      {
        action: required(oneOf('Accept', 'Reject')),
        cidr: { ...cidr, maxLength },
        matchOperator: oneOf('Equal', 'NotEqual', 'In', 'NotIn'),
        prefixLength: object(
          { min: integer(0, bits, 'int32'), max: integer(0, bits, 'int32') },
          { 'x-kubernetes-map-type': 'atomic' },
        ),
        source: oneOf('RemotePeers'),
        interface: textUpTo(16),
        peerType: oneOf('eBGP', 'iBGP'),
        communities: object(
          { values: required(list(community, { minItems: 1, maxItems: 1 })) },
          { 'x-kubernetes-map-type': 'atomic' },
        ),
        asPathPrefix: list(asNumber, { maxItems: 100 }),
        priority,
        operations: list(
          withRules(
            object(
              {
                addCommunity: object({ value: required(community) }, { 'x-kubernetes-map-type': 'atomic' }),
                prependASPath: object(
                  { prefix: required(list(asNumber, { minItems: 1, maxItems: 10 })) },
                  { 'x-kubernetes-map-type': 'atomic' },
                ),
                setPriority: object({ value: required(priority) }, { 'x-kubernetes-map-type': 'atomic' }),
              },
              { 'x-kubernetes-map-type': 'atomic' },
            ),
            {
              rule: '(has(self.addCommunity) ? 1 : 0) + (has(self.prependASPath) ? 1 : 0) + (has(self.setPriority) ? 1 : 0) == 1',
              message: 'exactly one operation must be set',
            },
          ),
          { minItems: 1, maxItems: 10 },
        ),
      },
      { 'x-kubernetes-map-type': 'atomic' },
    ),
    {
      rule: '(has(self.cidr) && size(self.cidr) > 0) == (has(self.matchOperator) && size(self.matchOperator) > 0)',
      message: 'cidr and matchOperator must both be set or both be empty',
      reason: 'FieldValueInvalid',
    },
    {
      rule: '!has(self.prefixLength) || (has(self.cidr) && size(self.cidr) > 0)',
      message: 'cidr is required when prefixLength is set',
      reason: 'FieldValueInvalid',
    },
    {
      rule: "!has(self.operations) || size(self.operations) == 0 || self.action == 'Accept'",
      message: 'operations may only be used with action Accept',
    },
  );
}

const rules = (bits: 32 | 128, maxLength: number): SchemaNode => list(filterRule(bits, maxLength), { maxItems: 256 });

const bgpFilter = customResourceDefinition({
  ...GROUP,
  kind: 'BGPFilter',
  plural: 'bgpfilters',
  description: 'Which routes a BGPPeer takes in and gives out. The first rule that matches decides; no match accepts.',
  spec: explained(
    words.BGP_FILTER,
    object({
      exportV4: rules(32, 18),
      importV4: rules(32, 18),
      exportV6: rules(128, 43),
      importV6: rules(128, 43),
    }),
  ),
  status: objectStatus,
  columns: [...conditionColumns, ageColumn],
});

const nodeStatus = customResourceDefinition({
  group: 'tortie.dev',
  version: 'v1alpha1',
  kind: 'NodeStatus',
  plural: 'nodestatuses',
  shortNames: ['tns'],
  scope: 'Cluster',
  description: 'What the agent of the node of the same name reports.',
  isSpecOptional: true,
  spec: object({}),
  status: explained(
    words.NODE_STATUS,
    object(
      {
        conditions,
        agent: object({
          version: text,
          startedAt: { type: 'string', format: 'date-time' },
          heartbeatTime: described('When the agent last reported; once a minute at least.', {
            type: 'string',
            format: 'date-time',
          }),
        }),
        blocks: atomicList(text),
        drain: described(
          'While the node is taken out of service: why, since when, and how far it is.',
          object({
            cause: required(text),
            since: required({ type: 'string', format: 'date-time' }),
            phase: required({ type: 'string', enum: ['Marked', 'Withdrawn', 'Empty'] }),
            kept: atomicList(text, { maxItems: 100 }),
            message: required(textUpTo(1024)),
          }),
        ),
        change: described(
          'The Change that this node has to do with.',
          object({
            name: required(textUpTo(253)),
            uid: required(text),
            state: required(oneOf('Taken', 'Well', 'Reverted')),
            message: textUpTo(1024),
          }),
        ),
        bgp: object({
          asNumber: plainAsNumber,
          routerId: text,
          sessions: described('Sessions that are up, and all: 7/8.', text),
          // Two peers may stand at one address, on two ports; one agent writes the list whole.
          peers: atomicList(
            object({
              name: text,
              address: required(text),
              localAddress: text,
              asNumber: plainAsNumber,
              state: required(text),
              since: { type: 'string', format: 'date-time' },
              establishedCount: { type: 'integer', minimum: 0 },
              receivedPrefixes: { type: 'integer', minimum: 0 },
              acceptedPrefixes: { type: 'integer', minimum: 0 },
              advertisedPrefixes: { type: 'integer', minimum: 0 },
              lastError: textUpTo(1024),
            }),
            { maxItems: 10_000 },
          ),
        }),
      },
      { 'x-kubernetes-preserve-unknown-fields': true },
    ),
  ),
  columns: [
    { name: 'Ready', type: 'string', jsonPath: ".status.conditions[?(@.type=='Ready')].status" },
    { name: 'AS', type: 'integer', jsonPath: '.status.bgp.asNumber' },
    { name: 'BGP', type: 'string', jsonPath: '.status.bgp.sessions', description: 'Sessions that are up, and all' },
    {
      name: 'Heartbeat',
      type: 'date',
      jsonPath: '.status.agent.heartbeatTime',
      description: 'When the agent last reported; once a minute at least',
    },
    {
      name: 'Drain',
      type: 'string',
      jsonPath: '.status.drain.phase',
      description: 'How far it is, of a node that drains',
    },
    { name: 'Blocks', type: 'string', jsonPath: '.status.blocks', priority: 1 },
    ageColumn,
  ],
});

export const bgpKinds = [bgpConfiguration, bgpPeer, bgpFilter, nodeStatus];
