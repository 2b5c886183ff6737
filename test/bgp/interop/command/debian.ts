/**
 * A Debian of another year in a folder, with the routing daemons that it has, for peers that are newer than this machine's.
 * debootstrap makes it from the mirror that this machine's own apt uses; every step looks first, so that a second call takes a
 * second. Nothing of it is started here, and no service starts by being installed.
 */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { SECOND_VERSIONS, VENDORS } from '../cast.js';
import { Root } from '../root.js';

/** A version beside the installed one: unpacked from a Debian package, or built by the Go of this machine. */
interface Second {
  readonly name: string;
  readonly debian?: string;
  readonly go?: { readonly module: string; readonly version: string; readonly programs: readonly string[] };
}

interface Release {
  readonly suite: string;
  readonly seconds: readonly Second[];
}

export const RELEASES: Readonly<Record<string, Release>> = {
  '13': {
    suite: 'trixie',
    seconds: [
      { name: 'bird3', debian: 'bird3' },
      {
        name: 'gobgp4',
        go: { module: 'github.com/osrg/gobgp/v4', version: 'v4.8.0', programs: ['cmd/gobgpd', 'cmd/gobgp'] },
      },
    ],
  },
  sid: { suite: 'sid', seconds: [{ name: 'bird3', debian: 'bird3' }] },
};

/** Beside the vendors' packages: what their set-up and the readers of our dumps need. */
const TOOLS = ['iproute2', 'libssh-4', 'bgpdump', 'pmacct', 'python3-mrtparse'];
const APT_SETTINGS = /^Acquire::(https?|Check|Retries|ForceIPv|AllowInsecure)/;

/** The root of a release below `cache`, made if it is not there. Throws with the words of the tool that failed. */
export function makeRoot(name: string, cache: string, say: (line: string) => void): Root {
  const release = RELEASES[name];
  if (release === undefined)
    throw new Error(`There is no release "${name}": expected ${Object.keys(RELEASES).join(' or ')}`);
  const root = new Root(join(cache, release.suite));
  if (!existsSync(root.outside('/etc/debian_version'))) bootstrap(release.suite, root, say);
  settle(root);
  install(root, say);
  for (const second of release.seconds) addSecond(second, root, say);
  return root;
}

/** What `addSecond` wrote about a second version: the version, and where it came from. */
export function secondVersion(root: Root): readonly [version: string, origin: string] {
  const text = readFileSync(root.outside(join(root.folder, 'VERSION')), 'utf8').trim();
  const space = text.indexOf(' ');
  return [text.slice(0, space), text.slice(space + 1)];
}

/** Version of a Debian package in a root; undefined when it is not installed. */
export function packageVersion(root: Root, name: string): string | undefined {
  const { stdout } = spawnSync('dpkg', ['--admindir', root.outside('/var/lib/dpkg'), '--status', name], {
    encoding: 'utf8',
  });
  const isInstalled = /^Status: .* installed$/m.test(stdout);
  return isInstalled ? /^Version: (.*)$/m.exec(stdout)?.[1] : undefined;
}

function bootstrap(suite: string, root: Root, say: (line: string) => void): void {
  const mirror = run('apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Label: Debian')
    .split('\n')
    .find((line) => line !== '');
  if (mirror === undefined)
    throw new Error("This machine's apt names no Debian mirror: expected one, to make a root from");
  say(`Making Debian ${suite} in ${root.path} (about 500 MB)`);
  const part = `${root.path}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(dirname(part), { recursive: true });
  run('debootstrap', '--variant=minbase', suite, part, mirror);
  renameSync(part, root.path);
}

/** Name resolution and apt's transport as this machine has them; no service starts. */
function settle(root: Root): void {
  copyFileSync('/etc/resolv.conf', root.outside('/etc/resolv.conf'));
  const settings = run('apt-config', 'dump')
    .split('\n')
    .filter((line) => APT_SETTINGS.test(line));
  // A proxy's address may hold a password.
  writeFileSync(root.outside('/etc/apt/apt.conf.d/90machine'), `${settings.join('\n')}\n`, { mode: 0o600 });
  const policy = root.outside('/usr/sbin/policy-rc.d');
  writeFileSync(policy, '#!/bin/sh\nexit 101\n');
  chmodSync(policy, 0o755);
}

function install(root: Root, say: (line: string) => void): void {
  const wanted = [...Object.values(VENDORS).map((vendor) => vendor.package), ...TOOLS];
  const missing = wanted.filter((name) => packageVersion(root, name) === undefined);
  if (missing.length === 0) return;
  say(`Installing ${missing.join(', ')} there`);
  inside(root, 'apt-get', 'update', '-q');
  inside(
    root,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    'install',
    '-y',
    '-q',
    '--no-install-recommends',
    ...missing,
  );
}

function addSecond(second: Second, root: Root, say: (line: string) => void): void {
  const folder = join(SECOND_VERSIONS, second.name);
  const stamp = root.outside(join(folder, 'VERSION'));
  if (existsSync(stamp)) return;
  rmSync(root.outside(folder), { recursive: true, force: true });
  mkdirSync(root.outside(folder), { recursive: true });
  say(`Adding ${second.name} there`);
  if (second.debian !== undefined) {
    const script = `cd "$1" && apt-get download -q "$2" && dpkg -x "$2"_*.deb . &&
echo "$(dpkg-deb -f "$2"_*.deb Version) Debian" > VERSION && rm "$2"_*.deb`;
    inside(root, 'sh', '-c', script, 'sh', folder, second.debian);
  } else if (second.go !== undefined) {
    const { module, version, programs } = second.go;
    const bin = root.outside(join(folder, 'usr/bin'));
    const build = spawnSync('go', ['install', ...programs.map((program) => `${module}/${program}@${version}`)], {
      encoding: 'utf8',
      env: { ...process.env, CGO_ENABLED: '0', GOBIN: bin },
    });
    if (build.status === 0) writeFileSync(stamp, `${version.slice(1)} Go proxy\n`);
    else {
      rmSync(root.outside(folder), { recursive: true, force: true });
      say(`Without ${second.name}: ${build.error?.message ?? build.stderr.trim().split('\n').slice(-3).join(' ')}`);
    }
  }
}

/** In a mount namespace of its own, as the daemons will be. */
function inside(root: Root, ...argv: readonly string[]): string {
  return run('unshare', '--mount', ...root.argv(...argv));
}

function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) {
    const said = error?.message ?? `${stdout}${stderr}`.trim().split('\n').slice(-6).join('\n');
    throw new Error(`Cannot run ${command} ${args.slice(0, 3).join(' ')}: ${said}`);
  }
  return stdout;
}
