/**
 * The ruleset in nft's words: one table of our own for both families, sets, verdict maps, and base chains where the hooks are.
 *
 * Everything is one transaction: a delta rendered here takes effect as a whole or not at all. Rules that look at addresses are written once
 * per family; rules that do not, once. Chains of iptables tables other than filter carry the table in their name, since nft has one table.
 *
 * An accept here ends our chains at this hook; other tables still see the packet (a host with iptables rules that drop
 * by default must allow pods there too).
 */
import {
  BUILTIN_CHAINS,
  deltaOf,
  partOfChain,
  setName,
  type Action,
  type Chain,
  type ChainName,
  type DispatchMap,
  type Family,
  type Hook,
  type MapHead,
  type Match,
  type Part,
  type PortRange,
  type Rule,
  type Ruleset,
  type RulesetDelta,
  type SetType,
  type Table,
} from '../ruleset.js';
import { ruleHash } from './rule-hash.js';

export const NFT_TABLE = 'inet tortie';

/** One chain with its rules' text, without the chain's name before them. */
export interface NftChain {
  readonly name: string;
  readonly rules: readonly string[];
  /** What the rules' comments carry after "tortie:". */
  readonly hashes: readonly string[];
}

/** Chains of `raw` and `mangle` are told from those of `filter`. */
export const nftChainName = (chain: ChainName): string =>
  chain.table === 'filter' ? chain.name : `${chain.table}-${chain.name}`;

/** The base chain that stands for a hook; services have their own beside policy's. */
export const nftHookName = (hook: Hook): string =>
  `${hook.table}-${hook.builtin}${partOfChain(hook.chain) === 'services' ? '-services' : ''}`;

/** Of a chain or a map of our table, base chains included. */
export function partOfNftChain(name: string): Part {
  if (name.endsWith('-services')) return 'services';
  const inner = name.replace(/^(raw|mangle|nat|filter)-/, '');
  return name.startsWith('nat-') && isBuiltin(inner) ? 'nat' : partOfChain(inner);
}

const isBuiltin = (name: string): boolean => BUILTIN_CHAINS.some((builtin) => builtin === name);

export function renderNftChain(chain: Chain): NftChain {
  const rules: string[] = [];
  const hashes: string[] = [];
  let hash = `nft ${nftChainName(chain)}`;
  for (const rule of chain.rules)
    for (const family of rule.family !== undefined
      ? [rule.family]
      : needsFamily(rule)
        ? ([4, 6] as const)
        : [undefined]) {
      const body = renderRule(rule, family, chain.table);
      hash = ruleHash(hash, body);
      hashes.push(hash);
      rules.push(`${body} comment "${comment(hash, rule.note)}"`);
    }
  return { name: nftChainName(chain), rules, hashes };
}

/** A dispatch map is a chain with one lookup; the entries stand in a verdict map beside it. */
export function renderNftMapChain(map: MapHead): NftChain {
  const lookup = `${mapLookup(map)} vmap @${nftMapName(map)}`;
  const bodies = map.otherwise === 'drop' ? [lookup, 'counter drop'] : [lookup];
  const hashes: string[] = [];
  let hash = `nft ${nftChainName(map)}`;
  const rules = bodies.map((body) => {
    hash = ruleHash(hash, body);
    hashes.push(hash);
    return `${body} comment "${comment(hash, undefined)}"`;
  });
  return { name: nftChainName(map), rules, hashes };
}

function mapLookup({ key, family }: MapHead): string {
  const address = `${family === 6 ? 'ip6' : 'ip'} daddr`;
  switch (key) {
    case 'in-interface':
      return 'iifname';
    case 'out-interface':
      return 'oifname';
    case 'destination':
      return address;
    case 'destination-port':
      return `${address} . meta l4proto . th dport`;
    case 'port':
      return 'meta l4proto . th dport';
  }
}

/** What the keys of a map are: "ipv4_addr . inet_proto . inet_service". */
function mapType({ key, family }: MapHead): string {
  const address = family === 6 ? 'ipv6_addr' : 'ipv4_addr';
  switch (key) {
    case 'in-interface':
    case 'out-interface':
      return 'ifname';
    case 'destination':
      return address;
    case 'destination-port':
      return `${address} . inet_proto . inet_service`;
    case 'port':
      return 'inet_proto . inet_service';
  }
}

export const nftMapName = (map: ChainName): string => `${nftChainName(map)}-map`;

export const nftMapElements = (map: Pick<DispatchMap, 'table' | 'key' | 'entries'>): readonly string[] =>
  [...map.entries].map(
    ([key, chain]) => `${nftMapKey(map, key)} : goto ${nftChainName({ table: map.table, name: chain })}`,
  );

function nftMapKey({ key }: Pick<DispatchMap, 'key'>, text: string): string {
  switch (key) {
    case 'in-interface':
    case 'out-interface':
      return `"${text}"`;
    case 'destination':
      return text;
    case 'destination-port':
      return nftMember(text);
    case 'port':
      return text.replace(':', ' . ');
  }
}

/** "type ipv4_addr . inet_proto . inet_service;" and, for networks, "flags interval;" */
export function nftSetType(type: SetType, family: Family, timeoutSeconds?: number): string {
  if (timeoutSeconds !== undefined)
    return `${nftSetType(type, family)} flags dynamic,timeout; timeout ${timeoutSeconds}s; size ${MOST_REMEMBERED};`;
  const address = family === 4 ? 'ipv4_addr' : 'ipv6_addr';
  switch (type) {
    case 'address':
      return `type ${address};`;
    case 'network':
      return `type ${address}; flags interval;`;
    case 'address-port':
      return `type ${address} . inet_proto . inet_service;`;
  }
}

/** Members of a set that rules put in. BOUNDED, or strangers' addresses could fill the memory. */
export const MOST_REMEMBERED = 65_536;

/** "10.65.0.7,tcp:80" as nft writes it: "10.65.0.7 . tcp . 80". */
export const nftMember = (member: string): string => member.replace(/^([^,]+),([^:]+):(\d+)$/, '$1 . $2 . $3');

/** The whole ruleset as one nft script. It replaces the table, so running it again changes nothing. */
export function renderNftables(ruleset: Ruleset): string {
  return [
    `add table ${NFT_TABLE}`,
    `delete table ${NFT_TABLE}`,
    `add table ${NFT_TABLE}`,
    renderNftDelta(deltaOf(ruleset)),
  ].join('\n');
}

/** A delta as one nft script, one transaction. The table must exist. */
export function renderNftDelta(delta: RulesetDelta): string {
  const { chainsUpserted, mapsUpserted, mapsChanged, chainsDeleted, mapsDeleted } = delta;
  const chains = [...chainsUpserted.map(renderNftChain), ...mapsUpserted.map(renderNftMapChain)];
  const hooks = delta.hooks ?? [];
  const lines = [
    // One transaction, so removals may come first: an interval that takes the place of others must not meet them.
    ...delta.setsChanged.flatMap((change) => elements('delete', change.name, change.removed)),
    ...delta.setsCreated.map(
      (set) => `add set ${NFT_TABLE} ${set.name} { ${nftSetType(set.type, set.family, set.timeoutSeconds)} }`,
    ),
    ...delta.setsCreated.flatMap((set) => elements('add', set.name, [...set.members.keys()].sort())),
    ...delta.setsChanged.flatMap((change) => elements('add', change.name, change.added)),
    ...mapsUpserted.map((map) => `add map ${NFT_TABLE} ${nftMapName(map)} { type ${mapType(map)} : verdict; }`),
    ...hooks.map(
      (hook) =>
        `add chain ${NFT_TABLE} ${nftHookName(hook)} { type ${hook.table === 'nat' ? 'nat' : 'filter'} ` +
        `hook ${hook.builtin.toLowerCase()} priority ${priorityText(hook)}; policy accept; }`,
    ),
    ...chains.map((chain) => `add chain ${NFT_TABLE} ${chain.name}`),
    ...mapsUpserted.map((map) => `flush map ${NFT_TABLE} ${nftMapName(map)}`),
    ...chains.map((chain) => `flush chain ${NFT_TABLE} ${chain.name}`),
    ...hooks.map((hook) => `flush chain ${NFT_TABLE} ${nftHookName(hook)}`),
    ...mapsChanged.flatMap(({ removed, ...map }) =>
      elements(
        'delete',
        nftMapName(map),
        removed.map((key) => nftMapKey(map, key)),
      ),
    ),
    ...mapsChanged.flatMap(({ added, ...map }) =>
      elements('add', nftMapName(map), nftMapElements({ ...map, entries: added })),
    ),
    ...mapsUpserted.flatMap((map) => elements('add', nftMapName(map), nftMapElements(map))),
    ...chains.flatMap((chain) => chain.rules.map((rule) => `add rule ${NFT_TABLE} ${chain.name} ${rule}`)),
    ...hooks.map(
      (hook) =>
        `add rule ${NFT_TABLE} ${nftHookName(hook)} jump ${nftChainName({ table: hook.table, name: hook.chain })}`,
    ),
    // What goes is emptied first: chains and maps may name one another.
    ...[...chainsDeleted, ...mapsDeleted].map((chain) => `flush chain ${NFT_TABLE} ${nftChainName(chain)}`),
    ...mapsDeleted.map((map) => `delete map ${NFT_TABLE} ${nftMapName(map)}`),
    ...[...chainsDeleted, ...mapsDeleted].map((chain) => `delete chain ${NFT_TABLE} ${nftChainName(chain)}`),
    ...delta.setsDeleted.map((name) => `delete set ${NFT_TABLE} ${name}`),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/** Many elements a line: nft parses lines one by one. */
function elements(verb: 'add' | 'delete', set: string, members: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < members.length; at += 256)
    lines.push(
      `${verb} element ${NFT_TABLE} ${set} { ${members
        .slice(at, at + 256)
        .map(nftMember)
        .join(', ')} }`,
    );
  return lines;
}

/**
 * iptables' own places in netfilter (NF_IP_PRI_*), a little before them, so that a drop of ours comes first; and before all what rejects
 * or translates for services.
 */
export function nftPriority(hook: Hook): number {
  const before = ahead(hook);
  switch (hook.table) {
    case 'raw':
      return -300 - before;
    case 'mangle':
      return -150 - before;
    case 'nat':
      return (hook.builtin === 'POSTROUTING' ? 100 : -100) - before;
    case 'filter':
      return -before;
  }
}

const ahead = (hook: Hook): number => (partOfChain(hook.chain) === 'services' ? 6 : 5);

const priorityText = (hook: Hook): string =>
  hook.table === 'nat' ? `${nftPriority(hook)}` : `${hook.table} - ${ahead(hook)}`;

/** Matches that look at what only one family has. */
const OF_ONE_FAMILY: ReadonlySet<Match['type']> = new Set(['set', 'set-port', 'network', 'icmp', 'connections']);
export const looksAtFamily = (match: Match): boolean => OF_ONE_FAMILY.has(match.type);

/** Sources whose connections are counted at a time: more than a node has pods. */
export const METERED_SOURCES = 65_535;

const needsFamily = (rule: Rule): boolean => rule.matches.some(looksAtFamily);

function renderRule(rule: Rule, family: Family | undefined, table: Table): string {
  const words: string[] = [];
  const seesAddresses = needsFamily(rule);
  if (family !== undefined && !seesAddresses) words.push(`meta nfproto ipv${family}`);
  for (const match of rule.matches) words.push(renderMatch(match, family ?? 4));
  // Rules that say something to people are the ones they count packets on.
  if (rule.note !== undefined || rule.action.type === 'drop') words.push('counter');
  words.push(renderAction(rule.action, table, family === 6 ? 'ip6' : 'ip'));
  return words.join(' ');
}

function renderMatch(match: Match, family: Family): string {
  const not = 'not' in match && match.not === true ? '!= ' : '';
  const address = (side: 'source' | 'destination'): string =>
    `${family === 4 ? 'ip' : 'ip6'} ${side === 'source' ? 'saddr' : 'daddr'}`;
  const port = (side: 'source' | 'destination'): string => `th ${side === 'source' ? 'sport' : 'dport'}`;
  switch (match.type) {
    case 'in-interface':
      return `iifname ${not}"${match.name.replace(/\+$/, '*')}"`;
    case 'out-interface':
      return `oifname ${not}"${match.name.replace(/\+$/, '*')}"`;
    case 'protocol':
      return `meta l4proto ${not}${match.protocol}`;
    case 'set':
      return `${address(match.side)} ${not}@${setName(family, match.set)}`;
    case 'set-port':
      return `${address(match.side)} . meta l4proto . ${port(match.side)} ${not}@${setName(family, match.set)}`;
    case 'network':
      return `${address(match.side)} ${not}${match.prefix}`;
    case 'ports':
      return `${port(match.side)} ${not}${ports(match.ports)}`;
    case 'icmp':
      return renderIcmp(match.icmpType, match.code, match.not === true, family);
    case 'state':
      return `ct state ${match.states.join(',')}`;
    case 'mark':
      return `meta mark & ${hex(match.mask)} ${match.not === true ? '!=' : '=='} ${hex(match.value)}`;
    case 'limit':
      return `limit rate ${match.perSecond}/second burst ${match.burst ?? match.perSecond} packets`;
    case 'random':
      return `numgen random mod ${match.oneIn} 0`;
    case 'connections':
      return `meter tortie${family}-connections size ${METERED_SOURCES} { ${address('source')} ct count over ${match.moreThan} }`;
    case 'connections-in-all':
      return `ct count over ${match.moreThan}`;
    case 'reverse-path-fails':
      return 'fib saddr . iif oif 0';
    case 'local':
      return `fib ${match.side === 'source' ? 'saddr' : 'daddr'} type ${not}local`;
  }
}

/** Type and code are one comparison, so that its negation is one too. */
function renderIcmp(type: number, code: number | undefined, not: boolean, family: Family): string {
  const protocol = family === 4 ? 'icmp' : 'icmpv6';
  if (code === undefined) return `${protocol} type ${not ? '!= ' : ''}${type}`;
  return not ? `@th,0,16 != ${hex(type * 256 + code)}` : `${protocol} type ${type} ${protocol} code ${code}`;
}

function ports(ranges: readonly PortRange[]): string {
  const text = ranges.map((range) => (range.from === range.to ? `${range.from}` : `${range.from}-${range.to}`));
  return text.length === 1 ? `${text[0]}` : `{ ${text.join(', ')} }`;
}

function renderAction(action: Action, table: Table, family: 'ip' | 'ip6'): string {
  switch (action.type) {
    case 'accept':
    case 'drop':
    case 'return':
      return action.type;
    case 'no-track':
      return 'notrack';
    case 'jump':
    case 'goto':
      return `${action.type} ${nftChainName({ table, name: action.chain })}`;
    case 'set-mark':
      return `meta mark set meta mark & ${hex(~action.mask)} | ${hex(action.value)}`;
    case 'log':
      return `log prefix "${printable(action.prefix).slice(0, 120)}" level notice`;
    case 'report':
      return `log prefix "${printable(action.prefix).slice(0, 63)}" group ${action.group}`;
    case 'remember':
      return `update @${setName(family === 'ip' ? 4 : 6, action.set)} { ${family} ${action.side === 'source' ? 'saddr' : 'daddr'} }`;
    case 'dnat':
      return `dnat ${family} to ${endpoint(action.to, action.port === undefined ? '' : `${action.port}`)}`;
    case 'snat':
      return `snat ${family} to ${endpoint(action.to, action.ports === undefined ? '' : portRange(action.ports))}`;
    case 'masquerade':
      return [
        'masquerade',
        ...(action.ports === undefined ? [] : [`to :${portRange(action.ports)}`]),
        ...(action.fullyRandom === true ? ['fully-random'] : []),
      ].join(' ');
    case 'reject':
      return action.with === 'tcp-reset' ? 'reject with tcp reset' : 'reject with icmpx type port-unreachable';
  }
}

const endpoint = (address: string, port: string): string =>
  port === '' ? address : `${address.includes(':') ? `[${address}]` : address}:${port}`;
const portRange = ({ from, to }: PortRange): string => (from === to ? `${from}` : `${from}-${to}`);
const hex = (value: number): string => `0x${(value >>> 0).toString(16).padStart(8, '0')}`;

/** nft's comments end at 128 bytes. */
const comment = (hash: string, note: string | undefined): string =>
  `tortie:${hash}${note === undefined ? '' : ` ${printable(note)}`}`.slice(0, 120);
const printable = (text: string): string => text.replace(/[^A-Za-z0-9 ._:/=,()[\]+-]/g, '_');
