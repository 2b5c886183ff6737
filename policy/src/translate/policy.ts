/**
 * Objects of every policy kind to Policy: the table of translators.
 */
import type { KubeObject, PolicyKind } from '../objects.js';
import { translateNetworkPolicy, type Translation } from './network-policy.js';

export type { Translation };

type Translator = (namespace: string, name: string, object: KubeObject) => Translation;

const TRANSLATORS: ReadonlyMap<PolicyKind, Translator> = new Map<PolicyKind, Translator>([
  ['NetworkPolicy', translateNetworkPolicy],
]);

export function translatePolicy(kind: PolicyKind, namespace: string, name: string, object: KubeObject): Translation | undefined {
  return TRANSLATORS.get(kind)?.(namespace, name, object);
}
