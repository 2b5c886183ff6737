/**
 * What a guard stops. Pure. An object asks for it by the annotation `tortie.dev/guard: required`: a BGPPeer or IPPool for itself, the
 * BGPConfiguration "default" for all. `off` on the same object, or on "default", lets through what is held.
 *
 * Stopped is what leaves a node without a session, or without one with a router; a selector that matched and matches no node any more; and
 * a pool that goes while pods live in it.
 */
import { containsAddress, tryParseAddress, tryParsePrefix } from 'node-bgp/address';
import { peerLocation, peerName } from 'node-bgp/config/peer-rules';
import type { BGPPeer } from '../api/bgp.js';
import type { Node, Pod } from '../api/core.js';
import type { IPPool } from '../api/ipam.js';
import type { KindName, ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { identityOf } from '../topology/node-identity.js';
import type { Topology } from '../topology/speaker-config.js';

export const GUARD = 'tortie.dev/guard';
/** What guards look at. */
export const GUARD_KINDS = ['nodes', 'bgpConfigurations', 'bgpPeers', 'ipPools'] as const satisfies readonly KindName[];
export type GuardKind = (typeof GUARD_KINDS)[number];

/** By kind and name. */
export type GuardedObjects = Readonly<Record<GuardKind, ReadonlyMap<string, KubeObject>>>;

export interface GuardContext {
  readonly node: string;
  /** What a node's speaker would be by these objects, all else being as it is. */
  readonly topology: (objects: GuardedObjects, node: string) => Pick<Topology, 'config' | 'places'>;
  readonly matches: (selector: string, labels: ReadonlyMap<string, string>) => boolean;
  readonly pods: () => Iterable<Pod>;
}

export const ofKind = <K extends GuardKind>(objects: GuardedObjects, kind: K): readonly ObjectOf[K][] => [
  ...(objects[kind] as ReadonlyMap<string, ObjectOf[K]>).values(),
];

const wordOf = (object: KubeObject | undefined): string | undefined => object?.metadata.annotations?.[GUARD];

/** Does any object ask for it? */
export const hasGuards = (objects: GuardedObjects): boolean =>
  GUARD_KINDS.some((kind) => [...objects[kind].values()].some((object) => wordOf(object) === 'required'));

/** Who asked for it before and does not refuse it now. */
function guardsOf(before: GuardedObjects, after: GuardedObjects): (kind: GuardKind, name: string) => boolean {
  const isRequired = (kind: GuardKind, name: string): boolean =>
    wordOf(before[kind].get(name)) === 'required' && wordOf(after[kind].get(name)) !== 'off';
  if (wordOf(after.bgpConfigurations.get('default')) === 'off') return () => false;
  const isForAll = isRequired('bgpConfigurations', 'default');
  return (kind, name) => isForAll || isRequired(kind, name);
}

/** Why these may not come after those; undefined: they may. */
export function guardStops(before: GuardedObjects, after: GuardedObjects, context: GuardContext): string | undefined {
  const isGuarded = guardsOf(before, after);
  return (
    strandedPool(before, after, context, isGuarded) ??
    emptySelector(before, after, context, isGuarded) ??
    lastSession(before, after, context, isGuarded)
  );
}

type IsGuarded = ReturnType<typeof guardsOf>;

// ---- pools

function strandedPool(
  before: GuardedObjects,
  after: GuardedObjects,
  { pods }: GuardContext,
  isGuarded: IsGuarded,
): string | undefined {
  for (const { metadata, spec } of ofKind(before, 'ipPools')) {
    const next = (after.ipPools.get(metadata.name) as IPPool | undefined)?.spec.cidr;
    if (next === spec.cidr || !isGuarded('ipPools', metadata.name)) continue;
    const range = tryParsePrefix(spec.cidr);
    for (const { metadata: pod, status } of range === undefined ? [] : pods())
      for (const { ip } of status?.podIPs ?? []) {
        const address = tryParseAddress(ip);
        if (address !== undefined && range !== undefined && containsAddress(range, address))
          return `IPPool/${metadata.name} would go, and pods live in it: ${pod.namespace ?? ''}/${pod.name} has ${ip}`;
      }
  }
  return undefined;
}

// ---- selectors

const SELECTORS = ['nodeSelector', 'peerSelector'] as const;

function emptySelector(
  before: GuardedObjects,
  after: GuardedObjects,
  { matches }: GuardContext,
  isGuarded: IsGuarded,
): string | undefined {
  const matched = (objects: GuardedObjects, selector: string): boolean => {
    try {
      return ofKind(objects, 'nodes').some((node) => matches(selector, identityOf(node).labels));
    } catch {
      // Text that is no selector selects nobody; the topology says what is wrong with it.
      return false;
    }
  };
  for (const { metadata, spec } of ofKind(after, 'bgpPeers')) {
    const was = (before.bgpPeers.get(metadata.name) as BGPPeer | undefined)?.spec;
    if (was === undefined || !isGuarded('bgpPeers', metadata.name)) continue;
    for (const field of SELECTORS) {
      const [old = '', now = ''] = [was[field], spec[field]];
      if (old !== '' && now !== '' && matched(before, old) && !matched(after, now))
        return `BGPPeer/${metadata.name} spec.${field} "${now}" would select no node any more`;
    }
  }
  return undefined;
}

// ---- sessions

interface Session {
  readonly resource: string;
  readonly address: string;
}

function lastSession(
  before: GuardedObjects,
  after: GuardedObjects,
  context: GuardContext,
  isGuarded: IsGuarded,
): string | undefined {
  const owners = new Map(
    ofKind(before, 'nodes').flatMap((node) =>
      [...identityOf(node).addresses.values()].map((address) => [address, node.metadata.name] as const),
    ),
  );
  const stopped = (node: string): { readonly why: string | undefined; readonly gone: readonly Session[] } => {
    const was = sessionsOf(context.topology(before, node));
    const is = sessionsOf(context.topology(after, node));
    const gone = [...was].filter(([key]) => !is.has(key)).map(([, session]) => session);
    const guarded = gone.find(({ resource }) => isGuarded('bgpPeers', resource.replace(/^BGPPeer\//, '')));
    if (guarded === undefined) return { why: undefined, gone };
    const isRouter = ({ address }: Session): boolean => !owners.has(address);
    const left = [...is.values()];
    const what =
      left.length === 0
        ? 'none would be left'
        : gone.some(isRouter) && !left.some(isRouter)
          ? 'none with a router would be left'
          : undefined;
    const why = `node ${node} would lose its session with ${guarded.address} (${guarded.resource}), and ${what ?? ''}`;
    return { why: what === undefined ? undefined : why, gone };
  };
  if (!after.nodes.has(context.node)) return undefined;
  const own = stopped(context.node);
  if (own.why !== undefined) return own.why;
  // The other end of a session may have no other, and does not know that this end goes.
  for (const { address } of own.gone) {
    const peer = owners.get(address);
    if (peer === undefined || peer === context.node || !after.nodes.has(peer)) continue;
    const { why } = stopped(peer);
    if (why !== undefined) return why;
  }
  return undefined;
}

function sessionsOf({ config, places }: Pick<Topology, 'config' | 'places'>): ReadonlyMap<string, Session> {
  return new Map(
    (config?.peers ?? []).map((peer) => {
      const address = peerLocation(peer);
      const resource = places.get(peerName(peer))?.resource ?? '';
      return [`${address} ${peer.port ?? ''}`, { address, resource }];
    }),
  );
}

/** Is nothing new that a guard, or anybody beside a status, looks at? */
export function isSameToGuards(before: KubeObject | undefined, after: KubeObject | undefined): boolean {
  return guardText(before) === guardText(after);
}

function guardText(object: KubeObject | undefined): string {
  if (object === undefined) return '';
  const { metadata, spec, status } = object as Node;
  const { uid, labels, annotations } = metadata;
  return JSON.stringify([uid, labels, annotations, spec, status?.addresses]);
}
