/**
 * What is wrong with something a peer sent, as a value. Decoders return these and never throw for a peer's bytes.
 *
 * The severity is the approach of RFC 7606 section 2, mildest first: `discard` drops one attribute and keeps the route,
 * `withdraw` treats the UPDATE's routes as withdrawn, `reset` ends the session with a NOTIFICATION of exactly this code,
 * subcode and data. Several errors in one message fold to the strongest (RFC 7606 section 3 h).
 */

export type Severity = 'discard' | 'withdraw' | 'reset';

export interface BgpError {
  readonly severity: Severity;
  /** NOTIFICATION Error Code and Error Subcode (see iana.ts: ErrorCode and the subcode tables). */
  readonly code: number;
  readonly subcode: number;
  /** NOTIFICATION Data field. A copy: it outlives the message it was found in. */
  readonly data: Uint8Array;
  /** One sentence for logs and `show`: what was wrong, with the values. */
  readonly reason: string;
}

/** Outcome of a decoder whose only failure is a session reset (OPEN, NOTIFICATION, ROUTE-REFRESH, header). */
export type Decoded<T> =
  | { readonly type: 'ok'; readonly value: T }
  | { readonly type: 'error'; readonly error: BgpError };

export const NO_BYTES: Uint8Array = new Uint8Array(0);

const RANK: Readonly<Record<Severity, number>> = { discard: 1, withdraw: 2, reset: 3 };

export function resetError(code: number, subcode: number, reason: string, data: Uint8Array = NO_BYTES): BgpError {
  return { severity: 'reset', code, subcode, data, reason };
}

export const failed = (error: BgpError): { readonly type: 'error'; readonly error: BgpError } => ({
  type: 'error',
  error,
});
export const decoded = <T>(value: T): { readonly type: 'ok'; readonly value: T } => ({ type: 'ok', value });

/** The error that decides: the strongest, and the first of equals. */
export function strongest(errors: readonly BgpError[]): BgpError | undefined {
  let worst: BgpError | undefined;
  for (const error of errors) if (worst === undefined || RANK[error.severity] > RANK[worst.severity]) worst = error;
  return worst;
}
