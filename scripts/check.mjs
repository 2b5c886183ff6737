#!/usr/bin/env node
/**
 * `npm run check [FILE...]`: Biome's format and lint (biome.jsonc), then what Biome does not look for: lines of at most
 * 140 columns, strings included, and no file that is let off the compiler or the linter. Exits 1 and names every place.
 * Then what Tortie is made of (supply.mjs); `--no-audit` asks no registry. `--write` formats first. Plain JavaScript, because it
 * checks a tree that may not compile.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { auditProblems, lockProblems, readLock } from './supply.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MAX_COLUMNS = 140;
const PROGRAM = /\.(ts|mts|cts|js|mjs|cjs)$/;

/** The words that let a file off; put together here, so that this file may name them. */
const ESCAPES = new RegExp(['@ts-ig' + 'nore', '@ts-no' + 'check', 'biome-ig' + 'nore'].join('|'));
const EXPECTED_ERROR = new RegExp('@ts-expect' + '-error');
/** A test may say what must not compile: where it does compile, that is an error of its own. */
const MAY_EXPECT_ERRORS = 'test/';
/** These speak of such comments: the test that forbids them, and this file. */
const MAY_NAME_THEM = new Set(['test/architecture.test.ts', 'scripts/check.mjs']);

function biome(command, files) {
  const bin = join(dirname(createRequire(import.meta.url).resolve('@biomejs/biome/package.json')), 'bin/biome');
  const colors = process.stdout.isTTY ? [] : ['--colors=off'];
  const args = [bin, ...command, ...colors, '--config-path', root, ...files];
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

function trackedFiles() {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (listed.status !== 0) {
    process.stderr.write(`Cannot list the files to check: ${listed.error?.message ?? listed.stderr.trim()}\n`);
    process.exit(1);
  }
  return listed.stdout.split('\0').filter((name) => PROGRAM.test(name) && existsSync(join(root, name)));
}

function problemsOf(name) {
  const mayExpect = name.startsWith(MAY_EXPECT_ERRORS);
  return readFileSync(resolve(root, name), 'utf8')
    .split('\n')
    .flatMap((line, index) => {
      const place = `${name}:${index + 1}`;
      const letOff = MAY_NAME_THEM.has(name)
        ? undefined
        : (ESCAPES.exec(line) ?? (mayExpect ? undefined : EXPECTED_ERROR.exec(line)));
      const columns = [...line].length;
      return [
        ...(columns > MAX_COLUMNS ? [`${place}: ${columns} columns; expected at most ${MAX_COLUMNS}`] : []),
        ...(letOff
          ? [`${place}: "${letOff[0]}"; expected a mended line, or a rule that biome.jsonc turns off and why`]
          : []),
      ];
    });
}

const args = process.argv.slice(2);
const isWriting = args.includes('--write');
const named = args.filter((arg) => !arg.startsWith('-')).map((name) => relative(root, resolve(name)));
const isFormatted = biome(
  isWriting ? ['check', '--write'] : ['ci', '--error-on-warnings'],
  named.length > 0 ? named : ['.'],
);
const problems = (named.length > 0 ? named : trackedFiles()).flatMap(problemsOf);
if (named.length === 0) {
  problems.push(...lockProblems(readLock(root)));
  const { problems: known, unasked } = args.includes('--no-audit') ? { problems: [] } : auditProblems(root);
  problems.push(...known);
  if (unasked !== undefined)
    process.stderr.write(`npm audit was not answered, and is not held against anybody: ${unasked}\n`);
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (!isFormatted) process.stderr.write('Biome is not content: `npm run check -- --write` mends what can be mended.\n');
process.exit(isFormatted && problems.length === 0 ? 0 : 1);
