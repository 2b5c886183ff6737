/**
 * Every BGP codepoint this library knows, by IANA registry, each with the RFC that defines it. Numbers live here and
 * nowhere else; names for people (`nameOf`) come from the same tables, so a table and its text cannot disagree.
 *
 * Registries: https://www.iana.org/assignments/bgp-parameters, .../capability-codes, .../address-family-numbers,
 * .../safi-namespace, .../bgp-well-known-communities, .../bgp-extended-communities.
 */

/** BGP Message Types. */
export const MessageType = {
  open: 1, // RFC 4271
  update: 2, // RFC 4271
  notification: 3, // RFC 4271
  keepalive: 4, // RFC 4271
  routeRefresh: 5, // RFC 2918
} as const;

/** Address Family Numbers (those of unicast routing). */
export const Afi = { ipv4: 1, ipv6: 2 } as const;

/** Subsequent Address Family Identifiers. */
export const Safi = { unicast: 1, multicast: 2 } as const; // RFC 4760

/** BGP Path Attributes. */
export const AttributeType = {
  origin: 1, // RFC 4271
  asPath: 2, // RFC 4271
  nextHop: 3, // RFC 4271
  med: 4, // RFC 4271
  localPreference: 5, // RFC 4271
  atomicAggregate: 6, // RFC 4271
  aggregator: 7, // RFC 4271
  communities: 8, // RFC 1997
  originatorId: 9, // RFC 4456
  clusterList: 10, // RFC 4456
  mpReach: 14, // RFC 4760
  mpUnreach: 15, // RFC 4760
  extendedCommunities: 16, // RFC 4360
  as4Path: 17, // RFC 6793
  as4Aggregator: 18, // RFC 6793
  ipv6ExtendedCommunities: 25, // RFC 5701
  largeCommunities: 32, // RFC 8092
  otc: 35, // RFC 9234
} as const;

/** Attribute Flags octet, RFC 4271 section 4.3. */
export const AttributeFlag = { optional: 0x80, transitive: 0x40, partial: 0x20, extendedLength: 0x10 } as const;

/** ORIGIN values, RFC 4271 section 5.1.1, in order of preference. */
export const OriginCode = { igp: 0, egp: 1, incomplete: 2 } as const;

/** AS_PATH Segment Types. */
export const SegmentType = {
  set: 1, // RFC 4271
  sequence: 2, // RFC 4271
  confedSequence: 3, // RFC 5065
  confedSet: 4, // RFC 5065
} as const;

/** Capability Codes. */
export const CapabilityCode = {
  multiprotocol: 1, // RFC 4760
  routeRefresh: 2, // RFC 2918
  extendedNextHop: 5, // RFC 8950
  extendedMessage: 6, // RFC 8654
  role: 9, // RFC 9234
  gracefulRestart: 64, // RFC 4724, RFC 8538
  fourOctetAs: 65, // RFC 6793
  addPath: 69, // RFC 7911
  enhancedRouteRefresh: 70, // RFC 7313
  longLivedGracefulRestart: 71, // RFC 9494
  fqdn: 73, // draft-walton-bgp-hostname-capability
  softwareVersion: 75, // draft-abraitis-bgp-version-capability
} as const;

/** Names of the capabilities that are only shown, not understood: the registry of RFC 5492. */
export const OTHER_CAPABILITIES: Readonly<Record<number, string>> = {
  3: 'outbound-route-filtering', // RFC 5291
  4: 'multiple-routes (old)', // RFC 8277
  7: 'bgpsec', // RFC 8205
  8: 'multiple-labels', // RFC 8277
  66: 'dynamic (old)',
  67: 'dynamic',
  68: 'multisession',
  72: 'routing-policy-distribution',
  74: 'bfd-strict-mode',
  76: 'paths-limit',
  77: 'link-local-next-hop',
  128: 'route-refresh (old)', // RFC 8810
  129: 'routing-policy-distribution (old)',
  130: 'outbound-route-filtering (old)',
  131: 'multisession (old)',
  184: 'fqdn (old)',
  185: 'operational',
};

/** OPEN Optional Parameter Types. */
export const OpenParameter = { capabilities: 2 /* RFC 5492 */, extendedLength: 255 /* RFC 9072 */ } as const;

/** BGP Role Values, RFC 9234 section 4.1. */
export const RoleCode = { provider: 0, routeServer: 1, routeServerClient: 2, customer: 3, peer: 4 } as const;

/** ROUTE-REFRESH Subcodes. */
export const RefreshSubtype = { request: 0 /* RFC 2918 */, begin: 1 /* RFC 7313 */, end: 2 /* RFC 7313 */ } as const;

/** BGP Error (Notification) Codes. */
export const ErrorCode = {
  messageHeader: 1, // RFC 4271
  open: 2, // RFC 4271
  update: 3, // RFC 4271
  holdTimerExpired: 4, // RFC 4271
  fsm: 5, // RFC 4271, RFC 6608
  cease: 6, // RFC 4271, RFC 4486
  routeRefresh: 7, // RFC 7313
  sendHoldTimerExpired: 8, // RFC 9687
} as const;

/** Message Header Error subcodes, RFC 4271 section 6.1. */
export const HeaderError = { notSynchronized: 1, badLength: 2, badType: 3 } as const;

/** OPEN Message Error subcodes. */
export const OpenError = {
  unspecific: 0,
  unsupportedVersion: 1, // RFC 4271
  badPeerAs: 2, // RFC 4271
  badIdentifier: 3, // RFC 4271, RFC 6286
  unsupportedParameter: 4, // RFC 4271
  unacceptableHoldTime: 6, // RFC 4271
  unsupportedCapability: 7, // RFC 5492
  roleMismatch: 11, // RFC 9234
} as const;

/** UPDATE Message Error subcodes, RFC 4271 section 6.3. */
export const UpdateError = {
  unspecific: 0,
  malformedAttributeList: 1,
  unrecognizedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetworkField: 10,
  malformedAsPath: 11,
} as const;

/** Finite State Machine Error subcodes, RFC 6608. */
export const FsmError = { unspecific: 0, openSent: 1, openConfirm: 2, established: 3 } as const;

/** Cease NOTIFICATION subcodes, RFC 4486 and later. */
export const CeaseCode = {
  maximumPrefixes: 1, // RFC 4486
  administrativeShutdown: 2, // RFC 4486, RFC 9003
  peerDeconfigured: 3, // RFC 4486
  administrativeReset: 4, // RFC 4486, RFC 9003
  connectionRejected: 5, // RFC 4486
  otherConfigurationChange: 6, // RFC 4486
  connectionCollision: 7, // RFC 4486
  outOfResources: 8, // RFC 4486
  hardReset: 9, // RFC 8538
  bfdDown: 10, // RFC 9384
} as const;

/** ROUTE-REFRESH Message Error subcodes, RFC 7313 section 5. */
export const RefreshError = { invalidLength: 1 } as const;

/** BGP Well-known Communities, as the 32-bit value. */
export const WellKnownCommunity = {
  gracefulShutdown: 0xffff0000, // RFC 8326
  acceptOwn: 0xffff0001, // RFC 7611
  longLivedStale: 0xffff0006, // RFC 9494
  noLongLived: 0xffff0007, // RFC 9494
  blackhole: 0xffff029a, // RFC 7999
  noExport: 0xffffff01, // RFC 1997
  noAdvertise: 0xffffff02, // RFC 1997
  noExportSubconfed: 0xffffff03, // RFC 1997
  noPeer: 0xffffff04, // RFC 3765
} as const;

/** Stands in two-octet fields for an AS number that does not fit, RFC 6793. */
export const AS_TRANS = 23456;

/** Octets of the common header, and the most a message may have, RFC 4271 section 4.1 and RFC 8654. */
export const HEADER_LENGTH = 19;
export const MAX_MESSAGE_LENGTH = 4096;
export const MAX_EXTENDED_MESSAGE_LENGTH = 65535;

/** The TCP port of BGP, and the UDP ports of BFD (RFC 5881 control and echo, RFC 5883 multihop). */
export const Port = { bgp: 179, bfdControl: 3784, bfdEcho: 3785, bfdMultihop: 4784 } as const;

/** The key of a table that has this value, as text for people: nameOf(AttributeType, 5) = "localPreference". */
export function nameOf(table: Readonly<Record<string, number>>, value: number): string | undefined {
  for (const key in table) if (table[key] === value) return key;
  return undefined;
}

/** MRT Types and Subtypes, RFC 6396; ADD-PATH subtypes RFC 8050. */
export const MrtType = { tableDumpV2: 13, bgp4mp: 16, bgp4mpEt: 17 } as const;
export const TableDumpSubtype = {
  peerIndexTable: 1,
  ribIpv4Unicast: 2,
  ribIpv6Unicast: 4,
  ribIpv4UnicastAddPath: 8,
  ribIpv6UnicastAddPath: 10,
} as const;
export const Bgp4mpSubtype = {
  stateChange: 0,
  message: 1,
  messageAs4: 4,
  stateChangeAs4: 5,
  messageAddPath: 8,
  messageAs4AddPath: 9,
} as const;

/** BMP Message Types, RFC 7854 section 4.1. */
export const BmpMessageType = {
  routeMonitoring: 0,
  statisticsReport: 1,
  peerDown: 2,
  peerUp: 3,
  initiation: 4,
  termination: 5,
} as const;

/** BMP Peer Types (RFC 7854 section 4.2, RFC 9069 section 4.1) and Peer Flags. */
export const BmpPeerType = { global: 0, locRib: 3 } as const;
export const BmpPeerFlag = {
  ipv6: 0x80, // V
  postPolicy: 0x40, // L
  twoOctetAs: 0x20, // A
  adjRibOut: 0x10, // O, RFC 8671
  filtered: 0x80, // F, for Loc-RIB peers (RFC 9069)
} as const;

/** BMP Peer Down reasons, RFC 7854 section 4.9 and RFC 9069 section 5.3. */
export const BmpDownReason = {
  localNotification: 1,
  localNoNotification: 2,
  remoteNotification: 3,
  remoteNoData: 4,
  deconfigured: 5,
  locRibClosed: 6,
} as const;

/** BMP Initiation, Peer Up and Termination information types. */
export const BmpInformation = { string: 0, sysDescr: 1, sysName: 2, vrfName: 3 } as const;
export const BmpTermination = { string: 0, reason: 1 } as const;

/** BMP Statistics Types (RFC 7854 section 4.8, RFC 8671 section 6.2). */
export const BmpStatistic = {
  rejectedPrefixes: 0, // 32-bit counter
  duplicateWithdraws: 2,
  adjRibIn: 7, // 64-bit gauge
  locRib: 8,
  adjRibInByFamily: 9, // AFI, SAFI, 64-bit gauge
  locRibByFamily: 10,
  treatAsWithdraw: 11,
  adjRibOutPostPolicy: 15, // RFC 8671 section 6.2
  adjRibOutPostPolicyByFamily: 17,
} as const;
