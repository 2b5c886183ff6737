/** What a filter rule and an originated prefix have to be like beyond the shape of their fields. */
import { containsPrefix, parsePrefix, type IpPrefix } from '../address.js';
import type { FilterRule, OriginatedPrefix } from '../config.js';
import { joinPath, widthOf, type Problem } from './schema.js';

/** What is no address of a host, or none beyond its link: RFC 6890, RFC 1112, RFC 4291 2.5 and 2.7. */
const NEVER_ROUTED = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/127',
  '::ffff:0:0/96',
  'fe80::/10',
  'ff00::/8',
].map((text) => parsePrefix(text));

/** Can no prefix that is announced lie in it? */
export const isNeverRouted = (prefix: IpPrefix): boolean => NEVER_ROUTED.some((range) => containsPrefix(range, prefix));

/** `parsed`: its prefix; of a table of a million each is parsed once. */
export function checkOriginatedPrefix(
  { prefix }: OriginatedPrefix,
  parsed: IpPrefix,
  path: string,
  problems: Problem[],
): void {
  if (isNeverRouted(parsed))
    problems.push({
      path: joinPath(path, 'prefix'),
      value: prefix,
      expected: 'a unicast prefix that may leave the link',
    });
}

export function checkRule(rule: FilterRule, path: string, problems: Problem[]): void {
  for (const [index, match] of (rule.match?.prefixes ?? []).entries()) {
    const length = Number(match.prefix.split('/')[1]);
    const [min, max] = [match.minLength ?? length, match.maxLength ?? Math.max(length, match.minLength ?? length)];
    if (max < min || max > widthOf(match.prefix))
      problems.push({
        path: `${joinPath(path, 'match')}.prefixes[${index}]`,
        value: match,
        expected: `minLength <= maxLength <= ${widthOf(match.prefix)}`,
      });
  }
}
