/**
 * What limits one direction of one pod's interface, as a chain: new connections beyond their number are dropped, then packets beyond
 * their rate. In mangle, behind connection tracking and on the way of every packet, answers too: filter lets established ones go first.
 *
 * Each family has a count of its own, since iptables' tables have, and a pod is limited alike on every node.
 */
import type { Direction } from '../model/policy.js';
import type { FlowLimits } from '../objects.js';
import type { Chain, Family, Rule } from '../ruleset.js';
import { limitChainName } from './names.js';

const FAMILIES: readonly Family[] = [4, 6];

/** Undefined when nothing is limited. */
export function compileLimitChain(direction: Direction, interfaceName: string, limits: FlowLimits): Chain | undefined {
  const rules = FAMILIES.flatMap((family) => limitRules(family, limits));
  return rules.length === 0 ? undefined : { table: 'mangle', name: limitChainName(direction, interfaceName), rules };
}

function limitRules(family: Family, { packets, connections }: FlowLimits): readonly Rule[] {
  const rules: Rule[] = [];
  if (connections !== undefined)
    rules.push({
      family,
      matches: [
        { type: 'state', states: ['new'] },
        { type: 'connections-in-all', moreThan: connections },
      ],
      action: { type: 'drop' },
      note: `more than ${connections} connections`,
    });
  if (packets !== undefined)
    rules.push(
      { family, matches: [{ type: 'limit', ...packets }], action: { type: 'return' } },
      { family, matches: [], action: { type: 'drop' }, note: `more than ${packets.perSecond} packets a second` },
    );
  return rules;
}
