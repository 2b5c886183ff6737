/** A vendor that is one process: where it lives, and its violent end. */
import type { ChildProcess } from 'node:child_process';
import { end } from './namespace.js';
import type { Site } from './vendor.js';

export abstract class VendorDaemon {
  abstract readonly name: string;
  private site: Site | undefined;
  private child: ChildProcess | undefined;

  async kill(): Promise<void> {
    if (this.child !== undefined) await end(this.child, 'SIGKILL');
  }

  protected get own(): Site {
    if (this.site === undefined) throw new Error(`${this.name} was not started`);
    return this.site;
  }

  protected settle(site: Site): void {
    this.site = site;
  }

  /** Runs it; what it says goes to `<name>.log`. */
  protected spawn(argv: readonly string[], env?: NodeJS.ProcessEnv): void {
    const { namespace, directory } = this.own;
    this.child = namespace.daemon(`${directory}/${this.name}.log`, argv, env);
  }
}
