/**
 * The chains that do not depend on any Service, and where packets come into them.
 *
 *   mangle PREROUTING, OUTPUT   a load balancer's address from a source that may not: dropped, before any DNAT
 *   nat    PREROUTING, OUTPUT   the destination's map entry leads to a choice of endpoints
 *   nat    POSTROUTING          what was marked leaves with this node's address
 *   filter INPUT, FORWARD, OUTPUT   what no endpoint serves is refused; before policy, which may accept
 *
 * nat sees first packets only; the other tables' hooks stand only while there is something to refuse. Whoever comes from outside is marked
 * before the map is asked, so that a cluster IP's entry is its endpoints' chain with nothing in between; external addresses
 * decide about the mark themselves, and what no map holds leaves unmarked.
 */
import type { Family } from 'node-bgp/address';
import { MARK_MASQUERADE, type Chain, type Hook, type Match, type Rule } from '@tortie/policy/ruleset';
import {
  DROP,
  FILTER,
  FILTER_NEW,
  FIREWALL,
  mapName,
  MASQUERADE,
  NODE_PORT_SET,
  OUTPUT,
  POD_SET,
  POSTROUTING,
  PREROUTING,
  REJECT,
  type MapRole,
} from './names.js';

export interface BaseSettings {
  readonly masqueradeAll: boolean;
  readonly knowsPods: boolean;
  /** Ports of the node are served on the addresses of NODE_PORT_SET alone. */
  readonly limitsNodePorts: boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
const LOOPBACK: Readonly<Record<Family, string>> = { 4: '127.0.0.0/8', 6: '::1/128' };

export const setMark = (isMasqueraded: boolean, matches: readonly Match[] = []): Rule => ({
  matches,
  action: { type: 'set-mark', value: isMasqueraded ? MARK_MASQUERADE : 0, mask: MARK_MASQUERADE },
});

const jump = (family: Family, role: MapRole, matches: readonly Match[]): Rule => ({
  family,
  matches,
  action: { type: 'jump', chain: mapName(role, family) },
});

export function baseChains(settings: BaseSettings): readonly Chain[] {
  const { masqueradeAll, knowsPods, limitsNodePorts } = settings;
  // The node's own loopback is served to nobody: an answer could not come back to it.
  const isNodePort = (family: Family): readonly Match[] => [
    { type: 'local', side: 'destination' },
    ...(limitsNodePorts ? [{ type: 'set', side: 'destination', set: NODE_PORT_SET } as const] : []),
    { type: 'network', side: 'destination', prefix: LOOPBACK[family], not: true },
  ];
  const fromOutside: readonly Match[] = [{ type: 'set', side: 'source', set: POD_SET, not: true }];
  const marks = masqueradeAll ? [setMark(true)] : knowsPods ? [setMark(true, fromOutside)] : [];
  return [
    {
      table: 'nat',
      name: PREROUTING,
      rules: [
        ...marks,
        ...FAMILIES.flatMap((family) => [jump(family, 'serve', []), jump(family, 'serve-port', isNodePort(family))]),
        setMark(false),
      ],
    },
    {
      table: 'nat',
      name: OUTPUT,
      rules: [
        ...(masqueradeAll ? [setMark(true)] : []),
        ...FAMILIES.flatMap((family) => [jump(family, 'serve', []), jump(family, 'serve-port', isNodePort(family))]),
        setMark(false),
      ],
    },
    {
      table: 'nat',
      name: POSTROUTING,
      rules: [
        {
          matches: [{ type: 'mark', value: MARK_MASQUERADE, mask: MARK_MASQUERADE }],
          action: { type: 'goto', chain: MASQUERADE },
        },
      ],
    },
    {
      table: 'nat',
      name: MASQUERADE,
      rules: [setMark(false), { matches: [], action: { type: 'masquerade', fullyRandom: true } }],
    },
    {
      table: 'filter',
      name: FILTER,
      rules: [{ matches: [{ type: 'state', states: ['new'] }], action: { type: 'goto', chain: FILTER_NEW } }],
    },
    {
      table: 'filter',
      name: FILTER_NEW,
      rules: FAMILIES.flatMap((family) => [
        jump(family, 'refuse', []),
        jump(family, 'refuse-port', isNodePort(family)),
      ]),
    },
    {
      table: 'filter',
      name: REJECT,
      rules: [{ matches: [], action: { type: 'reject', with: 'port-unreachable' }, note: 'no endpoints' }],
    },
    { table: 'filter', name: DROP, rules: [{ matches: [], action: { type: 'drop' }, note: 'no local endpoints' }] },
    {
      table: 'mangle',
      name: FIREWALL,
      rules: FAMILIES.map((family) => jump(family, 'firewall', [{ type: 'state', states: ['new'] }])),
    },
  ];
}

/** Tables with nothing to refuse cost a packet nothing. */
export function hooksOf(has: { readonly refusals: boolean; readonly firewalls: boolean }): readonly Hook[] {
  return [
    { table: 'nat', builtin: 'PREROUTING', chain: PREROUTING },
    { table: 'nat', builtin: 'OUTPUT', chain: OUTPUT },
    { table: 'nat', builtin: 'POSTROUTING', chain: POSTROUTING },
    ...(has.refusals
      ? (['INPUT', 'FORWARD', 'OUTPUT'] as const).map((builtin): Hook => ({ table: 'filter', builtin, chain: FILTER }))
      : []),
    ...(has.firewalls
      ? (['PREROUTING', 'OUTPUT'] as const).map((builtin): Hook => ({ table: 'mangle', builtin, chain: FIREWALL }))
      : []),
  ];
}
