/**
 * `npm run image [-- --output FILE.tar]`: Tortie as a container image. By docker, podman or buildah where one of them runs, from the
 * Dockerfile; without, or with --base, as an OCI archive made here, which `ctr -n k8s.io images import FILE.tar` takes.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeArchive } from './archive.mjs';
import { debianBase, machineBase } from './base.mjs';
import { writeContents } from './contents.mjs';
import { ENTRYPOINT, writeLayer } from './layer.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const ENGINES = ['docker', 'podman', 'buildah'];
const PLATFORMS = ['linux/amd64', 'linux/arm64'];
const BASES = { debian: debianBase, machine: machineBase };
const usage = `Usage: npm run image -- [--output FILE.tar] [--image NAME:TAG] [--engine ENGINE] [--platform PLATFORM]
                        [--base BASE] [--uncompressed] [--bare]
  --output FILE.tar   default: tortie-${version}.tar where no engine is, else the engine keeps the image
  --image NAME:TAG    default: tortie.dev/tortie:${version}
  --engine ENGINE     docker, podman or buildah (default: the first that runs); none: build the archive here
  --platform PLATFORM of an engine's: linux/amd64 or linux/arm64 (default: this machine's; another one by emulation)
  --base BASE         of an archive built here: debian (by debootstrap, kept in $TORTIE_IMAGE_CACHE), or machine (programs of
                      this machine); of an engine's: the image that it starts from
  --uncompressed      layers of an archive built here: larger, and sooner done
  --bare              no bill of materials (.cdx.json) and no list of licences (.licences.txt) beside an archive built here`;

const fail = (sentence, code = 1) => {
  process.stderr.write(`${sentence}\n`);
  process.exit(code);
};

function options() {
  try {
    return parseArgs({
      options: {
        output: { type: 'string' },
        image: { type: 'string', default: `tortie.dev/tortie:${version}` },
        engine: { type: 'string' },
        platform: { type: 'string' },
        base: { type: 'string' },
        uncompressed: { type: 'boolean', default: false },
        bare: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    return fail(`${error.message}\n${usage}`, 2);
  }
}

/** One that is installed and answers: a docker without its daemon builds nothing. */
const findEngine = () => ENGINES.find((name) => spawnSync(name, ['info'], { stdio: 'ignore' }).status === 0);

function byEngine(engine, { image, output, base, platform }) {
  const run = (...argv) => {
    const { status } = spawnSync(engine, argv, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, SOURCE_DATE_EPOCH: '0' },
    });
    if (status !== 0) fail(`Cannot build the image: ${engine} ${argv[0]} ended with ${status ?? 'a signal'}`);
  };
  const from = base === undefined ? [] : ['--build-arg', `BASE=${base}`];
  run('build', ...(platform === undefined ? [] : ['--platform', platform]), ...from, '--tag', image, '.');
  if (output === undefined) return;
  if (engine === 'buildah') run('push', image, `oci-archive:${output}:${image}`);
  else run('save', ...(engine === 'podman' ? ['--format', 'oci-archive'] : []), '--output', output, image);
}

async function byHand({ image, output, base = 'debian', uncompressed, bare }) {
  const fill = BASES[base];
  if (fill === undefined)
    fail(`Cannot use --base "${base}": expected ${Object.keys(BASES).join(' or ')} without an engine`, 2);
  const work = mkdtempSync(join(tmpdir(), 'tortie-image-'));
  try {
    const folders = ['system', 'tortie'].map((name) => join(work, name));
    for (const folder of folders) mkdirSync(folder);
    fill(folders[0], process.env.TORTIE_IMAGE_CACHE ?? join(homedir(), '.cache/tortie-image'));
    writeLayer(folders[1]);
    const labels = { 'org.opencontainers.image.title': 'tortie', 'org.opencontainers.image.version': version };
    const digest = await writeArchive(output, { image, folders, entrypoint: ENTRYPOINT, labels }, work, {
      compress: !uncompressed,
    });
    process.stdout.write(`${output}: ${image}@${digest}\n`);
    for (const file of bare ? [] : writeContents(output, folders[0])) process.stdout.write(`${file}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const { help, ...asked } = options();
if (help) {
  process.stdout.write(`${usage}\n`);
  process.exit(0);
}
if (asked.engine !== undefined && !ENGINES.includes(asked.engine) && asked.engine !== 'none')
  fail(`Cannot use --engine "${asked.engine}": expected ${ENGINES.join(', ')} or none`, 2);
if (asked.platform !== undefined && !PLATFORMS.includes(asked.platform))
  fail(`Cannot use --platform "${asked.platform}": expected ${PLATFORMS.join(' or ')}`, 2);
const engine = asked.engine ?? (asked.base in BASES ? 'none' : (findEngine() ?? 'none'));
const output = asked.output === undefined ? undefined : resolve(asked.output);
if (engine === 'none' && asked.platform !== undefined)
  fail(`Cannot use --platform "${asked.platform}" without an engine: an archive is for the machine's own`, 2);
if (engine === 'none') await byHand({ ...asked, output: output ?? resolve(`tortie-${version}.tar`) });
else byEngine(engine, { ...asked, output });
