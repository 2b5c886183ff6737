/** An nft script as a program to walk. Knows exactly what Services' rules use and refuses all else. */
import { containsAddress, formatAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { Program, Step, Walker } from './walk.js';

type Condition = (packet: Walker) => boolean;
const TABLE = 'inet tortie ';
const PROTOCOLS: Readonly<Record<string, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

interface Script {
  /** Rules by chain. */
  readonly chains: Map<string, string[]>;
  readonly sets: Map<string, readonly string[]>;
  /** Key to chain. */
  readonly maps: Map<string, Map<string, string>>;
  readonly hooks: { table: string; builtin: string; chain: string }[];
}

export function parseNft(text: string, family: Family): Program {
  const script: Script = { chains: new Map(), sets: new Map(), maps: new Map(), hooks: [] };
  for (const line of text.split('\n')) if (line !== '') read(script, line);
  const chains = new Map<string, readonly Step[]>();
  // One table of nft holds what iptables has in several; the others' chains carry their name.
  for (const [name, rules] of script.chains)
    for (const table of ['nat', 'mangle', 'filter'])
      chains.set(
        `${table}/${name}`,
        rules.flatMap((rule) => parseRule(rule, script, family)),
      );
  return { chains, hooks: script.hooks };
}

function read(script: Script, line: string): void {
  const [, verb = '', what = '', rest = ''] = /^(add|delete|flush) (\w+) (.*)$/.exec(line) ?? [];
  const [, name = '', body = ''] = /^(\S+) ?(.*)$/.exec(rest.slice(TABLE.length)) ?? [];
  switch (`${verb} ${what}`) {
    case 'add table':
    case 'delete table':
    case 'flush chain':
    case 'flush map':
      return;
    case 'add set':
      return void script.sets.set(name, []);
    case 'add map':
      return void script.maps.set(name, new Map());
    case 'add chain': {
      script.chains.set(name, script.chains.get(name) ?? []);
      const builtin = /hook (\w+) /.exec(body)?.[1]?.toUpperCase();
      if (builtin !== undefined) script.hooks.push({ table: name.split('-')[0] ?? '', builtin, chain: name });
      return;
    }
    case 'add rule':
      return void script.chains.get(name)?.push(body);
    case 'add element': {
      const elements = body.replace(/^\{ | \}$/g, '').split(', ');
      const map = script.maps.get(name);
      if (map === undefined) return void script.sets.set(name, [...(script.sets.get(name) ?? []), ...elements]);
      for (const element of elements) {
        const [, key = '', chain = ''] = /^(.*) : goto (.*)$/.exec(element) ?? [];
        map.set(key, chain);
      }
      return;
    }
    default:
      throw new Error(`Not known here: ${line}`);
  }
}

/** A rule of the other family is none here. */
function parseRule(text: string, script: Script, family: Family): readonly Step[] {
  let rest = text.replace(/ comment "[^"]*"$/, '');
  const conditions: Condition[] = [];
  let oneIn: number | undefined;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    const match = pattern.exec(rest);
    if (match === null) return undefined;
    rest = rest.slice(match[0].length).trimStart();
    return match;
  };
  const step = (action: Step['action']): readonly Step[] => [
    {
      matches: (packet) => conditions.every((condition) => condition(packet)),
      ...(oneIn === undefined ? {} : { oneIn }),
      action,
    },
  ];
  while (rest !== '') {
    let match = take(/^meta nfproto ipv(\d)/);
    if (match !== undefined) {
      if (Number(match[1]) !== family) return [];
      continue;
    }
    if (take(/^counter/) !== undefined) continue;
    if ((match = take(/^numgen random mod (\d+) 0/)) !== undefined) {
      oneIn = Number(match[1]);
      continue;
    }
    if ((match = take(/^(ip6?) daddr \. meta l4proto \. th dport vmap @(\S+)/)) !== undefined) {
      if ((match[1] === 'ip6') !== (family === 6)) return [];
      return lookup(script, match[2] ?? '', (packet) => `${packet.destination} . ${packet.protocol} . ${packet.port}`);
    }
    if ((match = take(/^meta l4proto \. th dport vmap @(\S+)/)) !== undefined)
      return lookup(script, match[1] ?? '', (packet) => `${packet.protocol} . ${packet.port}`);
    if ((match = take(/^(ip6?) ([sd])addr (!= )?(\S+)/)) !== undefined) {
      if ((match[1] === 'ip6') !== (family === 6)) return [];
      conditions.push(addressCondition(script, match[2] === 's', match[3] !== undefined, match[4] ?? ''));
      continue;
    }
    if ((match = take(/^meta l4proto (\d+)/)) !== undefined) {
      const protocol = PROTOCOLS[match[1] ?? ''];
      conditions.push((packet) => packet.protocol === protocol);
      continue;
    }
    if ((match = take(/^fib ([sd])addr type local/)) !== undefined) {
      const isSource = match[1] === 's';
      conditions.push((packet) => (isSource ? packet.isFromNode : packet.isToNode));
      continue;
    }
    if ((match = take(/^meta mark & (\S+) == (\S+)/)) !== undefined) {
      const [mask, value] = [Number(match[1]), Number(match[2])];
      conditions.push((packet) => (packet.mark & mask) >>> 0 === value);
      continue;
    }
    if (take(/^ct state new/) !== undefined) continue;
    if ((match = take(/^meta mark set meta mark & (\S+) \| (\S+)/)) !== undefined)
      return step({ type: 'set-mark', mask: ~Number(match[1]) >>> 0, value: Number(match[2]) });
    if ((match = take(/^(jump|goto) (\S+)/)) !== undefined)
      return step({ type: match[1] ?? '', chain: match[2] ?? '' });
    if ((match = take(/^dnat ip6? to (?:\[(.*)\]|([^:]+)):(\d+)/)) !== undefined)
      return step({ type: 'dnat', to: match[1] ?? match[2] ?? '', port: Number(match[3]) });
    if ((match = take(/^(drop|return|masquerade|reject)/)) !== undefined) return step({ type: match[1] ?? '' });
    if (take(/^update @/) !== undefined) return step({ type: 'remember' });
    throw new Error(`Not known here: ${rest} (of ${text})`);
  }
  return [];
}

function lookup(script: Script, name: string, keyOf: (packet: Walker) => string): readonly Step[] {
  const map = script.maps.get(name);
  if (map === undefined) throw new Error(`No map ${name}`);
  return [...map].map(([key, chain]) => ({
    matches: (packet) => keyOf(packet) === key,
    action: { type: 'goto', chain },
  }));
}

function addressCondition(script: Script, isSource: boolean, isNot: boolean, text: string): Condition {
  const members = text.startsWith('@') ? script.sets.get(text.slice(1)) : [text];
  if (members === undefined) throw new Error(`No set ${text}`);
  const prefixes = members.map((member) =>
    parsePrefix(
      member.includes('/') ? member : `${formatAddress(parseAddress(member))}/${member.includes(':') ? 128 : 32}`,
    ),
  );
  return (packet) => {
    const address = parseAddress(isSource ? packet.source : packet.destination);
    return prefixes.some((prefix) => containsAddress(prefix, address)) !== isNot;
  };
}
