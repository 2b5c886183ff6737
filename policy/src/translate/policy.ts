/**
 * Objects of every policy kind to Policy: the table of translators.
 */
import type { KubeObject, PolicyKind } from '../objects.js';
import { own, readObject, type JsonObject } from '../validate/shape.js';
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

export function translatePolicy(
  kind: PolicyKind,
  namespace: string,
  name: string,
  object: KubeObject,
): Translation | undefined {
  return TRANSLATORS.get(kind)?.(namespace, name, object);
}
