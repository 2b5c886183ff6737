import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatHistory } from '../src/bgpd/show/history-text.js';
import { formatTable } from '../src/bgpd/show/text-table.js';
import { terminalText, userText } from '../src/user-text.js';

describe('user-text', () => {
  it('leaves plain text as it is', () => expect(userText('shop/wëb: "x" ≠ y')).to.equal('shop/wëb: "x" ≠ y'));
  it('escapes what a terminal obeys', () =>
    expect(userText('a\u001b[2Jb\nc\u009bd\u202ee\u2028f')).to.equal('a\\u001b[2Jb\\u000ac\\u009bd\\u202ee\\u2028f'));
  it('of text with lines of ours leaves those', () =>
    expect(terminalText('a\tb\nc\u001b[2Jd')).to.equal('a\tb\nc\\u001b[2Jd'));
  for (const format of ['text', 'json'] as const)
    it(`is what a log writes, in ${format}, whoever writes it`, () => {
      const script =
        `import { createLogger } from ${JSON.stringify(new URL('../src/log.js', import.meta.url).href)};` +
        `const log = createLogger('x', { format: '${format}', level: 'info' });` +
        `const bad = 'a\\u001b[2J\\u009bb\\u202ec\\nFORGED';` +
        `log.warn({ field: bad, list: [bad, { deep: bad }], long: 'y'.repeat(1e6), many: Array(1e4).fill(1) }, bad);`;
      const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
      expect(stderr.split('\n'), stderr.slice(0, 2_000)).to.have.length(2);
      expect(stderr.match(/FORGED/g)).to.have.length(4);
      expect(stderr).to.not.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
      expect(stderr.length).to.be.below(20_000);
      if (format === 'json')
        expect((JSON.parse(stderr) as { msg: string }).msg).to.equal('a\u001b[2J\u009bb\u202ec\nFORGED');
    });
  it('is the one way to standard output and error, but for those of the lab and its cases', () => {
    const root = fileURLToPath(new URL('../../src/', import.meta.url));
    const offenders = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
      (path) =>
        path.endsWith('.ts') &&
        !/^(lab|cases)\/|^apiserver\/main\.ts$|^commands\/(lab|cases)\.ts$|^print\.ts$|^api\/crds\/write-manifests\.ts$/.test(
          path,
        ) &&
        /process\.(stdout|stderr)\.write\(|\bconsole\./.test(readFileSync(join(root, path), 'utf8')),
    );
    expect(offenders).to.deep.equal([]);
  });
  it('is in every table and line of a neighbour', () => {
    const bad = 'x\u001b[2J\nFORGED';
    expect(formatTable([{ title: 'a', text: () => bad }], [1])).to.equal('a\nx\\u001b[2J\\u000aFORGED');
    const line = { at: '2026-01-01T00:00:00Z', type: 'down', peer: bad, reason: bad, text: bad };
    expect(formatHistory([line]).split('\n')).to.have.length(1);
  });
  it('cuts after escaping, at the length asked for', () => {
    expect(userText('x'.repeat(2_000_000))).to.have.length(1_024);
    expect(userText('\n'.repeat(10), 20)).to.equal('\\u000a\\u000a\\u000a...'.slice(0, 17) + '...');
    expect(userText('12345', 5)).to.equal('12345');
  });
});
