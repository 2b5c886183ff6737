/** What a filter rule and an originated prefix have to be like beyond the shape of their fields. */
import { containsPrefix, parsePrefix, type IpPrefix } from '../address.js';
import type { FilterRule, OriginatedPrefix } from '../config.js';
import { joinPath, widthOf, type Problem } from './schema.js';

/** RFC 4291 2.5.6, RFC 1112, RFC 4291 2.7. */
const NEVER_ROUTED = ['fe80::/10', '224.0.0.0/4', 'ff00::/8'].map((text) => parsePrefix(text));

/** `parsed`: its prefix; of a table of a million each is parsed once. */
export function checkOriginatedPrefix(
  { prefix }: OriginatedPrefix,
  parsed: IpPrefix,
  path: string,
  problems: Problem[],
): void {
  if (NEVER_ROUTED.some((range) => containsPrefix(range, parsed)))
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
