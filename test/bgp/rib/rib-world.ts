/**
 * A RIB with wire peers around it: what they say goes in as encoded UPDATEs through the real decoder, what they hear is decoded from the
 * octets they are given. Shared by the tests of the RIB.
 */
import {
  addressToBytes,
  formatPrefix,
  parseAddress,
  parsePrefix,
  type Family,
  type IpAddress,
  type IpPrefix,
} from 'node-bgp/address';
import type { PathAttributes } from 'node-bgp/codec/attribute';
import type { DecodeParameters } from 'node-bgp/codec/negotiated';
import { entriesOf } from 'node-bgp/codec/nlri';
import { encodeAttributes, parseAttributes } from 'node-bgp/codec/parse';
import { UpdateWriter } from 'node-bgp/codec/update-writer';
import { decodeUpdate } from 'node-bgp/codec/update';
import {
  createRib,
  type ConnectedPrefix,
  type KernelRoute,
  type LocalRoute,
  type PeerId,
  type Rib,
  type RibEvents,
  type RibOptions,
  type RibOutput,
  type RibPeer,
} from 'node-bgp/rib/index';
import { describe as describeRoute, type ReferenceRoute, type ReferenceState } from './reference-rib.js';

export const LOCAL_AS = 65000;
export const ROUTER_ID = 0x0a0000fe;

/** A peer with all that tests usually do not care about. */
export function ribPeer(
  name: string,
  options: Partial<RibPeer> & Pick<RibPeer, 'role'> & { readonly at: string },
): RibPeer {
  const address = parseAddress(options.at);
  return {
    name,
    address,
    remoteAs: options.role === 'ebgp' ? 65001 : LOCAL_AS,
    localAs: LOCAL_AS,
    routerId: Number(address.value & 0xffffffffn),
    families: [
      { family: 4, nextHopSelf: addressToBytes(parseAddress('10.0.0.254')) },
      { family: 6, nextHopSelf: addressToBytes(parseAddress('fd00::fe')) },
    ],
    singleHop: options.role === 'ebgp',
    ...options,
  };
}

export const reach = (
  prefix: string,
  nextHop: string,
  attributes: Partial<PathAttributes> = {},
  pathId = 0,
): ReferenceRoute => ({
  prefix: parsePrefix(prefix),
  nextHop: parseAddress(nextHop),
  pathId,
  attributes: { origin: 'igp', asPath: [], ...attributes },
});

export const sequence = (...members: number[]): PathAttributes['asPath'] => [{ type: 'sequence', members }];

const parametersOf = (peer: RibPeer, direction: 'in' | 'out'): DecodeParameters => {
  const has = (family: Family) => peer.families.find((session) => session.family === family);
  const addPath = (family: Family) =>
    (direction === 'in' ? has(family)?.addPathReceive : has(family)?.addPathSend) === true;
  return {
    as4: peer.fourOctetAs !== false,
    external: peer.role === 'ebgp',
    peerAs: direction === 'in' ? peer.remoteAs : LOCAL_AS,
    enforceFirstAs: false,
    ipv4: has(4) !== undefined,
    ipv6: has(6) !== undefined,
    addPathIpv4: addPath(4),
    addPathIpv6: addPath(6),
    extendedNextHop: true,
    maxAsPathLength: 0,
  };
};

/** The other end of a session: what it was told, and what it has said. */
export class WirePeer {
  readonly options: RibPeer;
  id: PeerId;
  readonly heard = new Map<string, string>();
  readonly said = new Map<string, ReferenceRoute>();
  /** Of what was said: left from the session before and not repeated in this one. */
  readonly left = new Set<string>();
  endsOfRib: Family[] = [];
  updates = 0;
  /** Messages other than UPDATE, as their type. */
  readonly other: number[] = [];

  constructor(options: RibPeer, id: PeerId) {
    this.options = options;
    this.id = id;
  }

  listen({ buffers, messages }: RibOutput): void {
    let heard = 0;
    for (const chunk of buffers)
      for (let at = 0; at < chunk.length; ) {
        const length = ((chunk[at + 16] as number) << 8) | (chunk[at + 17] as number);
        if (length > (this.options.extendedMessage === true ? 65535 : 4096))
          throw new Error(`A message of ${length} octets is too long`);
        if (chunk[at + 18] === 2) this.#update(chunk, at + 19, at + length);
        else this.other.push(chunk[at + 18] as number);
        at += length;
        heard++;
      }
    if (heard !== messages) throw new Error(`${messages} messages were announced, ${heard} came`);
  }

  #update(bytes: Uint8Array, start: number, end: number): void {
    const update = decodeUpdate(bytes, start, end, parametersOf(this.options, 'out'));
    if (update.severity !== 'ok')
      throw new Error(`The RIB sent a bad UPDATE: ${update.errors.map(({ reason }) => reason).join('; ')}`);
    if (update.endOfRib !== undefined) return void this.endsOfRib.push(update.endOfRib);
    this.updates++;
    for (const block of update.withdrawn)
      for (const { prefix, pathId } of entriesOf(block)) this.heard.delete(keyOf(prefix, pathId));
    for (const block of update.reach) {
      const attributes = parseAttributes(update.attributes, 0, update.attributesLength);
      const text = describeRoute(
        attributes,
        block.bytes.slice(block.nextHopStart, block.nextHopStart + block.nextHopLength),
      );
      for (const { prefix, pathId } of entriesOf(block)) this.heard.set(keyOf(prefix, pathId), text);
    }
  }
}

const keyOf = (prefix: IpPrefix, pathId: number): string =>
  pathId === 0 ? formatPrefix(prefix) : `${formatPrefix(prefix)} #${pathId}`;

export class RibWorld {
  readonly rib: Rib;
  readonly peers = new Map<string, WirePeer>();
  /** Paths kept for peers that are down. */
  readonly kept = new Map<string, WirePeer>();
  readonly forwarding = new Map<string, string>();
  local: readonly LocalRoute[] = [];
  connected: readonly ConnectedPrefix[] | undefined;
  kernel: readonly KernelRoute[] = [];
  readonly ready = new Set<PeerId>();
  #isWanted = false;

  constructor(options: Partial<RibOptions> = {}, events: Partial<RibEvents> = {}) {
    const outputReady = (id: PeerId): void => void this.ready.add(id);
    const wanted = (): void => void (this.#isWanted = true);
    this.rib = createRib(
      { localAs: LOCAL_AS, routerId: ROUTER_ID, forwarding: true, ...options },
      { wanted, outputReady, ...events },
    );
  }

  up(options: RibPeer): WirePeer {
    const peer = new WirePeer(options, this.rib.peerUp(options));
    const before = this.kept.get(options.name);
    for (const [key, route] of before?.said ?? []) {
      peer.said.set(key, route);
      peer.left.add(key);
    }
    this.kept.delete(options.name);
    this.peers.set(options.name, peer);
    return peer;
  }

  down(name: string, how: 'drop' | readonly Family[]): void {
    const peer = this.peer(name);
    this.peers.delete(name);
    this.rib.peerDown(peer.id, how);
    for (const [key, { prefix }] of [...peer.said])
      if (how === 'drop' || !how.includes(prefix.family) || peer.left.has(key)) peer.said.delete(key);
    if (how !== 'drop') this.kept.set(name, peer);
  }

  peer(name: string): WirePeer {
    const peer = this.peers.get(name);
    if (peer === undefined) throw new Error(`No peer "${name}" is up`);
    return peer;
  }

  announce(name: string, ...routes: readonly ReferenceRoute[]): void {
    const peer = this.peer(name);
    for (const route of routes) {
      this.#send(peer, (writer) => {
        const block = encodeAttributes(route.attributes);
        const second = route.linkLocal === undefined ? [] : addressToBytes(route.linkLocal);
        const nextHop = Uint8Array.of(...addressToBytes(route.nextHop), ...second);
        if (!writer.beginReach(route.prefix.family, nextHop, block, 0, block.length))
          throw new Error('No room for a test route');
        writer.addPrefix(route.prefix, route.pathId);
      });
      peer.said.set(keyOf(route.prefix, route.pathId), route);
      peer.left.delete(keyOf(route.prefix, route.pathId));
    }
  }

  /** End-of-RIB: what was not repeated goes. */
  endOfRib(name: string, family: Family): void {
    const peer = this.peer(name);
    this.rib.endOfRib(peer.id, family);
    for (const [key, { prefix }] of [...peer.said])
      if (prefix.family === family && peer.left.delete(key)) peer.said.delete(key);
  }

  withdraw(name: string, prefix: string, pathId = 0): void {
    const peer = this.peer(name);
    const parsed = parsePrefix(prefix);
    this.#send(peer, (writer) => {
      writer.beginWithdraw(parsed.family);
      writer.addPrefix(parsed, pathId);
    });
    peer.said.delete(keyOf(parsed, pathId));
    peer.left.delete(keyOf(parsed, pathId));
  }

  originate(routes: readonly LocalRoute[]): void {
    this.local = routes;
    this.rib.originate(routes);
  }

  connect(connected: readonly ConnectedPrefix[]): void {
    this.connected = connected;
    this.rib.setConnected(connected);
  }

  setKernelRoutes(routes: readonly KernelRoute[]): void {
    this.kernel = routes;
    this.rib.setKernelRoutes(routes);
  }

  /** One bounded slice of everything; some peers do not read. */
  turn(steps: number, octets: number, deaf: readonly string[] = []): void {
    this.rib.run(steps);
    for (const [name, peer] of this.peers) if (!deaf.includes(name)) peer.listen(this.rib.takeOutput(peer.id, octets));
    this.#forward(steps);
  }

  /** Until nothing is left to do. */
  settle(): void {
    for (let i = 0; i < 10_000; i++) {
      this.#isWanted = false;
      const more = this.rib.run();
      for (const peer of this.peers.values()) peer.listen(this.rib.takeOutput(peer.id));
      const forwards = this.#forward(1000);
      if (
        !more &&
        !this.#isWanted &&
        !forwards &&
        [...this.peers.values()].every(({ id }) => this.rib.queries.outputPending(id) === 0)
      )
        return;
    }
    throw new Error('The RIB does not come to rest');
  }

  state(): ReferenceState {
    const all = [...this.peers.values(), ...this.kept.values()];
    const received = new Map(all.map((peer) => [peer.options, [...peer.said.values()]]));
    return {
      localAs: LOCAL_AS,
      routerId: ROUTER_ID,
      peers: [...this.peers.values()].map(({ options }) => options),
      received,
      local: this.local,
      connected: this.connected,
      kernel: this.kernel,
    };
  }

  #send(peer: WirePeer, write: (writer: UpdateWriter) => void): void {
    const parameters = parametersOf(peer.options, 'in');
    const writer = new UpdateWriter({
      as4: parameters.as4,
      addPathIpv4: parameters.addPathIpv4,
      addPathIpv6: parameters.addPathIpv6,
      extendedNextHop: true,
      maxMessageLength: 4096,
    });
    const out = new Uint8Array(4096);
    writer.into(out, 0);
    write(writer);
    const end = writer.finish();
    const update = decodeUpdate(out, 19, end, parameters);
    if (update.severity !== 'ok')
      throw new Error(`A test sent a bad UPDATE: ${update.errors.map(({ reason }) => reason).join('; ')}`);
    this.rib.receive(peer.id, update);
  }

  #forward(limit: number): boolean {
    return this.rib.takeForwarding((family, words, offset, length, entry) => {
      const value =
        family === 4
          ? BigInt(words[offset] as number)
          : [0, 1, 2, 3].reduce((sum, i) => (sum << 32n) | BigInt(words[offset + i] as number), 0n);
      const key = formatPrefix({ family, value, length });
      if (entry === undefined) this.forwarding.delete(key);
      else
        this.forwarding.set(
          key,
          [
            ...new Set(
              entry.hops.map(({ address, interfaceName }) => `${(address as IpAddress).value}%${interfaceName ?? ''}`),
            ),
          ]
            .sort()
            .join(' '),
        );
    }, limit);
  }
}
