/**
 * `tortie tor-verify`: what a router's OPEN and routes say against what this node's bgpd was told to want of it. Pure: from bgpd's own
 * configuration and its answers. What the router thinks of us is not to be seen from here; what it sends is.
 */
import type { PeerConfig, SpeakerConfig } from 'node-bgp/config';
import { peerLocation } from 'node-bgp/config/peer-rules';
import type { PeerDetail } from 'node-bgp/speaker/view';
import type { FindingOf, Severity } from '../doctor/finding.js';

/** Each with what it compares. */
export const TOR_CHECKS = {
  session: 'whether the session is up',
  families: 'address families wanted, against those agreed on',
  'graceful-restart': 'whether the router keeps our routes while bgpd restarts (RFC 4724)',
  'route-refresh': 'whether the router can be asked for its routes again (RFC 2918)',
  'hold-time': 'the hold time wanted, against the one agreed on',
  'four-octet-as': 'whether the router knows AS numbers above 65535 (RFC 6793), where ours is',
  bfd: 'whether BFD is up, where it is wanted',
  heard: 'routes that the router announces, and how many of them are accepted',
  told: 'routes that we announce to it',
} as const;

export type TorCheck = keyof typeof TOR_CHECKS;
export type TorFinding = FindingOf<TorCheck>;

const DEFAULT_HOLD_TIME = 90;
const CODE = { routeRefresh: 2, gracefulRestart: 64, fourOctetAs: 65 } as const;
const MOST_TWO_OCTET_AS = 65_535;

/** @param isRouter which peers are looked at */
export function verifyTors(
  config: SpeakerConfig,
  neighbors: readonly PeerDetail[],
  isRouter: (peer: PeerDetail) => boolean,
): { readonly peers: readonly string[]; readonly findings: readonly TorFinding[] } {
  const wanted = new Map((config.peers ?? []).map((peer) => [peer.name ?? peerLocation(peer), peer]));
  const routers = neighbors.filter(isRouter);
  return {
    peers: routers.map(({ name }) => name),
    findings: routers.flatMap((peer) =>
      findingsOf(peer, wanted.get(peer.name)).map((said) => ({ ...said, where: `${peer.name} (${peer.address})` })),
    ),
  };
}

type Said = Omit<TorFinding, 'where'>;

function findingsOf(peer: PeerDetail, wanted: PeerConfig | undefined): readonly Said[] {
  if (!peer.isEstablished)
    return [
      said(
        'session',
        'error',
        `The session is ${peer.state}: ${peer.heldDown ?? peer.lastError ?? 'nothing was heard yet'}`,
        'Compare the router with what `tortie tor-config` prints: AS, addresses, key, distance; is TCP 179 open between them?',
      ),
    ];
  return [
    ...families(peer, wanted),
    ...capabilities(peer),
    ...timers(peer, wanted),
    ...bfd(peer, wanted),
    ...heard(peer),
    ...told(peer),
  ];
}

const said = (check: TorCheck, severity: Severity, evidence: string, remedy: string): Said => ({
  check,
  severity,
  evidence,
  remedy,
});

function families({ families: agreed }: PeerDetail, wanted: PeerConfig | undefined): readonly Said[] {
  const missing = (wanted?.families ?? []).filter((family) => agreed[family] === undefined);
  return missing.length === 0
    ? []
    : [
        said(
          'families',
          'error',
          `The router does not offer ${missing.join(' and ')}, which is wanted`,
          'Activate the neighbour in that address family on the router.',
        ),
      ];
}

function capabilities({ offers, localAs }: PeerDetail): readonly Said[] {
  const theirs = new Set((offers.theirs ?? []).map(({ code }) => code));
  return [
    ...(theirs.has(CODE.gracefulRestart)
      ? []
      : [
          said(
            'graceful-restart',
            'warning',
            'The router does not offer graceful restart: it drops our routes whenever bgpd restarts',
            'Turn graceful restart, or the helper of it, on at the router.',
          ),
        ]),
    ...(theirs.has(CODE.routeRefresh)
      ? []
      : [
          said(
            'route-refresh',
            'warning',
            'The router does not offer route refresh: a changed filter acts only after the session was reset',
            'Use a version of its software that speaks RFC 2918.',
          ),
        ]),
    ...(theirs.has(CODE.fourOctetAs) || localAs <= MOST_TWO_OCTET_AS
      ? []
      : [
          said(
            'four-octet-as',
            'warning',
            `The router does not know AS numbers above 65535, and ours is ${localAs}: it sees 23456`,
            'Give nodes an AS number below 65536, or the router newer software.',
          ),
        ]),
  ];
}

function timers({ holdTime }: PeerDetail, wanted: PeerConfig | undefined): readonly Said[] {
  const ours = wanted?.holdTime ?? DEFAULT_HOLD_TIME;
  return holdTime === undefined || holdTime === ours
    ? []
    : [
        said(
          'hold-time',
          'info',
          `The hold time agreed on is ${holdTime} s; ${ours} s is wanted (the lower of both counts)`,
          'Set the same on both ends.',
        ),
      ];
}

function bfd({ bfd: state }: PeerDetail, wanted: PeerConfig | undefined): readonly Said[] {
  return wanted?.bfd === undefined || state === 'up'
    ? []
    : [
        said(
          'bfd',
          'error',
          `BFD is ${state ?? 'not there'}, and it is wanted`,
          'Turn BFD on for the neighbour on the router; are UDP 3784 and 4784 open between them?',
        ),
      ];
}

function heard({ families: counts }: PeerDetail): readonly Said[] {
  return Object.entries(counts).flatMap(([family, { received, accepted }]) => {
    if (received === 0)
      return [
        said(
          'heard',
          'warning',
          `The router announces nothing over ${family}: neither a default route nor other nodes`,
          'Does it have such routes, and does its export filter let them out?',
        ),
      ];
    return accepted === received
      ? []
      : [
          said(
            'heard',
            'warning',
            `Of ${received} prefixes over ${family} ${accepted} are accepted`,
            'Filters left the others out, or they have our own AS in their path: `tortie bgp routes --received PEER --before-policy`.',
          ),
        ];
  });
}

function told({ families: counts }: PeerDetail): readonly Said[] {
  return Object.entries(counts).flatMap(([family, { advertised }]) =>
    advertised > 0
      ? []
      : [
          said(
            'told',
            'warning',
            `We announce nothing to it over ${family}`,
            'The node has no block of that family yet, its pool has disableBGPExport, or a BGPFilter keeps everything in.',
          ),
        ],
  );
}
