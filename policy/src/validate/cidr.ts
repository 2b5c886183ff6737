/**
 * CIDR text as Kubernetes' older fields take it: host bits are legal and masked, and leading zeros are read as decimal (Go's
 * parser before 1.17, kept by k8s.io/utils/net as "sloppy").
 */
import { tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { invalid, type Problem } from '../problem.js';

export function tryParseCidr(text: string): IpPrefix | undefined {
  return tryParsePrefix(text) ?? tryParsePrefix(withoutLeadingZeros(text));
}

export function validateCidr(text: string, field: string): readonly Problem[] {
  return tryParseCidr(text) === undefined
    ? [invalid(field, text, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')]
    : [];
}

/** Of the dotted quad only; hexadecimal groups of IPv6 take leading zeros anyway. */
function withoutLeadingZeros(text: string): string {
  return text.replace(
    /^(\d+)\.(\d+)\.(\d+)\.(\d+)\//,
    (_, ...parts: string[]) =>
      `${parts
        .slice(0, 4)
        .map((part) => part.replace(/^0+(?=\d)/, ''))
        .join('.')}/`,
  );
}
