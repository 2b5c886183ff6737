/**
 * The shape of a SpeakerConfig: every field with what it may hold. Relations between fields are in validate.ts.
 *
 * Sizes are bounded here, once, because a configuration comes over a socket.
 */
import {
  address,
  boolean,
  either,
  integer,
  isObject,
  joinPath,
  list,
  object,
  oneOf,
  pattern,
  peerAddress,
  prefix,
  record,
  scopedAddress,
  secret,
  text,
  type Field,
} from './schema.js';
import { asNumber, community, family, filterShape } from './filter-shape.js';

/** RFC 6286: four octets, written as a dotted quad, not zero. */
const identifier: Field = text({ format: 'ipv4' }, (value) =>
  /^(\d{1,3})(\.\d{1,3}){3}$/.test(value) &&
  value.split('.').every((part) => Number(part) <= 255 && String(Number(part)) === part) &&
  value !== '0.0.0.0'
    ? undefined
    : 'a dotted quad other than 0.0.0.0',
);

/** RFC 4271 section 4.2. */
const holdTime: Field = {
  schema: { anyOf: [{ const: 0 }, { type: 'integer', minimum: 3, maximum: 65535 }] },
  check: (value, path, problems) => {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 65535 || value === 1 || value === 2)
      problems.push({ path, value, expected: '0, or a number of seconds from 3 to 65535' });
  },
};

/** RFC 4724 section 3: twelve bits. */
const restartTime = integer(0, 4095, 'a number of seconds from 0 to 4095');

const port = integer(1, 65535);
const listenPort = integer(0, 65535);
const name = pattern(/^[\x21-\x7e]{1,128}$/, '1 to 128 printable characters without blanks');
const interfaceName = pattern(/^[^\s/]{1,15}$/, 'an interface name of at most 15 characters');
/**
 * The kernel's names hold nearly anything, but who writes brackets or bars means a pattern of another language, which would never match;
 * and who ignores all interfaces has none to reach a next hop through.
 */
const interfacePattern = text({ pattern: '^[A-Za-z0-9_.@+=,#~*?-]{1,64}$' }, (value) => {
  const letters = value.replace(/\*/g, '');
  if (!/^[A-Za-z0-9_.@+=,#~*?-]{1,64}$/.test(value) || letters.length > 15)
    return 'an interface name of at most 15 characters, with * and ? as wildcards';
  return letters === '' || (value.includes('*') && letters === '?')
    ? 'a pattern that does not hold every interface'
    : undefined;
});
const filterNames = list(name, { max: 128 });

const bfd = object(
  {},
  {
    transmitInterval: integer(10, 60000),
    receiveInterval: integer(10, 60000),
    multiplier: integer(1, 255),
    echoInterval: integer(10, 60000),
  },
);

const capabilities = object(
  {},
  {
    multiprotocol: boolean,
    routeRefresh: boolean,
    enhancedRouteRefresh: boolean,
    extendedMessage: boolean,
    fourOctetAs: boolean,
    extendedNextHop: boolean,
    gracefulRestart: boolean,
    longLivedGracefulRestart: boolean,
    addPath: boolean,
    role: boolean,
  },
);

const session: Readonly<Record<string, Field>> = {
  description: text({ maxLength: 256 }, (value) => (value.length > 256 ? 'at most 256 characters' : undefined)),
  localAs: asNumber,
  localAsOnly: boolean,
  multihop: integer(1, 255),
  ttlSecurityHops: integer(1, 254),
  password: secret(80),
  holdTime,
  keepaliveTime: integer(1, 21845, 'a number of seconds from 1 to 21845'),
  connectRetryTime: integer(1, 65535),
  delayOpenTime: integer(0, 240),
  families: list(family, { min: 1, max: 2 }),
  extendedNextHop: boolean,
  capabilities,
  addPath: oneOf('send', 'receive', 'both'),
  addPathLimit: integer(1, 65535),
  maxPrefixes: integer(1, 4294967295),
  maxPrefixesRestartAfter: integer(1, 86400, 'a number of seconds from 1 to 86400'),
  maxPrefixesWarnAt: integer(1, 100),
  maxPrefixesWarnOnly: boolean,
  allowLocalAs: integer(0, 255),
  asOverride: boolean,
  removePrivateAs: oneOf('only-private', 'all'),
  enforceFirstAs: boolean,
  maxAsPathLength: integer(1, 16384),
  maxAttributesLength: integer(64, 65535),
  role: oneOf('provider', 'route-server', 'route-server-client', 'customer', 'peer'),
  roleStrict: boolean,
  nextHopSelf: boolean,
  nextHopUnchanged: boolean,
  routeReflectorClient: boolean,
  weight: integer(0, 65535),
  gracefulRestart: boolean,
  gracefulRestartTime: restartTime,
  drain: boolean,
  bfd,
  import: filterNames,
  export: filterNames,
};

const peerFields = object(
  { remoteAs: either((value) => typeof value === 'string', oneOf('external', 'internal'), asNumber) },
  {
    ...session,
    address: peerAddress,
    interface: interfaceName,
    name,
    port,
    localAddress: peerAddress,
    localPort: port,
    passive: boolean,
    shutdown: boolean,
  },
);

/** At an address, at an interface, or both: the interface of a link-local address may stand beside it. */
export const peerShape: Field = {
  schema: { ...peerFields.schema, anyOf: [{ required: ['address'] }, { required: ['interface'] }] },
  check: (value, path, problems) => {
    peerFields.check(isObject(value) ? { ...value, address: scopedAddress(value) } : value, path, problems);
    if (isObject(value) && (value.address ?? value.interface ?? undefined) === undefined)
      problems.push({
        path: joinPath(path, 'address'),
        value: undefined,
        expected: 'an address, or an "interface" whose router is the peer',
      });
  },
};

export const dynamicPeersShape = object(
  { name, range: prefix, remoteAs: either(Array.isArray, list(asNumber, { min: 1, max: 256 }), asNumber) },
  { ...session, interface: interfaceName, limit: integer(1, 10000) },
);

const mrt = object(
  { file: pattern(/^\/[^\0]{1,4000}$/, 'an absolute path') },
  { interval: integer(1, 2_000_000), keep: integer(0, 1000) },
);

export const originatedShape: Field = object(
  { prefix },
  {
    tags: list(name, { max: 16 }),
    communities: list(community, { max: 64 }),
    aggregate: object({ summaryOnly: boolean }, {}),
  },
);

const requiredFields: Readonly<Record<string, Field>> = { localAs: asNumber, routerId: identifier };

/** BOUNDED: 10,000 peers and a million prefixes are far beyond what one process is for. */
const optionalFields: Readonly<Record<string, Field>> = {
  listen: list(object({ address }, { port: listenPort }), { max: 64 }),
  peers: list(peerShape, { max: 10000 }),
  dynamicPeers: list(dynamicPeersShape, { max: 256 }),
  originate: list(originatedShape, { max: 1_000_000 }),
  filters: record(/^[\x21-\x7e]{1,128}$/, filterShape, { max: 10000 }),
  multipath: object({}, { ebgp: integer(1, 256), ibgp: integer(1, 256), relaxAsPath: boolean }),
  alwaysCompareMed: boolean,
  gracefulRestartTime: restartTime,
  longLivedRestartTime: integer(0, 0xffffff),
  installRoutes: boolean,
  kernelMetric: integer(0, 0xffffffff),
  kernelMetricIpv6: integer(0, 0xffffffff),
  requirePolicy: boolean,
  drain: boolean,
  clusterId: identifier,
  ignoredInterfaces: list(interfacePattern, { max: 1024 }),
  resolveThroughDefault: boolean,
  logLevel: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
  mrt,
  bmp: list(
    object(
      { address },
      {
        port,
        monitor: list(
          oneOf('adj-rib-in', 'adj-rib-in-post-policy', 'loc-rib', 'adj-rib-out-pre-policy', 'adj-rib-out'),
          { min: 1, max: 5 },
        ),
        statisticsInterval: integer(0, 86400),
      },
    ),
    { max: 16 },
  ),
};

export const speakerShape: Field = object(requiredFields, optionalFields);

/** What one field of a SpeakerConfig may hold. */
export const speakerFields: ReadonlyMap<string, Field> = new Map([
  ...Object.entries(requiredFields),
  ...Object.entries(optionalFields),
]);
