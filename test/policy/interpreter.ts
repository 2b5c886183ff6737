/**
 * Walks a packet through a compiled ruleset as the kernel would: from the neutral data itself, or from
 * iptables-restore text parsed back. The two share the walk (chains, goto, return, marks) and nothing of how a
 * condition is read.
 */
import { containsAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import {
  chainKey,
  setName,
  type AddressSet,
  type DispatchMap,
  type Match,
  type Rule,
  type Ruleset,
} from '@tortie/policy';

export interface Packet {
  readonly family: Family;
  readonly table: 'raw' | 'mangle' | 'filter';
  readonly builtin: 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';
  readonly in?: string;
  readonly out?: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp?: { readonly type: number; readonly code: number };
  readonly state: 'new' | 'established' | 'related' | 'invalid' | 'untracked';
  /** Does the source route back through the receiving interface? */
  readonly reversePathFails?: boolean;
  /** Of its source, this one included. */
  readonly connections?: number;
  readonly localSource?: boolean;
  readonly localDestination?: boolean;
}

export type Outcome = 'accept' | 'drop' | 'continue';

/** One rule, ready to walk: does it match, and what does it do. */
export interface Step {
  matches(packet: Packet, mark: number): boolean;
  readonly action: { readonly type: string; readonly chain?: string; readonly value?: number; readonly mask?: number };
}

/** Chains by "table/name", and where the hooks lead. */
export interface Program {
  readonly chains: ReadonlyMap<string, readonly Step[]>;
  readonly hooks: readonly { readonly table: string; readonly builtin: string; readonly chain: string }[];
}

/** The packet at one hook, from a mark of zero. */
export const run = (program: Program, packet: Packet): Outcome => runHook(program, packet, 0).outcome;

export interface HookOutcome {
  readonly outcome: Outcome;
  /** What the packet carries to the next hook. */
  readonly mark: number;
  readonly isUntracked: boolean;
}

/** The packet at one hook, with the mark it comes with. */
export function runHook(program: Program, packet: Packet, before: number): HookOutcome {
  let mark = before;
  let isUntracked = false;
  const walk = (name: string): Outcome => {
    const chain = program.chains.get(`${packet.table}/${name}`);
    if (chain === undefined) throw new Error(`No chain ${packet.table}/${name}`);
    for (const step of chain) {
      if (!step.matches(packet, mark)) continue;
      const { type, chain: target = '', value = 0, mask = 0 } = step.action;
      if (type === 'accept' || type === 'drop') return type;
      if (type === 'return') return 'continue';
      if (type === 'goto') return walk(target);
      if (type === 'no-track') isUntracked = true;
      if (type === 'set-mark') mark = ((mark & ~mask) | value) >>> 0;
      if (type === 'jump') {
        const outcome = walk(target);
        if (outcome !== 'continue') return outcome;
      }
    }
    return 'continue';
  };
  for (const hook of program.hooks) {
    if (hook.table !== packet.table || hook.builtin !== packet.builtin) continue;
    const outcome = walk(hook.chain);
    if (outcome !== 'continue') return { outcome, mark, isUntracked };
  }
  return { outcome: 'continue', mark, isUntracked };
}

const matchesInterface = (pattern: string, name: string | undefined): boolean =>
  name !== undefined && (pattern.endsWith('+') ? name.startsWith(pattern.slice(0, -1)) : name === pattern);

const PROTOCOL_NAMES: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
  [136, 'udplite'],
  [1, 'icmp'],
  [58, 'icmpv6'],
]);
const carriesPorts = (protocol: number): boolean => [6, 17, 132, 136, 33].includes(protocol);

/** Membership as ipset decides it. */
export function inSet(set: AddressSet | undefined, address: string, port: string | undefined): boolean {
  if (set === undefined) throw new Error('Rule names a set that does not exist');
  switch (set.type) {
    case 'address':
      return set.members.has(address);
    case 'address-port':
      return port !== undefined && set.members.has(`${address},${port}`);
    case 'network':
      return [...set.members.keys()].some((prefix) => containsAddress(parsePrefix(prefix), parseAddress(address)));
  }
}

/** The neutral data as a program; maps are looked up directly. */
export function programOf(ruleset: Ruleset, family: Family): Program {
  const chains = new Map<string, readonly Step[]>();
  for (const chain of ruleset.chains.values())
    chains.set(
      chainKey(chain),
      chain.rules
        .filter((rule) => rule.family === undefined || rule.family === family)
        .map((rule) => stepOf(rule, ruleset)),
    );
  for (const map of ruleset.maps.values()) chains.set(chainKey(map), mapSteps(map));
  return { chains, hooks: ruleset.hooks };
}

function mapSteps(map: DispatchMap): readonly Step[] {
  const steps: Step[] = [...map.entries].map(([name, chain]) => ({
    matches: (packet) => (map.key === 'in-interface' ? packet.in : packet.out) === name,
    action: { type: 'goto', chain },
  }));
  return map.otherwise === 'drop' ? [...steps, { matches: () => true, action: { type: 'drop' } }] : steps;
}

const stepOf = (rule: Rule, ruleset: Ruleset): Step => ({
  matches: (packet, mark) =>
    rule.matches.every((match) => evaluate(match, packet, mark, ruleset) !== ('not' in match && match.not === true)),
  action: rule.action,
});

function evaluate(match: Match, packet: Packet, mark: number, ruleset: Ruleset): boolean {
  switch (match.type) {
    case 'in-interface':
      return matchesInterface(match.name, packet.in);
    case 'out-interface':
      return matchesInterface(match.name, packet.out);
    case 'protocol':
      return packet.protocol === match.protocol;
    case 'set':
      return inSet(ruleset.sets.get(setName(packet.family, match.set)), sideOf(match.side, packet), undefined);
    case 'set-port':
      return inSet(
        ruleset.sets.get(setName(packet.family, match.set)),
        sideOf(match.side, packet),
        portText(match.side, packet),
      );
    case 'network':
      return containsAddress(parsePrefix(match.prefix), parseAddress(sideOf(match.side, packet)));
    case 'ports': {
      if (
        match.ports.length > 15 ||
        match.ports.reduce((sum, range) => sum + (range.from === range.to ? 1 : 2), 0) > 15
      )
        throw new Error('More than 15 ports in one rule');
      const port = match.side === 'source' ? packet.sourcePort : packet.destinationPort;
      return carriesPorts(packet.protocol) && match.ports.some((range) => range.from <= port && port <= range.to);
    }
    case 'icmp':
      return packet.icmp?.type === match.icmpType && (match.code === undefined || packet.icmp.code === match.code);
    case 'state':
      return match.states.includes(packet.state);
    case 'mark':
      return (mark & match.mask) >>> 0 === match.value;
    // A test sends one packet: the limit is not reached.
    case 'limit':
      return true;
    case 'random':
      throw new Error('Policy leaves nothing to chance');
    case 'connections':
      return (packet.connections ?? 0) > match.moreThan;
    case 'connections-in-all':
      return (packet.connections ?? 0) > match.moreThan;
    case 'reverse-path-fails':
      return packet.reversePathFails === true;
    case 'local':
      return (match.side === 'source' ? packet.localSource : packet.localDestination) === true;
  }
}

const sideOf = (side: 'source' | 'destination', packet: Packet): string =>
  side === 'source' ? packet.source : packet.destination;
const portText = (side: 'source' | 'destination', packet: Packet): string =>
  `${PROTOCOL_NAMES.get(packet.protocol) ?? packet.protocol}:${side === 'source' ? packet.sourcePort : packet.destinationPort}`;

/** iptables-restore text as a program. Knows exactly the options that our rules use and refuses all others. */
export function parseIptables(text: string, sets: ReadonlyMap<string, AddressSet>): Program {
  const chains = new Map<string, Step[]>();
  const hooks: { table: string; builtin: string; chain: string }[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    else if (line.startsWith(':')) {
      const name = line.slice(1).split(' ')[0] ?? '';
      if (name.length > 28) throw new Error(`Chain name ${name} is longer than 28 characters`);
      chains.set(`${table}/${name}`, []);
    } else if (line.startsWith('-A ')) {
      const words = splitWords(line);
      const chain = chains.get(`${table}/${words[1]}`);
      if (chain === undefined) throw new Error(`Rule for a chain that was not declared: ${line}`);
      chain.push(parseStep(words.slice(2), sets));
    } else if (line.startsWith('-I ')) {
      const words = splitWords(line);
      hooks.push({ table, builtin: words[1] ?? '', chain: words[words.length - 1] ?? '' });
    }
  }
  return { chains, hooks };
}

const splitWords = (line: string): readonly string[] =>
  (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, ''));

type Condition = (packet: Packet, mark: number) => boolean;

/** Options of one rule, left to right, until its target. */
function parseStep(words: readonly string[], sets: ReadonlyMap<string, AddressSet>): Step {
  const conditions: Condition[] = [];
  let comments = 0;
  let not = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const value = words[i + 1] ?? '';
    if (word === '!') {
      not = true;
      continue;
    }
    if (word === '-m') {
      i++;
      continue;
    }
    if (word === '-j' || word === '-g') {
      if (comments === 0) throw new Error(`Rule without a comment: ${words.join(' ')}`);
      return {
        matches: (packet, mark) => conditions.every((condition) => condition(packet, mark)),
        action: parseTarget(word, words.slice(i + 1)),
      };
    }
    if (word === '--comment') {
      comments++;
      i++;
      continue;
    }
    const [condition, used] = parseCondition(word, value, words[i + 2] ?? '', sets);
    conditions.push(not ? (packet, mark) => !condition(packet, mark) : condition);
    not = false;
    i += used;
  }
  throw new Error(`Rule without a target: ${words.join(' ')}`);
}

function parseCondition(
  option: string,
  value: string,
  next: string,
  sets: ReadonlyMap<string, AddressSet>,
): readonly [Condition, number] {
  switch (option) {
    case '-i':
      return [(packet) => matchesInterface(value, packet.in), 1];
    case '-o':
      return [(packet) => matchesInterface(value, packet.out), 1];
    case '-p':
      return [(packet) => packet.protocol === Number(value), 1];
    case '-s':
      return [(packet) => containsAddress(parsePrefix(value), parseAddress(packet.source)), 1];
    case '-d':
      return [(packet) => containsAddress(parsePrefix(value), parseAddress(packet.destination)), 1];
    case '--match-set': {
      const side = next.startsWith('src') ? 'source' : 'destination';
      return [
        (packet) =>
          inSet(sets.get(value), sideOf(side, packet), next.includes(',') ? portText(side, packet) : undefined),
        2,
      ];
    }
    case '--dport':
    case '--dports':
      return [portCondition(value, (packet) => packet.destinationPort), 1];
    case '--sport':
    case '--sports':
      return [portCondition(value, (packet) => packet.sourcePort), 1];
    case '--icmp-type':
    case '--icmpv6-type': {
      const [type, code] = value.split('/');
      return [
        (packet) => packet.icmp?.type === Number(type) && (code === undefined || packet.icmp.code === Number(code)),
        1,
      ];
    }
    case '--ctstate':
      return [(packet) => value.split(',').includes(packet.state.toUpperCase()), 1];
    case '--mark': {
      const [want, mask] = value.split('/').map(Number);
      return [(_packet, mark) => (mark & (mask ?? 0)) >>> 0 === want, 1];
    }
    case '--connlimit-above':
      return [(packet) => (packet.connections ?? 0) > Number(value), 1];
    case '--connlimit-mask':
      return [() => true, 1];
    case '--connlimit-saddr':
      return [() => true, 0];
    case '--limit':
    case '--limit-burst':
      return [() => true, 1];
    case '--invert':
      return [(packet) => packet.reversePathFails === true, 0];
    case '--src-type':
      return [(packet) => packet.localSource === true, 1];
    case '--dst-type':
      return [(packet) => packet.localDestination === true, 1];
    default:
      throw new Error(`Unknown option ${option}`);
  }
}

function portCondition(text: string, portOf: (packet: Packet) => number): Condition {
  const ranges = text.split(',').map((part) => part.split(':').map(Number));
  if (ranges.reduce((sum, range) => sum + range.length, 0) > 15)
    throw new Error(`Too many ports for multiport: ${text}`);
  return (packet) =>
    carriesPorts(packet.protocol) &&
    ranges.some(([from = 0, to = from]) => from <= portOf(packet) && portOf(packet) <= to);
}

function parseTarget(option: string, words: readonly string[]): Step['action'] {
  const [target = '', ...rest] = words;
  if (option === '-g') return { type: 'goto', chain: target };
  switch (target) {
    case 'ACCEPT':
    case 'DROP':
    case 'RETURN':
      return { type: target.toLowerCase() };
    case 'CT':
      return { type: 'no-track' };
    case 'LOG':
    case 'NFLOG':
      return { type: 'log' };
    case 'MARK': {
      const [value, mask] = (rest[1] ?? '').split('/').map(Number);
      return { type: 'set-mark', value, mask };
    }
    default:
      return { type: 'jump', chain: target };
  }
}
