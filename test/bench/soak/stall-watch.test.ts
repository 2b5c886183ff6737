/** The witness in a process that is held still from outside, as a machine that stands still would hold it. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import type { Stall } from '../../../bench/soak/stall-watch.js';
import { packageFile } from '../../../src/lab/tortie-argv.js';

describe('bench/soak/stall-watch', function () {
  this.timeout(20_000);

  it('notes that everything stood still, when, and for how long', async () => {
    const child = spawn(
      process.execPath,
      [
        '-e',
        `
      const { Worker } = require('node:worker_threads');
      const witness = new Worker(process.argv[1]);
      witness.on('online', () => console.log(JSON.stringify({ online: true })));
      witness.on('message', (stall) => console.log(JSON.stringify(stall)));
      process.stdin.on('end', () => process.exit(0)).resume();`,
        packageFile('dist/bench/soak/stall-watch.js'),
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    const stalls: Stall[] = [];
    try {
      const online = new Promise<void>((resolve) =>
        createInterface({ input: child.stdout }).on('line', (line) => {
          const message = JSON.parse(line) as Stall | { readonly online: true };
          if ('online' in message) resolve();
          else stalls.push(message);
        }),
      );
      await online;
      await sleep(200);
      const begin = Date.now();
      child.kill('SIGSTOP');
      await sleep(500);
      child.kill('SIGCONT');
      const held = (): Stall | undefined => stalls.find(({ at, milliseconds }) => at >= begin && milliseconds >= 400);
      for (const end = Date.now() + 10_000; held() === undefined && Date.now() < end; ) await sleep(20);
      expect(held(), JSON.stringify(stalls)).to.not.equal(undefined);
      expect(stalls.every(({ milliseconds }) => milliseconds >= 50)).to.equal(true);
    } finally {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
  });
});
