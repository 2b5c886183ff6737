/**
 * What the kernel means when it refuses to send to an address: which kind of route is in the way. Its names for that, EINVAL before all,
 * say something else to everybody else.
 *
 * Linux: fib_props (net/ipv4/fib_semantics.c) and fib6_prop (net/ipv6/route.c) have one errno for each kind of route.
 */
import { tryParseAddress } from '../address.js';

const REASONS: ReadonlyMap<string, string> = new Map([
  ['EINVAL', 'the route to it is a blackhole'],
  ['EHOSTUNREACH', 'the route to it is an unreachable one, or nobody answers there'],
  ['ENETUNREACH', 'no route leads there'],
  ['EACCES', 'the route to it is a prohibit one, or a router prohibits it'],
]);

/** "the route to it is a blackhole (EINVAL)"; undefined: the code says nothing of routes. `localAddress`: what the socket is bound to. */
export function noWay(code: string, address: string, localAddress?: string): string | undefined {
  const reason = REASONS.get(code);
  if (reason === undefined || (code === 'EINVAL' && isInvalid(address, localAddress))) return undefined;
  return `${reason} (${code})`;
}

/** EINVAL that is meant so: a link-local address without its link, or 127.0.0.0/8 on its way out of the machine. */
const isInvalid = (address: string, localAddress: string | undefined): boolean =>
  (/^fe[89ab]/i.test(address) && !address.includes('%')) || (isLoopback(localAddress) && !isLoopback(address));

function isLoopback(address: string | undefined): boolean {
  const parsed = address === undefined ? undefined : tryParseAddress(address);
  return parsed !== undefined && (parsed.family === 4 ? parsed.value >> 24n === 127n : parsed.value === 1n);
}
