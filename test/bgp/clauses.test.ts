/** docs/bgp.md must be true: its files exist, and the words it quotes stand in the tests it names. */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import type { FilterConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import type { FilterSession } from 'node-bgp/filter/condition';
import { compilePolicy } from 'node-bgp/filter/policy';
import type { PolicyRoute } from 'node-bgp/rib/policy';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('docs/bgp.md', () => {
  const page = readFileSync(`${root}docs/bgp.md`, 'utf8');
  const tables = page.split('\n\n').filter((block) => /^\| clause +\|/.test(block));
  const rows = tables.flatMap((table) => table.split('\n').slice(2)).filter((line) => line !== '');

  it('has rows', () => expect(rows.length).to.be.above(50));

  for (const row of rows)
    it(row.slice(2, 70), () => {
      const [, clause = '', , file = '', proof = ''] = row.split('|').map((cell) => cell.trim());
      expect(clause, 'a clause').to.not.equal('');
      const source = /^`(\S+\.ts)`$/.exec(file)?.[1] ?? '';
      expect(existsSync(`${root}bgp/src/${source}`), `bgp/src/${source}`).to.equal(true);
      const [, test = '', words = ''] = /^`(\S+\.test\.ts)` "([^"]+)"$/.exec(proof) ?? [];
      expect(
        readFileSync(`${root}test/bgp/${test}`, 'utf8').includes(words),
        `"${words}" in test/bgp/${test}`,
      ).to.equal(true);
    });

  it('shows filters that work', () => {
    const example = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    const { filters } = parse(example) as { readonly filters: Readonly<Record<string, FilterConfig>> };
    expect(validateConfig({ localAs: 64512, routerId: '10.0.0.1', filters }).type).to.equal('valid');
    const session: FilterSession = {
      direction: 'import',
      peerType: 'ebgp',
      name: 'tor1',
      address: parseAddress('10.0.0.2'),
      remoteAs: 65001,
      localAs: 64512,
    };
    const decide = (names: readonly string[], prefix: string, more: Partial<PolicyRoute> = {}): string | undefined =>
      compilePolicy(filters, names, session).explain?.({
        family: 4,
        prefix: parsePrefix(prefix),
        tags: [],
        source: 'ebgp',
        nextHop: parseAddress('10.0.0.2'),
        interfaceName: undefined,
        from: undefined,
        to: undefined,
        attributes: {
          origin: 'igp',
          asPath: [{ type: 'sequence', members: [65001, 65010] }],
          communities: [65001 * 65536 + 66],
        },
        ...more,
      }).text;
    expect([
      decide(['tor-in'], '192.168.1.0/24'),
      decide(['tor-in'], '10.0.0.0/8'),
      decide(['tor-out'], '10.65.0.0/26', { tags: ['block'] }),
      decide(['tor-out'], '10.65.0.0/26'),
    ]).to.deep.equal([
      'filter "tor-in" rule 1 (no bogons) rejected it',
      'filter "tor-in" rule 2 (backup path) accepted it',
      'filter "tor-out" rule 1 accepted it',
      'filter "tor-out" rule 2 rejected it',
    ]);
  });
});
