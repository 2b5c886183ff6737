/** What `npm run check` refuses. That the tree passes it is in architecture.test.ts. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

function check(...args: readonly string[]): { readonly code: number | null; readonly output: string } {
  const result = spawnSync(process.execPath, [join(root, 'scripts/check.mjs'), ...args], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  return { code: result.status, output: `${result.stdout}${result.stderr}` };
}

describe('the house', function () {
  this.timeout(120_000);
  // Inside the tree, where Biome's configuration holds; removed even when a test fails.
  const folder = join(root, 'test', `.house-${process.pid}`);
  const write = (text: string): string => {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, 'odd.ts');
    writeFileSync(path, text);
    return path;
  };
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const { name, text, says } of [
    { name: 'a format of its own', text: 'export const x = {a:1}\n', says: /format/ },
    {
      name: 'an import that nobody uses',
      text: "import { join } from 'node:path';\nexport {};\n",
      says: /noUnusedImports/,
    },
    {
      name: 'a line that nobody can read',
      text: `export const x = '${'a'.repeat(130)}';\n`,
      says: /odd\.ts:1: 150 columns/,
    },
    {
      name: 'a file let off the compiler',
      text: `// @ts-${'nocheck'}\nexport const x = 1;\n`,
      says: /odd\.ts:1: "@ts-/,
    },
    {
      name: 'a line let off the linter',
      text: `// biome-${'ignore'} lint: why not\nexport const x = 1;\n`,
      says: /odd\.ts:1: "biome-/,
    },
  ] as const)
    it(`refuses ${name}`, () => {
      const { code, output } = check(write(text));
      expect(code, output).to.equal(1);
      expect(output).to.match(says);
    });
});
