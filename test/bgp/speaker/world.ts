/** Speakers on a network in memory, under one clock. */
import type {
  PeerConfig,
  PeerFields,
  SessionAddPath,
  SessionFields,
  SessionLocalAs,
  SessionNextHop,
  SessionRole,
  SpeakerConfig,
} from 'node-bgp/config';
import { formatPrefix, parsePrefix } from 'node-bgp/address';
import { bfdKey, type BfdEvent, type BfdSessionConfig } from 'node-bgp/bfd/contract';
import type { BfdState } from 'node-bgp/bfd/packet';
import type { RouteView } from 'node-bgp/rib/answers';
import type { BfdPort } from 'node-bgp/speaker/peer-bfd';
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
    const bfd = new ManualBfd();
    const speaker = new Speaker({
      transport: this.network.host(address),
      clock: this.clock,
      bfd: (onEvent) => bfd.connect(onEvent),
      ...options,
    });
    const node = new Node(address, speaker, bfd);
    this.speakers.push(node);
    return node;
  }

  seconds(count: number): void {
    this.clock.advance(count * 1000);
  }
}

/** BFD without packets: tests say what the path does. */
export class ManualBfd implements BfdPort {
  sessions: readonly BfdSessionConfig[] = [];
  /** Times the set was stated. */
  settings = 0;
  private onEvent: ((event: BfdEvent) => void) | undefined;

  connect(onEvent: (event: BfdEvent) => void): this {
    this.onEvent = onEvent;
    return this;
  }

  change(from: BfdState, to: BfdState, isFailure: boolean): void {
    for (const session of this.sessions)
      this.onEvent?.({
        type: 'state-changed',
        key: bfdKey(session),
        peer: session.peer,
        from,
        to,
        reason: 'no packet for 900 ms',
        isFailure,
      });
  }

  set(_owner: string, sessions: readonly BfdSessionConfig[]): void {
    this.sessions = sessions;
    this.settings++;
  }

  status(): Promise<readonly never[]> {
    return Promise.resolve([]);
  }
  close(): Promise<void> {
    return Promise.resolve();
  }
}

export class Node {
  readonly events: SpeakerEvent[] = [];

  constructor(
    readonly address: string,
    readonly speaker: Speaker,
    readonly bfd: ManualBfd,
  ) {
    speaker.subscribe((event) => this.events.push(event));
  }

  /** A configuration whose router id is the address; internal listen port 1790. */
  config(localAs: number, peers: readonly PeerConfig[], more: Partial<SpeakerConfig> = {}): SpeakerConfig {
    return { localAs, routerId: this.address, listen: [{ address: this.address, port: 1790 }], peers, ...more };
  }

  async configure(config: SpeakerConfig): ReturnType<Speaker['configure']> {
    return await this.speaker.configure(config);
  }

  /** The present configuration, but for this. */
  async reconfigure(more: Partial<SpeakerConfig>): ReturnType<Speaker['configure']> {
    const { config } = this.speaker;
    if (config === undefined) throw new Error('The speaker has no configuration yet');
    return await this.speaker.configure({ ...config, ...more });
  }

  state(peer: string): string | undefined {
    return this.speaker.neighbor(peer)?.state;
  }

  /** Prefixes with a best path, as text. */
  prefixes(): readonly string[] {
    const { rib } = this.speaker;
    return rib === undefined
      ? []
      : ([4, 6] as const).flatMap((family) =>
          [...rib.best(family)]
            .flat()
            .map(({ prefix }) => formatPrefix(prefix))
            .sort(),
        );
  }

  /** All paths to a prefix, the best first. */
  paths(prefix: string): readonly RouteView[] {
    return this.speaker.rib?.paths(parsePrefix(prefix)) ?? [];
  }

  best(prefix: string): RouteView | undefined {
    return this.paths(prefix).find(({ isBest }) => isBest);
  }

  /** AS_PATH of the best path, "64513 64514"; undefined where there is none. */
  asPath(prefix: string): string | undefined {
    return this.best(prefix)
      ?.attributes.asPath.flatMap(({ members }) => members)
      .join(' ');
  }

  told<T extends SpeakerEvent['type']>(type: T): readonly Extract<SpeakerEvent, { readonly type: T }>[] {
    return this.events.filter((event): event is Extract<SpeakerEvent, { readonly type: T }> => event.type === type);
  }
}

/**
 * Speakers in a row, each the eBGP neighbour of the next, AS 64513, 64514 and so on at 10.0.0.1, 10.0.0.2 and so on. `more` is what
 * a speaker says beside that: of itself, of the one before and of the one after.
 */
export async function chain(
  world: World,
  more: readonly {
    readonly as?: number;
    readonly self?: Partial<SpeakerConfig>;
    readonly before?: SessionOnly;
    readonly after?: SessionOnly;
  }[],
): Promise<readonly Node[]> {
  const as = (i: number): number => more[i]?.as ?? 64513 + i;
  const nodes = more.map((_, i) => world.speaker(`10.0.0.${i + 1}`));
  for (const [i, node] of nodes.entries()) {
    const { self, before, after } = more[i] ?? {};
    const peers = [
      ...(i === 0 ? [] : [peerAt(`10.0.0.${i}`, as(i - 1), before)]),
      ...(i === nodes.length - 1 ? [] : [peerAt(`10.0.0.${i + 2}`, as(i + 1), after)]),
    ];
    await node.configure(node.config(as(i), peers, self));
  }
  world.seconds(10);
  return nodes;
}

/** What a peer may be told apart from who it is and how far away. */
type SessionOnly = Partial<PeerFields> & SessionFields & SessionAddPath & SessionLocalAs & SessionNextHop & SessionRole;

/** A peer at an address of the network in memory. */
export const peerAt = (address: string, remoteAs: number, more: SessionOnly = {}): PeerConfig => ({
  multihop: 2,
  address,
  port: 1790,
  remoteAs,
  ...more,
});

/** As peerAt, of our own AS. */
export const innerPeer = (address: string, remoteAs: number, more: SessionOnly = {}): PeerConfig => ({
  address,
  port: 1790,
  remoteAs,
  ...more,
});
