/** iptables-restore text as a program to walk. Knows exactly what Services' rules use and refuses all else. */
import { containsAddress, parseAddress, parsePrefix, type Family } from 'node-bgp/address';
import type { AddressSet } from '@tortie/policy';
import { isMember, type Program, type Step, type Walker } from './walk.js';

type Condition = (packet: Walker) => boolean;
const PROTOCOLS: Readonly<Record<string, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

export function parseIptables(text: string, sets: ReadonlyMap<string, AddressSet>, family: Family): Program {
  const chains = new Map<string, Step[]>();
  const hooks: { table: string; builtin: string; chain: string }[] = [];
  let table = '';
  for (const line of text.split('\n')) {
    const words = (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"|"$/g, ''));
    const [command = '', name = ''] = words;
    if (command.startsWith('*')) table = command.slice(1);
    else if (command.startsWith(':')) chains.set(`${table}/${command.slice(1)}`, []);
    else if (command === '-I') hooks.push({ table, builtin: name, chain: words[words.length - 1] ?? '' });
    else if (command === '-A') {
      const chain = chains.get(`${table}/${name}`);
      if (chain === undefined || name.length > 28) throw new Error(`Not a chain of ours: ${line}`);
      chain.push(parseRule(words.slice(2), sets, family));
    }
  }
  return { chains, hooks };
}

function parseRule(words: readonly string[], sets: ReadonlyMap<string, AddressSet>, family: Family): Step {
  const conditions: Condition[] = [];
  let oneIn: number | undefined;
  let not = false;
  const add = (condition: Condition): void => {
    const isNot = not;
    not = false;
    conditions.push((packet) => condition(packet) !== isNot);
  };
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const value = (): string => words[++at] ?? '';
    switch (word) {
      case '!':
        not = true;
        break;
      case '-m':
      case '--comment':
      case '--mode':
        at++;
        break;
      case '--probability':
        oneIn = Math.round(1 / Number(value()));
        break;
      case '-p': {
        const protocol = PROTOCOLS[value()];
        add((packet) => packet.protocol === protocol);
        break;
      }
      case '-s':
      case '-d': {
        const prefix = parsePrefix(value());
        const isSource = word === '-s';
        add((packet) => containsAddress(prefix, parseAddress(isSource ? packet.source : packet.destination)));
        break;
      }
      case '--dport':
      case '--dports': {
        const [from = 0, to = from] = value().split(':').map(Number);
        add((packet) => from <= packet.port && packet.port <= to);
        break;
      }
      case '--match-set': {
        const set = sets.get(value());
        const isSource = value() === 'src';
        add((packet) => isMember(set, isSource ? packet.source : packet.destination));
        break;
      }
      case '--ctstate': {
        const states = value();
        add(() => states.includes('NEW'));
        break;
      }
      case '--mark': {
        const [wanted, mask = 0] = value().split('/').map(Number);
        add((packet) => (packet.mark & mask) >>> 0 === wanted);
        break;
      }
      case '--src-type':
      case '--dst-type':
        at++;
        add((packet) => (word === '--src-type' ? packet.isFromNode : packet.isToNode));
        break;
      case '-g':
      case '-j':
        return {
          matches: (packet) => conditions.every((condition) => condition(packet)),
          ...(oneIn === undefined ? {} : { oneIn }),
          action: parseTarget(word, words.slice(at + 1), family),
        };
      default:
        throw new Error(`Option ${word} is not known here`);
    }
  }
  throw new Error(`No target: ${words.join(' ')}`);
}

function parseTarget(option: string, [target = '', ...rest]: readonly string[], family: Family): Step['action'] {
  if (option === '-g') return { type: 'goto', chain: target };
  switch (target) {
    case 'DROP':
    case 'RETURN':
    case 'REJECT':
    case 'MASQUERADE':
      return { type: target.toLowerCase() };
    case 'SET':
      return { type: 'remember' };
    case 'MARK': {
      const [value = 0, mask = 0] = (rest[1] ?? '').split('/').map(Number);
      return { type: 'set-mark', value, mask };
    }
    case 'DNAT': {
      const [, to = '', port] = (family === 4 ? /^([^:]+):(\d+)$/ : /^\[(.*)\]:(\d+)$/).exec(rest[1] ?? '') ?? [];
      return { type: 'dnat', to, port: Number(port) };
    }
    default:
      return { type: 'jump', chain: target };
  }
}
