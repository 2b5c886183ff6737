/** Calico's BGPFilter as the speaker's filters: one filter per direction and family. */
import { bitsOf, formatPrefix, tryParsePrefix, type Family } from 'node-bgp/address';
import type { FilterConfig, FilterMatch, FilterRule, FilterSet } from 'node-bgp/config';
import type { BGPFilter, BGPFilterRule } from '../api/bgp.js';

export const filterName = (name: string, direction: 'import' | 'export', family: Family): string =>
  `${name}-${direction}-v${family}`;

const PARTS = [
  ['exportV4', 'export', 4],
  ['importV4', 'import', 4],
  ['exportV6', 'export', 6],
  ['importV6', 'import', 6],
] as const;

/** Rules that cannot be understood reject what they might have meant: everything, from there on. */
export function translateFilter(
  { metadata, spec }: BGPFilter,
  report: (resource: string, message: string) => void,
): readonly (readonly [string, FilterConfig])[] {
  return PARTS.map(([field, direction, family]) => {
    const rules: FilterRule[] = [];
    for (const [index, rule] of (spec[field] ?? []).entries()) {
      const translated = translateRule(rule, family, (part, what) =>
        report(`BGPFilter/${metadata.name}`, `spec.${field}[${index}].${part} ${what}`),
      );
      rules.push(...(translated ?? [{ name: `${field}[${index}], not understood`, action: 'reject' }]));
      if (translated === undefined) break;
    }
    return [filterName(metadata.name, direction, family), { rules, default: 'next' }];
  });
}

type Complain = (part: string, what: string) => void;

/** More than one rule where the complement of a prefix is meant; undefined when a part cannot be understood. */
function translateRule(rule: BGPFilterRule, family: Family, complain: Complain): readonly FilterRule[] | undefined {
  const match = matchOf(rule, family, complain);
  const set = setOf(rule, complain);
  if (match === undefined || set === undefined) return undefined;
  return [
    {
      match,
      action: rule.action === 'Accept' ? 'accept' : 'reject',
      ...(Object.keys(set).length === 0 ? {} : { set }),
    },
  ];
}

function matchOf(rule: BGPFilterRule, family: Family, complain: Complain): FilterMatch | undefined {
  const prefixes = prefixesOf(rule, family, complain);
  if (prefixes === undefined) return undefined;
  return {
    ...prefixes,
    ...(rule.source === 'RemotePeers' ? { source: ['ebgp', 'ibgp'] as const } : {}),
    ...(rule.peerType === undefined ? {} : { peerTypes: [rule.peerType === 'eBGP' ? 'ebgp' : 'ibgp'] as const }),
    ...(rule.interface === undefined ? {} : { interfaces: [rule.interface] }),
    ...(rule.communities === undefined ? {} : { communities: rule.communities.values }),
    ...(rule.asPathPrefix === undefined ? {} : { asPathPrefix: rule.asPathPrefix.map(Number) }),
    ...(rule.priority === undefined ? {} : { kernelMetric: rule.priority }),
  };
}

/** Equal and In are what they say; NotEqual and NotIn negate. `In` holds every longer prefix (prefixLength narrows it). */
function prefixesOf(
  rule: BGPFilterRule,
  family: Family,
  complain: Complain,
): Pick<FilterMatch, 'prefixes'> | undefined {
  if (rule.cidr === undefined) return {};
  const prefix = tryParsePrefix(rule.cidr);
  if (prefix === undefined || prefix.family !== family) {
    complain('cidr', `is "${rule.cidr}"; expected an IPv${family} CIDR`);
    return undefined;
  }
  const text = formatPrefix(prefix);
  const isIn = rule.matchOperator === 'In' || rule.matchOperator === 'NotIn';
  const range = isIn
    ? {
        prefix: text,
        minLength: rule.prefixLength?.min ?? prefix.length,
        maxLength: rule.prefixLength?.max ?? bitsOf(family),
      }
    : { prefix: text };
  const isNegated = rule.matchOperator === 'NotEqual' || rule.matchOperator === 'NotIn';
  return { prefixes: [isNegated ? { ...range, not: true } : range] };
}

function setOf(rule: BGPFilterRule, complain: Complain): FilterSet | undefined {
  let set: FilterSet = {};
  for (const [index, operation] of (rule.operations ?? []).entries()) {
    if (operation.addCommunity !== undefined)
      set = { ...set, addCommunities: [...(set.addCommunities ?? []), operation.addCommunity.value] };
    else if (operation.prependASPath !== undefined)
      set = { ...set, prependAs: [...operation.prependASPath.prefix.map(Number), ...(set.prependAs ?? [])] };
    else if (operation.setPriority !== undefined) set = { ...set, kernelMetric: operation.setPriority.value };
    else {
      complain(`operations[${index}]`, 'is empty; expected addCommunity, prependASPath or setPriority');
      return undefined;
    }
  }
  return set;
}
