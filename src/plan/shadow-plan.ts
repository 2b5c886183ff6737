/**
 * Rules of Calico's policies that can never match, because an earlier one decides about all that they are for: one of the same list that
 * matches at least as much, or one without any condition in an earlier policy of the tier that selects at least as much.
 *
 * By what rules say, not by which pods there are: what is told is so whatever comes. What cannot be compared is taken to differ.
 * Kubernetes' NetworkPolicy only adds up and has no order.
 */
import { isDeepStrictEqual } from 'node:util';
import { containsPrefix, tryParsePrefix } from 'node-bgp/address';
import type { CalicoPort, CalicoRule, EntityRule, GlobalNetworkPolicySpec } from '../api/calico-policy.js';
import type { KubeObject } from '../api/meta.js';
import type { Finding } from './finding.js';
import { ofKind, type World } from './world.js';

const DIRECTIONS = ['ingress', 'egress'] as const;
type Direction = (typeof DIRECTIONS)[number];

interface Policy {
  readonly object: string;
  readonly namespace: string;
  readonly spec: GlobalNetworkPolicySpec;
}

/** Rules that can never match after the change and could before, or were not there. */
export function shadowFindings(before: World, after: World): readonly Finding[] {
  const known = new Set(shadowed(before).map(keyOf));
  return shadowed(after).filter((finding) => !known.has(keyOf(finding)));
}

const keyOf = ({ object, field, message }: Finding): string => JSON.stringify([object, field, message]);

function shadowed(world: World): readonly Finding[] {
  const all = policiesOf(world);
  return DIRECTIONS.flatMap((direction) => {
    const walls = all.flatMap((policy) => {
      const at = rulesOf(policy, direction).findIndex((rule) => decides(rule) && isUnconditional(rule));
      return at < 0 ? [] : [{ policy, at }];
    });
    return all.flatMap((policy): readonly Finding[] => {
      if (rulesOf(policy, direction).length === 0) return [];
      const wall = walls.find((each) => isBefore(each.policy, policy) && selectsAtLeast(each.policy, policy));
      if (wall !== undefined)
        return [
          never(
            policy,
            `spec.${direction}`,
            `${wall.policy.object} spec.${direction}[${wall.at}], which has no condition`,
          ),
        ];
      return withinOne(policy, direction);
    });
  });
}

function withinOne(policy: Policy, direction: Direction): readonly Finding[] {
  const rules = rulesOf(policy, direction);
  return rules.flatMap((rule, index): readonly Finding[] => {
    const earlier = rules.findIndex((each, at) => at < index && decides(each) && covers(each, rule));
    return earlier < 0 ? [] : [never(policy, `spec.${direction}[${index}]`, `spec.${direction}[${earlier}]`)];
  });
}

const never = ({ object }: Policy, field: string, decider: string): Finding => ({
  harm: 'refused',
  area: 'policy',
  object,
  field,
  message: 'can never match: an earlier rule decides about all of it',
  evidence: decider,
});

// ---- policies

function policiesOf(world: World): readonly Policy[] {
  const named = (
    kind: string,
    { metadata, spec }: KubeObject & { readonly spec?: GlobalNetworkPolicySpec },
  ): Policy => {
    const { namespace = '', name } = metadata;
    return { object: `${kind}/${namespace === '' ? '' : `${namespace}/`}${name}`, namespace, spec: spec ?? {} };
  };
  return (
    [
      ...ofKind(world, 'globalNetworkPolicies').map((each) => named('GlobalNetworkPolicy', each)),
      ...ofKind(world, 'calicoNetworkPolicies').map((each) => named('CalicoNetworkPolicy', each)),
    ]
      // Those are asked elsewhere, about other packets.
      .filter(({ spec }) => spec.doNotTrack !== true && spec.preDNAT !== true && spec.applyOnForward !== true)
  );
}

function rulesOf({ spec }: Policy, direction: Direction): readonly CalicoRule[] {
  const type = direction === 'ingress' ? 'Ingress' : 'Egress';
  return spec.types === undefined || spec.types.includes(type) ? (spec[direction] ?? []) : [];
}

/** Of equal orders nothing is said. */
const isBefore = (a: Policy, b: Policy): boolean =>
  a !== b &&
  (a.spec.tier ?? 'default') === (b.spec.tier ?? 'default') &&
  (a.spec.order ?? Number.POSITIVE_INFINITY) < (b.spec.order ?? Number.POSITIVE_INFINITY);

const isAll = (selector = ''): boolean => selector.trim() === '' || selector.trim() === 'all()';

function selectsAtLeast(a: Policy, b: Policy): boolean {
  const isWide = (mine: string | undefined, its: string | undefined): boolean => isAll(mine) || mine === its;
  return (
    (a.namespace === '' || a.namespace === b.namespace) &&
    isWide(a.spec.selector, b.spec.selector) &&
    // Global ones without a namespaceSelector select host endpoints too.
    isWide(a.spec.namespaceSelector, b.spec.namespaceSelector) &&
    (isAll(a.spec.namespaceSelector) ? a.spec.namespaceSelector === undefined || b.namespace !== '' : true) &&
    isWide(a.spec.serviceAccountSelector, b.spec.serviceAccountSelector)
  );
}

// ---- rules

/** What is logged goes on to the next rule; what is not understood matches nothing for certain. */
const decides = ({ action, http }: CalicoRule): boolean => action !== 'Log' && http === undefined;

const conditionsOf = ({ action: _action, metadata: _metadata, ...conditions }: CalicoRule): Partial<CalicoRule> =>
  conditions;

const isUnconditional = (rule: CalicoRule): boolean =>
  Object.values(conditionsOf(rule)).every((value) => value === undefined || isDeepStrictEqual(value, {}));

/** Does `wide` match all that `narrow` does? */
function covers(wide: CalicoRule, narrow: CalicoRule): boolean {
  const { source, destination, ...rest } = conditionsOf(wide);
  return (
    Object.entries(rest).every(
      ([field, value]) => value === undefined || isDeepStrictEqual(value, narrow[field as keyof CalicoRule]),
    ) &&
    coversEnd(source, narrow.source) &&
    coversEnd(destination, narrow.destination)
  );
}

function coversEnd({ nets, ports, ...rest }: EntityRule = {}, narrow: EntityRule = {}): boolean {
  return (
    Object.entries(rest).every(
      ([field, value]) => value === undefined || isDeepStrictEqual(value, narrow[field as keyof EntityRule]),
    ) &&
    (nets === undefined || coversNets(nets, narrow.nets)) &&
    (ports === undefined || coversPorts(ports, narrow.ports))
  );
}

function coversNets(wide: readonly string[], narrow: readonly string[] = []): boolean {
  const ranges = wide.map(tryParsePrefix);
  return (
    narrow.length > 0 &&
    narrow.every((text) => {
      const net = tryParsePrefix(text);
      return net !== undefined && ranges.some((range) => range !== undefined && containsPrefix(range, net));
    })
  );
}

function coversPorts(wide: readonly CalicoPort[], narrow: readonly CalicoPort[] = []): boolean {
  const ranges = wide.map(rangeOf);
  return (
    narrow.length > 0 &&
    narrow.every((port) => {
      const range = rangeOf(port);
      return range === undefined
        ? wide.includes(port)
        : ranges.some((each) => each !== undefined && each[0] <= range[0] && range[1] <= each[1]);
    })
  );
}

/** Undefined: a name. */
function rangeOf(port: CalicoPort): readonly [number, number] | undefined {
  const [, first, last = first] = /^(\d+)(?::(\d+))?$/.exec(String(port)) ?? [];
  return first === undefined ? undefined : [Number(first), Number(last)];
}
