/**
 * The echo function (RFC 5880 sections 6.4, 6.8.5 and 6.8.9, RFC 5881): packets addressed to ourselves, which the peer's forwarding plane
 * sends back without its BFD hearing of them. They prove what control packets cannot: that the peer forwards.
 *
 * Silence is counted in packets and not in time: a look at the clock would blame the peer for our own delays. When an echo is due, all that
 * have come back are read first; `multiplier` of them missing in a row is a failure. Nothing is judged before the first echo has come back:
 * a peer that says it loops and does not (Linux without forwarding) would otherwise never stay up.
 *
 * ```
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                     Our discriminator                         |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |     Secret: random, new each time the session comes up        |
 * |                                                               |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                     Sequence, from 1                          |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * ```
 * The form is ours alone (RFC 5880 section 5): nobody else reads it.
 */
import { read32, write32 } from '../codec/octets.js';

const ECHO_LENGTH = 16;
const SECRET_AT = 4;
export const SECRET_LENGTH = 8;
const SEQUENCE_AT = 12;

export interface Echo {
  readonly secret: Uint8Array;
  /** Echoes sent, which is the sequence of the last one. */
  readonly sent: number;
  /** Sequence of the last one that came back. */
  readonly returned: number;
  /** One has come back in time: from here on missing ones are a failure. */
  readonly isProven: boolean;
}

export const newEcho = (secret: Uint8Array): Echo => ({ secret, sent: 0, returned: 0, isProven: false });

/** The next echo, and what is left to wait for. */
export function sendEcho(echo: Echo, discriminator: number): readonly [Echo, packet: Uint8Array] {
  const packet = new Uint8Array(ECHO_LENGTH);
  write32(packet, 0, discriminator);
  packet.set(echo.secret, SECRET_AT);
  write32(packet, SEQUENCE_AT, echo.sent + 1);
  return [{ ...echo, sent: echo.sent + 1 }, packet];
}

/** Whose echo it is, if it is one; undefined: it is none of ours. */
export const echoDiscriminator = (packet: Uint8Array): number | undefined =>
  packet.length < ECHO_LENGTH ? undefined : read32(packet, 0);

/** What came back; unchanged where the secret is wrong, or the sequence was never sent or is already passed. */
export function hearEcho(echo: Echo, packet: Uint8Array, multiplier: number): Echo {
  const sequence = packet.length < ECHO_LENGTH ? 0 : read32(packet, SEQUENCE_AT);
  const isOurs = echo.secret.every((octet, index) => packet[SECRET_AT + index] === octet);
  if (!isOurs || sequence <= echo.returned || sequence > echo.sent) return echo;
  return { ...echo, returned: sequence, isProven: echo.isProven || echo.sent - sequence < multiplier };
}

/** Section 6.8.5: a sufficient number of echoes has not arrived. */
export const isEchoLost = (echo: Echo, multiplier: number): boolean =>
  echo.isProven && echo.sent - echo.returned >= multiplier;
