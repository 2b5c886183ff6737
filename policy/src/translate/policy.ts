/**
 * Objects of every policy kind to Policy: the table of translators.
 */
import type { KubeObject, PolicyKind } from '../objects.js';
import { invalid, type Problem } from '../problem.js';
import { own, readObject, type JsonObject } from '../validate/shape.js';
import { withinBounds } from './held-object.js';
import { EXCESS, isolatingObject } from './isolating-object.js';
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
  const { object: bounded, weight } = withinBounds(kind, object);
  if (bounded[EXCESS] !== undefined)
    return isolating(() => translator(namespace, name, bounded), bounded, invalid('spec', undefined, bounded[EXCESS]));
  try {
    const { policy, problems } = translator(namespace, name, object);
    return { ...(policy === undefined ? {} : { policy }), problems, weight: weight.values };
  } catch (error) {
    const head = isolatingObject(kind, object);
    return isolating(() => translator(namespace, name, head), head, faultOf(error));
  }
}

/** The sentence of an object that broke what reads it: a fault of ours, told where it was met. */
export const faultOf = (error: unknown): Problem =>
  invalid('spec', undefined, `cannot be translated: ${String(error).slice(0, 200)}`);

/** `head`: what is translated; without a spec its subject was too large, too. */
function isolating(translate: () => Translation, head: KubeObject, problem: Problem): Translation {
  const said = { ...problem, message: `${problem.message}; it isolates what it selects` };
  if (own(head as JsonObject, 'spec') === undefined) return { problems: [problem], weight: 0 };
  try {
    const { policy } = translate();
    return policy === undefined ? { problems: [problem], weight: 0 } : { policy, problems: [said], weight: 0 };
  } catch {
    return { problems: [problem], weight: 0 };
  }
}
