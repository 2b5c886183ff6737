import { expect } from 'chai';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limitOnce } from '../../src/lab/log-limit.js';

describe('lab/log-limit', () => {
  it('starts a log anew while its writer goes on writing', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'tortie-logs-'));
    const path = join(directory, 'node1-agent.log');
    const writer = openSync(path, 'a');
    try {
      writeSync(writer, 'x'.repeat(200));
      writeFileSync(join(directory, 'small.log'), 'kept');
      await limitOnce(directory, 100);
      writeSync(writer, 'after');
      expect(readFileSync(path, 'utf8')).to.equal('after');
      expect(readFileSync(`${path}.1`, 'utf8')).to.equal('x'.repeat(200));
      expect(readFileSync(join(directory, 'small.log'), 'utf8')).to.equal('kept');
    } finally {
      closeSync(writer);
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
