/** The soak as a program: cut short it says so, fails, and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { packageFile } from '../../../src/lab/tortie-argv.js';

describe('bench/soak', function () {
  this.timeout(60_000);

  it('is BROKEN when it is cut short, and cleans up', async () => {
    const child = spawn(
      process.execPath,
      [packageFile('dist/bench/main.js'), 'soak', '--minutes', '1', '--rate', '10'],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let [out, err] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    const namespaces = (): readonly string[] =>
      (existsSync('/run/netns') ? readdirSync('/run/netns') : []).filter((name) =>
        name.startsWith(`tsk${child.pid ?? 0}`),
      );
    for (const end = Date.now() + 20_000; namespaces().length < 3 && Date.now() < end; ) await sleep(50);
    // The daemons start now.
    await sleep(1_000);
    child.kill('SIGINT');
    expect(await ended, err).to.equal(1);
    expect(out)
      .to.match(/^ {2}BROKEN +it ran to its end +\S.*$/m)
      .and.to.match(/\nBROKEN: it ran to its end, .*all tables equal the model\n$/);
    expect(namespaces()).to.deep.equal([]);
    // The logs of a broken run stay, on purpose, and it says where.
    const directory = /^Logs stay in (\S+)$/m.exec(err)?.[1] ?? '';
    expect(directory.startsWith(`${tmpdir()}/tortie-soak-`)).to.equal(true);
    expect(readdirSync(directory)).to.include('bgpd.log');
    rmSync(directory, { recursive: true });
  });
});
