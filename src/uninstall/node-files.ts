/**
 * The files of Tortie on a node: the conflist, the plugins, its folders, and what tells network managers to leave its interfaces
 * alone. What lies beside them is somebody else's; so is the mount, where one of the folders has a file system of its own.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CONFLIST_NAME, PLUGIN_NAME } from '../cni/conflist.js';
import { HOST_FILES } from '../cni/host-files.js';
import { isOwnLoopback } from '../cni/install.js';
import { messageOf } from '../errors.js';
import type { Trace } from './traces.js';

export interface NodeFolders {
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  readonly runDir: string;
  readonly stateDir: string;
  readonly hostEtcDir: string;
}

export function lookAtFiles(folders: NodeFolders): readonly Trace[] {
  return [
    ...namesIn(folders.cniConfDir)
      .filter(isOwnConflist)
      .map((name) => join(folders.cniConfDir, name)),
    ...HOST_FILES.map(({ path }) => join(folders.hostEtcDir, path)).filter((path) => existsSync(path)),
    ...namesIn(folders.cniBinDir)
      .filter((name) => isOwnPlugin(folders.cniBinDir, name))
      .map((name) => join(folders.cniBinDir, name)),
    // Last: the journal in it says which addresses are whose.
    ...[folders.runDir, folders.stateDir].filter(
      (path) => existsSync(path) && !(isMount(path) && readdirSync(path).length === 0),
    ),
  ].map((name) => ({ kind: statSync(name).isDirectory() ? 'folder' : 'file', name }));
}

/** Sentences of what could not be removed. */
export function removeFiles(files: readonly Trace[]): readonly string[] {
  return files.flatMap(({ name }) => {
    try {
      const paths = isMount(name) ? readdirSync(name).map((each) => join(name, each)) : [name];
      for (const path of paths) rmSync(path, { recursive: true, force: true });
      return [];
    } catch (error) {
      return [`Cannot remove "${name}": ${messageOf(error)}`];
    }
  });
}

/** With what was put aside, and drafts of a process that was killed (src/replace-file.ts). */
const isOwnConflist = (name: string): boolean =>
  name === CONFLIST_NAME || name === `${CONFLIST_NAME}.unusable` || name.startsWith(`.${CONFLIST_NAME}.`);

function isOwnPlugin(folder: string, name: string): boolean {
  if (name === PLUGIN_NAME || /^\.(tortie|loopback)\.\d+$/.test(name)) return true;
  return name === 'loopback' && isOwnLoopback(readFileSync(join(folder, name)));
}

const namesIn = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);

/** proc_pid_mountinfo(5): the fifth field, where white space and backslashes are octal. */
function isMount(path: string): boolean {
  const real = realpathSync(path);
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .some(
      (point) => point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))) === real,
    );
}
