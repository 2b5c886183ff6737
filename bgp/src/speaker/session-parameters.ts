/** What one connection is run with (session.ts), where to and with whom, out of a peer's settings. */
import { formatAddress } from '../address.js';
import type { BgpError } from '../codec/bgp-error.js';
import type { OpenMessage } from '../codec/control-message.js';
import { checkOpen, openAs } from '../codec/open.js';
import type { SessionParameters } from '../session/session.js';
import type { ConnectTarget } from '../transport/transport.js';
import { knownAddress, type PeerSettings } from './peer-settings.js';

/** RFC 9687 section 4: the larger of eight minutes and twice the hold time, in seconds. */
const SEND_HOLD_TIME = 480;

/** `isGuest`: the peer has dialled. */
export function sessionParameters(settings: PeerSettings, isGuest: boolean): SessionParameters {
  const {
    localAs,
    enforceFirstAs,
    maxAsPathLength,
    maxAttributesLength,
    delayOpenTime,
    connectRetryTime,
    holdTime,
    keepaliveTime,
  } = settings;
  return {
    localAs,
    enforceFirstAs,
    maxAsPathLength,
    maxAttributesLength,
    extendedMessage: !settings.capabilitiesOff.includes('extendedMessage'),
    fsm: {
      passive: isGuest,
      delayOpenTime,
      dampPeerOscillations: !isGuest,
      connectRetryTime,
      keepaliveTime,
      sendHoldTime: Math.max(SEND_HOLD_TIME, 2 * holdTime),
    },
  };
}

export function connectTarget(settings: PeerSettings): ConnectTarget {
  const { port, localAddress, localPort, interfaceName, hopLimits, password } = settings;
  return {
    remote: { address: formatAddress(knownAddress(settings)), port },
    localAddress,
    localPort,
    interface: interfaceName,
    password,
    ...hopLimits,
  };
}

/** What the peer's OPEN violates. */
export function openProblem(settings: PeerSettings, open: OpenMessage): BgpError | undefined {
  const { localAs, routerId, remoteAs, role, isRoleStrict } = settings;
  const as = openAs(open);
  const expected = remoteAs === 'external' ? remoteAs : (remoteAs.find((each) => each === as) ?? remoteAs[0] ?? 0);
  return checkOpen(open, { localAs, localIdentifier: routerId, remoteAs: expected, role, requireRole: isRoleStrict });
}
