/** The model beside the facts: every sentence is something that is not as it should be. */
import type { Told } from './edit.js';
import type { Facts } from './facts.js';
import {
  groundNode,
  heardFrom,
  originatedBy,
  reachedFrom,
  sessionsOf,
  type Ground,
  type Heard,
  type Model,
} from './model.js';

export function differences(ground: Ground, model: Model, told: readonly Told[], facts: Facts): readonly string[] {
  return [
    ...ground.nodes.flatMap(({ name }) => [
      ...sessionDifferences(ground, model, name, facts),
      ...statusDifferences(ground, model, name, told, facts),
      ...tableDifferences(ground, model, name, facts),
      ...routerDifferences(ground, model, name, facts),
    ]),
    ...toldDifferences(told, facts),
  ];
}

const differ = (what: string, expected: readonly string[], found: readonly string[]): readonly string[] => {
  const missing = expected.filter((each) => !found.includes(each));
  const more = found.filter((each) => !expected.includes(each));
  return [
    ...(missing.length === 0 ? [] : [`${what}: expected ${missing.join(', ')}`]),
    ...(more.length === 0 ? [] : [`${what}: did not expect ${more.join(', ')}`]),
  ];
};

/** bgpd has the sessions of the model, up or not as there; BFD too. */
function sessionDifferences(ground: Ground, model: Model, name: string, { speakers }: Facts): readonly string[] {
  const speaker = speakers.get(name);
  if (speaker === undefined) return [`bgpd of ${name} does not answer`];
  const word = (session: string, address: string, isUp: boolean): string =>
    `${session} (${address}) ${isUp ? 'up' : 'down'}`;
  return [
    ...differ(
      `sessions of ${name}`,
      [...sessionsOf(ground, model, name)].map(([session, { address, isUp }]) => word(session, address, isUp)),
      speaker.summary.peers.map((peer) => word(peer.name, peer.address, peer.isEstablished)),
    ),
    ...differ(`BFD of ${name}`, [...(model.bfd.get(name) ?? [])], [...speaker.bfd]),
  ];
}

/** NodeStatus says what bgpd says, and is well if and only if all is. */
function statusDifferences(
  ground: Ground,
  model: Model,
  name: string,
  told: readonly Told[],
  { status, speakers, conditions }: Facts,
): readonly string[] {
  const bgp = status.get(name)?.status?.bgp;
  const of = (peer: { readonly name?: string; readonly state: string; readonly since?: string }): string =>
    `${peer.name} ${peer.state === 'Established' ? `Established since ${peer.since}` : 'down'}`;
  const isAllUp = [...sessionsOf(ground, model, name).values()].every(({ isUp }) => isUp);
  const ready = conditions.get(`NodeStatus/${name}`)?.find(({ type }) => type === 'BGPReady');
  const isQuiet = !told.some(({ where }) => where === `NodeStatus/${name}`);
  return [
    ...differ(`NodeStatus of ${name}`, (speakers.get(name)?.summary.peers ?? []).map(of), (bgp?.peers ?? []).map(of)),
    ...(isAllUp && isQuiet && ready?.status !== 'True'
      ? [`NodeStatus of ${name}: BGPReady is ${ready?.status}, "${ready?.message}"; nothing is wrong`]
      : []),
    ...(!isAllUp && ready?.status !== 'False'
      ? [`NodeStatus of ${name}: BGPReady is ${ready?.status}, and a session is down`]
      : []),
  ];
}

/** What bgpd originates, and the ways the kernel has to the pods of others. */
function tableDifferences(ground: Ground, model: Model, name: string, { speakers, kernels }: Facts): readonly string[] {
  const routes = kernels.get(name);
  return [
    ...differ(
      `originated by ${name}`,
      [...originatedBy(ground, model, name)].map(([prefix, communities]) =>
        `${prefix} ${communities.join(' ')}`.trim(),
      ),
      (speakers.get(name)?.config.originate ?? []).map(({ prefix, communities = [] }) =>
        `${prefix} ${[...communities].map(String).sort().join(' ')}`.trim(),
      ),
    ),
    ...reachedFrom(ground, model, name)
      .filter((prefix) => routes?.has(prefix) !== true)
      .map((prefix) => `kernel of ${name}: no route to ${prefix}`),
  ];
}

/** Routers have sessions that are up at our end, and hear what the model says, attributes too. */
function routerDifferences(ground: Ground, model: Model, name: string, { routers }: Facts): readonly string[] {
  return groundNode(ground, name).links.flatMap((link) => {
    const session = `${name}_${link.family === 'ipv4' ? 4 : 6}`;
    const router = routers.get(link.router);
    const isUp = !model.routerSessions.has(link.peer);
    const text = ([prefix, { communities, pathLength }]: readonly [string, Heard]): string =>
      `${prefix} path of ${pathLength}${communities.length === 0 ? '' : ` communities ${communities.join(' ')}`}`;
    return [
      ...(router?.sessions.get(session)?.isUp === isUp
        ? []
        : [`${link.router}: ${session} is not ${isUp ? 'up' : 'down'}`]),
      ...differ(
        `${link.router} from ${session}`,
        [...heardFrom(ground, model, name, link)].map(text),
        [...(router?.heard.get(session) ?? [])].map(text),
      ),
    ];
  });
}

function toldDifferences(told: readonly Told[], { conditions }: Facts): readonly string[] {
  return told.flatMap(({ where, text }) => {
    const said = (conditions.get(where) ?? []).map(({ type, message }) => `${type}: ${message}`);
    return said.some((sentence) => sentence.includes(text))
      ? []
      : [`${where} does not tell "${text}"; it says ${said.length === 0 ? 'nothing' : said.join(' | ')}`];
  });
}

/** Sessions that are up on both sides of an edit, by node and address, and not since the same time. */
export function resetsBetween(
  before: Facts,
  after: Facts,
  mayReset: (node: string, address: string) => boolean,
): readonly string[] {
  return [...before.speakers].flatMap(([node, { summary }]) => {
    const now = new Map(after.speakers.get(node)?.summary.peers.map((peer) => [peer.address, peer]));
    return summary.peers.flatMap((peer) => {
      const later = now.get(peer.address);
      const isSame = later === undefined || !peer.isEstablished || later.since === peer.since;
      return isSame || mayReset(node, peer.address)
        ? []
        : [
            `${node}: the session with ${peer.address} was reset (up since ${peer.since}, now ${later.state} since ${later.since})`,
          ];
    });
  });
}

/** All that has to be again as it was, as text. */
export function stateOf(facts: Facts): readonly string[] {
  return [
    ...[...facts.conditions].flatMap(([where, conditions]) =>
      conditions.map(({ type, status, message }) => `${where} ${type} ${status} ${message}`),
    ),
    ...[...facts.kernels].flatMap(([node, routes]) =>
      [...routes].map(([prefix, devices]) => `kernel of ${node}: ${prefix} by ${devices}`),
    ),
    ...[...facts.speakers].map(([node, { config }]) => `configuration of ${node}: ${JSON.stringify(config)}`),
  ].sort();
}
