/** A file that appears whole or not at all: written aside, flushed, renamed, its folder synced. What is as wanted is left alone. */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** False if the file is already as wanted. @param folderMode of folders that have to be made, less the umask */
export function replaceFile(path: string, content: Uint8Array, mode: number, folderMode = 0o777): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (
    found?.isFile() === true &&
    (found.mode & 0o777) === mode &&
    found.size === content.length &&
    readFileSync(path).equals(content)
  )
    return false;
  mkdirSync(dirname(path), { recursive: true, mode: folderMode });
  // A leading dot: runtimes skip what does not end in .conf, .conflist or .json.
  const draft = join(dirname(path), `.${basename(path)}.${process.pid}`);
  try {
    rmSync(draft, { force: true });
    // Made here, never opened through a link (O_EXCL).
    writeFileSync(draft, content, { flush: true, flag: 'wx', mode });
    chmodSync(draft, mode);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
  return true;
}

/** What was renamed or removed in it stays so. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
