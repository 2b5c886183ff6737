/**
 * Walks the first packet of a connection through a node's tables as the kernel would, with every outcome that chance allows and its
 * probability. Programs come from the neutral data here, and from text parsed back in iptables-text.ts and nft-text.ts.
 */
import { containsAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { AddressSet, DispatchMap, Match, Rule, Ruleset } from '@tortie/policy';
import { chainKey, setName } from '@tortie/policy/ruleset';

export interface Packet {
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port: number;
  readonly isFromNode: boolean;
  readonly isToNode: boolean;
}

/** A packet on its way. */
export interface Walker extends Packet {
  readonly mark: number;
}

export interface Step {
  matches(packet: Walker): boolean;
  /** Taken once in so many times. */
  readonly oneIn?: number;
  readonly action: {
    readonly type: string;
    readonly chain?: string;
    readonly value?: number;
    readonly mask?: number;
    readonly to?: string;
    readonly port?: number;
  };
}

/** Chains by "table/name", and where the hooks lead. */
export interface Program {
  readonly chains: ReadonlyMap<string, readonly Step[]>;
  readonly hooks: readonly { readonly table: string; readonly builtin: string; readonly chain: string }[];
}

/** "none", "reject", "drop", "10.0.0.1,80", "10.0.0.1,80 masqueraded" and how probable each is. */
export type Outcomes = ReadonlyMap<string, number>;

type Visit =
  | { readonly type: 'end'; readonly outcome: string; readonly packet: Walker }
  | { readonly type: 'on'; readonly packet: Walker };
type Branch = readonly [visit: Visit, probability: number];

export function walk(program: Program, packet: Packet): Outcomes {
  const outcomes = new Map<string, number>();
  const builtin = packet.isFromNode ? 'OUTPUT' : 'PREROUTING';
  let alive: readonly (readonly [Walker, number])[] = [[{ ...packet, mark: 0 }, 1]];
  const end = (outcome: string, share: number): void =>
    void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + share);
  const through = (table: string, hook: string): void => {
    alive = alive.flatMap(([walker, share]) =>
      atHook(program, table, hook, walker).flatMap(([visit, part]): (readonly [Walker, number])[] => {
        if (visit.type === 'on' || visit.outcome === 'translated') return [[visit.packet, share * part]];
        end(visit.outcome, share * part);
        return [];
      }),
    );
  };
  through('mangle', builtin);
  through('nat', builtin);
  through('filter', packet.isFromNode ? 'OUTPUT' : 'FORWARD');
  for (const [walker, share] of alive) {
    const isTranslated = walker.destination !== packet.destination || walker.port !== packet.port;
    const target = isTranslated ? `${walker.destination},${walker.port}` : 'none';
    for (const [visit, part] of atHook(program, 'nat', 'POSTROUTING', walker))
      end(visit.type === 'end' && visit.outcome === 'masqueraded' ? `${target} masqueraded` : target, share * part);
  }
  return outcomes;
}

function atHook(program: Program, table: string, builtin: string, packet: Walker): readonly Branch[] {
  let alive: readonly (readonly [Walker, number])[] = [[packet, 1]];
  const ended: Branch[] = [];
  for (const hook of program.hooks) {
    if (hook.table !== table || hook.builtin !== builtin) continue;
    alive = alive.flatMap(([walker, share]) =>
      inChain(program, table, hook.chain, 0, walker).flatMap(([visit, part]): (readonly [Walker, number])[] => {
        if (visit.type === 'on') return [[visit.packet, share * part]];
        ended.push([visit, share * part]);
        return [];
      }),
    );
  }
  return [...ended, ...alive.map(([walker, share]): Branch => [{ type: 'on', packet: walker }, share])];
}

/** From rule `at` of a chain to its end, or to the packet's. */
function inChain(program: Program, table: string, name: string, at: number, packet: Walker): readonly Branch[] {
  const chain = program.chains.get(`${table}/${name}`);
  if (chain === undefined) throw new Error(`No chain ${table}/${name}`);
  for (let index = at; index < chain.length; index++) {
    const step = chain[index];
    if (step === undefined || !step.matches(packet)) continue;
    const taken = (): readonly Branch[] => take(program, table, name, index, step, packet);
    if (step.oneIn === undefined) return taken();
    const share = 1 / step.oneIn;
    return [...scaled(taken(), share), ...scaled(inChain(program, table, name, index + 1, packet), 1 - share)];
  }
  return [[{ type: 'on', packet }, 1]];
}

const scaled = (branches: readonly Branch[], share: number): readonly Branch[] =>
  branches.map(([visit, part]) => [visit, part * share]);

function take(
  program: Program,
  table: string,
  name: string,
  index: number,
  { action }: Step,
  packet: Walker,
): readonly Branch[] {
  const on = (walker: Walker): readonly Branch[] => inChain(program, table, name, index + 1, walker);
  const end = (outcome: string, walker: Walker = packet): readonly Branch[] => [
    [{ type: 'end', outcome, packet: walker }, 1],
  ];
  switch (action.type) {
    case 'drop':
    case 'reject':
      return end(action.type);
    case 'return':
      return [[{ type: 'on', packet }, 1]];
    case 'masquerade':
      if (packet.mark !== 0) throw new Error(`Mark ${packet.mark.toString(16)} leaves with the packet`);
      return end('masqueraded');
    case 'dnat':
      return end('translated', { ...packet, destination: action.to ?? '', port: action.port ?? packet.port });
    case 'set-mark':
      return on({ ...packet, mark: ((packet.mark & ~(action.mask ?? 0)) | (action.value ?? 0)) >>> 0 });
    case 'remember':
      return on(packet);
    case 'goto':
      return inChain(program, table, action.chain ?? '', 0, packet);
    case 'jump':
      return inChain(program, table, action.chain ?? '', 0, packet).flatMap(([visit, part]) =>
        visit.type === 'end' ? [[visit, part] as const] : scaled(on(visit.packet), part),
      );
    default:
      throw new Error(`Action "${action.type}" is not known here`);
  }
}

/** The neutral data as a program. */
export function programOf(ruleset: Ruleset, family: Family): Program {
  const chains = new Map<string, readonly Step[]>();
  for (const chain of ruleset.chains.values())
    chains.set(
      chainKey(chain),
      chain.rules
        .filter((rule) => rule.family === undefined || rule.family === family)
        .map((rule) => stepOf(rule, ruleset.sets)),
    );
  for (const map of ruleset.maps.values()) if (map.family === family) chains.set(chainKey(map), mapSteps(map));
  return { chains, hooks: ruleset.hooks };
}

function mapSteps(map: DispatchMap): readonly Step[] {
  return [...map.entries].map(([key, chain]) => ({
    matches: (packet: Walker) =>
      (map.key === 'port' ? '' : `${packet.destination},`) + `${packet.protocol}:${packet.port}` === key,
    action: { type: 'goto', chain },
  }));
}

function stepOf(rule: Rule, sets: ReadonlyMap<string, AddressSet>): Step {
  const random = rule.matches.find((match) => match.type === 'random');
  return {
    matches: (packet) =>
      rule.matches.every(
        (match) => match.type === 'random' || evaluate(match, packet, sets) !== ('not' in match && match.not === true),
      ),
    ...(random?.type === 'random' ? { oneIn: random.oneIn } : {}),
    action: rule.action,
  };
}

const NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

/** First packets: every state is new. */
function evaluate(match: Match, packet: Walker, sets: ReadonlyMap<string, AddressSet>): boolean {
  const at = (side: 'source' | 'destination'): string => (side === 'source' ? packet.source : packet.destination);
  switch (match.type) {
    case 'protocol':
      return NUMBERS[packet.protocol] === match.protocol;
    case 'set':
      return isMember(sets.get(setName(packet.family, match.set)), at(match.side));
    case 'network':
      return containsAddress(parsePrefix(match.prefix), parseAddress(at(match.side)));
    case 'state':
      return match.states.includes('new');
    case 'mark':
      return (packet.mark & match.mask) >>> 0 === match.value;
    case 'local':
      return match.side === 'source' ? packet.isFromNode : packet.isToNode;
    default:
      throw new Error(`Match "${match.type}" is not known here`);
  }
}

/** Sets that the kernel fills are empty before the first connection. */
export function isMember(set: AddressSet | undefined, address: string): boolean {
  if (set === undefined) throw new Error('A rule names a set that does not exist');
  if (set.type === 'address') return set.members.has(address);
  return [...set.members.keys()].some((prefix) => containsAddress(parsePrefix(prefix), parseAddress(address)));
}
