/** What a change does to addresses of Services: which of them routers hear of from nobody any more. */
import { some, type Finding } from './finding.js';
import type { Network } from './network.js';

/** @param isWithdrawn is this the address of a Service that the change takes away? Then nobody wants it announced. */
export function planServices(
  before: Network,
  after: Network,
  isWithdrawn: (prefix: string) => boolean,
): readonly Finding[] {
  const [was, is] = [advertisers(before), advertisers(after)];
  return [...was].flatMap(([prefix, nodes]): readonly Finding[] => {
    const left = is.get(prefix) ?? [];
    const gone = nodes.filter((node) => !left.includes(node));
    if (gone.length === 0) return [];
    const object = 'BGPConfiguration/default';
    if (left.length > 0)
      return [
        {
          harm: 'loss',
          area: 'services',
          object,
          message: `${prefix} is announced by ${left.length} nodes instead of ${nodes.length}`,
          evidence: `no more by ${some(gone)}`,
        },
      ];
    return [
      {
        harm: isWithdrawn(prefix) ? 'loss' : 'cut',
        area: 'services',
        object,
        message: `${prefix} loses its last advertiser`,
        evidence: `so far ${some(nodes)}`,
      },
    ];
  });
}

function advertisers(network: Network): ReadonlyMap<string, readonly string[]> {
  const nodesOf = new Map<string, string[]>();
  for (const { node, config } of network.values())
    for (const { prefix, tags = [] } of config?.originate ?? []) {
      if (!tags.includes('service')) continue;
      const nodes = nodesOf.get(prefix);
      if (nodes === undefined) nodesOf.set(prefix, [node]);
      else nodes.push(node);
    }
  return nodesOf;
}
