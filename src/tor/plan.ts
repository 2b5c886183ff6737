/**
 * The router's side of the peerings: from the cluster's resources, who a router has sessions with, what it hears from them and what it may
 * tell them. Pure. What a node wants is what its own speaker is told (src/topology), so that the two sides cannot disagree.
 *
 * Sessions among nodes are not a router's. Where a session leaves from an address that no resource names (sourceAddress: None), the
 * address is the one that NodeStatus last had for it, or the router is given a range to listen on.
 */
import { tryParseAddress, tryParsePrefix, containsAddress, formatPrefix, type Family } from 'node-bgp/address';
import type { AddressedPeerConfig, PeerConfig } from 'node-bgp/config';
import type { BGPConfiguration, BGPFilter, BGPPeer } from '../api/bgp.js';
import type { Node } from '../api/core.js';
import type { IPPool } from '../api/ipam.js';
import type { NodeStatus } from '../api/node-status.js';
import { UserError } from '../errors.js';
import { identityOf } from '../topology/node-identity.js';
import { expectedOfRange } from '../topology/service-routes.js';
import { topologyOf, type TopologyInput } from '../topology/speaker-config.js';

export interface TorObjects {
  readonly nodes: readonly Node[];
  readonly nodeStatuses: readonly NodeStatus[];
  readonly bgpConfigurations: readonly BGPConfiguration[];
  readonly bgpPeers: readonly BGPPeer[];
  readonly bgpFilters: readonly BGPFilter[];
  readonly ipPools: readonly IPPool[];
}

export interface TorChoice {
  /** Of the router; default: all sessions lead to one AS. */
  readonly as?: number;
  /** The router's own; default: every one that a session leads to. */
  readonly addresses: readonly string[];
  /** Where nodes connect from whose addresses nobody knows. */
  readonly ranges: readonly string[];
  /** `pods`: the default route and what the nodes themselves announce; `all`: everything. */
  readonly advertise: 'pods' | 'all';
}

/** Reads the value of a secret, or something in its place. */
export type SecretReader = TopologyInput['secret'];

/** Octets of a TCP-MD5 key: TCP_MD5SIG_MAXKEYLEN in linux/tcp.h. */
const MOST_KEY = 80;
/** What no vendor's configuration language takes for more than itself. */
const PLAIN_KEY = /^[!#-&(->@-[\]-~]*$/;

/** In the place of a key that nobody asked to see. */
export const placeholder: SecretReader = (name, key) =>
  `SECRET-${name}-${key}`.replaceAll(/\s/g, '-').slice(0, MOST_KEY);

export interface RouterPlan {
  readonly as: number;
  readonly sessions: readonly TorSession[];
  /** Nodes without a known address, by range. */
  readonly ranges: readonly TorRange[];
  /** What nodes announce, and nothing else is taken from them. */
  readonly accept: readonly PrefixRule[];
  readonly advertise: TorChoice['advertise'];
  /** Several nodes are of one AS: each hears of the others only with that AS in the path. `accepted`: they take it so. */
  readonly sharedAs?: 'accepted' | 'override';
  /** Sentences about resources that ask for no session. */
  readonly problems: readonly string[];
}

/** What both kinds have. */
export interface TorSettings {
  readonly family: Family;
  /** The same as the router's: iBGP, and the router reflects. */
  readonly nodeAs: number;
  /** Seconds. */
  readonly holdTime: number;
  readonly password?: string;
  /** Hops. */
  readonly multihop?: number;
  readonly ttlSecurityHops?: number;
  readonly bfd?: { readonly interval: number; readonly multiplier: number };
}

export interface TorSession extends TorSettings {
  readonly node: string;
  /** As bgpd calls it. */
  readonly peer: string;
  readonly routerAddress: string;
  /** Default 179. */
  readonly routerPort: number;
  readonly nodeAddress: string;
  /** The node waits for the router to connect. */
  readonly isNodePassive: boolean;
  readonly nodePort: number;
}

export interface TorRange extends Omit<TorSettings, 'nodeAs'> {
  readonly range: string;
  /** Of the nodes in it. */
  readonly nodeAses: readonly number[];
}

export interface PrefixRule {
  readonly family: Family;
  readonly prefix: string;
  readonly minLength: number;
  readonly maxLength: number;
  /** Where it comes from: "IPPool/default". */
  readonly from: string;
}

const DEFAULT_HOLD_TIME = 90;
const BITS = { 4: 32, 6: 128 } as const;
const DEFAULT_BLOCK = { 4: 26, 6: 122 } as const;

/** A session whose near end may not be known. */
type Wanted = Omit<TorSession, 'nodeAddress'> & { readonly nodeAddress?: string; readonly acceptsOwnAs: boolean };

/** @throws UserError where the choice does not name one router, or nobody knows where a node connects from */
export function planOf(
  objects: TorObjects,
  choice: TorChoice,
  secret: SecretReader,
  matches: TopologyInput['matches'],
): RouterPlan {
  const awkward = new Set<string>();
  // A key that no node takes is refused as it is.
  const writable: SecretReader = (name, key) => {
    const value = secret(name, key);
    if (value === undefined || value.length > MOST_KEY || PLAIN_KEY.test(value)) return value;
    awkward.add(
      `Secret/${name} key "${key}" has characters that routers read in ways of their own ` +
        '(a space, a quotation mark, ?, \\, or beyond ASCII): put it in by hand, as your router takes it',
    );
    return placeholder(name, key);
  };
  const { wanted, problems } = wantedOf(objects, writable, matches);
  const chosen = choose(wanted, choice);
  const as = chosen[0]?.routerAs ?? 0;
  const { sessions, twins } = withoutTwins(
    chosen.flatMap(({ session }) =>
      session.nodeAddress === undefined ? [] : [{ ...session, nodeAddress: session.nodeAddress }],
    ),
  );
  const byAs = new Map<number, Set<string>>();
  for (const { session } of chosen) byAs.set(session.nodeAs, (byAs.get(session.nodeAs) ?? new Set()).add(session.node));
  const isShared = [...byAs].some(([nodeAs, nodes]) => nodeAs !== as && nodes.size > 1);
  return {
    as,
    sessions: sessions.map(({ acceptsOwnAs: _, ...session }) => session),
    ranges: rangesOf(
      chosen.map(({ session }) => session).filter(({ nodeAddress }) => nodeAddress === undefined),
      choice,
    ),
    accept: acceptOf(objects, new Set(chosen.map(({ session }) => session.node))),
    advertise: choice.advertise,
    ...(isShared ? { sharedAs: chosen.every(({ session }) => session.acceptsOwnAs) ? 'accepted' : 'override' } : {}),
    problems: [...problems, ...twins, ...awkward],
  };
}

/**
 * A router knows a neighbour by its address: FRR and its like take a second session for the first one's settings, BIRD 2.0 starts it and
 * lets it wait for ever (findings/bird-holds-one-session-with-an-address.sh).
 */
function withoutTwins<S extends TorSession>(
  all: readonly S[],
): { readonly sessions: readonly S[]; readonly twins: readonly string[] } {
  const first = new Map<string, S>();
  const twins: string[] = [];
  for (const session of all) {
    const { node, peer, nodeAddress } = session;
    const other = first.get(nodeAddress);
    if (other === undefined) first.set(nodeAddress, session);
    else
      twins.push(
        `"${peer}" of node "${node}" comes from ${nodeAddress} as "${other.peer}" does, ` +
          'and a router knows its neighbours by that alone: choose one router with ' +
          `--address ${other.routerAddress} or ${session.routerAddress}, ` +
          "or, if both are one router's, keep one session",
      );
  }
  return { sessions: [...first.values()], twins };
}

interface Routed {
  readonly routerAs: number;
  readonly session: Wanted;
}

/** Every session of every node with something that is no node. */
function wantedOf(
  objects: TorObjects,
  secret: SecretReader,
  matches: TopologyInput['matches'],
): { readonly wanted: readonly Routed[]; readonly problems: readonly string[] } {
  const ofNodes = new Set(objects.nodes.map(identityOf).flatMap(({ addresses }) => [...addresses.values()]));
  const problems = new Set<string>();
  // The mesh is among nodes, and would cost the square of them.
  const isDefault = ({ metadata }: BGPConfiguration): boolean => metadata.name === 'default';
  const spec = objects.bgpConfigurations.find(isDefault)?.spec;
  const bgpConfigurations: readonly BGPConfiguration[] = [
    { metadata: { name: 'default' }, spec: { ...spec, nodeToNodeMeshEnabled: false } },
    ...objects.bgpConfigurations.filter((each) => !isDefault(each)),
  ];
  const wanted = objects.nodes.flatMap((node) => {
    const { config, problems: told } = topologyOf({
      nodeName: node.metadata.name,
      nodes: objects.nodes,
      bgpConfigurations,
      bgpPeers: objects.bgpPeers,
      bgpFilters: objects.bgpFilters,
      ipPools: objects.ipPools,
      blocks: [],
      loopbackAddresses: new Set(),
      secret,
      secretNamespace: 'tortie-system',
      matches,
    });
    for (const { resource, severity, message } of told)
      if (severity === 'problem' && resource.startsWith('BGPPeer/')) problems.add(`${resource} ${message}`);
    const known = objects.nodeStatuses.find(({ metadata }) => metadata.name === node.metadata.name)?.status?.bgp?.peers;
    return (config?.peers ?? []).filter(isRouter(ofNodes)).map((peer) => ({
      routerAs: typeof peer.remoteAs === 'number' ? peer.remoteAs : 0,
      session: sessionOf(node.metadata.name, peer, {
        localAs: config?.localAs ?? 0,
        nodePort: config?.listen?.[0]?.port ?? 179,
        known: known?.find(({ name }) => name === peer.name)?.localAddress,
      }),
    }));
  });
  return { wanted, problems: [...problems].sort() };
}

const isRouter =
  (ofNodes: ReadonlySet<string>) =>
  (peer: PeerConfig): peer is AddressedPeerConfig =>
    peer.address !== undefined && !ofNodes.has(peer.address);

function sessionOf(
  node: string,
  peer: AddressedPeerConfig,
  {
    localAs,
    nodePort,
    known,
  }: { readonly localAs: number; readonly nodePort: number; readonly known?: string | undefined },
): Wanted {
  const nodeAddress = peer.localAddress ?? known;
  const [address = ''] = peer.address.split('%');
  return {
    node,
    peer: peer.name ?? peer.address,
    routerAddress: address,
    routerPort: peer.port ?? 179,
    family: address.includes(':') ? 6 : 4,
    nodeAs: peer.localAs ?? localAs,
    nodePort,
    holdTime: peer.holdTime ?? DEFAULT_HOLD_TIME,
    isNodePassive: peer.passive === true,
    acceptsOwnAs: (peer.allowLocalAs ?? 0) > 0,
    ...(nodeAddress === undefined ? {} : { nodeAddress: nodeAddress.split('%')[0] ?? nodeAddress }),
    ...(peer.password === undefined ? {} : { password: peer.password }),
    ...(peer.multihop === undefined ? {} : { multihop: peer.multihop }),
    ...(peer.ttlSecurityHops === undefined ? {} : { ttlSecurityHops: peer.ttlSecurityHops }),
    ...(peer.bfd === undefined
      ? {}
      : { bfd: { interval: peer.bfd.transmitInterval ?? 300, multiplier: peer.bfd.multiplier ?? 3 } }),
  };
}

function choose(wanted: readonly Routed[], { as, addresses }: TorChoice): readonly Routed[] {
  const asked = new Set(addresses);
  const chosen = wanted.filter(
    ({ routerAs, session }) =>
      (as === undefined || routerAs === as) && (asked.size === 0 || asked.has(session.routerAddress)),
  );
  const routers = (sessions: readonly Routed[]): string =>
    [...new Set(sessions.map(({ routerAs, session }) => `${session.routerAddress} (AS ${routerAs})`))]
      .slice(0, 20)
      .join(', ');
  if (chosen.length === 0)
    throw new UserError(
      wanted.length === 0
        ? 'Cannot print a configuration: no BGPPeer asks for a session with a router'
        : `Cannot print a configuration: no session leads to that router; there are ${routers(wanted)}`,
    );
  if (new Set(chosen.map(({ routerAs }) => routerAs)).size > 1)
    throw new UserError(
      `Cannot print one configuration for several ASes: choose with --as or --address: ${routers(chosen)}`,
      2,
    );
  return chosen;
}

/** Sessions in a range have to be alike: a router tells them apart by nothing else. */
function rangesOf(sessions: readonly Wanted[], { ranges }: TorChoice): readonly TorRange[] {
  const parsed = ranges.map((text) => {
    const prefix = tryParsePrefix(text);
    if (prefix === undefined)
      throw new UserError(`Cannot listen on --range "${text}": expected CIDR notation such as 10.1.0.0/24`, 2);
    return prefix;
  });
  for (const { peer, node, family } of sessions)
    if (!parsed.some((prefix) => prefix.family === family))
      throw new UserError(
        `Cannot tell where node "${node}" connects from for "${peer}": it has sourceAddress None, and NodeStatus has not seen the ` +
          `session up; give the range of those addresses (IPv${family}) with --range`,
      );
  return parsed.flatMap((prefix): readonly TorRange[] => {
    const inside = sessions.filter(({ family }) => family === prefix.family);
    const near = inside.filter(({ routerAddress }) => {
      const address = tryParseAddress(routerAddress);
      return address !== undefined && containsAddress(prefix, address);
    });
    // A range beside a router's address takes those that lead there; one apart from all takes everybody.
    const members = near.length > 0 ? near : inside;
    const [first] = members;
    if (first === undefined) return [];
    const odd = members.find((each) => settingsText(each) !== settingsText(first));
    if (odd !== undefined)
      throw new UserError(
        `Cannot put "${first.peer}" and "${odd.peer}" into one range ${formatPrefix(prefix)}: ` +
          `they differ in key, timers, BFD or distance`,
      );
    const { nodeAs: _, ...settings } = settingsOf(first);
    return [
      {
        ...settings,
        range: formatPrefix(prefix),
        nodeAses: [...new Set(members.map(({ nodeAs }) => nodeAs))].sort((a, b) => a - b),
      },
    ];
  });
}

function settingsOf({ family, nodeAs, holdTime, password, multihop, ttlSecurityHops, bfd }: TorSettings): TorSettings {
  return {
    family,
    nodeAs,
    holdTime,
    ...(password === undefined ? {} : { password }),
    ...(multihop === undefined ? {} : { multihop }),
    ...(ttlSecurityHops === undefined ? {} : { ttlSecurityHops }),
    ...(bfd === undefined ? {} : { bfd }),
  };
}

const settingsText = (settings: TorSettings): string => JSON.stringify({ ...settingsOf(settings), nodeAs: 0 });

/** Blocks of pools and single addresses of them, ranges of Services, and the nodes' own addresses. */
function acceptOf(
  { ipPools, bgpConfigurations, nodes }: TorObjects,
  names: ReadonlySet<string>,
): readonly PrefixRule[] {
  const rule = (cidr: string | undefined, from: string, minLength?: number): readonly PrefixRule[] => {
    const prefix = cidr === undefined ? undefined : tryParsePrefix(cidr);
    if (prefix === undefined) return [];
    const maxLength = BITS[prefix.family];
    return [
      {
        family: prefix.family,
        prefix: formatPrefix(prefix),
        minLength: Math.max(prefix.length, minLength ?? 0),
        maxLength,
        from,
      },
    ];
  };
  const services = bgpConfigurations
    .filter(({ metadata }) => metadata.name === 'default')
    .flatMap(({ spec }) => [spec.serviceClusterIPs, spec.serviceExternalIPs, spec.serviceLoadBalancerIPs])
    .flatMap((entries) => entries ?? [])
    // What no node announces, a default route above all, is not taken from one either.
    .filter(({ cidr = '' }) => expectedOfRange(cidr) === undefined)
    .flatMap(({ cidr }) => rule(cidr, 'BGPConfiguration/default'));
  const rules = [
    ...ipPools
      .filter(({ spec }) => spec.disableBGPExport !== true)
      .flatMap(({ metadata, spec }) =>
        rule(spec.cidr, `IPPool/${metadata.name}`, spec.blockSize ?? DEFAULT_BLOCK[spec.cidr.includes(':') ? 6 : 4]),
      ),
    ...services,
    ...nodes
      .map(identityOf)
      .filter(({ name }) => names.has(name))
      .flatMap(({ name, addresses }) =>
        [...addresses].flatMap(([family, address]) => rule(`${address}/${BITS[family]}`, `Node/${name}`)),
      ),
  ];
  return [...new Map(rules.map((each) => [`${each.prefix} ${each.minLength}`, each])).values()];
}
