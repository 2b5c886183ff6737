/** Does everybody hold what the churning peers have told last? Compared prefix by prefix: Adj-RIB-In, Loc-RIB, kernel, and BIRD's table. */
import type { RouteJson } from '../../src/bgpd/route-view.js';
import type { Rack } from './rack.js';
import { STEADY } from './rack.js';
import { bestOf, type ChurnPeer, type PeerTable } from './route-model.js';

export type Differences = Readonly<Record<string, number>>;

interface Routes {
  readonly routes: readonly RouteJson[];
}

export async function compareWithModel(
  rack: Rack,
  peers: readonly ChurnPeer[],
  tables: Readonly<Record<string, PeerTable>>,
): Promise<Differences> {
  const found: Record<string, number> = {};
  for (const { name } of peers) {
    const { routes } = await rack.ask<Routes>(`/v1/routes?policy=before&received=${name}`);
    found[`routes received from ${name}`] = differences(
      new Map(routes.map(({ prefix, med }) => [prefix, med])),
      new Map(Object.entries(tables[name] ?? {})),
    );
  }
  const best = bestOf(peers, tables);
  const { routes } = await rack.ask<Routes>('/v1/routes');
  found['best routes'] = differences(
    new Map(routes.filter(({ isBest }) => isBest).map(({ prefix, peer }) => [prefix, peer])),
    new Map([...best].map(([prefix, { name }]) => [prefix, name])),
  );
  found['routes in the kernel'] = differences(
    new Map(rack.kernelPrefixes().map((prefix) => [prefix, true])),
    new Map([...best.keys()].map((prefix) => [prefix, true])),
  );
  found[`routes in ${STEADY}`] = differences(
    birdTable(rack.birdc('show', 'route', 'protocol', 'dut', 'all')),
    new Map([...best].map(([prefix, { as }]) => [prefix, as])),
  );
  return found;
}

/** Prefix to the AS that bgpd has it from: the second of the path. */
export function birdTable(text: string): ReadonlyMap<string, number> {
  const table = new Map<string, number>();
  let prefix = '';
  for (const line of text.split('\n')) {
    prefix = /^(\S+\/\d+)\s/.exec(line)?.[1] ?? prefix;
    const as = /^\s+BGP\.as_path: \d+ (\d+)/.exec(line)?.[1];
    if (as !== undefined) table.set(prefix, Number(as));
  }
  return table;
}

export function differences<T>(got: ReadonlyMap<string, T>, wanted: ReadonlyMap<string, T>): number {
  const missing = [...wanted].filter(([key, value]) => got.get(key) !== value).length;
  return missing + [...got.keys()].filter((key) => !wanted.has(key)).length;
}
