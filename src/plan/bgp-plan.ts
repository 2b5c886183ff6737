/**
 * What a change does to BGP: sessions that come, go or are reset, what routers and nodes are told no more, and what resources ask for in
 * vain.
 */
import { formatPrefix } from 'node-bgp/address';
import { diffConfig } from 'node-bgp/speaker/config-diff';
import { resetReasons } from 'node-bgp/speaker/peer-settings';
import type { TopologyProblem } from '../topology/problems.js';
import { Announcements, type Hearing } from './announcements.js';
import { some, type Finding } from './finding.js';
import { isRouter, isTwoSided, type Network, type Session, type Speaker } from './network.js';

/** What of the change may have done it: "Node/node1 metadata.labels.rack". */
export type Causes = (object: string, node: string) => string | undefined;

export function planBgp(before: Network, after: Network, causesOf: Causes): readonly Finding[] {
  return [
    ...[...after.values()].flatMap((speaker) => sessionFindings(before, after, speaker, causesOf)),
    ...toldFindings(before, after, causesOf),
    ...problemFindings(before, after),
    ...ownerFindings(before, after),
  ];
}

// ---- sessions

/** @param speaker of a node that is there after the change */
function sessionFindings(before: Network, after: Network, speaker: Speaker, causesOf: Causes): readonly Finding[] {
  const { node } = speaker;
  const old = before.get(node);
  const was = [...(old?.sessions ?? [])].filter(([, session]) => isTwoSided(before, session));
  const is = new Map([...speaker.sessions].filter(([, session]) => isTwoSided(after, session)));
  const gone = was.filter(([key]) => !is.has(key)).map(([, session]) => session);
  const come = [...is].filter(([key]) => !was.some(([other]) => other === key)).map(([, session]) => session);
  return [
    ...goneFindings(gone, [...is.values()], after, causesOf),
    ...come.map((session) => ({
      ...about(session, causesOf),
      harm: 'gain' as const,
      message: `a session with ${nameOf(session)} appears`,
    })),
    ...resets(was, is).map(([session, reasons]) => ({
      ...about(session, causesOf),
      harm: 'loss' as const,
      message: `the session with ${nameOf(session)} is reset: ${reasons.join(', ')} changes`,
    })),
    ...listenFindings(old, speaker, causesOf),
  ];
}

function goneFindings(
  gone: readonly Session[],
  left: readonly Session[],
  after: Network,
  causesOf: Causes,
): readonly Finding[] {
  // The node itself, or the other one, is gone: nobody misses the session.
  const missed = gone.filter(({ peerNode }) => peerNode === undefined || after.has(peerNode));
  return missed.map((session) => {
    const isLast = left.length === 0;
    const isLastRouter = isRouter(session) && !left.some(isRouter);
    return {
      ...about(session, causesOf),
      harm: isLast || isLastRouter ? ('cut' as const) : ('loss' as const),
      message:
        `the session with ${nameOf(session)} vanishes` +
        (isLast ? '; the node has none left' : isLastRouter ? '; the node has none left with a router' : ''),
    };
  });
}

function resets(
  was: readonly (readonly [string, Session])[],
  is: ReadonlyMap<string, Session>,
): readonly (readonly [Session, readonly string[]])[] {
  return was.flatMap(([key, session]): readonly (readonly [Session, readonly string[]])[] => {
    const next = is.get(key);
    const reasons = next === undefined || next === session ? [] : resetReasons(session.settings, next.settings);
    return next === undefined || reasons.length === 0 ? [] : [[next, reasons]];
  });
}

function listenFindings(old: Speaker | undefined, speaker: Speaker, causesOf: Causes): readonly Finding[] {
  if (old?.config === undefined || speaker.config === undefined || old.digest === speaker.digest) return [];
  if (!diffConfig(old.config, speaker.config).listenChanged) return [];
  const ports = [
    ...new Set((speaker.config.listen ?? []).map(({ address, port = 179 }) => `${address ?? ''} ${port}`)),
  ];
  return [
    withEvidence(
      {
        harm: 'change',
        area: 'bgp',
        object: 'BGPConfiguration/default',
        node: speaker.node,
        message: `listens elsewhere: ${ports.join(', ')}`,
      },
      causesOf('BGPConfiguration/default', speaker.node),
    ),
  ];
}

// ---- what others are told

function toldFindings(before: Network, after: Network, causesOf: Causes): readonly Finding[] {
  const [was, is] = [new Announcements(before), new Announcements(after)];
  return [...after.keys()].flatMap((node) => {
    const object = `Node/${node}`;
    const evidence = causesOf(object, node);
    const found = [...routerFindings(node, was, is), ...hearingFindings(node, was, is, after)];
    return found.map((finding): Finding => withEvidence({ area: 'bgp', object, node, ...finding }, evidence));
  });
}

type Bare = Pick<Finding, 'harm' | 'message'>;

/** Own prefixes that routers are told, and no more. */
function routerFindings(node: string, was: Announcements, is: Announcements): readonly Bare[] {
  const [old, now] = [was.toRouters(node), is.toRouters(node)];
  return [...new Set([...old.keys(), ...now.keys()])].flatMap((router): readonly Bare[] => {
    const [told, tells] = [old.get(router), now.get(router)];
    // A session that comes or goes is told of as such.
    if (told === undefined || tells === undefined) return [];
    const gone = [...told].filter((prefix) => !tells.has(prefix));
    const come = [...tells].filter((prefix) => !told.has(prefix));
    return [
      ...(gone.length === 0 ? [] : [{ harm: 'loss' as const, message: `${router} is told no more of ${some(gone)}` }]),
      ...(come.length === 0 ? [] : [{ harm: 'gain' as const, message: `${router} is told of ${some(come)}` }]),
    ];
  });
}

/** Prefixes of a node that are heard of by fewer than before. */
function hearingFindings(node: string, was: Announcements, is: Announcements, after: Network): readonly Bare[] {
  const kept = new Map(is.prefixesOf(node).map((route) => [formatPrefix(route.prefix), route]));
  const unheard = new Map<string, Unheard>();
  const untold: string[] = [];
  for (const route of was.prefixesOf(node)) {
    // Of Services one advertiser is as good as another (service-plan.ts).
    if (route.tags?.includes('service') === true) continue;
    const prefix = formatPrefix(route.prefix);
    const now = kept.get(prefix);
    const old = was.hearing(node, route);
    const next: Hearing = now === undefined ? NOBODY : is.hearing(node, now);
    if (old.routers.size > 0 && next.routers.size === 0) untold.push(prefix);
    const lost = [...old.nodes].filter((each) => each !== node && after.has(each) && !next.nodes.has(each)).sort();
    if (lost.length === 0) continue;
    // Routers still know the way, for whoever asks them.
    const isDetour = next.routers.size > 0;
    const key = JSON.stringify([isDetour, lost]);
    const known = unheard.get(key);
    if (known === undefined) unheard.set(key, { isDetour, lost, prefixes: [prefix] });
    else known.prefixes.push(prefix);
  }
  return [
    ...(untold.length === 0 ? [] : [{ harm: 'cut' as const, message: `no router hears of ${some(untold)} any more` }]),
    ...[...unheard.values()].map(({ isDetour, lost, prefixes }): Bare => {
      const who = `${lost.length} ${lost.length === 1 ? 'node' : 'nodes'} (${some(lost)})`;
      return isDetour
        ? { harm: 'loss', message: `${who} will know a way to ${some(prefixes)} from routers alone` }
        : { harm: 'cut', message: `${who} will have no path to ${some(prefixes)}` };
    }),
  ];
}

interface Unheard {
  readonly isDetour: boolean;
  readonly lost: readonly string[];
  readonly prefixes: string[];
}

const NOBODY: Hearing = { nodes: new Set(), routers: new Set() };

// ---- what is asked for in vain

/** Problems that the change brings, each once with the nodes that have it. */
function problemFindings(before: Network, after: Network): readonly Finding[] {
  const known = new Set([...before.values()].flatMap(({ problems }) => problems.map(keyOf)));
  const found = new Map<string, { readonly problem: TopologyProblem; readonly nodes: string[] }>();
  for (const { node, problems } of after.values())
    for (const problem of problems) {
      if (known.has(keyOf(problem))) continue;
      const entry = found.get(keyOf(problem));
      if (entry === undefined) found.set(keyOf(problem), { problem, nodes: [node] });
      else entry.nodes.push(node);
    }
  return [...found.values()].map(({ problem: { resource, field, message, severity }, nodes }) => {
    // The message begins with the field, which has a place of its own here.
    const text = field !== undefined && message.startsWith(`${field} `) ? message.slice(field.length + 1) : message;
    const selectsNobody = /selects no node/.test(message);
    return {
      harm: selectsNobody ? 'cut' : severity === 'problem' ? 'refused' : 'change',
      area: 'bgp',
      object: resource,
      ...(field === undefined ? {} : { field }),
      message: text,
      evidence: nodes.length === after.size ? 'seen by every node' : `seen by ${some(nodes)}`,
    };
  });
}

const keyOf = ({ resource, message }: TopologyProblem): string => `${resource}\n${message}`;

/** One prefix of two nodes, one router id of two nodes: what was so before is no doing of the change. */
function ownerFindings(before: Network, after: Network): readonly Finding[] {
  const twice = (network: Network): ReadonlyMap<string, readonly string[]> => {
    const owners = new Map<string, string[]>();
    const add = (what: string, node: string): void => {
      owners.set(what, [...(owners.get(what) ?? []), node]);
    };
    for (const { node, config } of network.values()) {
      if (config === undefined) continue;
      add(`router id ${config.routerId}`, node);
      for (const { prefix, tags = [] } of config.originate ?? [])
        if (tags.includes('block') || tags.includes('node')) add(`prefix ${prefix}`, node);
    }
    return new Map([...owners].filter(([, nodes]) => nodes.length > 1));
  };
  const known = twice(before);
  return [...twice(after)]
    .filter(([what]) => !known.has(what))
    .map(
      ([what, nodes]): Finding => ({
        harm: 'cut',
        area: 'bgp',
        object: `Node/${nodes[0] ?? ''}`,
        message: `${what} is that of ${nodes.length} nodes: ${some(nodes)}`,
      }),
    );
}

// ---- words

function about({ node, place }: Session, causesOf: Causes): Omit<Finding, 'harm' | 'message'> {
  const evidence = causesOf(place.resource, node);
  return {
    area: 'bgp',
    object: place.resource,
    ...(place.field === undefined ? {} : { field: place.field }),
    node,
    ...(evidence === undefined ? {} : { evidence }),
  };
}

const withEvidence = (finding: Finding, evidence: string | undefined): Finding =>
  evidence === undefined ? finding : { ...finding, evidence };

const nameOf = ({ address, peerNode }: Session): string =>
  peerNode === undefined ? `router ${address}` : `node ${peerNode}`;
