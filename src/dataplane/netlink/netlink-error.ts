/**
 * The kernel refused a netlink request. The sentence carries the request in words, the error, and the kernel's own
 * explanation where it gave one: `Cannot add route 10.65.0.7/32: network is unreachable (ENETUNREACH): Nexthop has invalid gateway`.
 */
import { SystemError } from '../system-error.js';
import type { NetlinkAnswer } from './message.js';

export class NetlinkError extends SystemError {
  override readonly name: string = 'NetlinkError';
  /** The kernel's extended-ack text. */
  readonly explanation: string | undefined;

  /** @param subject what the request was to do, without "Cannot": `add route 10.65.0.7/32`. */
  constructor(
    readonly subject: string,
    readonly answer: NetlinkAnswer,
  ) {
    super(`Cannot ${subject}`, answer.errno);
    this.explanation = answer.explanation;
    if (answer.explanation !== undefined) this.message += `: ${answer.explanation}`;
    else if (answer.missingType !== undefined) this.message += `: attribute ${answer.missingType} is missing`;
  }
}
