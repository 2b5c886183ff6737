/** The nodes of a cluster in order, and who has which address: once for a list of Node objects, whoever looks at it. */
import type { Node } from '../api/core.js';
import { identityOf, type NodeIdentity } from './node-identity.js';

export interface NodeRoster {
  /** By name. */
  readonly nodes: readonly NodeIdentity[];
  /** Those of whose objects something could not be used. */
  readonly faulty: readonly NodeIdentity[];
  /** Does any address stand in two of them? */
  readonly hasTwins: boolean;
}

/** A list never changes: a plan computes what each of a thousand nodes makes of the same one. */
const known = new WeakMap<readonly Node[], NodeRoster>();

export function rosterOf(objects: readonly Node[]): NodeRoster {
  const roster = known.get(objects) ?? makeRoster(objects);
  known.set(objects, roster);
  return roster;
}

function makeRoster(objects: readonly Node[]): NodeRoster {
  const nodes = objects.map(identityOf).sort((a, b) => (a.name < b.name ? -1 : 1));
  const addresses = nodes.flatMap((node) => [...node.addresses.values()]);
  return {
    nodes,
    faulty: nodes.filter(({ faults }) => faults.length > 0),
    hasTwins: new Set(addresses).size < addresses.length,
  };
}
