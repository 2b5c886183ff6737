/**
 * The kernel's error numbers as typed errors: what failed, the number's name, and the kernel's own words for it.
 */
import { getSystemErrorMap } from 'node:util';

/** A system call failed. `code` is the symbol ("ENOBUFS"), `errno` the positive number. */
export class SystemError extends Error {
  override readonly name: string = 'SystemError';
  readonly code: string;

  /** @param attempt what was wanted, without a full stop: `Cannot open a netlink socket`. */
  constructor(
    attempt: string,
    readonly errno: number,
  ) {
    super(`${attempt}: ${errnoText(errno)}`);
    this.code = errnoCode(errno);
  }
}

/** "ENOENT" of 2; "errno 530" of a number that has no name. */
export function errnoCode(errno: number): string {
  return errors.get(-errno)?.[0] ?? extraCodes.get(errno)?.[0] ?? `errno ${errno}`;
}

function errnoText(errno: number): string {
  const known = errors.get(-errno) ?? extraCodes.get(errno);
  return known === undefined ? `errno ${errno}` : `${known[1]} (${known[0]})`;
}

/** Node builds a new map at every call. */
const errors = getSystemErrorMap();

/** Numbers that rtnetlink answers with and that libuv, whose map Node shows, has no name for (asm-generic/errno.h). */
const extraCodes: ReadonlyMap<number, readonly [code: string, text: string]> = new Map([
  [6, ['ENXIO', 'no such device or address']],
  [42, ['ENOMSG', 'no message of desired type']],
  [61, ['ENODATA', 'no data available']],
  [117, ['EUCLEAN', 'structure needs cleaning']],
]);
