/**
 * The programs that a runtime executes, into a node's folder of plugins: what the init container of the DaemonSet does, so that the
 * agent itself need not be able to write programs that root executes.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '../errors.js';
import { installPlugin } from './conflist.js';
import { replaceFile } from '../replace-file.js';

/** dist/cni of this build or image. */
const SOURCE = fileURLToPath(new URL('../../cni/', import.meta.url));

/** In ours, and in nobody else's (src/cni/loopback.c). */
const MARK = 'loopback: the CNI plugin that comes with Tortie';

export const isOwnLoopback = (program: Buffer): boolean => program.includes(MARK);

/** A line for every plugin. What another network has installed under the name "loopback" stays. @throws UserError */
export function installPlugins(directory: string): readonly string[] {
  try {
    const plugin = installPlugin(directory, join(SOURCE, 'tortie'));
    return [
      plugin === undefined ? `${join(directory, 'tortie')} is as it should be` : `${plugin} is installed`,
      installLoopback(directory),
    ];
  } catch (error) {
    throw new UserError(`Cannot install the CNI plugins in "${directory}": ${messageOf(error)}`, 1, { cause: error });
  }
}

/** Runtimes call it for every sandbox, and fail without. One of another make stays. */
export function installLoopback(directory: string): string {
  const target = join(directory, 'loopback');
  if (existsSync(target) && !isOwnLoopback(readFileSync(target))) return `${target} is there`;
  const isNew = replaceFile(target, readFileSync(join(SOURCE, 'loopback')), 0o755);
  return `${target} is ${isNew ? 'installed' : 'as it should be'}`;
}
