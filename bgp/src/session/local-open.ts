/**
 * Our side of an OPEN (RFC 4271 section 4.2) out of a session's settings: which capabilities we announce.
 */
import type { Family } from '../address.js';
import type { Capability, RoleName } from '../codec/capability.js';
import type { OpenMessage } from '../codec/control-message.js';
import { openAsField } from '../codec/open.js';
import { Afi, Safi } from '../iana.js';

/** What a session announces; the same for every attempt, but for what a restart changes. */
export interface LocalOpenSettings {
  readonly localAs: number;
  /** Unsigned 32 bits. */
  readonly routerId: number;
  /** Seconds. */
  readonly holdTime: number;
  readonly families: readonly Family[];
  readonly extendedNextHop: boolean;
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

export function localOpen(settings: LocalOpenSettings, restart: RestartState): OpenMessage {
  return {
    type: 'open',
    version: 4,
    as: openAsField(settings.localAs),
    holdTime: settings.holdTime,
    identifier: settings.routerId,
    capabilities: capabilities(settings, restart),
  };
}

const afiSafi = (family: Family): { readonly afi: number; readonly safi: number } => ({
  afi: family === 4 ? Afi.ipv4 : Afi.ipv6,
  safi: Safi.unicast,
});

function capabilities(settings: LocalOpenSettings, restart: RestartState): readonly Capability[] {
  const families = settings.families.map(afiSafi);
  const forwarding = families.map((family) => ({ ...family, forwardingPreserved: restart.isForwardingPreserved }));
  const list: Capability[] = families.map((family) => ({ type: 'multiprotocol', ...family }));
  list.push(
    { type: 'route-refresh' },
    { type: 'enhanced-route-refresh' },
    { type: 'extended-message' },
    { type: 'four-octet-as', as: settings.localAs },
  );
  if (settings.extendedNextHop)
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
      families: families.map((family) => ({ ...family, receive: settings.addPathReceive, send: settings.addPathSend })),
    });
  if (settings.role !== undefined) list.push({ type: 'role', role: settings.role });
  return list;
}
