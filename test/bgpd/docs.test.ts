/** What docs/bgpd.md shows has to work. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(`${root}docs/bgpd.md`, 'utf8');
const tortie = (...argv: readonly string[]): { readonly status: number | null; readonly out: string } => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [`${root}dist/src/cli.js`, ...argv], {
    encoding: 'utf8',
  });
  return { status, out: stdout + stderr };
};

describe('docs/bgpd.md', function () {
  this.timeout(30_000);

  it('shows configurations that bgpd takes', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tortie-docs-'));
    const configurations = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text = '']) => text);
    try {
      const found = configurations.map((text, index) => {
        const file = join(folder, `example-${index}.yaml`);
        writeFileSync(file, text);
        const { status, out } = tortie('bgpd', '--config', file, '--check', '--run-dir', folder);
        return [status, out.split('\n')[0]?.replace(file, 'it')];
      });
      expect(found).to.deep.equal([
        [0, 'it is good: 1 peers, 2 prefixes'],
        [0, 'it is good: 2 peers, 2 prefixes'],
        [0, 'it is good: 1 peers, 2 prefixes'],
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names commands and options that exist', () => {
    const commands = [...page.matchAll(/`tortie bgp ([a-z]+)([^`]*)`/g)];
    expect(commands.length).to.be.above(5);
    for (const [, command = '', rest = ''] of commands) {
      const { status, out } = tortie('bgp', command, '--help');
      expect([command, status]).to.deep.equal([command, 0]);
      expect(out).to.contain(`tortie bgp ${command}`);
      for (const [option] of rest.matchAll(/--[a-z]+/g)) expect(out, `tortie bgp ${command}`).to.contain(option);
    }
  });
});
