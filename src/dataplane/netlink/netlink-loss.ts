/** The two ways in which answers of the kernel may not be the whole truth; both are read again. */
import { NetlinkProtocolError } from './message.js';

/** Answers were lost (ENOBUFS): the kernel has applied the batch or part of it. Read back what is there. */
export class NetlinkOverflowError extends Error {
  override readonly name = 'NetlinkOverflowError';
}

/** What was to be read changed during every attempt: try again later. */
export class NetlinkUnsteadyError extends NetlinkProtocolError {
  override readonly name = 'NetlinkUnsteadyError';
}
