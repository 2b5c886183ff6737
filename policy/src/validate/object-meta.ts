/**
 * Validation of the parts of metadata that policy objects depend on: name, namespace, labels, annotations
 * (apimachinery's ValidateObjectMeta).
 */
import { forbidden, invalid, required, tooLong, type Problem } from '../problem.js';
import { dnsLabelProblems, labelValueProblems, qualifiedNameProblems, subdomainProblems } from './names.js';
import { own, readObject, readString, readStringMap } from './shape.js';

/** All annotations of an object together, keys and values. */
const MAX_ANNOTATION_BYTES = 256 * 1024;

export function validateObjectMeta(value: unknown, scope: 'namespaced' | 'cluster'): readonly Problem[] {
  const problems: Problem[] = [];
  const metadata = readObject(value, 'metadata', problems);
  const name = readString(own(metadata, 'name'), 'metadata.name', problems) ?? '';
  const generateName = readString(own(metadata, 'generateName'), 'metadata.generateName', problems) ?? '';
  if (name !== '') for (const want of subdomainProblems(name)) problems.push(invalid('metadata.name', name, want));
  else if (generateName === '') problems.push(required('metadata.name', 'name or generateName is required'));
  const namespace = readString(own(metadata, 'namespace'), 'metadata.namespace', problems) ?? '';
  if (scope === 'cluster') {
    if (namespace !== '') problems.push(forbidden('metadata.namespace', 'not allowed on this type'));
  } else if (namespace === '') problems.push(required('metadata.namespace'));
  else for (const want of dnsLabelProblems(namespace)) problems.push(invalid('metadata.namespace', namespace, want));
  return [
    ...problems,
    ...validateLabels(own(metadata, 'labels')),
    ...validateAnnotations(own(metadata, 'annotations')),
  ];
}

function validateLabels(value: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [key, text] of readStringMap(value, 'metadata.labels', problems)) {
    for (const want of qualifiedNameProblems(key)) problems.push(invalid('metadata.labels', key, want));
    for (const want of labelValueProblems(text)) problems.push(invalid('metadata.labels', text, want));
  }
  return problems;
}

function validateAnnotations(value: unknown): readonly Problem[] {
  const problems: Problem[] = [];
  let size = 0;
  for (const [key, text] of readStringMap(value, 'metadata.annotations', problems)) {
    for (const want of qualifiedNameProblems(key.toLowerCase()))
      problems.push(invalid('metadata.annotations', key, want));
    size += Buffer.byteLength(key) + Buffer.byteLength(text);
  }
  if (size > MAX_ANNOTATION_BYTES) problems.push(tooLong('metadata.annotations', MAX_ANNOTATION_BYTES));
  return problems;
}
