/**
 * The chains of one Service's port in one family: the choice among its endpoints, and for external addresses the way there.
 *
 * A choice is one rule per endpoint, each with its share of what the rules before it left. An endpoint is a plain DNAT unless more is to be
 * said: one of this node may be its own client and must then see another source than itself, and under session affinity it
 * remembers its clients. Those have a chain of their own.
 */
import { parseAddress, hostPrefix, formatPrefix } from 'node-bgp/address';
import type { Chain, Match, Rule } from '@tortie/policy/ruleset';
import { endpointKey, type Endpoint } from '../model/endpoint.js';
import type { Backend, Frontend, Origin, Path } from '../model/frontend.js';
import { PROTOCOL_NUMBERS, serviceKeyText } from '../model/service.js';
import { setMark } from './base-chains.js';
import { choiceChain, clientSet, endpointChain, externalChain, firewallChain, firewallSet, POD_SET } from './names.js';

/** "shop/web:http" */
export const backendNote = ({ service, port }: Backend): string =>
  `${serviceKeyText(service)}${port.name === '' ? '' : `:${port.name}`}`;

/** Choices of both lists, and the chains of endpoints. */
export function choiceChains(backend: Backend): readonly Chain[] {
  const { id } = backend;
  const chains: Chain[] = [];
  for (const list of ['cluster', 'local'] as const)
    if (backend[list].length > 0) chains.push(choice(backend, id, list));
  const special = new Map<string, Endpoint>();
  for (const endpoint of [...backend.cluster, ...backend.local])
    if (isSpecial(backend, endpoint)) special.set(endpointKey(endpoint), endpoint);
  for (const endpoint of special.values()) chains.push(endpointRules(backend, id, endpoint));
  return chains;
}

/** Those without a node may be anywhere, here too. */
const mayBeHere = (endpoint: Endpoint): boolean => endpoint.isLocal || endpoint.nodeName === undefined;
const isSpecial = (backend: Backend, endpoint: Endpoint): boolean =>
  backend.affinitySeconds !== undefined || mayBeHere(endpoint);

function choice(backend: Backend, id: string, list: 'cluster' | 'local'): Chain {
  const endpoints = backend[list];
  const rules: Rule[] = [];
  if (backend.affinitySeconds !== undefined)
    for (const endpoint of endpoints)
      rules.push({
        family: backend.family,
        matches: [{ type: 'set', side: 'source', set: clientSet(id, endpoint, backend.affinitySeconds) }],
        action: { type: 'goto', chain: endpointChain(id, endpoint) },
      });
  for (const [index, endpoint] of endpoints.entries()) {
    const left = endpoints.length - index;
    rules.push(
      isSpecial(backend, endpoint)
        ? { matches: shareOf(left), action: { type: 'goto', chain: endpointChain(id, endpoint) } }
        : translation(backend, endpoint, left),
    );
  }
  return { table: 'nat', name: choiceChain(id, list), rules: noted(rules, `${backendNote(backend)} ${list}`) };
}

const noted = ([first, ...rest]: readonly Rule[], note: string): readonly Rule[] =>
  first === undefined ? [] : [{ ...first, note }, ...rest];

/** Matches are alike in thousands of rules, and kept once. BOUNDED by protocols times the most endpoints of a port. */
const matchesInUse = new Map<string, readonly Match[]>();

function shareOf(left: number, protocol?: number): readonly Match[] {
  const key = `${left} ${protocol}`;
  let matches = matchesInUse.get(key);
  if (matches === undefined) {
    matches = [
      ...(left > 1 ? [{ type: 'random', oneIn: left } as const] : []),
      ...(protocol === undefined ? [] : [{ type: 'protocol', protocol } as const]),
    ];
    matchesInUse.set(key, matches);
  }
  return matches;
}

const translation = (backend: Backend, { address, port }: Endpoint, left: number): Rule => ({
  family: backend.family,
  matches: shareOf(left, PROTOCOL_NUMBERS[backend.port.protocol]),
  action: { type: 'dnat', to: address, port },
});

function endpointRules(backend: Backend, id: string, endpoint: Endpoint): Chain {
  const { family } = backend;
  const rules: Rule[] = [];
  if (mayBeHere(endpoint)) {
    const itself: Match = {
      type: 'network',
      side: 'source',
      prefix: formatPrefix(hostPrefix(parseAddress(endpoint.address))),
    };
    rules.push({ family, ...setMark(true, [itself]) });
  }
  if (backend.affinitySeconds !== undefined)
    rules.push({
      family,
      matches: [],
      action: {
        type: 'remember',
        side: 'source',
        set: clientSet(id, endpoint, backend.affinitySeconds),
        seconds: backend.affinitySeconds,
      },
    });
  rules.push(translation(backend, endpoint, 1));
  return { table: 'nat', name: endpointChain(id, endpoint), rules };
}

const ORIGINS: readonly { readonly origin: Origin; readonly match: Match }[] = [
  { origin: 'pod', match: { type: 'set', side: 'source', set: POD_SET } },
  { origin: 'node', match: { type: 'local', side: 'source' } },
];

/** By where a connection comes from to a choice; undefined when no origin is served. */
export function externalRules(frontend: Frontend, knowsPods: boolean): Chain | undefined {
  const { paths, backend } = frontend;
  const { id } = backend;
  const rules: Rule[] = [];
  for (const { origin, match } of ORIGINS) {
    if (origin === 'pod' && !knowsPods) continue;
    if (samePath(paths[origin], paths.outside)) continue;
    for (const rule of pathRules(paths[origin], id, backend, [match])) rules.push(rule);
  }
  for (const rule of pathRules(paths.outside, id, backend, [])) rules.push(rule);
  if (!Object.values(paths).some(({ type }) => type === 'balance')) return undefined;
  return { table: 'nat', name: externalChain(id), rules: noted(rules, `${backendNote(backend)} external`) };
}

const samePath = (a: Path, b: Path): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What is not served is refused in filter, where its destination still is the Service's. */
function pathRules(path: Path, id: string, { family }: Backend, matches: readonly Match[]): readonly Rule[] {
  if (path.type !== 'balance') return [{ family, matches, action: { type: 'return' } }];
  return [
    { family, ...setMark(path.masquerade, matches) },
    { family, matches, action: { type: 'goto', chain: choiceChain(id, path.list) } },
  ];
}

export function firewallRules({ backend }: Frontend): Chain {
  const { id } = backend;
  return {
    table: 'mangle',
    name: firewallChain(id),
    rules: [
      {
        family: backend.family,
        matches: [{ type: 'set', side: 'source', set: firewallSet(id), not: true }],
        action: { type: 'drop' },
        note: `${backendNote(backend)} loadBalancerSourceRanges`,
      },
    ],
  };
}
