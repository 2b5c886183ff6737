import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { attempt, run } from '../../src/lab/command.js';
import { listLabs, labPaths } from '../../src/lab/state-dir.js';
import { namespacesOf } from '../../src/lab/sweep.js';
import { tortieArgv } from '../../src/lab/tortie-argv.js';
import { soon } from './rack-fixture.js';

const SMALL = fileURLToPath(new URL('../../../test/lab/fixtures/small-pool.yaml', import.meta.url));

/** How labs come and go, ordinary and violent. */
describe('lab, coming and going', function () {
  this.timeout(60_000);
  const name = `l${process.pid}`;
  const lab = (...args: readonly string[]): ReturnType<typeof attempt> =>
    attempt(tortieArgv('lab', ...args, '--name', name));
  const supervisor = async (): Promise<number> =>
    Number((await run(['pgrep', '-f', `lab supervise --name ${name}( |$)`])).trim());

  const expectGone = async (): Promise<void> => {
    expect(await listLabs()).to.not.include(name);
    expect(await namespacesOf(name)).to.deep.equal([]);
    expect((await attempt(['pgrep', '-f', `/run/tortie-lab/${name}/`])).stdout).to.equal('');
  };

  /** `lab run`, once it says `text`. */
  const startRun = async (text: string): Promise<ChildProcess> => {
    const [program = '', ...args] = tortieArgv('lab', 'run', '--name', name, '--topology', SMALL);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let said = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        said += chunk;
        if (said.includes(text)) resolve();
      });
      child.once('exit', () => reject(new Error(`Waited in vain for "${text}": ${said}`)));
    });
    return child;
  };

  afterEach(() => lab('down'));

  it('goes up once and down as often as one likes', async () => {
    expect((await lab('up', '--topology', SMALL)).code).to.equal(0);
    const second = await lab('up', '--topology', SMALL);
    expect(second.code).to.equal(1);
    expect(second.stderr).to.equal(
      `Cannot create lab "${name}": it exists already; "tortie lab down --name ${name}" removes it\n`,
    );
    expect((await lab('status')).stdout).to.contain('node1 bgpd');
    for (let i = 0; i < 2; i++) expect((await lab('down')).code).to.equal(0);
    await expectGone();
    expect((await lab('status')).stderr).to.contain(`Cannot find lab "${name}"`);
  });

  it('goes down when its supervisor is stuck', async () => {
    await lab('up', '--topology', SMALL);
    process.kill(await supervisor(), 'SIGSTOP');
    expect((await lab('down')).code).to.equal(0);
    await expectGone();
  });

  it('ends on Ctrl-C', async () => {
    const child = await startRun('until Ctrl-C');
    const code = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGINT');
    expect(await code).to.equal(0);
    await expectGone();
  });

  for (const moment of ['Cabling', 'Starting agent', 'until Ctrl-C'])
    it(`leaves nothing when "lab run" is killed at "${moment}"`, async () => {
      (await startRun(moment)).kill('SIGKILL');
      await soon('the lab to go by itself', async () => !existsSync(labPaths(name).root));
      await expectGone();
    });

  it('explains why it cannot start, and leaves nothing', async () => {
    const broken = await lab('up', '--topology', '/dev/null');
    expect(broken.code).to.equal(2);
    expect(broken.stderr).to.contain('Cannot use /dev/null: 1 problem').and.to.contain('expected a mapping with tors');
    await expectGone();
  });
});
