/** `--nat-...`: how natOutgoing translates, as Calico's FelixConfiguration says it (natPortRange, natOutgoingAddress). */
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import { UserError } from '../errors.js';
import type { OutgoingSettings } from '../nat/nat-rules.js';

export interface NatFlags {
  readonly natPortRange?: string;
  readonly natOutgoingInterface?: string;
  readonly natOutgoingAddress?: string;
}

/** Longest name of an interface, by the kernel (IFNAMSIZ). */
const INTERFACE = /^[^\s/:+]{1,15}\+?$/;

/** @throws UserError */
export function parseNatFlags({ natPortRange, natOutgoingInterface, natOutgoingAddress }: NatFlags): OutgoingSettings {
  const ports = natPortRange === undefined ? undefined : parseRange(natPortRange);
  if (natOutgoingInterface !== undefined && (!INTERFACE.test(natOutgoingInterface) || natOutgoingInterface.length > 15))
    throw new UserError(
      `Cannot use --nat-outgoing-interface "${natOutgoingInterface}": expected the name of an interface, or of several as "eth+"`,
      2,
    );
  return {
    ...(ports === undefined ? {} : { ports }),
    ...(natOutgoingInterface === undefined ? {} : { interface: natOutgoingInterface }),
    ...(natOutgoingAddress === undefined ? {} : { addresses: parseAddresses(natOutgoingAddress) }),
  };
}

function parseRange(text: string): { readonly from: number; readonly to: number } {
  const [, first, last] = /^(\d{1,5})[:-](\d{1,5})$/.exec(text) ?? [];
  const from = Number(first);
  const to = Number(last);
  if (!(from >= 1 && from <= to && to <= 65_535))
    throw new UserError(`Cannot use --nat-port-range "${text}": expected FIRST:LAST, two ports from 1 to 65535`, 2);
  return { from, to };
}

function parseAddresses(text: string): OutgoingSettings['addresses'] {
  const addresses = text.split(',').map((one) => {
    const parsed = tryParseAddress(one.trim());
    return parsed === undefined ? undefined : { family: parsed.family, address: formatAddress(parsed) };
  });
  const found = addresses.filter((one) => one !== undefined);
  if (found.length < addresses.length || new Set(found.map(({ family }) => family)).size < found.length)
    throw new UserError(`Cannot use --nat-outgoing-address "${text}": expected an address, or one of each family`, 2);
  return found;
}
