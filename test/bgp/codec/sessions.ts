/** Session parameters that tests start from, and what a decoded UPDATE says as plain data. */
import { formatPrefix } from 'node-bgp/address';
import { parseAttributes } from 'node-bgp/codec/parse';
import { entriesOf } from 'node-bgp/codec/nlri';
import { decodeUpdate, type NlriBlock } from 'node-bgp/codec/update';
import type { DecodeParameters, EncodeParameters } from 'node-bgp/codec/negotiated';
import type { PathAttributes } from 'node-bgp/codec/attribute';

export const EBGP: DecodeParameters = {
  as4: true,
  external: true,
  peerAs: 65001,
  enforceFirstAs: true,
  ipv4: true,
  ipv6: true,
  addPathIpv4: false,
  addPathIpv6: false,
  extendedNextHop: false,
  maxAsPathLength: 0,
};
export const IBGP: DecodeParameters = { ...EBGP, external: false, peerAs: 64512 };

export const PLAIN: EncodeParameters = {
  as4: true,
  addPathIpv4: false,
  addPathIpv6: false,
  extendedNextHop: false,
  maxMessageLength: 4096,
};

export interface PlainUpdate {
  readonly severity: string;
  readonly errors: readonly string[];
  readonly attributes: PathAttributes | undefined;
  /** "10.0.0.0/8 via 0a000001", with "#7" behind the prefix for a path identifier. */
  readonly reach: readonly string[];
  readonly withdrawn: readonly string[];
  readonly endOfRib: number | undefined;
}

export function decodePlain(body: Uint8Array, parameters: DecodeParameters = EBGP): PlainUpdate {
  const update = decodeUpdate(body, 0, body.length, parameters);
  return {
    severity: update.severity,
    errors: update.errors.map((error) => `${error.severity} ${error.code}/${error.subcode} ${error.reason}`),
    attributes: update.reach.length === 0 ? undefined : parseAttributes(update.attributes, 0, update.attributesLength),
    reach: update.reach.flatMap((block) => {
      const hop = Buffer.from(
        block.bytes.subarray(block.nextHopStart, block.nextHopStart + block.nextHopLength),
      ).toString('hex');
      return prefixesOf(block).map((prefix) => `${prefix} via ${hop}`);
    }),
    withdrawn: update.withdrawn.flatMap(prefixesOf),
    endOfRib: update.endOfRib,
  };
}

export function prefixesOf(block: NlriBlock): string[] {
  const prefixes = [...entriesOf(block)].map(
    ({ prefix, pathId }) => `${formatPrefix(prefix)}${block.addPath ? `#${pathId}` : ''}`,
  );
  if (prefixes.length !== block.count)
    throw new Error(`The block counts ${block.count} prefixes and has ${prefixes.length}`);
  return prefixes;
}
