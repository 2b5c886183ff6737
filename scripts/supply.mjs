/**
 * What Tortie is made of besides itself: every package of package-lock.json with a licence that may go with ours, none but those
 * named here with a script that runs when it is installed, and, where the registry answers such questions, none of known faults.
 *
 * `npm run sbom` writes the bill of materials (CycloneDX, JSON) to standard output; it asks nobody.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** SPDX identifiers that ask for no more than to be named. */
const LICENCES = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'PSF-2.0',
  'Python-2.0',
  'Unlicense',
]);
/** Calls into libc, and the kernel as `tortie doctor` reads it; their scripts build them where there is no build for the machine. */
const MAY_RUN_SCRIPTS = new Set(['koffi', 'netlink']);
const AUDIT_TIMEOUT = 20_000;
/** Of what runs on a node. What only builds and tests is nobody's way in. */
const AUDIT = ['audit', '--omit=dev', '--audit-level=high', '--json', '--fetch-retries=0', '--fetch-timeout=10000'];

const nameOf = (path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

/** "MIT OR Apache-2.0": one of them is enough; of "MIT AND ISC" each has to be. */
export const isLicenceKnown = (text) =>
  typeof text === 'string' &&
  text
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((choice) => choice.split(' AND ').every((each) => LICENCES.has(each.trim())));

/** Sentences about a package-lock.json. */
export function lockProblems(lock) {
  return Object.entries(lock.packages).flatMap(([path, entry]) => {
    // Our own workspaces, and links to them, carry the licence of the whole.
    if (!path.includes('node_modules/') || entry.link === true) return [];
    const name = nameOf(path);
    return [
      ...(isLicenceKnown(entry.license)
        ? []
        : [`package-lock.json: ${name} has licence ${entry.license}; expected one that scripts/supply.mjs lists`]),
      ...(entry.hasInstallScript === true && !MAY_RUN_SCRIPTS.has(name)
        ? [`package-lock.json: ${name} runs a script when it is installed; only ${[...MAY_RUN_SCRIPTS]} may`]
        : []),
      ...(entry.integrity === undefined && entry.inBundle !== true
        ? [`package-lock.json: ${name} has no integrity; expected a hash of what is installed`]
        : []),
    ];
  });
}

export const readLock = (root) => JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** What `npm audit` says, as sentences; `unasked` where no registry answered. */
export function auditProblems(root) {
  const { stdout, error } = spawnSync('npm', AUDIT, { cwd: root, encoding: 'utf8', timeout: AUDIT_TIMEOUT });
  if (error !== undefined) return { problems: [], unasked: error.message };
  let answer;
  try {
    answer = JSON.parse(stdout);
  } catch {
    return { problems: [], unasked: 'npm audit said nothing' };
  }
  if (answer.vulnerabilities === undefined)
    return { problems: [], unasked: String(answer.message ?? answer.error?.summary ?? 'no answer').slice(0, 200) };
  const bad = Object.values(answer.vulnerabilities).filter(({ severity }) => ['high', 'critical'].includes(severity));
  return { problems: bad.map(({ name, severity, range }) => `npm audit: ${name} ${range} is of severity ${severity}`) };
}
