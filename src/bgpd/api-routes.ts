/** Answers of the API about routes. Lists are written in slices between turns of the event loop: a full table must not cost a keepalive. */
import { once } from 'node:events';
import {
  formatPrefix,
  hostPrefix,
  parsePrefix,
  tryParseAddress,
  tryParsePrefix,
  type Family,
  type IpPrefix,
} from 'node-bgp/address';
import type { RouteView } from 'node-bgp/rib/answers';
import { pastName, peerNameOf, RequestError, ribOf, type Request } from './api-request.js';
import type { Daemon } from './daemon.js';
import { tableChunks } from './mrt-dumps.js';
import { routeJson, whyJson } from './route-view.js';

export function why({ daemon, query }: Request): unknown {
  const rib = ribOf(daemon);
  const text = query.get('prefix') ?? '';
  const address = tryParseAddress(text);
  const prefix = address === undefined ? tryParsePrefix(text) : (rib.lookup(address)?.prefix ?? hostPrefix(address));
  if (prefix === undefined) throw new RequestError(400, `Cannot explain "${text}": expected an address or a prefix`);
  return whyJson(
    rib.why(prefix),
    daemon.speaker.summary().peers.filter(({ isEstablished }) => !isEstablished),
  );
}

/** Changes of best paths, of one prefix or peer if named. */
export function changes({ daemon, query }: Request): unknown {
  const [text, peer] = [query.get('prefix'), pastName(daemon, query)];
  const wanted = text === null ? undefined : formatPrefix(wantedPrefix(daemon, text));
  const listed = [...ribOf(daemon).changes()].map(({ at, type, prefix, peer: from }) => ({
    at: new Date(at).toISOString(),
    type: `route-${type}`,
    prefix: formatPrefix(prefix),
    ...(from === undefined ? {} : { peer: from }),
  }));
  return {
    changes: listed.filter(
      (each) => (wanted === undefined || each.prefix === wanted) && (peer === undefined || each.peer === peer),
    ),
  };
}

export async function routes(request: Request): Promise<undefined> {
  const { daemon, query, response } = request;
  const slices = routeSlices(daemon, query)[Symbol.iterator]();
  // What is wrong with the question shows at the first slice, while there still is a status to send.
  let next = slices.next();
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{"routes":[');
  let separator = '';
  for (; next.done !== true; next = slices.next()) {
    const text = next.value.map((route) => JSON.stringify(routeJson(route))).join(',');
    if (text === '') continue;
    if (!response.write(separator + text)) await once(response, 'drain');
    separator = ',';
    await new Promise((resolve) => setImmediate(resolve));
    if (response.destroyed) return undefined;
  }
  response.end(']}\n');
  return undefined;
}

/** The table in MRT (RFC 6396), whatever the configuration says of dumps. */
export async function mrt({ daemon, response }: Request): Promise<undefined> {
  ribOf(daemon);
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  for (const chunk of tableChunks(daemon.speaker)) {
    if (!response.write(chunk)) await once(response, 'drain');
    await new Promise((resolve) => setImmediate(resolve));
    if (response.destroyed) return undefined;
  }
  response.end();
  return undefined;
}

function* routeSlices(daemon: Daemon, query: URLSearchParams): Iterable<readonly RouteView[]> {
  const rib = ribOf(daemon);
  const [received, advertised, text] = [query.get('received'), query.get('advertised'), query.get('prefix')];
  if (received !== null && advertised !== null)
    throw new RequestError(400, 'Cannot list routes: give "received" or "advertised", not both');
  const wanted = text === null ? undefined : wantedPrefix(daemon, text);
  const matches = (slice: readonly RouteView[]): readonly RouteView[] =>
    wanted === undefined
      ? slice
      : slice.filter(
          ({ prefix }) =>
            prefix.family === wanted.family && prefix.value === wanted.value && prefix.length === wanted.length,
        );
  const peer = received ?? advertised;
  if (peer === null && wanted !== undefined) {
    yield rib.paths(wanted);
    return;
  }
  const when = query.get('policy') === 'before' ? 'before-policy' : 'after-policy';
  for (const family of familiesOf(query)) {
    if (peer === null) for (const slice of rib.best(family)) yield slice;
    else {
      const id = rib.peerId(peerNameOf(daemon, peer));
      if (id === undefined) continue;
      for (const slice of received === null ? rib.advertised(id, family) : rib.received(id, family, when))
        yield matches(slice);
    }
  }
}

function wantedPrefix(daemon: Daemon, text: string): IpPrefix {
  const address = tryParseAddress(text);
  if (address !== undefined) return ribOf(daemon).lookup(address)?.prefix ?? hostPrefix(address);
  return tryParsePrefix(text) === undefined ? badPrefix(text) : parsePrefix(text);
}

function familiesOf(query: URLSearchParams): readonly Family[] {
  const text = query.get('family');
  if (text === null) return [4, 6];
  if (text === 'ipv4' || text === '4') return [4];
  if (text === 'ipv6' || text === '6') return [6];
  throw new RequestError(400, `Cannot list routes of family "${text}": expected ipv4 or ipv6`);
}

function badPrefix(text: string): never {
  throw new RequestError(400, `Cannot look up "${text}": expected an address or a prefix`);
}
