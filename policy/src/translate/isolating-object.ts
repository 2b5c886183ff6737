/**
 * An object that is too large or broke its translator, made to isolate whom it selects: its subject and its directions stand, its rules are
 * one that denies.
 */
import type { Direction } from '../model/policy.js';
import type { KubeObject, PolicyKind } from '../objects.js';
import { DIALECTS } from '../validate/cluster-policy.js';
import { isObject, own, type JsonObject } from '../validate/shape.js';

/** On an object whose rules were left out: what is too much about it, as a sentence's end. */
export const EXCESS = Symbol('excess');

/** The object with rules that deny in place of its own. In cluster policies a rule without a known action denies everything. */
export function isolatingObject(kind: PolicyKind, object: KubeObject): KubeObject {
  const spec = own(object as JsonObject, 'spec');
  if (!isObject(spec)) return object;
  const hasRules = (direction: Direction): boolean => {
    const rules = own(spec, direction);
    return Array.isArray(rules) && rules.length > 0;
  };
  const isCluster = Object.hasOwn(DIALECTS, kind);
  const isKubernetes = kind === 'NetworkPolicy' || kind === 'StagedKubernetesNetworkPolicy';
  const rulesOf = (direction: Direction): unknown =>
    isKubernetes ? [] : isCluster ? (hasRules(direction) ? [{}] : []) : [{ action: 'Deny' }];
  const { ingress: _ingress, egress: _egress, ...head } = spec;
  return {
    ...object,
    spec: { ...head, ...typesOf(kind, spec, hasRules), ingress: rulesOf('ingress'), egress: rulesOf('egress') },
  } as KubeObject;
}

/** Which directions a policy has must not change with its rules. */
function typesOf(
  kind: PolicyKind,
  spec: JsonObject,
  hasRules: (direction: Direction) => boolean,
): Readonly<Record<string, readonly string[]>> {
  if (Object.hasOwn(DIALECTS, kind)) return {};
  const isKubernetes = kind === 'NetworkPolicy' || kind === 'StagedKubernetesNetworkPolicy';
  const field = isKubernetes ? 'policyTypes' : 'types';
  const listed = own(spec, field);
  if (Array.isArray(listed) && listed.length > 0) return {};
  const egress = hasRules('egress') ? ['Egress'] : [];
  const ingress = isKubernetes || egress.length === 0 || hasRules('ingress') ? ['Ingress'] : [];
  return { [field]: [...ingress, ...egress] };
}
