/**
 * Validation of a LabelSelector as apimachinery does it (pkg/apis/meta/v1/validation, ValidateLabelSelector).
 */
import { addProblems, forbidden, invalid, required, tooMany, type Problem } from '../problem.js';
import { labelValueProblems, qualifiedNameProblems } from './names.js';
import { MOST_SELECTOR_VALUES } from '../model/bounds.js';
import { isObject, own, readList, readObject, readString, readStringMap, type JsonObject } from './shape.js';

export function validateLabelSelector(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const selector = readObject(value, field, problems);
  const size = sizeOf(selector);
  if (size > MOST_SELECTOR_VALUES) return [tooMany(field, size, MOST_SELECTOR_VALUES)];
  const labels = readStringMap(own(selector, 'matchLabels'), `${field}.matchLabels`, problems);
  for (const [key, text] of labels) {
    for (const want of qualifiedNameProblems(key)) problems.push(invalid(`${field}.matchLabels`, key, want));
    for (const want of labelValueProblems(text)) problems.push(invalid(`${field}.matchLabels`, text, want));
  }
  for (const [index, item] of readList(
    own(selector, 'matchExpressions'),
    `${field}.matchExpressions`,
    problems,
  ).entries())
    addProblems(problems, validateRequirement(item, `${field}.matchExpressions[${index}]`));
  return problems;
}

/** Labels, requirements and values. */
function sizeOf(selector: JsonObject | undefined): number {
  const [labels, requirements] = [own(selector, 'matchLabels'), own(selector, 'matchExpressions')];
  let size = isObject(labels) ? Object.keys(labels).length : 0;
  for (const item of Array.isArray(requirements) ? (requirements as readonly unknown[]) : []) {
    const values = isObject(item) ? own(item, 'values') : undefined;
    size += 1 + (Array.isArray(values) ? values.length : 0);
  }
  return size;
}

function validateRequirement(value: unknown, field: string): readonly Problem[] {
  const problems: Problem[] = [];
  const requirement = readObject(value, field, problems);
  if (requirement === undefined) return problems.length > 0 ? problems : [required(field)];
  const operator = readString(own(requirement, 'operator'), `${field}.operator`, problems) ?? '';
  const values = readList(own(requirement, 'values'), `${field}.values`, problems);
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0)
        problems.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0)
        problems.push(
          forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
        );
      break;
    default:
      problems.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'));
  }
  const key = readString(own(requirement, 'key'), `${field}.key`, problems) ?? '';
  for (const want of qualifiedNameProblems(key)) problems.push(invalid(`${field}.key`, key, want));
  for (const [index, item] of values.entries()) {
    const text = readString(item, `${field}.values[${index}]`, problems);
    if (text === undefined) continue;
    for (const want of labelValueProblems(text)) problems.push(invalid(`${field}.values[${index}]`, text, want));
  }
  return problems;
}
