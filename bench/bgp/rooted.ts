/**
 * Peers out of the roots of newer Debians that `npm run interop` makes: `bird3@sid` is BIRD 3 of the root `sid`. They are configured and
 * started as those of this machine, in a chroot.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { SECOND_VERSIONS } from '../../test/bgp/interop/cast.js';
import { Root } from '../../test/bgp/interop/root.js';
import { SPEAKERS, type Launch, type Speaker } from './speakers.js';

const MGMTD = '/usr/lib/frr/mgmtd';

/** NAME@ROOT, the root a folder below `cache`; undefined if there is no speaker of that name (`bird3` is a `bird`). */
export function rootedSpeaker(name: string, cache: string): Speaker | undefined {
  const [program = '', folder = ''] = name.split('@');
  const kind = program.replace(/\d+$/, '');
  const base = Object.hasOwn(SPEAKERS, kind) ? SPEAKERS[kind] : undefined;
  if (base === undefined || kind === 'tortie' || !/^[a-z]+$/.test(folder)) return undefined;
  const root = new Root(join(cache, folder)).in(kind === program ? '' : join(SECOND_VERSIONS, program));
  const inside = (path: string): string => join('/', root.folder, path);
  const [version = '', ...versionArgs] = base.version;
  return {
    needs: { file: root.outside(inside(base.needs.file)), package: `"npm run interop", into ${root.path}` },
    version: ['unshare', '--mount', ...root.argv(inside(version), ...versionArgs)],
    canInstall: base.canInstall,
    launch: (topology, directory) => {
      const launch = base.launch(topology, directory);
      const owned = (launch.directories ?? []).map(({ path, owner }) => ({
        path: path.startsWith(directory) ? path : root.outside(path),
        owner: idOf(root, owner),
      }));
      const commands = launch.commands.map(([command = '', ...args]) => [inside(command), ...args]);
      return {
        ...launch,
        directories: [
          ...owned,
          ...(kind === 'frr' ? [{ path: root.outside('/run/frr'), owner: idOf(root, 'frr') }] : []),
        ],
        commands: [...mgmtd(root, launch, directory), ...commands].map((argv) => root.argv(...argv)),
      };
    },
  };
}

/** The zebra of FRR 10 writes a hundred lines a second into its log when there is nobody to report to. */
function mgmtd(root: Root, { commands }: Launch, directory: string): readonly (readonly string[])[] {
  const isFrr = commands.some(([command = '']) => dirname(command) === dirname(MGMTD));
  if (!isFrr || !root.has(MGMTD)) return [];
  const own = ['-i', join(directory, 'frr', `${basename(MGMTD)}.pid`), '--vty_socket', join(directory, 'frr')];
  return [[MGMTD, ...own, '-A', '127.0.0.1', '-u', 'frr', '-g', 'frr', '--log', 'stdout', '--log-level', 'warnings']];
}

/** Users have other numbers there. */
function idOf(root: Root, user: string): string {
  const line = readFileSync(root.outside('/etc/passwd'), 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${user}:`));
  const id = line?.split(':')[2];
  if (id === undefined) throw new Error(`${root.path} has no user ${user}: expected one, made by a package`);
  return id;
}
