/** What one connection is run with (session.ts), out of a peer's settings. */
import type { SessionParameters } from '../session/session.js';
import type { PeerSettings } from './peer-settings.js';

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
