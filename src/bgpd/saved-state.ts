/**
 * What bgpd keeps across its own restarts, in its state directory: the last configuration it accepted, and a mark that says "I am
 * running, since this boot". A mark that is found at start was left by a process that died; if the machine has not been rebooted
 * since, the kernel has gone on forwarding, and this start is a graceful restart.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { UserError, messageOf } from '../errors.js';
import { replaceFile } from '../replace-file.js';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export class SavedState {
  private readonly configPath: string;
  private readonly markPath: string;
  private readonly bootPath: string;

  constructor(stateDir: string) {
    this.configPath = join(stateDir, 'bgpd.json');
    this.markPath = join(stateDir, 'bgpd.running');
    this.bootPath = join(stateDir, 'bgpd.boot');
  }

  /** The last accepted configuration, as text; undefined if there is none. */
  readConfig(): { readonly text: string; readonly path: string } | undefined {
    const text = readIfPresent(this.configPath);
    return text === undefined ? undefined : { text, path: this.configPath };
  }

  /** Mode 0600: it holds passwords. */
  writeConfig(config: unknown): void {
    write(this.configPath, `${JSON.stringify(config, undefined, 2)}\n`);
    write(this.bootPath, `${bootId()}\n`);
  }

  /** Was the configuration accepted before the machine was started? Then the kernel has nothing of what it announces. */
  isOfFormerBoot(): boolean {
    const boot = readIfPresent(this.bootPath);
    return boot !== undefined && boot.trim() !== bootId();
  }

  /** Did a bgpd die in this boot without cleaning up? */
  wasKilled(): boolean {
    const mark = readIfPresent(this.markPath);
    return mark !== undefined && mark.trim() === bootId();
  }

  markRunning(): void {
    write(this.markPath, `${bootId()}\n`);
  }

  /** The next start owes nobody anything. */
  markStopped(): void {
    rmSync(this.markPath, { force: true });
  }
}

function bootId(): string {
  return readIfPresent(BOOT_ID)?.trim() ?? 'unknown';
}

function readIfPresent(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`Cannot read "${path}": ${messageOf(error)}`);
  }
}

function write(path: string, text: string): void {
  try {
    replaceFile(path, Buffer.from(text), 0o600, 0o700);
  } catch (error) {
    throw new UserError(
      `Cannot write "${path}": ${messageOf(error)} (--state-dir or TORTIE_STATE_DIR names another place)`,
    );
  }
}
