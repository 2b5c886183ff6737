/** Routes as whole UPDATE messages, for tables that are told anew: runs of equal attributes share a message. */
import { addressToBytes, type Family, type IpPrefix } from '../address.js';
import type { EncodeParameters } from '../codec/negotiated.js';
import { equalOctets } from '../codec/octets.js';
import { encodeAttributes } from '../codec/parse.js';
import { UpdateWriter } from '../codec/update-writer.js';
import { MAX_MESSAGE_LENGTH } from '../iana.js';
import type { RouteView } from '../rib/answers.js';

/** Most of RouteView that a message is made of. */
export type StreamedRoute = Pick<RouteView, 'prefix' | 'attributes' | 'nextHop' | 'linkLocalNextHop' | 'pathId'>;

/** How a table's UPDATEs are written: four-octet AS numbers, and path identifiers where the session has them. */
export function tableParameters(addPathIpv4: boolean, addPathIpv6: boolean): EncodeParameters {
  return { as4: true, addPathIpv4, addPathIpv6, extendedNextHop: true, maxMessageLength: MAX_MESSAGE_LENGTH };
}

/** Messages that announce these routes, all of one family. A route too big for a message is left out. */
export function* announcements(
  routes: Iterable<StreamedRoute>,
  parameters: EncodeParameters,
): Generator<Uint8Array, void, undefined> {
  const writer = new UpdateWriter(parameters);
  const out = new Uint8Array(parameters.maxMessageLength);
  let block: Uint8Array | undefined;
  let hop: Uint8Array | undefined;
  for (const route of routes) {
    const nextBlock = encodeAttributes(route.attributes);
    const nextHop = nextHopOctets(route);
    if (block !== undefined && hop !== undefined) {
      if (
        equalOctets(block, nextBlock) &&
        equalOctets(hop, nextHop) &&
        writer.addPrefix(route.prefix, route.pathId ?? 0)
      )
        continue;
      yield out.slice(0, writer.finish());
    }
    writer.into(out, 0);
    const fits =
      writer.beginReach(route.prefix.family, nextHop, nextBlock, 0, nextBlock.length) &&
      writer.addPrefix(route.prefix, route.pathId ?? 0);
    block = fits ? nextBlock : undefined;
    hop = fits ? nextHop : undefined;
  }
  if (block !== undefined) yield out.slice(0, writer.finish());
}

/** Messages that withdraw these prefixes, all of one family. */
export function* withdrawals(
  routes: Iterable<{ readonly prefix: IpPrefix; readonly pathId: number }>,
  family: Family,
  parameters: EncodeParameters,
): Generator<Uint8Array, void, undefined> {
  const writer = new UpdateWriter(parameters);
  const out = new Uint8Array(parameters.maxMessageLength);
  let isOpen = false;
  for (const { prefix, pathId } of routes) {
    if (isOpen && writer.addPrefix(prefix, pathId)) continue;
    if (isOpen) yield out.slice(0, writer.finish());
    writer.into(out, 0);
    writer.beginWithdraw(family);
    isOpen = writer.addPrefix(prefix, pathId);
  }
  if (isOpen) yield out.slice(0, writer.finish());
}

export function endOfRib(family: Family, parameters: EncodeParameters): Uint8Array {
  const writer = new UpdateWriter(parameters);
  const out = new Uint8Array(64);
  writer.into(out, 0);
  writer.endOfRib(family);
  return out.slice(0, writer.at);
}

/** Our own routes have none: all zeros, as routers show them. */
function nextHopOctets({ nextHop, linkLocalNextHop, prefix }: StreamedRoute): Uint8Array {
  if (nextHop === undefined) return new Uint8Array(prefix.family === 4 ? 4 : 16);
  if (linkLocalNextHop === undefined) return addressToBytes(nextHop);
  return Uint8Array.of(...addressToBytes(nextHop), ...addressToBytes(linkLocalNextHop));
}
