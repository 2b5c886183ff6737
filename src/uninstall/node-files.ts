/**
 * The files of Tortie on a node: the conflist, the plugins, its folders, and what tells network managers to leave its interfaces
 * alone. What lies beside them is somebody else's.
 */
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
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
    ...[folders.runDir, folders.stateDir].filter((path) => existsSync(path)),
  ].map((name) => ({ kind: statSync(name).isDirectory() ? 'folder' : 'file', name }));
}

/** Sentences of what could not be removed. */
export function removeFiles(files: readonly Trace[]): readonly string[] {
  return files.flatMap(({ name }) => {
    try {
      rmSync(name, { recursive: true, force: true });
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
