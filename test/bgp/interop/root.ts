/**
 * Where other people's daemons come from: this machine, or a whole Debian of another year in a folder (`npm run interop -- --debian 13`).
 *
 * A daemon out of a folder runs in a chroot. `ip netns exec`, through which everything here is started, gives each process a mount
 * namespace of its own: what is mounted into the folder for it goes with it, and nothing has to be unmounted. The temporary folder is the
 * same inside and outside, so that configurations and sockets have one path.
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Set by `npm run interop`; the tests of CI take what this machine has. */
export const ROOT_VARIABLE = 'TORTIE_INTEROP_ROOT';

const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const ENTER = `set -e
root=$1 temporary=$2 path=$3; shift 3
mkdir -p "$root$temporary"
for each in /proc /dev /sys "$temporary"; do mount --rbind "$each" "$root$each"; done
PATH=$path exec chroot "$root" "$@"`;

export class Root {
  /** `folder` is inside `path`: a second version of a program lies there, unpacked, beside the one that is installed. */
  constructor(
    readonly path = '/',
    readonly folder = '',
  ) {}

  static ofEnvironment(): Root {
    return new Root(process.env[ROOT_VARIABLE] ?? '/');
  }

  get isMachine(): boolean {
    return this.path === '/';
  }

  /** The same root, with programs of that folder first. */
  in(folder: string): Root {
    return new Root(this.path, folder);
  }

  /** What to hand `ip netns exec` to run this. */
  argv(...argv: readonly string[]): readonly string[] {
    if (this.isMachine) return argv;
    return ['sh', '-c', ENTER, 'sh', this.path, tmpdir(), this.searchPath, ...argv];
  }

  /** A path of the root as this machine sees it. */
  outside(path: string): string {
    return join(this.path, path);
  }

  has(program: string): boolean {
    if (program.startsWith('/')) return existsSync(this.outside(program));
    return this.searchPath.split(':').some((directory) => existsSync(this.outside(join(directory, program))));
  }

  private get searchPath(): string {
    if (this.isMachine) return `${process.env['PATH'] ?? ''}:${SYSTEM_PATH}`;
    if (this.folder === '') return SYSTEM_PATH;
    const own = ['usr/sbin', 'usr/bin', 'bin'].map((directory) => join(this.folder, directory));
    return [...own, SYSTEM_PATH].join(':');
  }
}
