/** Which links of a node carry what leaves it, from its routes. Pure. */
import { INTERFACE_PREFIX } from '../dataplane/endpoint-name.js';
import { SHAPER_PREFIX } from '../dataplane/shaper.js';
import { UNICAST, type LinkFact } from './kernel-witness.js';
import type { NodeFacts } from './node-facts.js';

export const isPodInterface = (name: string): boolean =>
  name.startsWith(INTERFACE_PREFIX) || name.startsWith(SHAPER_PREFIX);

/** Links that a route with a gateway leads over, pods' excepted. */
export function uplinksOf({ links = [], routes = [] }: Pick<NodeFacts, 'links' | 'routes'>): readonly LinkFact[] {
  const used = new Set(
    routes
      .filter(({ type }) => type === UNICAST)
      .flatMap(({ nextHops }) => nextHops.filter(({ via }) => via !== undefined))
      .map(({ interfaceIndex }) => interfaceIndex),
  );
  return links.filter(({ index, name, isLoopback }) => used.has(index) && !isLoopback && !isPodInterface(name));
}
