/** A whole table as a stream of MRT records: every prefix with every path, its peers first. */
import { parseAddress, type Family, type IpAddress } from '../address.js';
import { encodeAttributes } from '../codec/parse.js';
import type { RibQueries, RouteView } from '../rib/answers.js';
import { peerIndexRecord, ribRecord, type MrtPath, type MrtPeer } from './record.js';

export interface TableDumpSource {
  /** Queries of the RIB. */
  readonly rib: Pick<RibQueries, 'best' | 'paths'>;
  /** Ourselves. */
  readonly localAs: number;
  readonly routerId: number;
  /** By name, as in RouteView.source. */
  readonly peers: ReadonlyMap<string, MrtPeer>;
  /** Seconds since 1970: what every record is stamped with. */
  readonly seconds: number;
}

/** Our own routes have peer 0, with no address: as BIRD writes them. */
const NO_ADDRESS: IpAddress = parseAddress('0.0.0.0');

/**
 * Records to be written in this order. Lazy: between two of them the caller may let the event loop run; prefixes that change
 * meanwhile are dumped as they are when their turn comes.
 */
export function* dumpTable(source: TableDumpSource): Generator<Uint8Array, void, undefined> {
  const { rib, localAs, routerId, peers, seconds } = source;
  const names = [...peers.keys()];
  yield peerIndexRecord(seconds, routerId, '', [
    { identifier: routerId, address: NO_ADDRESS, as: localAs },
    ...peers.values(),
  ]);
  const indexOf = new Map(names.map((name, index) => [name, index + 1]));
  let sequence = 0;
  for (const family of [4, 6] as const satisfies readonly Family[])
    for (const slice of rib.best(family))
      for (const { prefix } of slice) {
        const paths = rib.paths(prefix).flatMap((view) => pathOf(view, indexOf, seconds));
        if (paths.length > 0) yield ribRecord(seconds, sequence++, prefix, paths);
      }
}

/** Nothing for a peer that came after the index was written. */
function pathOf(view: RouteView, indexOf: ReadonlyMap<string, number>, seconds: number): MrtPath[] {
  const peerIndex = view.source.type === 'local' ? 0 : indexOf.get(view.source.peer);
  if (peerIndex === undefined) return [];
  return [
    {
      peerIndex,
      originatedAt: seconds,
      attributes: encodeAttributes(view.attributes),
      nextHop: view.nextHop,
      linkLocalNextHop: view.linkLocalNextHop,
      pathId: view.pathId,
    },
  ];
}
