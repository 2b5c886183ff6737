/**
 * What an image holds, beside it: the bill of materials (CycloneDX, as `npm run sbom` makes it, of what runs; Debian's packages added)
 * and a list of licences. Equal images have equal lists: no serial number, no time.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** Writes OUTPUT without .tar and with .cdx.json and .licences.txt. @param system folder of the base. Answers the files. */
export function writeContents(output, system) {
  const stem = output.replace(/\.tar$/, '');
  const bill = JSON.parse(
    execFileSync('npm', ['run', '--silent', 'sbom', '--', '--omit=dev'], {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    }),
  );
  delete bill.serialNumber;
  delete bill.metadata.timestamp;
  const debian = debianPackages(system);
  bill.components.push(...debian.map(componentOf));
  const files = [`${stem}.cdx.json`, `${stem}.licences.txt`];
  writeFileSync(files[0], `${JSON.stringify(bill, undefined, 2)}\n`);
  writeFileSync(files[1], licenceLines(bill, debian).join('\n'));
  return files;
}

/** Of dpkg's own list; none where the base has none. */
function debianPackages(system) {
  const file = join(system, 'var/lib/dpkg/status');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n\n')
    .map((paragraph) =>
      Object.fromEntries([...paragraph.matchAll(/^(\S+): (.*)$/gm)].map(([, key, value]) => [key, value])),
    )
    .filter(({ Package, Status }) => Package !== undefined && Status === 'install ok installed');
}

const componentOf = ({ Package, Version, Architecture }) => {
  const purl = `pkg:deb/debian/${Package}@${encodeURIComponent(Version)}?arch=${Architecture}`;
  return { 'bom-ref': purl, type: 'library', name: Package, version: Version, purl };
};

function licenceLines({ components }, debian) {
  const licenceOf = ({ licenses = [] }) =>
    licenses.map(({ license, expression }) => expression ?? license?.id ?? license?.name).join(', ') || 'not stated';
  const own = components
    .filter(({ purl = '' }) => purl.startsWith('pkg:npm/'))
    .map((each) => `${each.name} ${each.version}: ${licenceOf(each)}`);
  return [
    'Tortie: Apache-2.0 (LICENSE)',
    '',
    'npm packages:',
    ...own.sort(),
    '',
    debian.length === 0
      ? 'The system below is of the machine that built the image: see the licences of its packages.'
      : "Debian packages, each with its licence in Debian's own source of it:",
    ...debian.map(({ Package, Version }) => `${Package} ${Version}`).sort(),
    '',
  ];
}
