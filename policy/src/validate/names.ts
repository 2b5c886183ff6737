/**
 * Kubernetes' rules for names, labels and ports: the checks of apimachinery's util/validation, each returning the sentences
 * that say what was wanted (none when the text is fine).
 */

const DNS_1123_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_1123_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

/** Byte length, as Go's len() counts. */
const bytes = (text: string): number => Buffer.byteLength(text);

/** metadata.name of most kinds: up to 253 bytes. */
export function subdomainProblems(text: string): readonly string[] {
  const problems: string[] = [];
  if (bytes(text) > 253) problems.push('must be no more than 253 bytes');
  if (!DNS_1123_SUBDOMAIN.test(text))
    problems.push(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an " +
        "alphanumeric character (e.g. 'example.com', regex used for validation is " +
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    );
  return problems;
}

/** Namespace names: up to 63 bytes. */
export function dnsLabelProblems(text: string): readonly string[] {
  const problems: string[] = [];
  if (bytes(text) > 63) problems.push('must be no more than 63 bytes');
  if (!DNS_1123_LABEL.test(text))
    problems.push(
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
        "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    );
  return problems;
}

/** Label and annotation keys: [prefix/]name. */
export function qualifiedNameProblems(text: string): readonly string[] {
  const parts = text.split('/');
  if (parts.length > 2)
    return [
      "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
        ("(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
          "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS ") +
        "subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  const problems: string[] = [];
  const [prefix, name] = parts.length === 2 ? [parts[0] ?? '', parts[1] ?? ''] : [undefined, text];
  if (prefix === '') problems.push('prefix part must be non-empty');
  else if (prefix !== undefined) for (const one of subdomainProblems(prefix)) problems.push(`prefix part ${one}`);
  if (name === '') problems.push('name part must be non-empty');
  else if (bytes(name) > 63) problems.push('name part must be no more than 63 bytes');
  if (!QUALIFIED_NAME.test(name))
    problems.push(
      "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
        "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    );
  return problems;
}

export function labelValueProblems(text: string): readonly string[] {
  const problems: string[] = [];
  if (bytes(text) > 63) problems.push('must be no more than 63 bytes');
  if (!LABEL_VALUE.test(text))
    problems.push(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an " +
        "alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
        "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    );
  return problems;
}

export const portNumberProblems = (port: number): readonly string[] =>
  Number.isInteger(port) && port >= 1 && port <= 65535 ? [] : ['must be between 1 and 65535, inclusive'];

/** IANA service names (RFC 6335 section 5.1), as Kubernetes restricts them. */
export function portNameProblems(text: string): readonly string[] {
  const problems: string[] = [];
  if (bytes(text) > 15) problems.push('must be no more than 15 bytes');
  if (!/^[-a-z0-9]+$/.test(text))
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(text)) problems.push('must contain at least one letter (a-z)');
  if (text.includes('--')) problems.push('must not contain consecutive hyphens');
  if (text.startsWith('-') || text.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}
