/** The doctor's findings as people read them, and what the exit code says of them. Pure. */
import { CHECKS, nodeName, type CheckName, type Finding, type FindingOf, type Severity } from './finding.js';
import { UserError } from '../errors.js';

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info'];

/** @param ignored names of checks to leave out */
export const ordered = (findings: readonly Finding[], ignored: ReadonlySet<CheckName>): readonly Finding[] =>
  bySeverity(
    findings.filter(({ check }) => !ignored.has(check)),
    Object.keys(CHECKS),
  );

/** Worst first; of one severity in the order of checks. */
export function bySeverity<Check extends string>(
  findings: readonly FindingOf<Check>[],
  names: readonly string[],
): readonly FindingOf<Check>[] {
  return [...findings].sort(
    (a, b) =>
      SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) ||
      names.indexOf(a.check) - names.indexOf(b.check) ||
      (a.where < b.where ? -1 : a.where > b.where ? 1 : 0),
  );
}

/** What an `info` says changes nothing. */
export const isWell = (findings: readonly FindingOf<string>[]): boolean =>
  findings.every(({ severity }) => severity === 'info');

export function formatFindings(findings: readonly FindingOf<string>[], looked: readonly string[]): string {
  const counts = SEVERITIES.map((severity) => {
    const count = findings.filter((finding) => finding.severity === severity).length;
    return severity === 'info' ? `${count} notes` : `${count} ${severity}${count === 1 ? '' : 's'}`;
  });
  return [
    ...findings.flatMap(({ severity, check, where, evidence, remedy }) => [
      `${severity.toUpperCase()}  ${check}  ${where}`,
      `  ${evidence}`,
      `  ${remedy}`,
      '',
    ]),
    `Looked at ${looked.join(' and ')}: ${counts.join(', ')}.`,
  ].join('\n');
}

/** @throws UserError for a name that is no check's */
export function checkNames(names: readonly string[]): ReadonlySet<CheckName> {
  return new Set(
    names.map((name) => {
      if (Object.hasOwn(CHECKS, name)) return name as CheckName;
      throw new UserError(`Cannot ignore "${name}": expected one of ${Object.keys(CHECKS).join(', ')}`, 2);
    }),
  );
}

export const lookedAt = (node: string | undefined, hasCluster: boolean): readonly string[] => [
  ...(node === undefined ? [] : [nodeName(node)]),
  ...(hasCluster ? ['the cluster'] : []),
];
