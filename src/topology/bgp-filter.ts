/**
 * Calico's BGPFilter as the speaker's filters: one filter per direction and family. Every rule passes the speaker's own rules, or stands
 * there as "reject everything": what cannot be understood must not let through what it might have been meant to hold back.
 */
import { bitsOf, formatPrefix, tryParsePrefix, type Family } from 'node-bgp/address';
import type { FilterConfig, FilterMatch, FilterRule, FilterSet } from 'node-bgp/config';
import { ruleProblems } from 'node-bgp/config/parts';
import type { BGPFilter, BGPFilterRule } from '../api/bgp.js';
import { filterName } from './filter-names.js';
import { quoted } from './problems.js';
import { parseAsNumber } from './values.js';

export const FILTER_PARTS = [
  ['exportV4', 'export', 4],
  ['importV4', 'import', 4],
  ['exportV6', 'export', 6],
  ['importV6', 'import', 6],
] as const;

/** Told of a field of the resource: "spec.exportV4[0].cidr", a text that goes on after it. */
export type ReportField = (field: string, text: string) => void;

const OUTCOME = 'this rule and all after it reject everything';

/** BOUNDED: rules of one part, which the schema allows 256 of, and their values: each is asked of each route until one decides. */
const MOST_RULES = 256;
const MOST_VALUES = 4_096;

export function translateFilter(
  { metadata, spec }: BGPFilter,
  report: ReportField,
  normalPriority: (family: Family) => number,
): readonly (readonly [string, FilterConfig])[] {
  return FILTER_PARTS.map(([part, direction, family]) => {
    const rules: FilterRule[] = [];
    let values = 0;
    for (const [index, rule] of (spec[part] ?? []).entries()) {
      values += valuesOf(rule);
      if (index >= MOST_RULES || values > MOST_VALUES) {
        const most = index >= MOST_RULES ? `${MOST_RULES} rules` : `${MOST_VALUES} values in all rules`;
        report(`spec.${part}[${index}]`, `is one too many; expected at most ${most}; ${OUTCOME}`);
        rules.push({ name: `BGPFilter/${metadata.name} ${part}[${index}]`.slice(-256), action: 'reject' });
        break;
      }
      const name = `BGPFilter/${metadata.name} ${part}[${index}]`.slice(-256);
      const translated = translateRule(rule, { name, direction, family }, (field, text) =>
        report(`spec.${part}[${index}]${field === '' ? '' : `.${field}`}`, text),
      );
      rules.push(
        ...(translated === undefined
          ? [{ name, action: 'reject' } as const]
          : withUnset(translated, normalPriority(family))),
      );
      if (translated === undefined) break;
    }
    return [filterName(metadata.name, direction, family), { rules, default: 'next' }];
  });
}

/** Communities, AS numbers and operations of a rule. */
const valuesOf = ({ communities, asPathPrefix, operations }: BGPFilterRule): number =>
  (communities?.values.length ?? 0) +
  (asPathPrefix?.length ?? 0) +
  (operations ?? []).reduce((sum, { prependASPath }) => sum + 1 + (prependASPath?.prefix.length ?? 0), 0);

/** Calico gives every route a priority, 1024 if nobody says otherwise; the speaker knows those only that somebody has set. */
export const NORMAL_PRIORITY = 1024;

function withUnset(rule: FilterRule, normalPriority: number): readonly FilterRule[] {
  if (rule.match?.kernelMetric !== normalPriority) return [rule];
  return [rule, { ...rule, match: { ...rule.match, kernelMetric: 'none' } }];
}

interface RulePlace {
  /** In words: "BGPFilter/f importV4[1]". */
  readonly name: string;
  readonly direction: 'import' | 'export';
  readonly family: Family;
}

/** Undefined, and told, when a part cannot be understood. */
function translateRule(rule: BGPFilterRule, place: RulePlace, report: ReportField): FilterRule | undefined {
  const { name, family } = place;
  const prefixes = prefixesOf(rule, family, report);
  const set = setOf(rule, place, report);
  if (prefixes === undefined || set === undefined) return undefined;
  const translated: FilterRule = {
    name,
    match: { ...prefixes, ...matchOf(rule) },
    action: rule.action === 'Accept' ? 'accept' : 'reject',
    ...(Object.keys(set).length === 0 ? {} : { set }),
  };
  const problems = ruleProblems(translated);
  for (const { path, value, expected } of problems)
    if (path.startsWith('match.prefixes'))
      report('prefixLength', `is ${quoted(rule.prefixLength)}; expected min <= max <= ${bitsOf(family)}; ${OUTCOME}`);
    else report(fieldAt(path, rule), `is ${quoted(value)}; expected ${expected}; ${OUTCOME}`);
  return problems.length === 0 ? translated : undefined;
}

/** Where the speaker's fields stand in a rule of a BGPFilter. */
const FIELDS: readonly (readonly [RegExp, string])[] = [
  [/^match\.communities(\[\d+\])?/, 'communities.values$1'],
  [/^match\.asPathPrefix(\[\d+\])?/, 'asPathPrefix$1'],
  [/^match\.interfaces/, 'interface'],
  [/^match\.kernelMetric/, 'priority'],
];

function fieldAt(path: string, rule: BGPFilterRule): string {
  if (path.startsWith('set')) return operationAt(path, rule);
  const row = FIELDS.find(([pattern]) => pattern.test(path));
  return row === undefined ? '' : path.replace(new RegExp(`${row[0].source}.*`), row[1]);
}

/** As setOf puts them together: communities in order, of paths the last before the first, of priorities the last alone. */
function operationAt(path: string, { operations = [] }: BGPFilterRule): string {
  const [, kind = '', index = '0'] = /^set\.(\w+)(?:\[(\d+)\])?/.exec(path) ?? [];
  const places = operations.flatMap((operation, at): readonly string[] => {
    if (kind === 'addCommunities') return operation.addCommunity === undefined ? [] : [`[${at}].addCommunity.value`];
    if (kind === 'kernelMetric') return operation.setPriority === undefined ? [] : [`[${at}].setPriority.value`];
    return [];
  });
  if (kind === 'prependAs' && path.includes('['))
    places.push(
      ...operations
        .map(({ prependASPath }, at) =>
          (prependASPath?.prefix ?? []).map((_, each) => `[${at}].prependASPath.prefix[${each}]`),
        )
        .reverse()
        .flat(),
    );
  return `operations${(kind === 'kernelMetric' ? places.at(-1) : places[Number(index)]) ?? ''}`;
}

function matchOf(rule: BGPFilterRule): FilterMatch {
  return {
    ...(isGiven(rule.source) ? { source: ['ebgp', 'ibgp'] as const } : {}),
    ...(isGiven(rule.peerType) ? { peerTypes: [rule.peerType === 'eBGP' ? 'ebgp' : 'ibgp'] as const } : {}),
    ...(isGiven(rule.interface) ? { interfaces: [rule.interface] } : {}),
    ...(rule.communities === undefined ? {} : { communities: rule.communities.values }),
    ...(rule.asPathPrefix === undefined ? {} : { asPathPrefix: rule.asPathPrefix.map(readAsNumber) }),
    ...(rule.priority === undefined ? {} : { kernelMetric: rule.priority }),
  };
}

const isGiven = <T extends string>(text: T | undefined): text is T => text !== undefined && text !== '';

/** What is no AS number is shown to the speaker's rules as it stands. */
const readAsNumber = (value: number | string): number => parseAsNumber(value) ?? (value as number);

/** Equal and In are what they say; NotEqual and NotIn negate. `In` holds every longer prefix (prefixLength narrows it). */
function prefixesOf(
  rule: BGPFilterRule,
  family: Family,
  report: ReportField,
): Pick<FilterMatch, 'prefixes'> | undefined {
  if (!isGiven(rule.cidr)) return {};
  const prefix = tryParsePrefix(rule.cidr);
  if (prefix === undefined || prefix.family !== family) {
    report('cidr', `is ${quoted(rule.cidr)}; expected an IPv${family} CIDR; ${OUTCOME}`);
    return undefined;
  }
  const text = formatPrefix(prefix);
  const { min = prefix.length, max } = rule.prefixLength ?? {};
  const isIn = rule.matchOperator === 'In' || rule.matchOperator === 'NotIn';
  if (!isIn && (min > prefix.length || (max ?? prefix.length) < prefix.length)) {
    report(
      'prefixLength',
      `is ${quoted(rule.prefixLength)} beside matchOperator ${rule.matchOperator ?? 'Equal'}, which asks for ` +
        `length ${prefix.length}; expected a range that holds it, or In or NotIn; ${OUTCOME}`,
    );
    return undefined;
  }
  const range = isIn ? { prefix: text, minLength: min, maxLength: max ?? bitsOf(family) } : { prefix: text };
  const isNegated = rule.matchOperator === 'NotEqual' || rule.matchOperator === 'NotIn';
  return { prefixes: [isNegated ? { ...range, not: true } : range] };
}

function setOf(rule: BGPFilterRule, { direction, family }: RulePlace, report: ReportField): FilterSet | undefined {
  let set: FilterSet = {};
  for (const [index, operation] of (rule.operations ?? []).entries()) {
    if (operation.addCommunity !== undefined)
      set = { ...set, addCommunities: [...(set.addCommunities ?? []), operation.addCommunity.value] };
    else if (operation.prependASPath !== undefined)
      set = { ...set, prependAs: [...operation.prependASPath.prefix.map(readAsNumber), ...(set.prependAs ?? [])] };
    else if (operation.setPriority !== undefined && direction === 'export')
      report(
        `operations[${index}].setPriority`,
        `has no effect: it sets the metric in this node's kernel, and no peer hears of that; expected it in importV${family}; ` +
          'the rest of the rule holds',
      );
    else if (operation.setPriority !== undefined) set = { ...set, kernelMetric: operation.setPriority.value };
    else {
      report(`operations[${index}]`, `is empty; expected addCommunity, prependASPath or setPriority; ${OUTCOME}`);
      return undefined;
    }
  }
  return set;
}
