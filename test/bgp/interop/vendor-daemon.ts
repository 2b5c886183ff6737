/** A vendor that is one process: where it lives, and its violent end. */
import type { ChildProcess } from 'node:child_process';
import { end } from './namespace.js';
import type { Root } from './root.js';
import type { Site } from './vendor.js';

export abstract class VendorDaemon {
  private site: Site | undefined;
  private child: ChildProcess | undefined;

  constructor(
    readonly name: string,
    protected readonly root: Root,
  ) {}

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
    this.child = namespace.daemon(`${directory}/${this.name}.log`, this.root.argv(...argv), env);
  }

  /** Standard output of one of its tools; empty if it fails. */
  protected ask(...argv: readonly string[]): Promise<string> {
    return this.own.namespace.ask(...this.root.argv(...argv));
  }
}
