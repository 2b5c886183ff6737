/** A table told whole and its changes speak of the same routes: with ADD-PATH by the same identifiers (RFC 7911, RFC 8671). */
import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import { RouteFeed, type BmpMonitoring, type FedSession, type FeedSource } from 'node-bgp/bmp/route-feed';
import type { RouteView } from 'node-bgp/rib/answers';
import { decodePlain, IBGP } from '../codec/sessions.js';

const PREFIX = parsePrefix('10.65.1.0/24');
/** Learned from another peer, that gave it this identifier. */
const VIEW: RouteView = {
  prefix: PREFIX,
  source: { type: 'ibgp', peer: 'other', address: parseAddress('10.0.0.3') },
  attributes: { origin: 'igp', asPath: [] },
  nextHop: parseAddress('10.0.0.3'),
  pathId: 7,
  isBest: true,
  isMultipath: false,
  isStale: false,
  weight: 0,
};
const SESSION: FedSession = {
  name: 'to',
  id: 1,
  peer: { address: parseAddress('10.0.0.2'), as: 64512, identifier: 2 },
  families: [4],
  addPathReceive: [4],
  addPathSend: [4],
};

function feedOf(view: RouteView | undefined): RouteFeed {
  const slices = (): IterableIterator<readonly RouteView[]> => (view === undefined ? [] : [[view]]).values();
  const source: FeedSource = {
    localAs: 64512,
    routerId: 1,
    rib: {
      received: slices,
      advertised: slices,
      offered: slices,
      best: (family) => (family === 4 ? slices() : [].values()),
      receivedPath: () => view,
      offeredPath: () => view,
      bestPath: () => view,
    },
  };
  return new RouteFeed(source, () => 0);
}

/** Announced prefixes with their identifiers, then withdrawn ones with a minus. */
function saidBy(feed: RouteFeed, addPath: boolean): string[] {
  const said: string[] = [];
  for (let piece = feed.next(); piece !== undefined; piece = feed.next())
    for (const message of piece) {
      // A common header of 6 octets, a per-peer header of 42, the header of the UPDATE.
      const { reach, withdrawn, errors } = decodePlain(message.subarray(6 + 42 + 19), {
        ...IBGP,
        addPathIpv4: addPath,
      });
      expect(errors).to.deep.equal([]);
      said.push(...reach.map((text) => text.split(' ')[0] ?? ''), ...withdrawn.map((text) => `-${text}`));
    }
  return said;
}

describe('bgp/bmp/route-feed', () => {
  for (const [monitoring, expected] of [
    ['adj-rib-in', '10.65.1.0/24#7'],
    ['adj-rib-in-post-policy', '10.65.1.0/24#7'],
    ['adj-rib-out-pre-policy', '10.65.1.0/24#0'],
    ['loc-rib', '10.65.1.0/24'],
  ] as const satisfies readonly (readonly [BmpMonitoring, string])[])
    it(`tells ${monitoring} by the same identifier in a dump, a change and a withdrawal`, () => {
      const session = monitoring === 'loc-rib' ? undefined : SESSION;
      const isPeers = monitoring === 'adj-rib-in' || monitoring === 'adj-rib-in-post-policy';
      const said = (view: RouteView | undefined, start: (feed: RouteFeed) => void): string[] => {
        const feed = feedOf(view);
        start(feed);
        return saidBy(feed, session !== undefined);
      };
      const change = (feed: RouteFeed): void => feed.addChange(monitoring, session, PREFIX, isPeers ? 7 : 0);
      expect(
        said(VIEW, (feed) => feed.addTable(monitoring, session)),
        'dump',
      ).to.deep.equal([expected]);
      expect(said(VIEW, change), 'change').to.deep.equal([expected]);
      expect(said(undefined, change), 'withdrawal').to.deep.equal([`-${expected}`]);
    });

  it('tells Adj-RIB-Out by the identifiers that the peer is given', () => {
    const feed = feedOf({ ...VIEW, pathId: 3 });
    feed.addTable('adj-rib-out', SESSION);
    expect(saidBy(feed, true)).to.deep.equal(['10.65.1.0/24#3']);
  });
});
