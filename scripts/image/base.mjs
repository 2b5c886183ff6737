/**
 * The system below Tortie in an image that is built without an engine, as a folder: Node, iptables of both kinds, nft, a shell.
 *
 *   debian    Debian from its archive by debootstrap; slow the first time, kept
 *   machine   those programs of this machine, with the libraries they are linked to: seconds, and only as good as the machine
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The first Debian whose own Node is new enough. */
export const SUITE = 'trixie';
const PACKAGES = ['nodejs', 'iptables', 'nftables', 'ipset', 'ca-certificates'];
/** Not needed to run; what dates or differs between two installations of the same packages. */
const CUT = [
  'boot',
  'home',
  'media',
  'mnt',
  'srv',
  'dev',
  'usr/share/doc',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/locale',
  'usr/share/man',
  'usr/share/nodejs/npm',
  'var/backups',
  'var/cache',
  'var/lib/apt/lists',
  'var/log',
  'var/lib/dpkg/info',
  'etc/machine-id',
  'etc/hostname',
  'etc/resolv.conf',
];
const KEPT_FOLDERS = ['dev', 'proc', 'sys', 'tmp', 'root', 'var/cache', 'var/log', 'var/lib/tortie'];

/** Debian below `folder`. @param cache where it is kept for the next time */
export function debianBase(folder, cache) {
  const kept = join(cache, `${SUITE}-${process.arch}`);
  if (!existsSync(kept)) {
    const draft = `${kept}.${process.pid}`;
    mkdirSync(cache, { recursive: true });
    try {
      execFileSync('debootstrap', ['--variant=minbase', `--include=${PACKAGES.join(',')}`, SUITE, draft], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      for (const path of CUT) rmSync(join(draft, path), { recursive: true, force: true });
      finish(draft);
      renameSync(draft, kept);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  cpSync(kept, folder, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Programs of this machine below `folder`. */
export function machineBase(folder) {
  for (const path of ['usr/bin', 'usr/sbin', 'usr/lib', 'etc']) mkdirSync(join(folder, path), { recursive: true });
  for (const name of ['bin', 'sbin', 'lib']) symlinkSync(`usr/${name}`, join(folder, name));
  program(folder, process.execPath, 'usr/bin/node');
  program(folder, '/bin/sh', 'usr/bin/sh');
  // Addons are linked to parts of the C library that no program here asks for.
  const packages = join(ROOT, 'node_modules');
  for (const path of readdirSync(packages, { recursive: true, encoding: 'utf8' }))
    if (path.endsWith('.node') && !path.includes('musl')) libraries(folder, join(packages, path));
  for (const name of ['xtables-nft-multi', 'xtables-legacy-multi', 'nft', 'ipset']) {
    const file = ['/usr/sbin', '/sbin'].map((path) => join(path, name)).find((path) => existsSync(path));
    if (file !== undefined) program(folder, realpathSync(file), `usr/sbin/${name}`);
  }
  for (const kind of ['nft', 'legacy'])
    for (const tool of ['iptables', 'ip6tables'])
      for (const verb of ['', '-save', '-restore']) {
        symlinkSync(`xtables-${kind}-multi`, join(folder, 'usr/sbin', `${tool}-${kind}${verb}`));
        if (kind === 'nft') symlinkSync(`xtables-${kind}-multi`, join(folder, 'usr/sbin', `${tool}${verb}`));
      }
  for (const parent of ['/usr/lib', ...readdirSync('/usr/lib').map((name) => join('/usr/lib', name))]) {
    const extensions = join(parent, 'xtables');
    if (existsSync(extensions)) cpSync(extensions, join(folder, extensions), { recursive: true });
  }
  finish(folder);
}

function finish(folder) {
  for (const path of KEPT_FOLDERS) mkdirSync(join(folder, path), { recursive: true });
  mkdirSync(join(folder, 'run'), { recursive: true });
  if (!existsSync(join(folder, 'var/run'))) symlinkSync('/run', join(folder, 'var/run'));
  chmodSync(join(folder, 'tmp'), 0o1777);
  // iptables' own answer to who would read it; nobody does.
  if (!existsSync(join(folder, 'etc/passwd')))
    writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  if (!existsSync(join(folder, 'etc/protocols')) && existsSync('/etc/protocols'))
    copyFileSync('/etc/protocols', join(folder, 'etc/protocols'));
}

/** A program with the libraries that it is linked to. */
function program(folder, from, to) {
  mkdirSync(dirname(join(folder, to)), { recursive: true });
  copyFileSync(from, join(folder, to));
  chmodSync(join(folder, to), 0o755);
  libraries(folder, from);
}

/** What a program, or an addon of Node, is linked to. */
function libraries(folder, from) {
  const linked = execFileSync('sh', ['-c', 'ldd "$0" || true', from], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  for (const [library] of linked.matchAll(/\/[^ \n]+/g)) {
    const target = join(folder, library.replace(/^\/lib(\/|$)/, '/usr/lib$1'));
    // What is not found here, or is for another C library.
    if (existsSync(target) || !existsSync(library)) continue;
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(library, target);
  }
}

/** For whoever lists what is inside: every file of a folder, links not followed. */
export function filesOf(folder, path = '') {
  return readdirSync(join(folder, path))
    .sort()
    .flatMap((name) => {
      const inside = join(path, name);
      const file = lstatSync(join(folder, inside));
      if (file.isSymbolicLink()) return [{ path: inside, link: readlinkSync(join(folder, inside)) }];
      return file.isDirectory() ? filesOf(folder, inside) : [{ path: inside, name: basename(inside) }];
    });
}
