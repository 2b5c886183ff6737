/**
 * Objects of every policy kind to Policy: the table of translators.
 */
import type { KubeObject, PolicyKind } from '../objects.js';
import { translateClusterPolicy } from './cluster-policy.js';
import { translateNetworkPolicy } from './network-policy.js';
import type { Translation } from './translation.js';

export type { Translation };

type Translator = (namespace: string, name: string, object: KubeObject) => Translation;

const TRANSLATORS: ReadonlyMap<PolicyKind, Translator> = new Map<PolicyKind, Translator>([
  ['NetworkPolicy', translateNetworkPolicy],
  ['ClusterNetworkPolicy', (_namespace, name, object) => translateClusterPolicy('ClusterNetworkPolicy', name, object)],
  ['AdminNetworkPolicy', (_namespace, name, object) => translateClusterPolicy('AdminNetworkPolicy', name, object)],
  ['BaselineAdminNetworkPolicy', (_namespace, name, object) => translateClusterPolicy('BaselineAdminNetworkPolicy', name, object)],
]);

export function translatePolicy(kind: PolicyKind, namespace: string, name: string, object: KubeObject): Translation | undefined {
  return TRANSLATORS.get(kind)?.(namespace, name, object);
}
