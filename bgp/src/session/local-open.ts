/**
 * Our side of an OPEN (RFC 4271 section 4.2) out of a session's settings: which capabilities we announce.
 */
import type { Family } from '../address.js';
import type { AfiSafi, Capability, RoleName } from '../codec/capability.js';
import type { OpenMessage } from '../codec/control-message.js';
import { openAsField } from '../codec/open.js';
import type { CapabilityName } from '../config.js';
import { Afi, Safi } from '../iana.js';
import { isRefused, NOTHING_REFUSED, type RefusedCapabilities } from './refused-capabilities.js';

/** What a session announces; the same for every attempt, but for what a restart changes. */
export interface LocalOpenSettings {
  readonly localAs: number;
  /** Unsigned 32 bits. */
  readonly routerId: number;
  /** Seconds. */
  readonly holdTime: number;
  readonly families: readonly Family[];
  readonly extendedNextHop: boolean;
  readonly capabilitiesOff: readonly CapabilityName[];
  readonly addPathSend: boolean;
  readonly addPathReceive: boolean;
  readonly role: RoleName | undefined;
  /** How long the peer may keep our routes while we are away (RFC 4724), seconds; 0: we do not offer to come back. */
  readonly restartTime: number;
  /** The same after that time (RFC 9494), seconds; 0 is off. */
  readonly longLivedRestartTime: number;
}

/** What graceful restart says about this very moment. */
export interface RestartState {
  /** R bit: we have restarted, do not wait for our End-of-RIB. */
  readonly isRestarting: boolean;
  /** F bit: packets were forwarded all the time. */
  readonly isForwardingPreserved: boolean;
}

/** `refused`: what this peer does not want to see. */
export function localOpen(
  settings: LocalOpenSettings,
  restart: RestartState,
  refused: RefusedCapabilities = NOTHING_REFUSED,
): OpenMessage {
  return {
    type: 'open',
    version: 4,
    as: openAsField(settings.localAs),
    holdTime: settings.holdTime,
    identifier: settings.routerId,
    capabilities: capabilities(settings, restart, refused),
  };
}

const afiSafi = (family: Family): { readonly afi: number; readonly safi: number } => ({
  afi: family === 4 ? Afi.ipv4 : Afi.ipv6,
  safi: Safi.unicast,
});

/** The configuration's name of each that we send. */
const SWITCHES: Readonly<Partial<Record<Capability['type'], CapabilityName>>> = {
  multiprotocol: 'multiprotocol',
  'route-refresh': 'routeRefresh',
  'enhanced-route-refresh': 'enhancedRouteRefresh',
  'extended-message': 'extendedMessage',
  'four-octet-as': 'fourOctetAs',
  'extended-next-hop': 'extendedNextHop',
  'graceful-restart': 'gracefulRestart',
  'long-lived-graceful-restart': 'longLivedGracefulRestart',
  'add-path': 'addPath',
  role: 'role',
};

/** All that this session is for, but for what is switched off or refused. */
function capabilities(
  settings: LocalOpenSettings,
  restart: RestartState,
  refused: RefusedCapabilities,
): readonly Capability[] {
  const isOffered = (capability: Capability): boolean => {
    const name = SWITCHES[capability.type];
    return !isRefused(refused, capability) && (name === undefined || !settings.capabilitiesOff.includes(name));
  };
  const announced = settings.families
    .map((family): Capability => ({ type: 'multiprotocol', ...afiSafi(family) }))
    .filter(isOffered);
  // RFC 4760 section 8: an OPEN that announces no family is for IPv4 unicast.
  const families = settings.families.filter((family) =>
    announced.length === 0 ? family === 4 : isAnnounced(announced, afiSafi(family)),
  );
  const rest = [...PLAIN, ...ownCapabilities(settings, restart, families, announced.length > 0)];
  const offered = rest.filter(isOffered);
  // RFC 9494 section 4.2: the long-lived one means nothing without the other.
  const restarts = offered.some(({ type }) => type === 'graceful-restart');
  return [...announced, ...offered.filter(({ type }) => restarts || type !== 'long-lived-graceful-restart')];
}

const isAnnounced = (announced: readonly Capability[], { afi, safi }: AfiSafi): boolean =>
  announced.some((each) => each.type === 'multiprotocol' && each.afi === afi && each.safi === safi);

const PLAIN: readonly Capability[] = [
  { type: 'route-refresh' },
  { type: 'enhanced-route-refresh' },
  { type: 'extended-message' },
];

/** Those with a content. `families`: what the session is to carry. */
function ownCapabilities(
  settings: LocalOpenSettings,
  restart: RestartState,
  families: readonly Family[],
  isMultiprotocol: boolean,
): readonly Capability[] {
  const carried = families.map(afiSafi);
  const forwarding = carried.map((family) => ({ ...family, forwardingPreserved: restart.isForwardingPreserved }));
  const list: Capability[] = [{ type: 'four-octet-as', as: settings.localAs }];
  // IPv4 with an IPv6 next hop only fits MP_REACH_NLRI.
  if (settings.extendedNextHop && isMultiprotocol && families.includes(4))
    list.push({ type: 'extended-next-hop', families: [{ ...afiSafi(4), nextHopAfi: Afi.ipv6 }] });
  // Without a restart time the capability still says that we send End-of-RIB and can help (RFC 4724 section 3).
  list.push({
    type: 'graceful-restart',
    restarting: restart.isRestarting,
    notification: true,
    restartTime: settings.restartTime,
    families: settings.restartTime > 0 ? forwarding : [],
  });
  if (settings.longLivedRestartTime > 0)
    list.push({
      type: 'long-lived-graceful-restart',
      families: forwarding.map((family) => ({ ...family, staleTime: settings.longLivedRestartTime })),
    });
  if (settings.addPathSend || settings.addPathReceive)
    list.push({
      type: 'add-path',
      families: carried.map((family) => ({ ...family, receive: settings.addPathReceive, send: settings.addPathSend })),
    });
  if (settings.role !== undefined) list.push({ type: 'role', role: settings.role });
  return list;
}
