/**
 * Kubernetes LabelSelector to selector. Absent is not empty: `{}` matches everything, and it is the caller who knows what a missing
 * selector means. A selector with a refused part matches nothing and says what is wrong with it.
 */
import { addProblems, type Problem } from '../problem.js';
import { validateLabelSelector } from '../validate/label-selector.js';
import { own, readList, readObject, readString, readStringMap } from '../validate/shape.js';
import { and, NONE, valueTerm, type Selector } from './selector.js';

export function parseLabelSelector(value: unknown, field: string, problems: Problem[]): Selector {
  const refused = validateLabelSelector(value, field);
  if (refused.length > 0) {
    addProblems(problems, refused);
    return NONE;
  }
  const selector = readObject(value, field, problems);
  const terms: Selector[] = [];
  for (const [key, text] of readStringMap(own(selector, 'matchLabels'), field, problems))
    terms.push(valueTerm('in', key, [text]));
  for (const item of readList(own(selector, 'matchExpressions'), field, problems)) {
    const requirement = readObject(item, field, problems);
    const key = readString(own(requirement, 'key'), field, problems) ?? '';
    const values = readList(own(requirement, 'values'), field, problems).filter((one) => typeof one === 'string');
    terms.push(parseRequirement(key, own(requirement, 'operator'), values));
  }
  return and(terms);
}

function parseRequirement(key: string, operator: unknown, values: readonly string[]): Selector {
  switch (operator) {
    case 'In':
      return valueTerm('in', key, values);
    case 'NotIn':
      return valueTerm('not-in', key, values);
    case 'Exists':
      return { type: 'present', key };
    case 'DoesNotExist':
      return { type: 'absent', key };
    default:
      return NONE;
  }
}
