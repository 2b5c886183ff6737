/**
 * What this kernel can do, found out by doing it: each probe performs the very operation that Tortie needs, in a scratch
 * namespace that vanishes afterwards, so that nothing of the machine is touched and modules are loaded as they would be.
 *
 * A version number or a list of modules would not tell: distributions leave things out, containers take rights away.
 */
import { type Family, parseAddress, parsePrefix } from 'node-bgp/address';
import { AF_INET, AF_INET6 } from './libc.js';
import { readSysctl } from './sysctl.js';
import { NetlinkBatch } from './netlink/batch.js';
import { flushConnections } from './netlink/conntrack.js';
import { writeInterfaceAddress } from './netlink/interface-address.js';
import { findLink, writeGroupDeletion, writeLinkSettings, writeVeth } from './netlink/link.js';
import { NetlinkError } from './netlink/netlink-error.js';
import { NetlinkSocket } from './netlink/netlink-socket.js';
import { type NextHop, PROTOCOL_TORTIE, type RouteRequest } from './netlink/route.js';
import { applyRouteChanges } from './netlink/route-change.js';
import { listRoutes } from './netlink/route-list.js';
import { type NEWEST_REVISION, writeCreate } from './netfilter/set-protocol.js';
import { inScratchNamespace } from './netns.js';
import { messageOf } from '../errors.js';

export interface Feature {
  /** In words: "address sets". */
  readonly name: string;
  /** The kernel's build option or module, for whoever has to provide it. */
  readonly kernelPart: string;
  /** What Tortie does with it. */
  readonly purpose: string;
  /** Without a required feature the agent cannot start; without another, `purpose` is lost. */
  readonly isRequired: boolean;
}

export interface FeatureReport extends Feature {
  /** Why it is not there; undefined if it is. */
  readonly problem: string | undefined;
}

interface Probe extends Feature {
  /** Throws what the kernel says if it cannot. Runs in the scratch namespace. */
  readonly attempt: (scratch: Scratch) => void;
}

/** Sockets of the scratch namespace. */
interface Scratch {
  readonly route: NetlinkSocket;
  readonly netfilter: NetlinkSocket;
}

/** What the rules of policy/src/render/iptables.ts match with. */
const MATCHES = ['conntrack', 'set', 'rpfilter', 'comment', 'mark', 'multiport', 'addrtype', 'limit', 'icmp', 'icmp6'];

/**
 * Tries everything, 10 to 50 ms; more when modules have to be loaded. Throws only if there can be no scratch namespace.
 *
 * @param matches names of the xtables matches that are needed
 */
export function probeFeatures(matches: readonly string[] = MATCHES): readonly FeatureReport[] {
  const probes = [...PROBES, ...matches.map(matchProbe)];
  return inScratchNamespace(() => {
    const scratch = { route: new NetlinkSocket(), netfilter: new NetlinkSocket({ family: 'netfilter' }) };
    try {
      return probes.map((probe) => report(probe, scratch));
    } finally {
      scratch.route.close();
      scratch.netfilter.close();
    }
  });
}

/** One sentence per feature that is missing. */
export function describeMissing(reports: readonly FeatureReport[]): readonly string[] {
  return reports
    .filter(({ problem }) => problem !== undefined)
    .map(
      ({ name, kernelPart, purpose, isRequired, problem }) =>
        `This kernel ${isRequired ? 'lacks' : 'does without'} ${name} (${kernelPart}), which Tortie needs for ${purpose}: ${problem ?? ''}`,
    );
}

function report({ attempt, ...feature }: Probe, scratch: Scratch): FeatureReport {
  try {
    attempt(scratch);
    return { ...feature, problem: undefined };
  } catch (error) {
    return { ...feature, problem: messageOf(error) };
  }
}

/** In this order: later probes use what earlier ones made. */
const PROBES: readonly Probe[] = [
  {
    name: 'veth interfaces',
    kernelPart: 'CONFIG_VETH',
    purpose: 'connecting pods',
    isRequired: true,
    attempt: ({ route }) => makeVeth(route),
  },
  {
    name: 'interface groups',
    kernelPart: 'IFLA_GROUP',
    purpose: 'deleting many interfaces at once',
    isRequired: true,
    attempt: ({ route }) => deleteByGroup(route),
  },
  {
    name: 'IPv6',
    kernelPart: 'CONFIG_IPV6, not switched off by ipv6.disable=1',
    purpose: 'dual-stack pods',
    isRequired: false,
    attempt: () => void readSysctl(['net', 'ipv6', 'conf', 'all', 'forwarding']),
  },
  {
    name: 'blackhole routes',
    kernelPart: 'CONFIG_INET',
    purpose: 'keeping packets to unused addresses of own blocks',
    isRequired: true,
    attempt: ({ route }) =>
      applyRoute(route, {
        prefix: parsePrefix('10.65.0.0/26'),
        type: 'blackhole',
        protocol: PROTOCOL_TORTIE,
        nextHops: [],
      }),
  },
  {
    name: 'multipath routes',
    kernelPart: 'CONFIG_IP_ROUTE_MULTIPATH',
    purpose: 'using both top-of-rack routers at once',
    isRequired: false,
    attempt: ({ route }) => tryMultipath(route),
  },
  {
    name: 'connection tracking',
    kernelPart: 'CONFIG_NF_CT_NETLINK',
    purpose: 'stateful policy and clean reuse of addresses',
    isRequired: true,
    attempt: ({ netfilter }) =>
      void flushConnections(netfilter, [parseAddress('192.0.2.1'), parseAddress('2001:db8::1')]),
  },
  ...(['address', 'network', 'address-port'] as const).map(
    (type): Probe => ({
      name: `sets of type ${type}`,
      kernelPart: 'CONFIG_IP_SET, CONFIG_IP_SET_HASH_*',
      purpose: 'policies written with iptables',
      isRequired: false,
      attempt: ({ netfilter }) => makeSets(netfilter, type),
    }),
  ),
];

function matchProbe(name: string): Probe {
  return {
    name: `the iptables match "${name}"`,
    kernelPart: `xt_${name}`,
    purpose: 'policies written with iptables',
    isRequired: false,
    attempt: ({ netfilter }) => tryMatch(netfilter, name),
  };
}

const VETH = 'tortprobe0';

function makeVeth(socket: NetlinkSocket): void {
  const { batch } = socket;
  batch.clear();
  writeVeth(batch, { name: VETH, peer: { name: 'tortprobe1' } });
  for (const name of [VETH, 'tortprobe1']) writeLinkSettings(batch, { name }, { isUp: true, alias: 'tortie:probe' });
  socket.request(batch);
}

function deleteByGroup(socket: NetlinkSocket): void {
  const { batch } = socket;
  const group = 7;
  batch.clear();
  writeVeth(batch, { name: 'tortprobe2', peer: { name: 'tortprobe3' } });
  writeLinkSettings(batch, { name: 'tortprobe2' }, { group });
  writeGroupDeletion(batch, group);
  socket.request(batch);
  if (findLink(socket, { name: 'tortprobe2' }) !== undefined)
    throw new Error('the group was deleted and its interface is still there');
}

function applyRoute(socket: NetlinkSocket, route: RouteRequest): void {
  const [failure] = applyRouteChanges(socket, [{ type: 'add', route }]);
  if (failure !== undefined) throw failure.error;
}

/** A kernel without multipath refuses it for IPv4 (EINVAL); read it back all the same. */
function tryMultipath(socket: NetlinkSocket): void {
  const link = findLink(socket, { name: VETH });
  if (link === undefined) throw new Error('it cannot be tried without veth interfaces');
  const { batch } = socket;
  const hops: readonly NextHop[] = ['10.64.0.2', '10.64.0.3'].map((via) => ({
    via: parseAddress(via),
    interfaceIndex: link.index,
  }));
  batch.clear();
  writeInterfaceAddress(batch, { interfaceIndex: link.index, address: parseAddress('10.64.0.1'), prefixLength: 24 });
  socket.request(batch);
  const prefix = parsePrefix('10.66.0.0/16');
  applyRoute(socket, { prefix, protocol: PROTOCOL_TORTIE, nextHops: hops });
  const found = listRoutes(socket, { family: 4, protocol: PROTOCOL_TORTIE }).find(
    (route) => route.prefix.value === prefix.value && route.type === 'unicast',
  );
  if (found?.nextHops.length !== hops.length)
    throw new Error(`a route with ${hops.length} next hops has ${found?.nextHops.length ?? 0} when read back`);
}

function makeSets(socket: NetlinkSocket, type: keyof typeof NEWEST_REVISION): void {
  const { batch } = socket;
  for (const family of [4, 6] as const satisfies readonly Family[]) {
    batch.clear();
    // Revision 0 is what every kernel that has the type takes.
    writeCreate(batch, { name: `tortprobe${family}-${type}`, type, family, maxElements: 16 }, 0);
    socket.request(batch);
  }
}

const NFNL_SUBSYS_NFT_COMPAT = 11;
const NFTA_COMPAT_NAME = 1;
const NFTA_COMPAT_REV = 2;
const NFTA_COMPAT_TYPE = 3;

/**
 * Asks nft_compat for an xtables match (linux/netfilter/nf_tables_compat.h), which loads its module. ENOENT: there is none.
 * Any other refusal says nothing about the match: EPROTONOSUPPORT that revision 0 of it is gone, and the rest that the kernel
 * has no nft_compat, in which case the legacy iptables program will tell.
 */
function tryMatch(socket: NetlinkSocket, name: string): void {
  const batch = new NetlinkBatch(256);
  batch.beginMessage(NFNL_SUBSYS_NFT_COMPAT << 8, 0, () => `look up iptables match "${name}"`);
  batch.u8(name === 'icmp6' ? AF_INET6 : AF_INET);
  batch.u8(0);
  batch.u16be(0);
  batch.attributeText(NFTA_COMPAT_NAME, name);
  batch.attributeU32be(NFTA_COMPAT_REV, 0);
  batch.attributeU32be(NFTA_COMPAT_TYPE, 0);
  batch.endMessage();
  try {
    socket.query(batch, () => undefined);
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code === 'ENOENT') throw error;
  }
}
