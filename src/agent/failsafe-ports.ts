/** Lists of ports as flags take them: "tcp:22,udp:68"; "none" is an empty list. */
import type { FailsafePort } from '@tortie/policy';
import { UserError } from '../errors.js';

const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['tcp', 6],
  ['udp', 17],
  ['sctp', 132],
]);
const MOST_PORTS = 256;

/** undefined for undefined: the default stands. @throws UserError */
export function parseFailsafePorts(text: string | undefined, flag: string): readonly FailsafePort[] | undefined {
  if (text === undefined) return undefined;
  if (text === 'none') return [];
  const items = text.split(',');
  if (items.length > MOST_PORTS)
    throw new UserError(`Cannot use ${flag}: expected at most ${MOST_PORTS} ports, got ${items.length}`, 2);
  return items.map((item) => {
    const [, name = '', digits = ''] = /^([a-z]+):(\d{1,5})$/.exec(item) ?? [];
    const [protocol, port] = [PROTOCOLS.get(name), Number(digits)];
    if (protocol === undefined || port < 1 || port > 65_535)
      throw new UserError(
        `Cannot use ${flag} "${item}": expected PROTOCOL:PORT as tcp:22, udp:68 or sctp:9, or "none"`,
        2,
      );
    return { protocol, port };
  });
}
