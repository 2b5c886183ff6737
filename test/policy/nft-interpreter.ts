/**
 * An nft script as a program for the interpreter: knows exactly what our renderer writes and refuses all else.
 */
import { containsAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { Packet, Program, Step } from './interpreter.js';

type Condition = (packet: Packet, mark: number) => boolean;

interface NftSet {
  readonly isInterval: boolean;
  readonly elements: Set<string>;
}

const PREFIX = 'inet tortie ';
const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

/** `add`, `flush` and `delete` of one script, in order; `family` is the packet's. */
export class NftTable {
  private readonly sets = new Map<string, NftSet>();
  private readonly maps = new Map<string, Map<string, string>>();
  private readonly chains = new Map<string, string[]>();
  private readonly hooks = new Map<string, { readonly builtin: string; readonly table: string }>();

  /** Takes a script as the kernel would, all or nothing aside; throws where the kernel would refuse. */
  run(script: string): void {
    for (const line of script.split('\n')) if (line !== '' && !/^(add|delete) table /.test(line)) this.command(line);
  }

  /** Everything in the table, in stable order. */
  text(): string {
    const lines = [
      ...[...this.sets].map(([name, set]) => `set ${name} ${set.isInterval} ${[...set.elements].sort().join(' ')}`),
      ...[...this.maps].map(([name, map]) => `map ${name} ${JSON.stringify([...map].sort())}`),
      ...[...this.chains].map(
        ([name, rules]) => `chain ${name} ${JSON.stringify(this.hooks.get(name) ?? null)} ${rules.join('\n')}`,
      ),
    ];
    return lines.sort().join('\n');
  }

  program(family: Family): Program {
    const chains = new Map<string, readonly Step[]>();
    // One nft table stands for all of iptables': a chain is found under each of them.
    for (const [name, rules] of this.chains)
      for (const table of ['raw', 'mangle', 'filter'])
        chains.set(
          `${table}/${name}`,
          rules.flatMap((rule) => this.parseRule(rule, family)),
        );
    return { chains, hooks: [...this.hooks].map(([chain, hook]) => ({ ...hook, chain })) };
  }

  private command(line: string): void {
    const match = /^(add|flush|delete) (set|map|chain|rule|element) (.*)$/.exec(line);
    const [, verb = '', what = '', rest = ''] = match ?? [];
    if (!rest.startsWith(PREFIX)) throw new Error(`Not understood: ${line}`);
    const [name = '', ...words] = rest.slice(PREFIX.length).split(' ');
    const body = words.join(' ');
    switch (`${verb} ${what}`) {
      case 'add set':
        this.sets.set(name, { isInterval: body.includes('flags interval'), elements: new Set() });
        return;
      case 'delete set':
        this.demand(this.sets.delete(name), line);
        return;
      case 'add map':
        if (!this.maps.has(name)) this.maps.set(name, new Map());
        return;
      case 'flush map':
        this.demand(this.maps.get(name) !== undefined, line);
        this.maps.get(name)?.clear();
        return;
      case 'delete map':
        this.demand(this.maps.delete(name), line);
        return;
      case 'add chain':
        return this.addChain(name, body);
      case 'flush chain':
        this.demand(this.chains.has(name), line);
        this.chains.set(name, []);
        return;
      case 'delete chain':
        this.demand(this.chains.delete(name), line);
        return;
      case 'add rule':
        this.demand(this.chains.has(name), line);
        this.chains.get(name)?.push(body);
        return;
      case 'add element':
      case 'delete element':
        return this.changeElements(verb === 'add', name, body.replace(/^\{ | \}$/g, '').split(', '));
      default:
        throw new Error(`Not understood: ${line}`);
    }
  }

  private addChain(name: string, body: string): void {
    if (!this.chains.has(name)) this.chains.set(name, []);
    const hook = /hook (\w+) priority (raw|mangle|filter) - 5; policy accept;/.exec(body);
    if (hook !== null) this.hooks.set(name, { builtin: (hook[1] ?? '').toUpperCase(), table: hook[2] ?? '' });
    else if (body !== '') throw new Error(`Not understood: ${body}`);
  }

  private changeElements(added: boolean, name: string, members: readonly string[]): void {
    const map = this.maps.get(name);
    const set = this.sets.get(name);
    for (const member of members)
      if (map !== undefined) {
        const [, key = '', chain = ''] = /^"(.*)" : goto (.*)$/.exec(member) ?? [];
        this.demand(this.chains.has(chain), member);
        map.set(key, chain);
      } else {
        this.demand(set !== undefined && set.elements.has(member) !== added, `${name} ${member}`);
        if (added && set?.isInterval === true) this.demandDisjoint(set, member);
        if (added) set?.elements.add(member);
        else set?.elements.delete(member);
      }
  }

  /** Interval sets take no overlapping elements. */
  private demandDisjoint(set: NftSet, member: string): void {
    const prefix = parsePrefix(member);
    for (const other of set.elements)
      this.demand(
        !containsAddress(parsePrefix(other), prefix) && !containsAddress(prefix, parsePrefix(other)),
        `${member} overlaps ${other}`,
      );
  }

  private demand(holds: boolean, about: string): void {
    if (!holds) throw new Error(`The kernel would refuse: ${about}`);
  }

  /** A rule for the other family is no rule here; a verdict map lookup is one step per entry. */
  private parseRule(text: string, family: Family): readonly Step[] {
    const words = text.match(/"[^"]*"|\{[^}]*\}|\S+/g) ?? [];
    const conditions: Condition[] = [];
    for (let at = 0; at < words.length; ) {
      const rest = words.slice(at);
      const verdict = this.parseVerdict(rest);
      if (verdict !== undefined)
        return verdict.map((step) => ({
          ...step,
          matches: (packet, mark) => conditions.every((one) => one(packet, mark)) && step.matches(packet, mark),
        }));
      const [condition, used] = this.parseCondition(rest, family);
      if (condition === 'other family') return [];
      conditions.push(condition);
      at += used;
    }
    return [];
  }

  private parseVerdict(words: readonly string[]): readonly Step[] | undefined {
    const [word = '', next = '', third = ''] = words;
    const step = (action: Step['action']): readonly Step[] => [{ matches: () => true, action }];
    if (['accept', 'drop', 'return'].includes(word)) return step({ type: word });
    if (word === 'notrack') return step({ type: 'no-track' });
    if (word === 'log') return step({ type: 'log' });
    if (word === 'jump' || word === 'goto') return step({ type: word, chain: next });
    if (word === 'meta' && next === 'mark' && third === 'set') {
      const [keep, value] = [Number(words[6]), Number(words[8])];
      return step({ type: 'set-mark', mask: ~keep >>> 0, value });
    }
    if (next !== 'vmap') return undefined;
    const map = this.maps.get(third.slice(1));
    if (map === undefined) throw new Error(`No map ${third}`);
    return [...map].map(
      ([name, chain]): Step => ({
        matches: (packet) => (word === 'iifname' ? packet.in : packet.out) === name,
        action: { type: 'goto', chain },
      }),
    );
  }

  private parseCondition(words: readonly string[], family: Family): readonly [Condition | 'other family', number] {
    const [word = '', next = ''] = words;
    const not = (at: number): boolean => words[at] === '!=';
    const sign = (at: number, condition: Condition): Condition =>
      not(at) ? (packet, mark) => !condition(packet, mark) : condition;
    const end = (at: number): number => at + (not(at) ? 2 : 1);
    const value = (at: number): string => (words[not(at) ? at + 1 : at] ?? '').replace(/^"|"$/g, '');
    switch (word) {
      case 'counter':
        return [() => true, 1];
      case 'limit':
        return [() => true, 6];
      case 'meter': {
        const [, of = '', count] = /^\{ (\S+) saddr ct count over (\d+) \}$/.exec(words[4] ?? '') ?? [];
        if ((of === 'ip') !== (family === 4)) return ['other family', 1];
        return [(packet) => (packet.connections ?? 0) > Number(count), 5];
      }
      case 'iifname':
      case 'oifname': {
        const wanted = value(1);
        const matches = (name = ''): boolean =>
          wanted.endsWith('*') ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
        return [sign(1, (packet) => matches(word === 'iifname' ? packet.in : packet.out)), end(1)];
      }
      case 'ct':
        if (next === 'count') return [(packet) => (packet.connections ?? 0) > Number(words[3]), 4];
        return [(packet) => value(2).split(',').includes(packet.state), 3];
      case 'fib':
        if (words.slice(0, 6).join(' ') === 'fib saddr . iif oif 0')
          return [(packet) => packet.reversePathFails === true, 6];
        return [
          sign(3, (packet) => (next === 'saddr' ? packet.localSource : packet.localDestination) === true),
          end(3),
        ];
      case 'th':
        return [
          sign(2, (packet) => inPorts(value(2), next === 'sport' ? packet.sourcePort : packet.destinationPort, packet)),
          end(2),
        ];
      case 'icmp':
      case 'icmpv6': {
        if ((word === 'icmp') !== (family === 4)) return ['other family', 1];
        return [sign(2, (packet) => packet.icmp?.[next === 'type' ? 'type' : 'code'] === Number(value(2))), end(2)];
      }
      case '@th,0,16':
        return [(packet) => (packet.icmp?.type ?? 0) * 256 + (packet.icmp?.code ?? 0) !== Number(words[2]), 3];
      case 'meta':
        return parseMeta(words, family, sign, end, value);
      case 'ip':
      case 'ip6':
        return (word === 'ip') === (family === 4) ? this.parseAddress(words, sign, end, value) : ['other family', 1];
      default:
        throw new Error(`Not understood: ${words.join(' ')}`);
    }
  }

  private parseAddress(
    words: readonly string[],
    sign: (at: number, condition: Condition) => Condition,
    end: (at: number) => number,
    value: (at: number) => string,
  ): readonly [Condition, number] {
    const side = (packet: Packet): string => (words[1] === 'saddr' ? packet.source : packet.destination);
    const lookUp = (at: number, text: (packet: Packet) => string): Condition => {
      const set = this.sets.get(value(at).slice(1));
      if (set === undefined) throw new Error(`No set ${value(at)}`);
      return sign(at, (packet) =>
        set.isInterval
          ? [...set.elements].some((one) => containsAddress(parsePrefix(one), parseAddress(text(packet))))
          : set.elements.has(text(packet)),
      );
    };
    if (words[2] === '.') {
      const port = (packet: Packet): number => (words[7] === 'sport' ? packet.sourcePort : packet.destinationPort);
      return [
        lookUp(
          8,
          (packet) => `${side(packet)} . ${PROTOCOLS.get(packet.protocol) ?? packet.protocol} . ${port(packet)}`,
        ),
        end(8),
      ];
    }
    if (value(2).startsWith('@')) return [lookUp(2, side), end(2)];
    return [sign(2, (packet) => containsAddress(parsePrefix(value(2)), parseAddress(side(packet)))), end(2)];
  }
}

function parseMeta(
  words: readonly string[],
  family: Family,
  sign: (at: number, condition: Condition) => Condition,
  end: (at: number) => number,
  value: (at: number) => string,
): readonly [Condition | 'other family', number] {
  switch (words[1]) {
    case 'nfproto':
      return words[2] === `ipv${family}` ? [() => true, 3] : ['other family', 1];
    case 'l4proto':
      return [sign(2, (packet) => packet.protocol === Number(value(2))), end(2)];
    case 'mark': {
      const [mask, equal, want] = [Number(words[3]), words[4] === '==', Number(words[5])];
      return [(_packet, mark) => ((mark & mask) >>> 0 === want) === equal, 6];
    }
    default:
      throw new Error(`Not understood: ${words.join(' ')}`);
  }
}

function inPorts(text: string, port: number, packet: Packet): boolean {
  if (!PROTOCOLS.has(packet.protocol)) return false;
  return text
    .replace(/[{} ]/g, '')
    .split(',')
    .some((range) => {
      const [from = 0, to = from] = range.split('-').map(Number);
      return from <= port && port <= to;
    });
}
