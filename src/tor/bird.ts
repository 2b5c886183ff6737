/** BIRD 2 and 3: filters, and a protocol for each session; tried with real daemons. The router's id and its kernel are its own. */
import type { Family } from 'node-bgp/address';
import { familiesOf, headOf, keepaliveOf, outRules } from './cisco-style.js';
import type { PrefixRule, RouterPlan, TorSession, TorSettings } from './plan.js';

export function renderBird(plan: RouterPlan): string {
  const lines = [
    ...headOf(plan).map((line) => `# ${line}`),
    '# Beside it the router has its own: router id, protocol device, protocol kernel.',
    ...([...plan.sessions, ...plan.ranges].some(({ bfd }) => bfd !== undefined) ? ['protocol bfd tortie_bfd { }'] : []),
    ...familiesOf(plan).flatMap((family) => filters(plan, family)),
    ...plan.sessions.flatMap((session) =>
      protocol({
        name: protocolName(session),
        ends: [
          `  description "${session.node} ${session.peer}";`,
          `  local ${session.routerAddress}${session.routerPort === 179 ? '' : ` port ${session.routerPort}`} as ${plan.as};`,
          `  neighbor ${session.nodeAddress}${session.nodePort === 179 ? '' : ` port ${session.nodePort}`} as ${session.nodeAs};`,
        ],
        settings: session,
        isInternal: session.nodeAs === plan.as,
      }),
    ),
    ...plan.ranges.flatMap((range) => {
      const [first = 0, ...others] = range.nodeAses;
      return protocol({
        name: `tortie_range_${symbol(range.range)}`,
        ends: [
          `  local as ${plan.as};`,
          `  neighbor range ${range.range} ${others.length === 0 ? `as ${first}` : 'external'};`,
          `  dynamic name "tortie_${symbol(range.range)}_";`,
        ],
        settings: range,
        isInternal: range.nodeAses.includes(plan.as),
      });
    }),
  ];
  return `${lines.join('\n')}\n`;
}

/** What BIRD takes for a name without quotation marks. */
const symbol = (text: string): string => text.replace(/[^0-9A-Za-z]/g, '_');

/**
 * By the node's address, not by the place in the list: `birdc configure` ends the session of a protocol that has another neighbour than
 * before, or another name.
 */
const protocolName = ({ nodeAddress }: TorSession): string => `tortie_${symbol(nodeAddress)}`;

function filters(plan: RouterPlan, family: Family): readonly string[] {
  const own = plan.accept.filter((rule) => rule.family === family);
  // BIRD has no "replace the AS": the nodes' own is taken out, and the router's is put in front as always.
  const shared =
    plan.sharedAs === 'override'
      ? [...plan.sessions.map(({ nodeAs }) => nodeAs), ...plan.ranges.flatMap(({ nodeAses }) => nodeAses)]
      : [];
  return [
    `filter tortie_in_${family} {`,
    `  if net ~ [ ${own.map(patternOf).join(', ')} ] then accept;`,
    '  reject;',
    '}',
    `filter tortie_out_${family} {`,
    `  if net !~ [ ${outRules(plan, family).map(patternOf).join(', ')} ] then reject;`,
    ...[...new Set(shared)].filter((as) => as !== plan.as).map((as) => `  bgp_path.delete(${as});`),
    '  accept;',
    '}',
  ];
}

const patternOf = ({ prefix, minLength, maxLength }: PrefixRule): string => `${prefix}{${minLength},${maxLength}}`;

interface ProtocolParts {
  readonly name: string;
  readonly ends: readonly string[];
  readonly settings: Omit<TorSettings, 'nodeAs'>;
  readonly isInternal: boolean;
}

function protocol({
  name,
  ends,
  settings: { family, holdTime, password, multihop, ttlSecurityHops, bfd },
  isInternal,
}: ProtocolParts) {
  return [
    `protocol bgp ${name} {`,
    ...ends,
    `  hold time ${holdTime}; keepalive time ${keepaliveOf({ holdTime })};`,
    ...(password === undefined ? [] : [`  password "${password}";`]),
    ...(multihop === undefined || multihop === 1 ? [] : [`  multihop ${multihop};`]),
    ...(ttlSecurityHops === undefined
      ? []
      : [`  ${ttlSecurityHops > 1 ? `multihop ${ttlSecurityHops}; ` : ''}ttl security on;`]),
    ...(bfd === undefined ? [] : [`  bfd { interval ${bfd.interval} ms; multiplier ${bfd.multiplier}; };`]),
    ...(isInternal ? ['  rr client;'] : []),
    `  ipv${family} { import filter tortie_in_${family}; export filter tortie_out_${family}; };`,
    '}',
  ];
}
