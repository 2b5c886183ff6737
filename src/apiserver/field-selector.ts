/**
 * Field selectors (`?fieldSelector=spec.nodeName=n1,status.phase!=Running`), as k8s.io/apimachinery/pkg/fields reads
 * them. Which fields may be named is the kind's business; metadata.name and metadata.namespace always may.
 */
import { badRequest } from './api-error.js';
import { textAt, type JsonObject } from './json.js';

export type FieldMatcher = (object: JsonObject) => boolean;

/** The text of a selectable field; a missing field is the empty string. */
export type FieldText = (object: JsonObject) => string;

export interface FieldRequirement {
  readonly field: string;
  readonly value: string;
  readonly isEqual: boolean;
}

const METADATA_FIELDS: Readonly<Record<string, FieldText>> = {
  'metadata.name': (object) => textAt(object, 'metadata', 'name') ?? '',
  'metadata.namespace': (object) => textAt(object, 'metadata', 'namespace') ?? '',
};

export interface FieldSelector {
  readonly matches: FieldMatcher;
  readonly requirements: readonly FieldRequirement[];
}

/** Throws 400 when the text cannot be read or names a field that is not in `fields`. */
export function parseFieldSelector(text: string, fields: Readonly<Record<string, FieldText>>): FieldSelector {
  const requirements = text
    .split(/(?<!\\),/)
    .filter((part) => part.trim() !== '')
    .map((part) => parseRequirement(part, text));
  const checks = requirements.map(({ field, value, isEqual }) => {
    const fieldText = Object.hasOwn(METADATA_FIELDS, field)
      ? METADATA_FIELDS[field]
      : Object.hasOwn(fields, field)
        ? fields[field]
        : undefined;
    if (fieldText === undefined)
      throw badRequest(`Unable to find a match for field selector "${text}": field label not supported: ${field}`);
    return (object: JsonObject): boolean => (fieldText(object) === value) === isEqual;
  });
  return { matches: (object) => checks.every((isMet) => isMet(object)), requirements };
}

function parseRequirement(part: string, whole: string): FieldRequirement {
  const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*$/s.exec(part);
  const [, field, operator, value] = match ?? [];
  if (field === undefined || operator === undefined || value === undefined)
    throw badRequest(
      `Unable to find a match for field selector "${whole}": invalid selector: '${part}'; can't understand '${part}'`,
    );
  return { field, value: value.replaceAll(/\\([\\,=])/g, '$1'), isEqual: operator !== '!=' };
}
