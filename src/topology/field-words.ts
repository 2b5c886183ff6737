/**
 * What the daemon calls the fields of its configuration, in the words of the resources that they come from. Its sentences reach people
 * through conditions, NodeStatus and events, and those people have written `spec.asNumber`, not "remoteAs".
 *
 * A field that no resource sets is called by what it is: the daemon tells of it only to whoever has configured it by file.
 */
const WORDS: Readonly<Record<string, string>> = {
  // Of a session.
  address: 'spec.peerIP',
  port: 'the port of spec.peerIP',
  interface: 'the interface of spec.peerIP',
  remoteAs: 'spec.asNumber',
  localAs: 'spec.localASNumber',
  localAsOnly: 'spec.localASNumber',
  localAddress: 'spec.sourceAddress',
  localPort: 'the local port',
  multihop: 'spec.multihop',
  ttlSecurityHops: 'spec.ttlSecurity',
  password: 'spec.password',
  holdTime: 'spec.holdTime',
  keepaliveTime: 'spec.keepaliveTime',
  connectRetryTime: 'the connect retry time',
  delayOpenTime: 'the delay open time',
  gracefulRestart: 'graceful restart',
  gracefulRestartTime: 'spec.maxRestartTime',
  longLivedRestartTime: 'the long-lived restart time',
  allowLocalAs: 'spec.numAllowedLocalASNumbers',
  passive: 'spec.passive',
  maxPrefixes: 'spec.maxPrefixes',
  maxPrefixesRestartAfter: 'spec.maxPrefixesRestartAfter',
  maxPrefixesWarnAt: 'the warning before spec.maxPrefixes',
  maxPrefixesWarnOnly: 'the warning at spec.maxPrefixes',
  bfd: 'spec.bfd',
  nextHopSelf: 'spec.nextHopMode',
  nextHopUnchanged: 'spec.nextHopMode',
  import: 'spec.filters',
  export: 'spec.filters',
  filters: 'spec.filters',
  families: 'the address families',
  extendedNextHop: 'the extended next hop (RFC 8950)',
  capabilities: 'the capabilities',
  addPath: 'ADD-PATH',
  addPathLimit: 'the limit of ADD-PATH',
  asOverride: 'AS override',
  removePrivateAs: 'the removal of private AS numbers',
  enforceFirstAs: 'the check of the first AS',
  maxAsPathLength: 'the longest AS path',
  maxAttributesLength: 'the largest attributes',
  role: 'the role (RFC 9234)',
  roleStrict: 'the strict role (RFC 9234)',
  routeReflectorClient: 'the annotation projectcalico.org/RouteReflectorClusterID',
  weight: 'the weight',
  description: 'the description',
  name: 'metadata.name',
  shutdown: 'the shutdown',
  drain: 'the drain',
  // Of the daemon.
  routerId: 'the router id',
  clusterId: 'the annotation projectcalico.org/RouteReflectorClusterID',
  listen: 'spec.listenPort',
  peers: 'the peers',
  dynamicPeers: 'the ranges of peers',
  originate: 'the announced prefixes',
  multipath: 'multipath',
  alwaysCompareMed: 'the comparison of MED',
  installRoutes: 'routes in the kernel',
  kernelMetric: 'spec.ipv4NormalRoutePriority',
  kernelMetricIpv6: 'spec.ipv6NormalRoutePriority',
  requirePolicy: 'the need of filters (RFC 8212)',
  ignoredInterfaces: 'spec.ignoredInterfaces',
  resolveThroughDefault: 'next hops through the default route',
  logLevel: 'spec.logSeverityScreen',
  mrt: 'MRT dumps',
  bmp: 'BMP stations',
};

/** Undefined: no field of the daemon's. */
export const wordsOfField = (field: string): string | undefined =>
  Object.hasOwn(WORDS, field) ? WORDS[field] : undefined;

/**
 * A sentence of the daemon's. Names of fields stand in quotes, or, as in a list of what has changed, alone; there those that are also
 * plain words ("address") are what they say.
 */
export const inWordsOfResources = (sentence: string): string =>
  sentence.replace(
    /"(\w+)"|(?<![\w.])([a-z]+[A-Z]\w*)/g,
    (text, quoted: string | undefined, bare: string | undefined) => wordsOfField(quoted ?? bare ?? '') ?? text,
  );
