/**
 * Host endpoints as chains: what enters, leaves and crosses the node through interfaces that are no pod's.
 *
 *   raw    PREROUTING, OUTPUT   doNotTrack policies; what they allow is not tracked
 *   mangle PREROUTING           preDNAT policies
 *   filter INPUT, OUTPUT        all others; without any policy a host endpoint denies, unless its profile allows
 *   filter FORWARD              those of all others that apply on forward; without any of these it allows
 *
 * Chains drop or return; they never accept, so the host's own rules keep their say. What an early table allowed carries a mark and is
 * not asked again. Failsafe ports pass before any policy, so that nobody locks themselves out by a typo.
 */
import { UDP } from '../model/ports.js';
import type { Direction } from '../model/policy.js';
import { atHostPoint, type HostPointType, type TierPolicies } from '../resolve/policy-index.js';
import type { Chain, Hook, Match, Rule, Table } from '../ruleset.js';
import type { DenyActions } from './denied-chain.js';
import { allowedEnds, compileTiers } from './endpoint-chain.js';
import { UNDECIDED } from './base-chains.js';
import { MARK_HOST_ALLOW } from './names.js';
import { neighbourDiscovery } from './neighbour-discovery.js';

export interface FailsafePort {
  readonly protocol: number;
  readonly port: number;
}

/** A host endpoint of this node with the policies that apply to it. */
export interface HostPlan {
  /** "*" for every interface that no other host endpoint names. */
  readonly interfaceName: string;
  readonly groups: readonly TierPolicies[];
  /** What no policy decides is allowed (its profile says so). */
  readonly allowsByDefault: boolean;
}

export interface HostSettings {
  readonly podInterfacePrefix: string;
  readonly failsafeInbound: readonly FailsafePort[];
  readonly failsafeOutbound: readonly FailsafePort[];
  readonly deny: DenyActions;
}

/** One place in the packet's way where host endpoints are asked. */
interface HostPoint {
  /** Of the dispatch chain. */
  readonly chain: string;
  /** Of the endpoints' chains: "TORTIE-HI-eth0". */
  readonly prefix: string;
  readonly table: Table;
  readonly direction: Direction;
  readonly key: 'in-interface' | 'out-interface';
  readonly type: HostPointType;
}

const POINTS: readonly HostPoint[] = [
  {
    chain: 'TORTIE-HOST-IN',
    prefix: 'TORTIE-HI',
    table: 'filter',
    direction: 'ingress',
    key: 'in-interface',
    type: 'local',
  },
  {
    chain: 'TORTIE-HOST-OUT',
    prefix: 'TORTIE-HO',
    table: 'filter',
    direction: 'egress',
    key: 'out-interface',
    type: 'local',
  },
  {
    chain: 'TORTIE-HOST-FWD-IN',
    prefix: 'TORTIE-HFI',
    table: 'filter',
    direction: 'ingress',
    key: 'in-interface',
    type: 'forward',
  },
  {
    chain: 'TORTIE-HOST-FWD-OUT',
    prefix: 'TORTIE-HFO',
    table: 'filter',
    direction: 'egress',
    key: 'out-interface',
    type: 'forward',
  },
  {
    chain: 'TORTIE-HOST-DNAT',
    prefix: 'TORTIE-HD',
    table: 'mangle',
    direction: 'ingress',
    key: 'in-interface',
    type: 'before-dnat',
  },
  {
    chain: 'TORTIE-HOST-RAW-IN',
    prefix: 'TORTIE-HRI',
    table: 'raw',
    direction: 'ingress',
    key: 'in-interface',
    type: 'untracked',
  },
  {
    chain: 'TORTIE-HOST-RAW-OUT',
    prefix: 'TORTIE-HRO',
    table: 'raw',
    direction: 'egress',
    key: 'out-interface',
    type: 'untracked',
  },
];

export interface HostChains {
  readonly chains: readonly Chain[];
  /** Dispatch chains to jump to from our chain of a built-in one, by "table/BUILTIN". */
  readonly jumps: ReadonlyMap<string, readonly string[]>;
  readonly hooks: readonly Hook[];
}

const BUILTIN_OF: Readonly<Record<HostPointType, Readonly<Record<Direction, string>>>> = {
  local: { ingress: 'filter/INPUT', egress: 'filter/OUTPUT' },
  forward: { ingress: 'filter/FORWARD', egress: 'filter/FORWARD' },
  'before-dnat': { ingress: 'mangle/PREROUTING', egress: 'mangle/PREROUTING' },
  untracked: { ingress: 'raw/PREROUTING', egress: 'raw/OUTPUT' },
};

const HOST_ALLOW_CHAIN = 'TORTIE-HOST-ALLOW';
const HOST_ALLOWED: Rule = {
  matches: [{ type: 'mark', value: MARK_HOST_ALLOW, mask: MARK_HOST_ALLOW }],
  action: { type: 'return' },
};
const ESTABLISHED: Rule = {
  matches: [{ type: 'state', states: ['related', 'established'] }],
  action: { type: 'return' },
};
const INVALID: Rule = { matches: [{ type: 'state', states: ['invalid'] }], action: { type: 'drop' } };

/** Nothing at all for a node without host endpoints. */
export function compileHosts(plans: readonly HostPlan[], settings: HostSettings): HostChains {
  const chains: Chain[] = [];
  const jumps = new Map<string, string[]>();
  for (const point of POINTS) {
    const asked = plans.filter((plan) => point.type === 'local' || groupsAt(plan, point).length > 0);
    if (asked.length === 0) continue;
    chains.push(dispatchChain(point, asked, settings));
    for (const plan of asked) chains.push(hostChain(plan, point, settings));
    const builtin = BUILTIN_OF[point.type][point.direction];
    jumps.set(builtin, [...(jumps.get(builtin) ?? []), point.chain]);
  }
  for (const table of ['raw', 'mangle'] as const)
    if (chains.some((chain) => chain.table === table)) chains.push(allowChain(table));
  return { chains, jumps, hooks: hooksFor(jumps) };
}

/** The hooks that only host endpoints need. */
function hooksFor(jumps: ReadonlyMap<string, readonly string[]>): readonly Hook[] {
  const hooks: Hook[] = [];
  if (jumps.has('mangle/PREROUTING'))
    hooks.push({ table: 'mangle', builtin: 'PREROUTING', chain: 'TORTIE-PREROUTING' });
  if (jumps.has('raw/OUTPUT')) hooks.push({ table: 'raw', builtin: 'OUTPUT', chain: 'TORTIE-OUTPUT' });
  return hooks;
}

const chainOf = (point: HostPoint, plan: HostPlan): string =>
  plan.interfaceName === '*' ? `${point.prefix}W` : `${point.prefix}-${plan.interfaceName}`;

/** Named interfaces first; "*" takes the rest, but neither pods' interfaces nor loopback. */
function dispatchChain(point: HostPoint, plans: readonly HostPlan[], settings: HostSettings): Chain {
  const on = (name: string): Match => ({ type: point.key, name });
  const named = plans.filter((plan) => plan.interfaceName !== '*');
  const rules: Rule[] = named.map((plan) => ({
    matches: [on(plan.interfaceName)],
    action: { type: 'goto', chain: chainOf(point, plan) },
  }));
  for (const plan of plans)
    if (plan.interfaceName === '*')
      rules.push(
        { matches: [on(`${settings.podInterfacePrefix}+`)], action: { type: 'return' } },
        { matches: [on('lo')], action: { type: 'return' } },
        { matches: [], action: { type: 'goto', chain: chainOf(point, plan) } },
      );
  return { table: point.table, name: point.chain, rules };
}

function hostChain(plan: HostPlan, point: HostPoint, settings: HostSettings): Chain {
  const groups = groupsAt(plan, point);
  const isEarly = point.type === 'before-dnat' || point.type === 'untracked';
  const allowed = allowedEnds(isEarly ? { type: 'goto', chain: HOST_ALLOW_CHAIN } : { type: 'return' });
  const rules: Rule[] = [
    ...prelude(point, settings),
    ...(groups.length === 0 ? [] : [UNDECIDED]),
    ...compileTiers(point.direction, groups, { allowed, tiersDeny: !isEarly, deny: settings.deny, before: () => [] }),
  ];
  if (point.type === 'local' && !plan.allowsByDefault)
    rules.push({
      matches: [],
      action: settings.deny({ type: 'closed', direction: point.direction }),
      note: 'host endpoint without a profile that allows',
    });
  return { table: point.table, name: chainOf(point, plan), rules };
}

/** What passes before any policy is asked. */
function prelude(point: HostPoint, settings: HostSettings): readonly Rule[] {
  const failsafe = failsafeRules(point.direction === 'ingress' ? settings.failsafeInbound : settings.failsafeOutbound);
  switch (point.type) {
    case 'local':
      return [HOST_ALLOWED, ESTABLISHED, INVALID, ...neighbourDiscovery({ type: 'return' }), ...failsafe];
    case 'forward':
      return [HOST_ALLOWED, ESTABLISHED, INVALID];
    case 'before-dnat':
      return [HOST_ALLOWED, ESTABLISHED, ...neighbourDiscovery({ type: 'return' }), ...failsafe];
    case 'untracked':
      return [...neighbourDiscovery({ type: 'return' }), ...failsafe];
  }
}

const groupsAt = (plan: HostPlan, point: HostPoint): readonly TierPolicies[] =>
  atHostPoint(plan.groups, point.direction, point.type);

function failsafeRules(ports: readonly FailsafePort[]): readonly Rule[] {
  const protocols = [...new Set(ports.map((one) => one.protocol))];
  return protocols.flatMap((protocol) => {
    const own = ports.filter((one) => one.protocol === protocol).map(({ port }) => ({ from: port, to: port }));
    const rules: Rule[] = [];
    for (let at = 0; at < own.length; at += 15)
      rules.push({
        matches: [
          { type: 'protocol', protocol },
          { type: 'ports', side: 'destination', ports: own.slice(at, at + 15) },
        ],
        action: { type: 'return' },
        note: `failsafe ports${protocol === UDP ? ' (UDP)' : ''}`,
      });
    return rules;
  });
}

/** Where an allow of an early table ends: later tables see the mark. */
function allowChain(table: 'raw' | 'mangle'): Chain {
  const mark: Rule = { matches: [], action: { type: 'set-mark', value: MARK_HOST_ALLOW, mask: MARK_HOST_ALLOW } };
  return {
    table,
    name: HOST_ALLOW_CHAIN,
    rules: table === 'raw' ? [mark, { matches: [], action: { type: 'no-track' } }] : [mark],
  };
}
