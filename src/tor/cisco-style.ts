/**
 * The configuration in words that FRR, SONiC (which is FRR), Arista EOS and Cisco NX-OS share in part: prefix lists, and a `router bgp`
 * with neighbours. What differs is in a dialect of each; the order of lines is the same. Pure.
 */
import type { Family } from 'node-bgp/address';
import type { PrefixRule, RouterPlan, TorRange, TorSession, TorSettings } from './plan.js';

export interface Dialect {
  /** Beginning of a comment line. */
  readonly comment: string;
  /** Before everything. */
  readonly head: (plan: RouterPlan) => readonly string[];
  /** Before all neighbours. */
  readonly router: (plan: RouterPlan) => readonly string[];
  /** One neighbour, without its families. */
  readonly session: (session: TorSession, plan: RouterPlan) => readonly string[];
  readonly range: (range: TorRange, group: string, plan: RouterPlan) => readonly string[];
  /** What follows the neighbours: the families, where they are not below each. */
  readonly families: (plan: RouterPlan) => readonly string[];
  readonly prefixList: (name: string, family: Family, rules: readonly PrefixRule[]) => readonly string[];
}

export const listName = (direction: 'IN' | 'OUT', family: Family): string => `TORTIE-${direction}-V${family}`;
/** By what it is, not by its place in the list: a router resets what has another name than before. */
export const groupName = ({ range }: TorRange): string => `TORTIE-RANGE-${range.replace(/[.:/]/g, '-')}`;
export const familiesOf = (plan: RouterPlan): readonly Family[] =>
  ([4, 6] as const).filter((family) => [...plan.sessions, ...plan.ranges].some((each) => each.family === family));

export const afName = (family: Family): string => (family === 4 ? 'ipv4' : 'ipv6');

/** What a router may tell nodes: its default route, and what is theirs. */
export function outRules(plan: RouterPlan, family: Family): readonly PrefixRule[] {
  const all = family === 4 ? '0.0.0.0/0' : '::/0';
  const bits = family === 4 ? 32 : 128;
  const whole: PrefixRule = { family, prefix: all, minLength: 0, maxLength: 0, from: 'the default route' };
  if (plan.advertise === 'all') return [{ ...whole, maxLength: bits, from: '--advertise all' }];
  return [whole, ...plan.accept.filter((rule) => rule.family === family)];
}

export function renderCiscoStyle(dialect: Dialect, plan: RouterPlan): string {
  const lines = [
    ...headOf(plan).map((line) => `${dialect.comment} ${line}`),
    ...dialect.head(plan),
    ...familiesOf(plan).flatMap((family) => [
      ...dialect.prefixList(
        listName('IN', family),
        family,
        plan.accept.filter((rule) => rule.family === family),
      ),
      ...dialect.prefixList(listName('OUT', family), family, outRules(plan, family)),
    ]),
    `router bgp ${plan.as}`,
    ...dialect.router(plan),
    ...plan.sessions.flatMap((session) => dialect.session(session, plan)),
    ...plan.ranges.flatMap((range) => dialect.range(range, groupName(range), plan)),
    ...dialect.families(plan),
  ];
  return `${lines.join('\n')}\n`;
}

/** What people have to know who read the file. */
export function headOf({ as, sessions, ranges, sharedAs, problems }: RouterPlan): readonly string[] {
  return [
    `Sessions of the router of AS ${as} with nodes, from the cluster's resources, by tortie tor-config.`,
    `${sessions.length} sessions with known addresses, ${ranges.length} ranges.`,
    ...([...sessions, ...ranges].some(({ password }) => password?.startsWith('SECRET-') === true)
      ? ['SECRET-NAME-KEY stands for the key KEY of the secret NAME: put it in, or print it by --show-passwords.']
      : []),
    ...(sharedAs === 'override' ? ['Nodes share an AS: the router puts its own in the place of it.'] : []),
    ...(sharedAs === 'accepted' ? ['Nodes share an AS, and accept routes with it in the path.'] : []),
    ...problems.map((problem) => `Left out: ${problem}`),
  ];
}

export const keepaliveOf = ({ holdTime }: Pick<TorSettings, 'holdTime'>): number =>
  Math.max(1, Math.floor(holdTime / 3));
