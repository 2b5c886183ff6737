/** Juniper Junos, as `set` commands. Written after its documentation; not tried on a device. */
import type { Family } from 'node-bgp/address';
import { familiesOf, groupName, headOf, outRules } from './cisco-style.js';
import type { PrefixRule, RouterPlan, TorSettings } from './plan.js';

export function renderJunos(plan: RouterPlan): string {
  const lines = [
    ...headOf(plan).map((line) => `# ${line}`),
    `set routing-options autonomous-system ${plan.as}`,
    'set policy-options policy-statement TORTIE-BALANCE then load-balance per-packet',
    'set routing-options forwarding-table export TORTIE-BALANCE',
    ...familiesOf(plan).flatMap((family) => [
      ...policy(
        `TORTIE-IN-V${family}`,
        plan.accept.filter((rule) => rule.family === family),
      ),
      ...policy(`TORTIE-OUT-V${family}`, outRules(plan, family)),
    ]),
    ...plan.sessions.flatMap((session) => {
      const group = groupOf(session.family, session.nodeAs === plan.as);
      const neighbor = `${group} neighbor ${session.nodeAddress}`;
      return [
        ...groupLines(group, session.family, session.nodeAs === plan.as, plan),
        `${neighbor} peer-as ${session.nodeAs}`,
        `${neighbor} description "${session.node} ${session.peer}"`,
        `${neighbor} local-address ${session.routerAddress}`,
        ...settings(neighbor, session),
      ];
    }),
    ...plan.ranges.flatMap((range) => {
      const isInternal = range.nodeAses.includes(plan.as);
      const name = groupName(range);
      const group = `set protocols bgp group ${name}`;
      return [
        ...groupLines(group, range.family, isInternal, plan),
        `${group} dynamic-neighbor TORTIE allow ${range.range}`,
        `set policy-options as-list ${name} members [ ${range.nodeAses.join(' ')} ]`,
        `${group} dynamic-neighbor TORTIE peer-as-list ${name}`,
        ...settings(group, range),
      ];
    }),
  ];
  // Lines of a group come with each of its members.
  return `${[...new Set(lines)].join('\n')}\n`;
}

/** RFC 4456: of the router as a reflector; any that no other reflector of the AS has. */
const CLUSTER_ID = '0.0.0.1';

function policy(name: string, rules: readonly PrefixRule[]): readonly string[] {
  const term = `set policy-options policy-statement ${name}`;
  return [
    ...rules.map(
      ({ prefix, minLength, maxLength }) =>
        `${term} term own from route-filter ${prefix} prefix-length-range /${minLength}-/${maxLength}`,
    ),
    `${term} term own then accept`,
    `${term} then reject`,
  ];
}

const groupOf = (family: Family, isInternal: boolean): string =>
  `set protocols bgp group TORTIE-V${family}${isInternal ? '-INTERNAL' : ''}`;

const groupLines = (group: string, family: Family, isInternal: boolean, plan: RouterPlan): readonly string[] => [
  `${group} type ${isInternal ? 'internal' : 'external'}`,
  `${group} family ${family === 4 ? 'inet' : 'inet6'} unicast`,
  `${group} multipath multiple-as`,
  `${group} import TORTIE-IN-V${family}`,
  `${group} export TORTIE-OUT-V${family}`,
  ...(isInternal ? [`${group} cluster ${CLUSTER_ID}`] : []),
  // Junos holds back what has the neighbour's AS in its path.
  ...(isInternal || plan.sharedAs === undefined ? [] : [`${group} advertise-peer-as`]),
  ...(isInternal || plan.sharedAs !== 'override' ? [] : [`${group} as-override`]),
];

function settings(
  at: string,
  { holdTime, password, multihop, ttlSecurityHops, bfd }: Omit<TorSettings, 'nodeAs'>,
): readonly string[] {
  return [
    `${at} hold-time ${holdTime}`,
    ...(password === undefined ? [] : [`${at} authentication-key "${password}"`]),
    ...(multihop === undefined || multihop === 1 ? [] : [`${at} multihop ttl ${multihop}`]),
    ...(ttlSecurityHops === undefined
      ? []
      : [
          `${at} multihop ttl 255`,
          `# GTSM: a firewall filter on the interface has to drop TCP 179 with a TTL below ${256 - ttlSecurityHops}`,
        ]),
    ...(bfd === undefined
      ? []
      : [
          `${at} bfd-liveness-detection minimum-interval ${bfd.interval}`,
          `${at} bfd-liveness-detection multiplier ${bfd.multiplier}`,
        ]),
  ];
}
