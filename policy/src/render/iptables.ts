/**
 * The ruleset in iptables-restore's words, one family at a time.
 *
 * A chain becomes its rule lines; a dispatch map becomes a tree of chains (dispatch-tree.ts); sets are rendered by ipset.ts.
 * Every rule carries one comment, behind its matches: `tortie:<hash>`, and for people a note. The hash covers the rule and all
 * rules before it in its chain, so reading the comments back from iptables-save tells whether a chain is exactly as we wrote
 * it: a rule missing, foreign, edited or moved shows.
 */
import {
  chainKey,
  setName,
  TABLES,
  type Action,
  type Chain,
  type DispatchMap,
  type Family,
  type Hook,
  type Match,
  type PortRange,
  type Rule,
  type Ruleset,
  type Table,
} from '../ruleset.js';
import { dispatchChains } from './dispatch-tree.js';
import { ruleHash } from './rule-hash.js';

/** One chain of one family: `lines` are whole commands ("-A TORTIE-FORWARD ..."), `hashes` what their comments carry. */
export interface RenderedChain {
  readonly table: Table;
  readonly name: string;
  readonly lines: readonly string[];
  readonly hashes: readonly string[];
  /** What the lines say. */
  readonly rules: readonly Rule[];
}

export const COMMENT_PREFIX = 'tortie:';

export function renderChain(chain: Chain, family: Family): RenderedChain {
  const lines: string[] = [];
  const hashes: string[] = [];
  const rules = chain.rules.filter((rule) => rule.family === undefined || rule.family === family);
  let hash = `${chain.table} ${chain.name}`;
  for (const rule of rules) {
    const matches = renderMatches(rule, family);
    const action = renderAction(rule.action, family);
    hash = ruleHash(hash, [rule.note ?? '', ...matches, action].join(' '));
    hashes.push(hash);
    lines.push(['-A', chain.name, ...matches, comment(ruleComment(hash, rule.note)), action].join(' '));
  }
  return { table: chain.table, name: chain.name, lines, hashes, rules };
}

/**
 * The chains of a dispatch map; the same in both families. `known` are those of the map as it was, by chainKey: what has
 * not changed is taken from there, since one pod more or less changes one node of the tree.
 */
export function renderMap(
  map: DispatchMap,
  family: Family,
  known?: (key: string) => RenderedChain | undefined,
): readonly RenderedChain[] {
  if (map.family !== undefined && map.family !== family) return [];
  return dispatchChains(map).map((chain) => {
    const before = known?.(chainKey(chain));
    return before !== undefined && isSameDispatch(before.rules, chain.rules) ? before : renderChain(chain, family);
  });
}

/** Of rules as dispatch-tree.ts makes them: what they look at and where to go, or nothing and drop. */
const isSameDispatch = (a: readonly Rule[], b: readonly Rule[]): boolean =>
  a.length === b.length &&
  a.every((rule, index) => {
    const other = b[index];
    return other !== undefined && (rule === other || isSameRule(rule, other));
  });

function isSameRule(a: Rule, b: Rule): boolean {
  if (a.action.type !== b.action.type || a.note !== b.note || a.matches.length !== b.matches.length) return false;
  const target = 'chain' in a.action ? a.action.chain : '';
  if (target !== ('chain' in b.action ? b.action.chain : '')) return false;
  return a.matches.every((match, index) => {
    const other = b.matches[index];
    return other !== undefined && (match === other || dispatchMatch(match) === dispatchMatch(other));
  });
}

function dispatchMatch(match: Match): string {
  switch (match.type) {
    case 'in-interface':
    case 'out-interface':
      return `${match.type} ${match.name}`;
    case 'network':
      return match.prefix;
    case 'protocol':
      return `${match.protocol}`;
    case 'ports':
      return match.ports.map(({ from, to }) => `${from}-${to}`).join(',');
    default:
      throw new Error(`Cannot compare a dispatch rule that matches "${match.type}"`);
  }
}

/** The jump from a built-in chain, as one line without "-A": the caller decides between -I and -A. */
export function renderHook(hook: Hook): { readonly hash: string; readonly body: string } {
  const target = `-j ${hook.chain}`;
  const hash = ruleHash(`${hook.table} ${hook.builtin}`, target);
  return { hash, body: `${comment(`${COMMENT_PREFIX}${hash}`)} ${target}` };
}

/** Every chain of one family, maps expanded, keyed by table and name in stable order. */
export function renderChains(ruleset: Ruleset, family: Family): readonly RenderedChain[] {
  const chains = [...ruleset.chains.values()].map((chain) => renderChain(chain, family));
  for (const map of ruleset.maps.values()) for (const chain of renderMap(map, family)) chains.push(chain);
  return chains.sort((a, b) => compareText(a.table, b.table) || compareText(a.name, b.name));
}

/** The whole ruleset as iptables-restore input that creates our chains and hooks and touches no others (for --noflush). */
export function renderIptables(ruleset: Ruleset, family: Family): string {
  const chains = renderChains(ruleset, family);
  const lines: string[] = [];
  for (const table of TABLES) {
    const own = chains.filter((chain) => chain.table === table);
    const hooks = ruleset.hooks.filter((hook) => hook.table === table);
    if (own.length + hooks.length === 0) continue;
    lines.push(`*${table}`);
    for (const chain of own) lines.push(`:${chain.name} - [0:0]`);
    for (const chain of own) for (const line of chain.lines) lines.push(line);
    for (const hook of hooks) lines.push(`-I ${hook.builtin} 1 ${renderHook(hook).body}`);
    lines.push('COMMIT');
  }
  return `${lines.join('\n')}\n`;
}

/** "tortie:<hash>", or "tortie:<hash> NetworkPolicy shop/web": fits the 255 bytes of a comment. */
export const ruleComment = (hash: string, note: string | undefined): string =>
  `${COMMENT_PREFIX}${hash}${note === undefined ? '' : ` ${printable(note)}`}`;

function renderMatches(rule: Rule, family: Family): readonly string[] {
  const protocol = rule.matches.find((match) => match.type === 'protocol');
  const number = protocol?.type === 'protocol' && protocol.not !== true ? protocol.protocol : undefined;
  return rule.matches.map((match) => renderMatch(match, family, number));
}

function renderMatch(match: Match, family: Family, protocol: number | undefined): string {
  const not = 'not' in match && match.not === true ? '! ' : '';
  switch (match.type) {
    case 'in-interface':
      return `${not}-i ${match.name}`;
    case 'out-interface':
      return `${not}-o ${match.name}`;
    case 'protocol':
      return `${not}-p ${match.protocol}`;
    case 'set':
      return `-m set ${not}--match-set ${setName(family, match.set)} ${side(match.side)}`;
    case 'set-port':
      return `-m set ${not}--match-set ${setName(family, match.set)} ${side(match.side)},${side(match.side)}`;
    case 'network':
      return `${not}${match.side === 'source' ? '-s' : '-d'} ${match.prefix}`;
    case 'ports':
      return renderPorts(match.side, match.ports, not, protocol);
    case 'icmp':
      return renderIcmp(match.icmpType, match.code, not, family);
    case 'state':
      return `-m conntrack --ctstate ${match.states.map((state) => state.toUpperCase()).join(',')}`;
    case 'mark':
      return `-m mark ${not}--mark ${hex(match.value)}/${hex(match.mask)}`;
    case 'limit':
      return `-m limit --limit ${match.perSecond}/second --limit-burst ${match.burst ?? match.perSecond}`;
    case 'random':
      return `-m statistic --mode random --probability ${(1 / match.oneIn).toFixed(11)}`;
    case 'connections':
      return `-m connlimit --connlimit-above ${match.moreThan} --connlimit-mask ${family === 4 ? 32 : 128} --connlimit-saddr`;
    case 'connections-in-all':
      return `-m connlimit --connlimit-above ${match.moreThan} --connlimit-mask 0 --connlimit-saddr`;
    case 'reverse-path-fails':
      return '-m rpfilter --invert';
    case 'local':
      return `-m addrtype ${not}--${side(match.side)}-type LOCAL`;
  }
}

/** One port or range of TCP and UDP by their own match, everything else by multiport (which also knows SCTP). */
function renderPorts(
  which: 'source' | 'destination',
  ports: readonly PortRange[],
  not: string,
  protocol: number | undefined,
): string {
  const text = ports
    .map((range) => (range.from === range.to ? `${range.from}` : `${range.from}:${range.to}`))
    .join(',');
  const letter = which === 'source' ? 's' : 'd';
  if (ports.length === 1 && (protocol === 6 || protocol === 17))
    return `-m ${protocol === 6 ? 'tcp' : 'udp'} ${not}--${letter}port ${text}`;
  return `-m multiport ${not}--${letter}ports ${text}`;
}

function renderIcmp(type: number, code: number | undefined, not: string, family: Family): string {
  const text = code === undefined ? `${type}` : `${type}/${code}`;
  return family === 4 ? `-m icmp ${not}--icmp-type ${text}` : `-m icmp6 ${not}--icmpv6-type ${text}`;
}

function renderAction(action: Action, family: Family): string {
  switch (action.type) {
    case 'accept':
      return '-j ACCEPT';
    case 'drop':
      return '-j DROP';
    case 'return':
      return '-j RETURN';
    case 'no-track':
      return '-j CT --notrack';
    case 'jump':
      return `-j ${action.chain}`;
    case 'goto':
      return `-g ${action.chain}`;
    case 'set-mark':
      return `-j MARK --set-xmark ${hex(action.value)}/${hex(action.mask)}`;
    case 'log':
      return `-j LOG --log-prefix "${printable(action.prefix).slice(0, 29)}" --log-level 5`;
    case 'report':
      return `-j NFLOG --nflog-group ${action.group} --nflog-prefix "${printable(action.prefix).slice(0, 63)}"`;
    case 'remember':
      return `-j SET --add-set ${setName(family, action.set)} ${side(action.side)} --exist`;
    case 'dnat':
      return `-j DNAT --to-destination ${endpoint(action.to, action.port === undefined ? '' : `${action.port}`)}`;
    case 'snat':
      return `-j SNAT --to-source ${endpoint(action.to, action.ports === undefined ? '' : portRange(action.ports))}`;
    case 'masquerade':
      return [
        '-j MASQUERADE',
        ...(action.ports === undefined ? [] : [`--to-ports ${portRange(action.ports)}`]),
        ...(action.fullyRandom === true ? ['--random-fully'] : []),
      ].join(' ');
    case 'reject':
      return `-j REJECT --reject-with ${renderReject(action.with, family)}`;
  }
}

function renderReject(how: 'port-unreachable' | 'tcp-reset', family: Family): string {
  if (how === 'tcp-reset') return 'tcp-reset';
  return family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
}

const endpoint = (address: string, port: string): string =>
  port === '' ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`;
const portRange = ({ from, to }: PortRange): string => (from === to ? `${from}` : `${from}-${to}`);

const side = (which: 'source' | 'destination'): string => (which === 'source' ? 'src' : 'dst');
const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** xt_comment holds 255 bytes; names of policies are user input and go into a quoted word. */
const printable = (text: string): string => text.replace(/[^A-Za-z0-9 ._:/=,()[\]+-]/g, '_').slice(0, 200);

const comment = (text: string): string =>
  `-m comment --comment ${/[^A-Za-z0-9._:/=,+-]/.test(text) ? `"${text}"` : text}`;
