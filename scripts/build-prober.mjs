/**
 * Compiles src/lab/prober into dist/bin/tortie-prober: one static executable that starts in half a millisecond inside any
 * namespace. musl-gcc where it is installed (the smaller file), else the system's cc. Does nothing when the program is
 * newer than its sources.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'src/lab/prober');
const target = join(root, 'dist/bin/tortie-prober');
const files = readdirSync(folder).map((name) => join(folder, name));
const sources = files.filter((name) => name.endsWith('.c'));

const modified = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newest = Math.max(modified(fileURLToPath(import.meta.url)), ...files.map(modified));

if (modified(target) < newest) {
  const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
  const compiler = ['musl-gcc', 'gcc', 'cc'].find(has);
  if (compiler === undefined) {
    console.error('Cannot build tortie-prober: no C compiler found; install gcc (Debian packages gcc and musl-tools)');
    process.exit(1);
  }
  mkdirSync(dirname(target), { recursive: true });
  // Built aside and renamed: a prober that runs meanwhile keeps its file, and nobody sees half of one.
  const fresh = `${target}.${process.pid}`;
  const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-static', '-s', '-o', fresh, ...sources];
  const { status } = spawnSync(compiler, flags, { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`Cannot build tortie-prober: ${compiler} ended with status ${status}`);
    process.exit(1);
  }
  renameSync(fresh, target);
}
