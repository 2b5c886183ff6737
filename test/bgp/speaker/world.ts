/** Speakers on a network in memory, under one clock. */
import type { SpeakerConfig, PeerConfig } from 'node-bgp/config';
import { formatPrefix } from 'node-bgp/address';
import type { SpeakerEvent } from 'node-bgp/speaker/event';
import { Speaker, type SpeakerOptions } from 'node-bgp/speaker/speaker';
import { FakeClock } from '../session/fake-clock.js';
import { MemoryNetwork } from '../session/memory-network.js';

export class World {
  readonly clock: FakeClock;
  readonly network: MemoryNetwork;
  private readonly speakers: Node[] = [];

  constructor(jitter?: () => number) {
    this.clock = new FakeClock(jitter);
    this.network = new MemoryNetwork(this.clock);
  }

  speaker(address: string, options: Partial<SpeakerOptions> = {}): Node {
    const speaker = new Speaker({ transport: this.network.host(address), clock: this.clock, ...options });
    const node = new Node(address, speaker);
    this.speakers.push(node);
    return node;
  }

  seconds(count: number): void {
    this.clock.advance(count * 1000);
  }
}

export class Node {
  readonly events: SpeakerEvent[] = [];

  constructor(readonly address: string, readonly speaker: Speaker) {
    speaker.subscribe((event) => this.events.push(event));
  }

  /** A configuration whose router id is the address; internal listen port 1790. */
  config(localAs: number, peers: readonly PeerConfig[], more: Partial<SpeakerConfig> = {}): SpeakerConfig {
    return { localAs, routerId: this.address, listen: [{ address: this.address, port: 1790 }], peers, ...more };
  }

  async configure(config: SpeakerConfig): ReturnType<Speaker['configure']> {
    return await this.speaker.configure(config);
  }

  state(peer: string): string | undefined {
    return this.speaker.neighbor(peer)?.state;
  }

  /** Prefixes with a best path, as text. */
  prefixes(): readonly string[] {
    const { rib } = this.speaker;
    return rib === undefined ? [] : ([4, 6] as const).flatMap((family) => [...rib.best(family)].flat().map(({ prefix }) => formatPrefix(prefix)).sort());
  }

  told<T extends SpeakerEvent['type']>(type: T): readonly Extract<SpeakerEvent, { readonly type: T }>[] {
    return this.events.filter((event): event is Extract<SpeakerEvent, { readonly type: T }> => event.type === type);
  }
}

/** A peer at an address of the network in memory. */
export const peerAt = (address: string, remoteAs: number, more: Partial<PeerConfig> = {}): PeerConfig =>
  ({ address, port: 1790, remoteAs, multihop: 2, ...more });

/** As peerAt, of our own AS. */
export const innerPeer = (address: string, remoteAs: number, more: Partial<PeerConfig> = {}): PeerConfig => ({ address, port: 1790, remoteAs, ...more });
