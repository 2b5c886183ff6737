/**
 * How things may be named: RFC 1123 subdomains and labels, label keys and values. The rules and the sentences are those of
 * k8s.io/apimachinery/pkg/util/validation.
 */
import { randomInt } from 'node:crypto';
import type { NameRule } from './resource-type.js';

interface Rule {
  readonly pattern: RegExp;
  readonly maxLength: number;
  readonly why: string;
}

const rules: Readonly<Record<Exclude<NameRule, 'path'>, Rule>> = {
  subdomain: {
    pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    maxLength: 253,
    why:
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end " +
      "with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
      "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
  },
  label: {
    pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    maxLength: 63,
    why:
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
      "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
  },
  label1035: {
    pattern: /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
    maxLength: 63,
    why:
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and " +
      "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is " +
      "'[a-z]([-a-z0-9]*[a-z0-9])?')",
  },
};

/** Why the name is not allowed; undefined when it is. */
export function nameFault(rule: NameRule, name: string): string | undefined {
  if (rule === 'path')
    return /[/%]|^\.{1,2}$/.test(name) ? "may not contain '/' or '%' and may not be '.' or '..'" : undefined;
  const { pattern, maxLength, why } = rules[rule];
  if (name.length > maxLength) return `must be no more than ${maxLength} bytes`;
  return pattern.test(name) ? undefined : why;
}

const QUALIFIED_PART = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const QUALIFIED_WHY =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
  "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
  "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/** Label and annotation keys, finalizers: "name" or "prefix/name". */
export function qualifiedNameFault(key: string): string | undefined {
  const parts = key.split('/');
  const [prefix, name] = parts.length === 2 ? parts : [undefined, parts[0] ?? ''];
  if (parts.length > 2)
    return (
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
      "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
      "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    );
  if (prefix !== undefined) {
    if (prefix === '') return 'prefix part must be non-empty';
    const fault = nameFault('subdomain', prefix);
    if (fault !== undefined) return `prefix part ${fault}`;
  }
  if (name === undefined || name === '') return 'name part must be non-empty';
  if (name.length > 63) return 'name part must be no more than 63 bytes';
  return QUALIFIED_PART.test(name) ? undefined : QUALIFIED_WHY;
}

export function labelValueFault(value: string): string | undefined {
  if (value.length > 63) return 'must be no more than 63 bytes';
  return value === '' || QUALIFIED_PART.test(value)
    ? undefined
    : "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end " +
        "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
}

/** Without vowels and look-alikes, as upstream: no words by accident. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;

/** A name for `generateName`: the prefix, cut to fit, and five random characters. */
export function generateName(prefix: string): string {
  const suffix = Array.from({ length: SUFFIX_LENGTH }, () => SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)]).join(
    '',
  );
  return prefix.slice(0, 63 - SUFFIX_LENGTH) + suffix;
}
