/** A BIRD of a test's own, in the namespace of a pod or a host of the rack: a router that the rack does not know of. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../src/lab/command.js';

export class RackBird {
  private constructor(
    private readonly directory: string,
    private readonly child: ChildProcess,
  ) {}

  /** Resolves once it answers. */
  static async start(netns: string, config: string): Promise<RackBird> {
    const directory = mkdtempSync(join(tmpdir(), `tortie-bird-${process.pid}-`));
    writeFileSync(join(directory, 'bird.conf'), config);
    const log = openSync(join(directory, 'bird.log'), 'w');
    const child = spawn(
      'ip',
      ['netns', 'exec', netns, '/usr/sbin/bird', '-f', '-c', `${directory}/bird.conf`, '-s', `${directory}/bird.ctl`],
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    const bird = new RackBird(directory, child);
    while (!existsSync(`${directory}/bird.ctl`)) {
      if (child.exitCode !== null) throw new Error(`BIRD has ended: ${bird.log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return bird;
  }

  birdc(...words: readonly string[]): Promise<string> {
    return run(['/usr/sbin/birdc', '-s', join(this.directory, 'bird.ctl'), ...words]);
  }

  /** Another configuration for the running daemon. */
  async configure(config: string): Promise<void> {
    writeFileSync(join(this.directory, 'bird.conf'), config);
    await this.birdc('configure');
  }

  get log(): string {
    return readFileSync(join(this.directory, 'bird.log'), 'utf8');
  }

  async stop(): Promise<void> {
    // `ip netns exec` becomes the daemon: the same process.
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      await once(this.child, 'exit');
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
