/**
 * A rule of policy by the name that whoever wrote it knows: the object and field of a BGPFilter instead of the filter that was made of
 * it, and what our own rules are for instead of how they are called.
 */
import type { PolicyRule } from 'node-bgp/rib/policy';
import { exportFilter, NODE_ADDRESS_FILTER } from '../topology/filter-names.js';

/** 'BGPFilter/f1 importV4[1]': what the topology calls a rule of a user. */
const OF_A_USER = /^BGPFilter\/\S+ (?:import|export)V[46]\[\d+\]$/;

/** What a rule is called, and what it is for. */
type Words = readonly [string, string];

const NODE_ADDRESS: Words = [
  "Tortie's rule for node addresses",
  'they never go to nodes of the same AS, where each would resolve through itself',
];
const EVERYBODY = 'a BGPFilter of the BGPPeer may let out more';

/** By filter and rule; the rule without a name is what decides when no other has. */
const OURS: Readonly<Record<string, Readonly<Record<string, Words>>>> = {
  [NODE_ADDRESS_FILTER]: { 'node address': NODE_ADDRESS },
  [exportFilter('mesh')]: { 'node address': NODE_ADDRESS, ...rulesFor('nodes of the mesh') },
  [exportFilter('clients')]: { 'node address': NODE_ADDRESS, ...rulesFor('clients of this reflector') },
  [exportFilter('peers')]: rulesFor('routers'),
};

function rulesFor(whom: string): Readonly<Record<string, Words>> {
  return {
    ours: ["Tortie's rule for what this node originates", `it goes to ${whom}`],
    'pools, from other nodes': ["Tortie's rule for pools", `what other nodes have of them goes to ${whom} as well`],
    '': [
      "Tortie's rule against transit",
      `only what this node originates, and what other nodes say of the IP pools, goes to ${whom}; ${EVERYBODY}`,
    ],
  };
}

/** `reason` in these words, where there are any. */
export function reasonInWords(reason: string, rule: PolicyRule | undefined): string {
  const parts = /^(.*?)filter "[^"]*" .*((?:accepted|rejected) it)$/.exec(reason);
  if (rule === undefined || parts === null) return reason;
  const [, before = '', done = ''] = parts;
  const { filter, name = '' } = rule;
  if (OF_A_USER.test(name)) return `${before}${name} ${done}`;
  const words = Object.hasOwn(OURS, filter) ? OURS[filter]?.[name] : undefined;
  return words === undefined ? reason : `${before}${words[0]} ${done}: ${words[1]}`;
}
