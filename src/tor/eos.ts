/** Arista EOS. Written after its manual; not tried on a device. */
import type { Family } from 'node-bgp/address';
import { afName, familiesOf, groupName, keepaliveOf, listName, renderCiscoStyle, type Dialect } from './cisco-style.js';
import type { RouterPlan, TorSettings } from './plan.js';

export const renderEos = (plan: RouterPlan): string => renderCiscoStyle(EOS, plan);

const EOS: Dialect = {
  comment: '!',
  head: () => [],
  prefixList: (name, family, rules) => [
    `${family === 4 ? 'ip' : 'ipv6'} prefix-list ${name}`,
    ...rules.map(({ prefix, minLength, maxLength }, index) => {
      const length = Number(prefix.split('/')[1]);
      const ge = minLength > length ? ` ge ${minLength}` : '';
      const le = maxLength > length ? ` le ${maxLength}` : '';
      return `   seq ${(index + 1) * 10} permit ${prefix}${ge}${le}`;
    }),
  ],
  router: () => ['   no bgp default ipv4-unicast', '   maximum-paths 64'],
  session: (session, plan) => {
    const neighbor = `   neighbor ${session.nodeAddress}`;
    return [
      `${neighbor} remote-as ${session.nodeAs}`,
      `${neighbor} description ${session.node} ${session.peer}`,
      ...(session.nodePort === 179 ? [] : [`${neighbor} transport remote-port ${session.nodePort}`]),
      ...settings(neighbor, session),
      ...roleLines(neighbor, session.nodeAs === plan.as, plan),
    ];
  },
  range: (range, group, plan) => {
    const neighbor = `   neighbor ${group}`;
    const [first = 0, ...others] = range.nodeAses;
    return [
      `${neighbor} peer group`,
      ...settings(neighbor, range),
      ...roleLines(neighbor, range.nodeAses.includes(plan.as), plan),
      ...(others.length === 0
        ? [`   bgp listen range ${range.range} peer-group ${group} remote-as ${first}`]
        : [`   bgp listen range ${range.range} peer-group ${group} peer-filter ${group}-AS`]),
    ];
  },
  families: (plan) => [
    ...familiesOf(plan).flatMap((family) => familyLines(plan, family)),
    ...plan.ranges.flatMap((range) =>
      range.nodeAses.length < 2
        ? []
        : [
            `peer-filter ${groupName(range)}-AS`,
            ...range.nodeAses.map((as, at) => `   ${(at + 1) * 10} match as-range ${as} result accept`),
          ],
    ),
  ],
};

function settings(
  neighbor: string,
  { holdTime, password, multihop, ttlSecurityHops, bfd }: Omit<TorSettings, 'nodeAs'>,
): readonly string[] {
  return [
    `${neighbor} timers ${keepaliveOf({ holdTime })} ${holdTime}`,
    ...(password === undefined ? [] : [`${neighbor} password 0 ${password}`]),
    ...(multihop === undefined || multihop === 1 ? [] : [`${neighbor} ebgp-multihop ${multihop}`]),
    ...(ttlSecurityHops === undefined ? [] : [`${neighbor} ttl maximum-hops ${ttlSecurityHops}`]),
    ...(bfd === undefined
      ? []
      : [
          `${neighbor} bfd`,
          `${neighbor} bfd interval ${bfd.interval} min-rx ${bfd.interval} multiplier ${bfd.multiplier}`,
        ]),
  ];
}

const roleLines = (neighbor: string, isInternal: boolean, { sharedAs }: RouterPlan): readonly string[] =>
  isInternal
    ? [`${neighbor} route-reflector-client`]
    : sharedAs === 'override'
      ? [`${neighbor} as-path remote-as replace out`]
      : [];

function familyLines(plan: RouterPlan, family: Family): readonly string[] {
  const names = [
    ...plan.sessions.filter((each) => each.family === family).map(({ nodeAddress }) => nodeAddress),
    ...plan.ranges.flatMap((range) => (range.family === family ? [groupName(range)] : [])),
  ];
  return [
    `   address-family ${afName(family)}`,
    ...names.flatMap((name) => [
      `      neighbor ${name} activate`,
      `      neighbor ${name} prefix-list ${listName('IN', family)} in`,
      `      neighbor ${name} prefix-list ${listName('OUT', family)} out`,
    ]),
  ];
}
