/**
 * networking.k8s.io/v1 NetworkPolicy: policyTypes defaulting (pkg/apis/networking/v1/defaults.go) and upstream's
 * validation, which is shared with the policy engine.
 */
import { validateNetworkPolicy } from '@tortie/policy';
import type { Problem } from '../api-error.js';
import { listAt, objectAt, put, type Json } from '../json.js';
import type { ApiObject } from '../object.js';
import type { ResourceType } from '../resource-type.js';
import { builtIn } from './built-in.js';
import { column } from './columns.js';

/** Ingress always; Egress when there are egress rules. An explicit list, also one that comes out of an update, stays. */
function withPolicyTypes(policy: ApiObject): ApiObject {
  if (listAt(policy, 'spec', 'policyTypes').length > 0) return policy;
  const types: Json[] = listAt(policy, 'spec', 'egress').length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
  return put(policy, ['spec', 'policyTypes'], types);
}

/** Problems of the spec; metadata is every kind's business. */
function specProblems(policy: ApiObject): readonly Problem[] {
  return (
    validateNetworkPolicy(policy)
      .filter((problem) => !problem.field.startsWith('metadata'))
      // There the sentence begins with the field, here the field stands beside it.
      .map(({ reason, field, message }) => ({ type: reason, field, message: message.replace(`${field}: `, '') }))
  );
}

const selectorCell = (policy: ApiObject): string => {
  const selector = objectAt(policy, 'spec', 'podSelector');
  const labels = Object.entries(objectAt(selector, 'matchLabels')).map(([key, value]) => `${key}=${String(value)}`);
  const expressions = listAt(selector, 'matchExpressions').map((expression) => {
    const { key, operator, values } = expression as unknown as {
      key: string;
      operator: string;
      values?: readonly string[];
    };
    switch (operator) {
      case 'In':
        return `${key} in (${(values ?? []).join(',')})`;
      case 'NotIn':
        return `${key} notin (${(values ?? []).join(',')})`;
      case 'DoesNotExist':
        return `!${key}`;
      default:
        return key;
    }
  });
  return [...labels, ...expressions].join(',') || '<none>';
};

export const networkPolicies: ResourceType = builtIn({
  group: 'networking.k8s.io',
  kind: 'NetworkPolicy',
  plural: 'networkpolicies',
  shortNames: ['netpol'],
  namespaced: true,
  columns: [column('Pod-Selector', selectorCell)],
  strategy: { prepareCreate: withPolicyTypes, prepareUpdate: withPolicyTypes, validate: specProblems },
});
