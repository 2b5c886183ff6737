/** Every `tortie ...` in the pages that operators read is a command of this program, with options that it has. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));
const CLI = fileURLToPath(new URL('../src/cli.js', import.meta.url));
const PAGES = [
  'operations.md',
  'troubleshooting.md',
  'change.md',
  'flows.md',
  ...readdirSync(join(DOCS, 'peering')).map((name) => join('peering', name)),
];

/** Inline code and indented lines that begin with the program, cut where a shell would go on. */
const commandsIn = (text: string): readonly string[] =>
  [...text.matchAll(/`tortie ([^`]+)`|^ {4}(?:kubectl exec .* -- )?tortie (.+)$/gm)].map(([, inline, block]) =>
    (inline ?? block ?? '').replace(/[>|#].*$/, '').trim(),
  );

describe('commands in the docs', function () {
  this.timeout(60_000);
  const helps = new Map<string, string | undefined>();
  const helpOf = (...words: readonly string[]): string | undefined => {
    const key = words.join(' ');
    if (!helps.has(key)) {
      const { status, stdout } = spawnSync(process.execPath, [CLI, ...words, '--help'], { encoding: 'utf8' });
      helps.set(key, status === 0 ? stdout : undefined);
    }
    return helps.get(key);
  };

  it('are commands of this program, with options that it has', () => {
    const wrong: string[] = [];
    let count = 0;
    for (const page of PAGES)
      for (const command of commandsIn(readFileSync(join(DOCS, page), 'utf8'))) {
        count += 1;
        const words = command.split(/\s+/);
        const [first = '', second = ''] = words;
        const isNested = new RegExp(`^Usage: tortie ${first} .*\\[command\\]`, 'm').test(helpOf(first) ?? '');
        const help = isNested && /^[a-z]/.test(second) ? helpOf(first, second) : helpOf(first);
        const usage = isNested && /^[a-z]/.test(second) ? `Usage: tortie ${first} ${second}` : `Usage: tortie ${first}`;
        const unknown = words.filter(
          (word) => /^--?[a-z]/.test(word) && help?.includes(word.split('=')[0] ?? '') !== true,
        );
        if (help?.startsWith(usage) !== true || unknown.length > 0)
          wrong.push(`${page}: tortie ${command} ${unknown.join()}`);
      }
    expect(wrong).to.deep.equal([]);
    expect(count).to.be.greaterThan(20);
  });
});
