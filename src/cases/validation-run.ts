/** Asks our validation about objects that the API must accept or refuse. */
import { objectKindOf, type KubeObject } from '@tortie/policy/objects';
import { validateClusterPolicy } from '@tortie/policy/validate/cluster-policy';
import { validateNetworkPolicy } from '@tortie/policy/validate/network-policy';
import type { ValidationObject } from './case-file.js';
import type { ValidationOutcome } from './outcome.js';

export function runValidation(one: ValidationObject): ValidationOutcome {
  const found = problemsOf(one.object);
  if (found === undefined)
    return {
      id: one.id,
      isValid: one.isValid,
      found: [`no validation for kind "${one.object.kind ?? ''}" of "${one.object.apiVersion ?? ''}"`],
      isRight: false,
    };
  return { id: one.id, isValid: one.isValid, found, isRight: (found.length === 0) === one.isValid };
}

/** Undefined for kinds that we do not validate. */
function problemsOf(object: KubeObject): readonly string[] | undefined {
  const kind = objectKindOf(object);
  switch (kind) {
    case 'NetworkPolicy':
      return validateNetworkPolicy(object).map((problem) => problem.message);
    case 'ClusterNetworkPolicy':
    case 'AdminNetworkPolicy':
    case 'BaselineAdminNetworkPolicy':
      return validateClusterPolicy(kind, object).map((problem) => problem.message);
    default:
      return undefined;
  }
}
