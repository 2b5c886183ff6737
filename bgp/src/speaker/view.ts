/**
 * What `show` commands, status and metrics read: plain JSON, made on demand. Field names are a contract of `tortie bgpd`'s API.
 */
import { formatIpv4, type Family } from '../address.js';
import type { BfdState } from '../bfd/packet.js';
import type { Capability } from '../codec/capability.js';
import type { FamilyName } from '../config.js';
import type { FsmStateType } from '../fsm/state.js';
import type { PeerCounts, RibQueries } from '../rib/answers.js';
import type { PeerId } from '../rib/rib-peer.js';
import type { MessageCounters } from '../session/message-counters.js';
import { noFamilyText, offersView, type OffersView } from './offers.js';
import { peerAddressText } from './peer-settings.js';
import type { LastError } from './peer-failures.js';
import type { Peer } from './peer.js';
import type { StaleView } from './restart-helper.js';

export interface PeerSummary {
  readonly name: string;
  /** With the interface of a link-local one: "fe80::1%eth0". The interface alone while an unnumbered peer's address is not known. */
  readonly address: string;
  /** Of an unnumbered peer. */
  readonly interface?: string;
  readonly description?: string;
  /** Our end of the session, while there is one. */
  readonly localAddress?: string;
  readonly type: 'ebgp' | 'ibgp';
  /** 0: any external one, and there is no session. */
  readonly remoteAs: number;
  readonly localAs: number;
  readonly state: FsmStateType;
  readonly isEstablished: boolean;
  /** Why it is held down on purpose. */
  readonly heldDown?: string;
  /** ISO time of the last change from or to Established (or of the start). */
  readonly since: string;
  readonly seconds: number;
  /** How often it was Established since the start. */
  readonly establishedCount: number;
  readonly families: Readonly<Partial<Record<FamilyName, PeerCounts>>>;
  readonly messagesReceived: number;
  readonly messagesSent: number;
  /** Octets waiting for the peer to read. */
  readonly queuedBytes: number;
  /** What is wrong with a session that is Established: it has no address family in common, and so carries no routes. */
  readonly problem?: string;
  /** The last error of any direction. */
  readonly lastError?: string;
}

export interface ErrorView {
  readonly at: string;
  readonly text: string;
}

export interface PeerDetail extends PeerSummary {
  readonly local?: string;
  readonly remote?: string;
  /** The peer's BGP identifier. */
  readonly routerId?: string;
  readonly holdTime?: number;
  /** What was agreed on. */
  readonly capabilities: Readonly<Record<string, boolean | string | number>>;
  /** What each end offered. */
  readonly offers: OffersView;
  /** Seconds left, by RFC name. */
  readonly timers: Readonly<Record<string, number>>;
  readonly received?: MessageCounters;
  readonly sent?: MessageCounters;
  readonly errors: { readonly sent?: ErrorView; readonly received?: ErrorView; readonly local?: ErrorView };
  /** Routes kept over a restart of the peer. */
  readonly stale: readonly StaleView[];
  /** Present where BFD watches the session. */
  readonly bfd?: BfdState;
  readonly maxPrefixes: number;
  readonly importFilters: readonly string[];
  readonly exportFilters: readonly string[];
}

export interface SpeakerSummary {
  readonly localAs: number;
  readonly routerId: string;
  readonly startedAt: string;
  readonly seconds: number;
  /** Waiting for End-of-RIB after a crash (RFC 4724 section 4.1). */
  readonly isRestarting: boolean;
  readonly isDraining: boolean;
  readonly listen: readonly { readonly address: string; readonly port: number; readonly problem?: string }[];
  /** BMP stations (RFC 7854). */
  readonly bmp: readonly { readonly station: string; readonly isUp: boolean }[];
  readonly tables: Readonly<Record<FamilyName, { readonly prefixes: number; readonly paths: number }>>;
  readonly peers: readonly PeerSummary[];
}

const familyName = (family: Family): FamilyName => (family === 4 ? 'ipv4' : 'ipv6');
const TIMERS = ['Hold', 'Keepalive', 'ConnectRetry', 'IdleHold', 'SendHold', 'DelayOpen'] as const;

export function peerSummary(peer: Peer, rib: RibQueries, id: PeerId | undefined, wallTime: number): PeerSummary {
  const { settings, session } = peer;
  const remoteAs =
    session?.negotiated?.peerAs ?? (settings.remoteAs === 'external' ? undefined : settings.remoteAs[0]) ?? 0;
  const families = session?.negotiated?.families ?? settings.families;
  const counts =
    id === undefined ? [] : families.map((family) => [familyName(family), rib.counts(id, family)] as const);
  return {
    name: settings.name,
    address: peerAddressText(settings),
    ...(settings.isUnnumbered ? { interface: settings.interfaceName } : {}),
    ...(settings.description === undefined ? {} : { description: settings.description }),
    ...(session?.endpoints === undefined ? {} : { localAddress: session.endpoints.local.address }),
    type: remoteAs === settings.localAs ? 'ibgp' : 'ebgp',
    remoteAs,
    localAs: settings.localAs,
    state: peer.state,
    isEstablished: peer.isEstablished,
    ...(peer.blockedBy === undefined ? {} : { heldDown: peer.blockedBy.text }),
    since: new Date(peer.changedAt).toISOString(),
    seconds: Math.max(0, Math.round((wallTime - peer.changedAt) / 1000)),
    establishedCount: peer.establishedCount,
    families: Object.fromEntries(counts),
    messagesReceived: session === undefined ? 0 : totalOf(session.received),
    messagesSent: session === undefined ? 0 : totalOf(session.sent),
    queuedBytes: (session?.queuedBytes ?? 0) + (id === undefined || session === undefined ? 0 : rib.outputPending(id)),
    ...(session?.negotiated?.families.length === 0 ? { problem: noFamilyText(peer.opens) } : {}),
    ...lastErrorOf(peer),
  };
}

export function peerDetail(
  peer: Peer,
  rib: RibQueries,
  id: PeerId | undefined,
  more: Pick<PeerDetail, 'stale' | 'bfd'> & { readonly refused: readonly Capability[] },
  wallTime: number,
): PeerDetail {
  const { settings, session } = peer;
  const endpoints = session?.endpoints;
  const negotiated = session?.negotiated;
  const timers = TIMERS.flatMap((timer) => {
    const left = session?.remaining(timer);
    return left === undefined ? [] : [[timer, Math.round(left / 100) / 10] as const];
  });
  return {
    ...peerSummary(peer, rib, id, wallTime),
    ...(endpoints === undefined
      ? {}
      : { local: endpointText(endpoints.local), remote: endpointText(endpoints.remote) }),
    ...(negotiated === undefined
      ? {}
      : { routerId: formatIpv4(negotiated.peerIdentifier), holdTime: negotiated.holdTime }),
    capabilities:
      negotiated === undefined
        ? {}
        : {
            fourOctetAs: negotiated.encode.as4,
            routeRefresh: negotiated.routeRefresh,
            enhancedRouteRefresh: negotiated.enhancedRouteRefresh,
            extendedMessage: negotiated.encode.maxMessageLength > 4096,
            extendedNextHop: negotiated.encode.extendedNextHop,
            addPathReceive: negotiated.decode.addPathIpv4 || negotiated.decode.addPathIpv6,
            addPathSend: negotiated.encode.addPathIpv4 || negotiated.encode.addPathIpv6,
            gracefulRestart: negotiated.gracefulRestart !== undefined,
            restartTime: negotiated.gracefulRestart?.restartTime ?? 0,
            notificationRestart: negotiated.notificationRestart,
            longLivedGracefulRestart: negotiated.longLivedGracefulRestart !== undefined,
            ...(negotiated.peerRole === undefined ? {} : { role: negotiated.peerRole }),
          },
    offers: offersView(peer.opens, more.refused),
    timers: Object.fromEntries(timers),
    ...(session === undefined ? {} : { received: { ...session.received }, sent: { ...session.sent } }),
    errors: Object.fromEntries(
      Object.entries(peer.lastError).map(([direction, error]) => [direction, errorView(error)]),
    ),
    stale: more.stale,
    ...(more.bfd === undefined ? {} : { bfd: more.bfd }),
    maxPrefixes: settings.maxPrefixes.limit,
    importFilters: settings.import,
    exportFilters: settings.export,
  };
}

function totalOf({ open, update, notification, keepalive, routeRefresh }: MessageCounters): number {
  return open + update + notification + keepalive + routeRefresh;
}

/** Long enough to cover the longest pause between two attempts. */
const SPOKEN_COUNTS_FOR = 150_000;

/**
 * What was said over the wire explains more than what TCP did afterwards: a peer that has refused us and then closes the next
 * connections should still be shown with its reason. Not so of what was before a fresh start, such as a reset for new settings: attempts
 * that have failed since do so for reasons of their own.
 */
function lastErrorOf({ lastError }: Peer): { readonly lastError?: string } {
  const byTime = (errors: readonly (LastError | undefined)[]): LastError | undefined =>
    errors.filter((error) => error !== undefined).sort((a, b) => b.at - a.at)[0];
  const spoken = byTime([lastError.sent, lastError.received]);
  const latest = byTime([spoken, lastError.local]);
  if (latest === undefined) return {};
  const isSpoken = spoken?.isHistory === false && latest.at - spoken.at < SPOKEN_COUNTS_FOR;
  return { lastError: isSpoken ? spoken.text : latest.text };
}

const errorView = ({ at, text }: LastError): ErrorView => ({ at: new Date(at).toISOString(), text });

function endpointText({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
