/** Cisco NX-OS. Written after its command reference; not tried on a device. */
import { afName, familiesOf, groupName, keepaliveOf, listName, renderCiscoStyle, type Dialect } from './cisco-style.js';
import type { RouterPlan, TorSettings } from './plan.js';

export const renderNxos = (plan: RouterPlan): string => renderCiscoStyle(NXOS, plan);

const NXOS: Dialect = {
  comment: '!',
  head: () => ['feature bgp', 'feature bfd'],
  prefixList: (name, family, rules) =>
    rules.map(({ prefix, minLength, maxLength }, index) => {
      const length = Number(prefix.split('/')[1]);
      const ge = minLength > length ? ` ge ${minLength}` : '';
      const le = maxLength > length ? ` le ${maxLength}` : '';
      return `${family === 4 ? 'ip' : 'ipv6'} prefix-list ${name} seq ${(index + 1) * 5} permit ${prefix}${ge}${le}`;
    }),
  router: (plan) => [
    '  bestpath as-path multipath-relax',
    ...familiesOf(plan).flatMap((family) => [`  address-family ${afName(family)} unicast`, '    maximum-paths 64']),
  ],
  session: (session, plan) => [
    `  neighbor ${session.nodeAddress}`,
    `    remote-as ${session.nodeAs}`,
    `    description ${session.node} ${session.peer}`,
    ...below(session, session.nodeAs === plan.as, plan),
  ],
  range: (range, group, plan) => {
    const [first = 0, ...others] = range.nodeAses;
    return [
      `  neighbor ${range.range}`,
      others.length === 0 ? `    remote-as ${first}` : `    remote-as route-map ${group}-AS`,
      `    description nodes of ${range.range}`,
      ...below(range, range.nodeAses.includes(plan.as), plan),
    ];
  },
  families: (plan) =>
    plan.ranges.flatMap((range) =>
      range.nodeAses.length < 2
        ? []
        : [`route-map ${groupName(range)}-AS permit 10`, `  match as-number ${range.nodeAses.join(', ')}`],
    ),
};

function below(
  { family, holdTime, password, multihop, ttlSecurityHops, bfd }: Omit<TorSettings, 'nodeAs'>,
  isInternal: boolean,
  { sharedAs }: RouterPlan,
): readonly string[] {
  return [
    `    timers ${keepaliveOf({ holdTime })} ${holdTime}`,
    ...(password === undefined ? [] : [`    password 0 ${password}`]),
    ...(multihop === undefined || multihop === 1 ? [] : [`    ebgp-multihop ${multihop}`]),
    ...(ttlSecurityHops === undefined ? [] : [`    ttl-security hops ${ttlSecurityHops}`]),
    ...(bfd === undefined
      ? []
      : ['    bfd', `    bfd interval ${bfd.interval} min_rx ${bfd.interval} multiplier ${bfd.multiplier}`]),
    `    address-family ${afName(family)} unicast`,
    `      prefix-list ${listName('IN', family)} in`,
    `      prefix-list ${listName('OUT', family)} out`,
    ...(isInternal ? ['      route-reflector-client'] : []),
    // NX-OS holds back what has the neighbour's AS in its path, before as-override would replace it.
    ...(isInternal || sharedAs === undefined ? [] : ['      disable-peer-as-check']),
    ...(isInternal || sharedAs !== 'override' ? [] : ['      as-override']),
  ];
}
