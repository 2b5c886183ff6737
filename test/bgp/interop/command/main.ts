/**
 * `npm run interop -- --debian 13,sid`: the scenarios of the interop tests, and a few that take too long for them, against the
 * routing daemons of newer Debians. Not a part of CI: it fetches half a gigabyte for each, and they are moving targets.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError, Option } from 'commander';
import { castOf, lackingOf, VENDORS, type Role } from '../cast.js';
import { ROOT_VARIABLE, Root } from '../root.js';
import { checkReaders } from './readers.js';
import { formatReaders } from './reader-tables.js';
import { makeRoot, packageVersion, RELEASES, secondVersion } from './debian.js';
import { formatMatrix, type Outcome, type Row } from './matrix.js';

const MACHINE = 'machine';
const FILES = ['../interop.test.js', '../unnumbered.test.js', 'burst.js'].map((file) =>
  fileURLToPath(new URL(file, import.meta.url)),
);

interface Options {
  readonly debian: readonly string[];
  readonly cache: string;
  readonly output: 'text' | 'json' | 'markdown';
  readonly readers: boolean;
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const program = new Command('npm run interop --')
  .description('The interoperability scenarios against the routing daemons of other Debian releases, each in a chroot.')
  .option(
    '--debian <RELEASES>',
    `of ${[MACHINE, ...Object.keys(RELEASES)].join(', ')}, separated by commas`,
    releases,
    [MACHINE],
  )
  .option(
    '--cache <DIRECTORY>',
    'where the chroots are kept; delete one to take newer packages',
    '/var/cache/tortie-interop',
  )
  .addOption(new Option('-o, --output <FORMAT>', 'of the matrix').choices(['text', 'json', 'markdown']).default('text'))
  .option(
    '--readers',
    'what MRT and BMP readers of others make of ours, instead; from one release, 13 without --debian',
    false,
  );

const options = program.parse().opts<Options>();
process.exitCode = await (options.readers ? runReaders() : runMatrix());

async function runMatrix(): Promise<number> {
  const rows: Row[] = [];
  for (const release of options.debian) rows.push(...(await runRelease(release)));
  process.stdout.write(options.output === 'json' ? `${JSON.stringify(rows)}\n` : formatMatrix(rows, options.output));
  return rows.some(({ outcomes }) => outcomes.some(({ state }) => state === 'fail')) ? 1 : 0;
}

async function runReaders(): Promise<number> {
  const [release = MACHINE] = options.debian;
  const root = makeRoot(release === MACHINE ? '13' : release, options.cache, say);
  const rows = await checkReaders(root, options.cache, say);
  process.stdout.write(options.output === 'json' ? `${JSON.stringify(rows)}\n` : formatReaders(rows));
  return rows.every(({ missing, strange, different }) => missing.length + strange.length + different.length === 0)
    ? 0
    : 1;
}

function releases(text: string): readonly string[] {
  const names = text.split(',');
  const stranger = names.find((name) => name !== MACHINE && !Object.hasOwn(RELEASES, name));
  if (stranger !== undefined)
    throw new InvalidArgumentError(`"${stranger}" is not one of ${[MACHINE, ...Object.keys(RELEASES)].join(', ')}.`);
  return names;
}

async function runRelease(release: string): Promise<readonly Row[]> {
  const root = release === MACHINE ? new Root() : makeRoot(release, options.cache, say);
  const cast = castOf(root);
  const lacking = lackingOf(cast);
  if (lacking.length > 0) throw new Error(`Cannot run against ${release}: it lacks ${lacking.join(', ')}`);
  say(`${release}: ${cast.map((role) => `${role.name} ${versionOf(role)}`).join(', ')}`);
  const outcomes = await runScenarios(root);
  const from = root.isMachine ? 'this machine' : `Debian ${release}`;
  return cast.map((role) => ({
    peer: role.vendor,
    version: versionOf(role),
    from: role.root.folder !== '' && secondVersion(role.root)[1] !== 'Debian' ? secondVersion(role.root)[1] : from,
    outcomes: outcomes.filter(({ party }) => party === role.name),
  }));
}

/** Shows each as it ends; a failure in full. */
async function runScenarios(root: Root): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const child = spawn(process.execPath, [fileURLToPath(new URL('scenarios-process.js', import.meta.url)), ...FILES], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: root.isMachine ? process.env : { ...process.env, [ROOT_VARIABLE]: root.path },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    const outcome = JSON.parse(line) as Outcome;
    outcomes.push(outcome);
    if (outcome.state !== 'cannot') say(`  ${outcome.state} ${outcome.party}: ${outcome.scenario}`);
    if (outcome.why !== undefined) say(outcome.why.replaceAll(/^/gm, '      '));
  }
  await ended;
  return outcomes;
}

/** The upstream part of a version. */
function versionOf({ vendor, root }: Role): string {
  const full = root.folder === '' ? packageVersion(root, VENDORS[vendor]?.package ?? '') : secondVersion(root)[0];
  return full?.replace(/-[^-]*$/, '') ?? 'of unknown version';
}
