/**
 * Compiles the CNI plugins into dist/cni: `tortie` (src/cni/client.c) and `loopback`, static, so that they run in any host's file system.
 *
 * musl-gcc if there is one (37 KB each), else gcc -static with glibc. Does nothing when a result is newer than its sources.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'src/cni');
const PLUGINS = [
  { target: join(root, 'dist/cni/tortie'), source: join(folder, 'client.c') },
  { target: join(root, 'dist/cni/loopback'), source: join(folder, 'loopback.c') },
];
const FLAGS = ['-std=gnu11', '-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror'];

for (const plugin of PLUGINS) if (!isFresh(plugin)) build(plugin);

function isFresh({ target, source }) {
  const built = statSync(target, { throwIfNoEntry: false });
  return (
    built !== undefined && [source, join(folder, 'plugin.h')].every((file) => built.mtimeMs >= statSync(file).mtimeMs)
  );
}

function build({ target, source }) {
  const failures = [];
  mkdirSync(dirname(target), { recursive: true });
  for (const compiler of ['musl-gcc', 'gcc']) {
    const draft = `${target}.${process.pid}`;
    try {
      execFileSync(compiler, [...FLAGS, '-o', draft, source], {
        stdio: ['ignore', 'ignore', 'pipe'],
        encoding: 'utf8',
      });
      renameSync(draft, target);
      return;
    } catch (error) {
      failures.push(
        `${compiler}: ${error.code === 'ENOENT' ? 'not installed' : (error.stderr ?? error.message).trim()}`,
      );
    }
  }
  process.stderr.write(
    `Cannot compile CNI plugin ${source}: expected musl-gcc (Debian package musl-tools) or gcc with static libc\n${failures.join('\n')}\n`,
  );
  process.exitCode = 1;
}
