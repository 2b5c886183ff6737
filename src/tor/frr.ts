/** FRR 8 and later, and SONiC, whose BGP it is. Tried with real daemons (test/tor). */
import { afName, familiesOf, groupName, keepaliveOf, listName, renderCiscoStyle, type Dialect } from './cisco-style.js';
import type { Family } from 'node-bgp/address';
import type { RouterPlan, TorRange, TorSettings } from './plan.js';

export const renderFrr = (plan: RouterPlan): string => renderCiscoStyle(FRR, plan);

export const renderSonic = (plan: RouterPlan): string =>
  renderCiscoStyle(
    {
      ...FRR,
      head: (plan) => [
        '! SONiC: with "docker_routing_config_mode": "split" in DEVICE_METADATA of config_db.json, by vtysh; it stays by `write`.',
        ...bfdProfiles(plan),
      ],
    },
    plan,
  );

const FRR: Dialect = {
  comment: '!',
  head: bfdProfiles,
  prefixList: (name, family, rules) =>
    rules.map(({ prefix, minLength, maxLength }, index) => {
      const length = Number(prefix.split('/')[1]);
      // "ge" has to be above the prefix's own length.
      const ge = minLength > length ? ` ge ${minLength}` : '';
      const le = maxLength > length ? ` le ${maxLength}` : '';
      return `${family === 4 ? 'ip' : 'ipv6'} prefix-list ${name} seq ${(index + 1) * 5} permit ${prefix}${ge}${le}`;
    }),
  router: () => [' no bgp default ipv4-unicast', ' bgp bestpath as-path multipath-relax'],
  session: (session) => {
    const neighbor = ` neighbor ${session.nodeAddress}`;
    return [
      `${neighbor} remote-as ${session.nodeAs}`,
      `${neighbor} description ${session.node} ${session.peer}`,
      ...(session.nodePort === 179 ? [] : [`${neighbor} port ${session.nodePort}`]),
      ...settings(neighbor, session),
    ];
  },
  range: (range, group) => {
    const neighbor = ` neighbor ${group}`;
    const [first = 0, ...others] = range.nodeAses;
    return [
      `${neighbor} peer-group`,
      `${neighbor} remote-as ${others.length === 0 ? first : 'external'}`,
      ...settings(neighbor, range),
      ` bgp listen range ${range.range} peer-group ${group}`,
    ];
  },
  families: (plan) => [...familiesOf(plan).flatMap((family) => familyLines(plan, family)), 'exit'],
};

function settings(
  neighbor: string,
  { holdTime, password, multihop, ttlSecurityHops, bfd }: Omit<TorSettings, 'nodeAs'> | TorRange,
) {
  return [
    `${neighbor} timers ${keepaliveOf({ holdTime })} ${holdTime}`,
    ...(password === undefined ? [] : [`${neighbor} password ${password}`]),
    ...(multihop === undefined || multihop === 1 ? [] : [`${neighbor} ebgp-multihop ${multihop}`]),
    ...(ttlSecurityHops === undefined ? [] : [`${neighbor} ttl-security hops ${ttlSecurityHops}`]),
    ...(bfd === undefined ? [] : [`${neighbor} bfd`]),
    ...(bfd === undefined || isOwnOfFrr(bfd) ? [] : [`${neighbor} bfd profile ${profileName(bfd)}`]),
  ];
}

type Bfd = NonNullable<TorSettings['bfd']>;

const profileName = ({ multiplier, interval }: Bfd): string => `TORTIE-${multiplier}-${interval}`;
const isOwnOfFrr = ({ multiplier, interval }: Bfd): boolean => multiplier === 3 && interval === 300;

/**
 * Timers by profile: FRR takes `neighbor X bfd 5 200 200`, but neither shows nor saves the numbers
 * (findings/frr-keeps-no-bfd-timers-of-a-neighbor.sh).
 */
function bfdProfiles({ sessions, ranges }: RouterPlan): readonly string[] {
  const profiles = new Map<string, Bfd>();
  for (const { bfd } of [...sessions, ...ranges])
    if (bfd !== undefined && !isOwnOfFrr(bfd)) profiles.set(profileName(bfd), bfd);
  if (profiles.size === 0) return [];
  return [
    'bfd',
    ...[...profiles].flatMap(([name, { multiplier, interval }]) => [
      ` profile ${name}`,
      `  detect-multiplier ${multiplier}`,
      `  transmit-interval ${interval}`,
      `  receive-interval ${interval}`,
      ' exit',
    ]),
    'exit',
  ];
}

function familyLines(plan: RouterPlan, family: Family): readonly string[] {
  const neighbours = [
    ...plan.sessions
      .filter((each) => each.family === family)
      .map(({ nodeAddress, nodeAs }) => ({ name: nodeAddress, isInternal: nodeAs === plan.as })),
    ...plan.ranges.flatMap((range) =>
      range.family === family ? [{ name: groupName(range), isInternal: range.nodeAses.includes(plan.as) }] : [],
    ),
  ];
  return [
    ` address-family ${afName(family)} unicast`,
    '  maximum-paths 64',
    ...neighbours.flatMap(({ name, isInternal }) => [
      `  neighbor ${name} activate`,
      `  neighbor ${name} prefix-list ${listName('IN', family)} in`,
      `  neighbor ${name} prefix-list ${listName('OUT', family)} out`,
      ...(isInternal ? [`  neighbor ${name} route-reflector-client`] : []),
      ...(plan.sharedAs === 'override' && !isInternal ? [`  neighbor ${name} as-override`] : []),
    ]),
    ' exit-address-family',
  ];
}
