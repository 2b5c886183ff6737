/**
 * What a program that uses node-bgp may write, and what it may not: this file is compiled (`strict`) in an empty project against the
 * packed tarball, and with the rest of the tests. A line under `@ts-expect-error` that compiled would itself be an error.
 */
import {
  ConfigError,
  formatPrefix,
  parseConfig,
  Speaker,
  validateConfig,
  type PeerConfig,
  type RouteChange,
  type SpeakerConfig,
  type SpeakerEvent,
} from 'node-bgp';

export const rack: SpeakerConfig = {
  localAs: 64512,
  routerId: '10.0.0.1',
  listen: [],
  peers: [
    { address: '10.0.0.2', remoteAs: 64513, multihop: 2, nextHopSelf: true, role: 'customer', roleStrict: true },
    { address: 'fe80::1%eth0', remoteAs: 64513, ttlSecurityHops: 1, localAs: 65000, localAsOnly: true },
  ],
  originate: [{ prefix: '10.65.0.0/26', aggregate: { summaryOnly: true } }],
  filters: {
    out: {
      rules: [
        { match: { prefixes: [{ prefix: '10.0.0.0/8', maxLength: 26 }] }, set: { med: 'remove' }, action: 'next' },
      ],
      default: 'reject',
    },
  },
};

const peer = { address: '10.0.0.2', remoteAs: 64513 } as const;
export const unwritable: readonly PeerConfig[] = [
  // @ts-expect-error how far the peer may be is said once
  { ...peer, multihop: 2, ttlSecurityHops: 1 },
  // @ts-expect-error NEXT_HOP is our own or unchanged
  { ...peer, nextHopSelf: true, nextHopUnchanged: true },
  // @ts-expect-error strict about what?
  { ...peer, roleStrict: true },
  // @ts-expect-error which AS only?
  { ...peer, localAsOnly: true },
  // @ts-expect-error a peer has an AS
  { address: '10.0.0.2' },
  // @ts-expect-error no such field
  { ...peer, passwrod: 'x' },
  // @ts-expect-error no such family
  { ...peer, families: ['vpnv4'] },
  // @ts-expect-error no such mode
  { ...peer, addPath: true },
  // @ts-expect-error a limit to how many paths, where none are sent
  { ...peer, addPath: 'receive', addPathLimit: 2 },
];

export async function program(speaker: Speaker): Promise<void> {
  // @ts-expect-error what nobody has checked goes through parseConfig
  await speaker.configure(JSON.parse('{}') as unknown);
  await speaker.configure(parseConfig(JSON.parse('{}')));
  // @ts-expect-error tables are for looking at: what is in them comes from peers and `originate`
  speaker.rib?.holdSelection(true);
  // @ts-expect-error there are no tables before the first `configure`
  speaker.rib.totals(4);
  // @ts-expect-error forwarding changes have one reader
  new Speaker({ keepRoutes: true, onForwarding: () => undefined });
  // @ts-expect-error no such event
  speaker.events(['peer-upp']);
}

export async function watch(speaker: Speaker): Promise<void> {
  for await (const event of speaker.events(['peer-up', 'peer-down'])) {
    // Narrowed: each kind has its own fields.
    if (event.type === 'peer-up') console.log(event.remoteAs, event.families.length);
    else if (event.type === 'peer-down') console.log(event.reason);
    else console.log(event.count);
    // @ts-expect-error a kind that was not asked for does not come
    if (event.type === 'listening') return;
  }
  for await (const { prefix, via } of speaker.routes())
    console.log(
      prefix,
      via.map(({ address = 'on link' }) => address),
    );
}

/** Exhaustive: a new kind of event shows here first. */
export function sentence(event: SpeakerEvent): string {
  switch (event.type) {
    case 'peer-state':
      return event.state;
    case 'peer-up':
      return event.routerId;
    case 'peer-down':
    case 'attempt-failed':
      return `${event.direction}: ${event.reason}`;
    case 'connection-refused':
      return event.address;
    case 'peer-warning':
    case 'update-error':
    case 'stale-swept':
    case 'restart-done':
      return event.reason;
    case 'end-of-rib':
      return String(event.family);
    case 'neighbour-found':
      return event.address;
    case 'bmp-up':
    case 'bmp-down':
      return event.station;
    case 'listening':
    case 'listen-failed':
      return `${event.address} ${event.port}`;
  }
}

export function problems(value: unknown): readonly string[] {
  const checked = validateConfig(value);
  return checked.type === 'valid' ? [] : checked.problems.map(({ path, expected }) => `${path}: ${expected}`);
}

export const isConfigError = (error: unknown): error is ConfigError => error instanceof ConfigError;
export const gone = ({ via }: RouteChange): boolean => via.length === 0;
export const best = (speaker: Speaker): readonly string[] =>
  [...(speaker.rib?.best(4) ?? [])].flat().map(({ prefix }) => formatPrefix(prefix));
