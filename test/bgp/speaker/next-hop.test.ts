/** Next hops that a session cannot use cost their routes, not the session: GoBGP sends IPv6 ones for IPv4 unasked. */
import { expect } from 'chai';
import { addressToBytes, parseAddress, parsePrefix } from 'node-bgp/address';
import type { Capability } from 'node-bgp/codec/capability';
import { encodeControlMessage } from 'node-bgp/codec/message';
import { openAsField } from 'node-bgp/codec/open';
import { encodeAttributes } from 'node-bgp/codec/parse';
import { UpdateWriter } from 'node-bgp/codec/update-writer';
import type { Connection } from 'node-bgp/transport/transport';
import { peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';
const PREFIX = '10.65.2.0/24';
const BLOCK = encodeAttributes({ origin: 'igp', asPath: [{ type: 'sequence', members: [64513] }] });

/** The other side of a session without capability 5, octet by octet. */
async function session(): Promise<{ readonly world: World; readonly a: Node; readonly b: Connection }> {
  const world = new World();
  const a = world.speaker(A);
  await a.configure(a.config(64512, [peerAt(B, 64513, { passive: true })]));
  const capabilities: readonly Capability[] = [
    { type: 'multiprotocol', afi: 1, safi: 1 },
    { type: 'four-octet-as', as: 64513 },
  ];
  let made: Connection | undefined;
  world.network.host(B).connect({ remote: { address: A, port: 1790 } }, (outcome) => {
    if (outcome.type !== 'connected') return;
    made = outcome.connection;
    made.open({ onBytes: () => undefined, onDrain: () => undefined, onClosed: () => undefined });
    const open = {
      type: 'open',
      version: 4,
      as: openAsField(64513),
      holdTime: 0,
      identifier: 2,
      capabilities,
    } as const;
    made.write([encodeControlMessage(open)]);
    made.write([encodeControlMessage({ type: 'keepalive' })]);
  });
  world.seconds(2);
  if (made === undefined) throw new Error('There is no connection');
  return { world, a, b: made };
}

function reach(nextHop: Uint8Array): Uint8Array {
  const out = new Uint8Array(4096);
  const writer = new UpdateWriter({
    as4: true,
    addPathIpv4: false,
    addPathIpv6: false,
    extendedNextHop: true,
    maxMessageLength: 4096,
  });
  writer.into(out, 0);
  writer.beginReach(4, nextHop, BLOCK, 0, BLOCK.length);
  writer.addPrefix(parsePrefix(PREFIX), 0);
  return out.slice(0, writer.finish());
}

describe('bgp/speaker next hops', () => {
  for (const [name, hop] of [
    ['a global address', addressToBytes(parseAddress('2001:db8::1'))],
    [
      'a pair',
      Uint8Array.of(...addressToBytes(parseAddress('2001:db8::1')), ...addressToBytes(parseAddress('fe80::1'))),
    ],
    [
      'one with a Route Distinguisher',
      Uint8Array.of(...new Uint8Array(8), ...addressToBytes(parseAddress('2001:db8::1'))),
    ],
  ] as const)
    it(`of IPv6 for IPv4, not negotiated (8950), withdraw the route and are told once: ${name}`, async () => {
      const { world, a, b } = await session();
      b.write([reach(addressToBytes(parseAddress('10.0.0.2')))]);
      world.seconds(1);
      expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', [PREFIX]]);
      for (let i = 0; i < 50; i++) b.write([reach(hop)]);
      world.seconds(1);
      expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', []]);
      expect(a.told('update-error').map(({ severity }) => severity)).to.deep.equal(['withdraw']);
      b.write([reach(addressToBytes(parseAddress('10.0.0.2')))]);
      world.seconds(1);
      expect(a.prefixes()).to.deep.equal([PREFIX]);
    });
});
