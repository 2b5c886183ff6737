/**
 * Objects of every policy kind to Policy: the table of translators.
 */
import type { KubeObject, PolicyKind } from '../objects.js';
import { excess, weigh } from '../model/bounds.js';
import type { Direction } from '../model/policy.js';
import { invalid, type Problem } from '../problem.js';
import { DIALECTS } from '../validate/cluster-policy.js';
import { isObject, own, readObject, type JsonObject } from '../validate/shape.js';
import { translateCalicoPolicy } from './calico-policy.js';
import { translateClusterPolicy } from './cluster-policy.js';
import { translateNetworkPolicy } from './network-policy.js';
import type { Translation } from './translation.js';

export type { Translation };

const CALICO_KINDS = [
  'CalicoNetworkPolicy',
  'GlobalNetworkPolicy',
  'StagedNetworkPolicy',
  'StagedGlobalNetworkPolicy',
] as const;

type Translator = (namespace: string, name: string, object: KubeObject) => Translation;

const TRANSLATORS: ReadonlyMap<PolicyKind, Translator> = new Map<PolicyKind, Translator>([
  ['NetworkPolicy', translateNetworkPolicy],
  ['ClusterNetworkPolicy', (_namespace, name, object) => translateClusterPolicy('ClusterNetworkPolicy', name, object)],
  ['AdminNetworkPolicy', (_namespace, name, object) => translateClusterPolicy('AdminNetworkPolicy', name, object)],
  [
    'BaselineAdminNetworkPolicy',
    (_namespace, name, object) => translateClusterPolicy('BaselineAdminNetworkPolicy', name, object),
  ],
  ['StagedKubernetesNetworkPolicy', translateStagedKubernetesPolicy],
  ...CALICO_KINDS.map((kind): readonly [PolicyKind, Translator] => [
    kind,
    (namespace, name, object) => translateCalicoPolicy(kind, namespace, name, object),
  ]),
]);

/** A NetworkPolicy that only watches, unless it stages a deletion. */
function translateStagedKubernetesPolicy(namespace: string, name: string, object: KubeObject): Translation {
  const { policy, problems } = translateNetworkPolicy(namespace, name, object);
  const action = own(readObject(own(object as JsonObject, 'spec'), 'spec', []), 'stagedAction') ?? 'Set';
  if (policy === undefined || action === 'Delete' || action === 'Ignore') return { problems };
  return {
    policy: { ...policy, key: { kind: 'StagedKubernetesNetworkPolicy', namespace, name }, staged: true },
    problems,
  };
}

/**
 * A policy as far as it was understood; whatever one object does to its translator, it is that object's problem alone. One that is too
 * large, or breaks its translator, isolates whom it selects: its subject and directions stand, its rules are one that denies.
 */
export function translatePolicy(
  kind: PolicyKind,
  namespace: string,
  name: string,
  object: KubeObject,
): Translation | undefined {
  const translator = TRANSLATORS.get(kind);
  if (translator === undefined) return undefined;
  const weight = weigh(own(object as JsonObject, 'spec'));
  const tooMuch = excess(weight);
  if (tooMuch !== undefined)
    return isolating(translator, kind, namespace, name, object, invalid('spec', undefined, tooMuch));
  try {
    const { policy, problems } = translator(namespace, name, object);
    return { ...(policy === undefined ? {} : { policy }), problems, weight: weight.values };
  } catch (error) {
    return isolating(translator, kind, namespace, name, object, faultOf(error));
  }
}

/** The sentence of an object that broke what reads it: a fault of ours, told where it was met. */
export const faultOf = (error: unknown): Problem =>
  invalid('spec', undefined, `cannot be translated: ${String(error).slice(0, 200)}`);

function isolating(
  translator: Translator,
  kind: PolicyKind,
  namespace: string,
  name: string,
  object: KubeObject,
  problem: Problem,
): Translation {
  const said = { ...problem, message: `${problem.message}; it isolates what it selects` };
  const head = isolatingObject(kind, object);
  if (excess(weigh(own(head as JsonObject, 'spec'))) !== undefined) return { problems: [problem], weight: 0 };
  try {
    const { policy } = translator(namespace, name, head);
    return policy === undefined ? { problems: [problem], weight: 0 } : { policy, problems: [said], weight: 0 };
  } catch {
    return { problems: [problem], weight: 0 };
  }
}

/** The object with rules that deny in place of its own. In cluster policies a rule without a known action denies everything. */
function isolatingObject(kind: PolicyKind, object: KubeObject): KubeObject {
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
