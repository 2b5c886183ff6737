/**
 * Compiles the CNI plugin (src/cni/client.c) into dist/cni/tortie: static, so that it runs in any host's file system.
 *
 * musl-gcc if there is one (37 KB), else gcc -static with glibc. Does nothing when the result is newer than the source.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const source = join(root, 'src/cni/client.c');
const target = join(root, 'dist/cni/tortie');
const FLAGS = ['-std=gnu11', '-Os', '-static', '-s', '-Wall', '-Wextra', '-Werror'];

if (!isFresh()) build();

function isFresh() {
  const built = statSync(target, { throwIfNoEntry: false });
  return built !== undefined && built.mtimeMs >= statSync(source).mtimeMs;
}

function build() {
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
    `Cannot compile the CNI plugin: expected musl-gcc (Debian package musl-tools) or gcc with static libc\n${failures.join('\n')}\n`,
  );
  process.exitCode = 1;
}
