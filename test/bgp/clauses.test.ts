/** docs/bgp.md must be true: its files exist, and the words it quotes stand in the tests it names. */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/bgp.md', () => {
  const rows = readFileSync(`${root}docs/bgp.md`, 'utf8').split('\n').filter((line) => /^\| (?!clause|-)/.test(line));

  it('has rows', () => expect(rows.length).to.be.above(50));

  for (const row of rows)
    it(row.slice(2, 70), () => {
      const [, clause = '', , file = '', proof = ''] = row.split('|').map((cell) => cell.trim());
      expect(clause, 'a clause').to.not.equal('');
      const source = /^`(\S+\.ts)`$/.exec(file)?.[1] ?? '';
      expect(existsSync(`${root}bgp/src/${source}`), `bgp/src/${source}`).to.equal(true);
      const [, test = '', words = ''] = /^`(\S+\.test\.ts)` "([^"]+)"$/.exec(proof) ?? [];
      expect(readFileSync(`${root}test/bgp/${test}`, 'utf8').includes(words), `"${words}" in test/bgp/${test}`).to.equal(true);
    });
});
