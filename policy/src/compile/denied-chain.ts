/**
 * Where a denied packet ends when somebody wants to hear of it: a chain for each rule, tier or reason that denies. It reports the first
 * packets of a second to a group of nfnetlink_log and drops all of them; how many it did not report is the difference of its counters.
 *
 * A chain of its own, so that endpoints' chains go on without xtables extensions (docs/decisions/0053-adding-a-pod.md), alternatives of
 * one rule have one limit, and nothing changes for packets that pass.
 */
import type { Direction, PolicyKey } from '../model/policy.js';
import { shortId, type Action, type Chain, type ChainName, type Rule, type Table } from '../ruleset.js';

/** What denies. */
export type DenyPoint =
  | {
      readonly type: 'rule';
      readonly direction: Direction;
      readonly tier: string;
      readonly policy: PolicyKey;
      readonly rule: number;
    }
  | { readonly type: 'tier-end'; readonly direction: Direction; readonly tier: string }
  /** A pod that is shut until something is known of it, or a port that no pod reaches. */
  | { readonly type: 'closed'; readonly direction: Direction };

export interface DenyReports {
  /** Of nfnetlink_log. */
  readonly group: number;
  /** Of one chain, on average. */
  readonly perSecond: number;
  readonly burst: number;
}

/** What stands in a rule in the place of a drop. */
export type DenyActions = (point: DenyPoint) => Action;

export const DROP: Action = { type: 'drop' };
/** Where nobody wants to hear of it. */
export const dropUnreported: DenyActions = () => DROP;

/** 18 characters: in the chain's name, and behind DENY_PREFIX in what is reported. */
export function denyId(point: DenyPoint): string {
  switch (point.type) {
    case 'rule': {
      const { kind, namespace, name } = point.policy;
      return shortId('rule', point.direction, kind, namespace, name, String(point.rule));
    }
    case 'tier-end':
      return shortId('tier-end', point.direction, point.tier);
    case 'closed':
      return shortId('closed', point.direction);
  }
}

/** Of a report's prefix. */
export const DENY_PREFIX = 'tortie-denied:';

/** 9 + 18 characters. */
export const deniedChainName = (id: string): string => `TORTIE-D-${id}`;

/** What such a chain reports under. */
export const reportPrefix = ({ name }: ChainName): string => `${DENY_PREFIX}${name.slice(deniedChainName('').length)}`;

export function compileDeniedChain(table: Table, point: DenyPoint, reports: DenyReports): Chain {
  const id = denyId(point);
  const note = pointNote(point);
  const report: Rule = {
    matches: [{ type: 'limit', perSecond: reports.perSecond, burst: reports.burst }],
    action: { type: 'report', group: reports.group, prefix: `${DENY_PREFIX}${id}` },
    note,
  };
  return { table, name: deniedChainName(id), rules: [report, { matches: [], action: DROP, note }] };
}

function pointNote(point: DenyPoint): string {
  const { direction } = point;
  switch (point.type) {
    case 'rule': {
      const { kind, namespace, name } = point.policy;
      return `denied by ${kind} ${namespace === '' ? '' : `${namespace}/`}${name} ${direction} rule ${point.rule}`;
    }
    case 'tier-end':
      return `denied at the ${direction} end of tier ${point.tier}`;
    case 'closed':
      return `denied, ${direction}, whatever policy says`;
  }
}
