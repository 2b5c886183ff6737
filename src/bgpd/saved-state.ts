/**
 * What bgpd keeps across its own restarts, in its state directory: the last configuration it accepted, and a mark that says "I am
 * running, since this boot". A mark that is found at start was left by a process that died; if the machine has not been rebooted
 * since, the kernel has gone on forwarding, and this start is a graceful restart.
 *
 * Files are replaced by rename after fsync, so that a crash leaves the old one or the new one, never half of one.
 */
import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError, messageOf } from '../errors.js';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export class SavedState {
  private readonly configPath: string;
  private readonly markPath: string;

  constructor(stateDir: string) {
    this.configPath = join(stateDir, 'bgpd.json');
    this.markPath = join(stateDir, 'bgpd.running');
  }

  /** The last accepted configuration, as text; undefined if there is none. */
  readConfig(): { readonly text: string; readonly path: string } | undefined {
    const text = readIfPresent(this.configPath);
    return text === undefined ? undefined : { text, path: this.configPath };
  }

  /** Mode 0600: it holds passwords. */
  writeConfig(config: unknown): void {
    replaceFile(this.configPath, `${JSON.stringify(config, undefined, 2)}\n`);
  }

  /** Did a bgpd die in this boot without cleaning up? */
  wasKilled(): boolean {
    const mark = readIfPresent(this.markPath);
    return mark !== undefined && mark.trim() === bootId();
  }

  markRunning(): void {
    replaceFile(this.markPath, `${bootId()}\n`);
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

function replaceFile(path: string, text: string): void {
  const directory = dirname(path);
  const temporary = `${path}.${process.pid}.new`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    rmSync(temporary, { force: true });
    // Made here, never opened through a link (O_EXCL).
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      chmodSync(temporary, 0o600);
      // Not writeSync: on a disk that fills up it writes a part and says so only in its answer.
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    const directoryFd = openSync(directory, 'r');
    try {
      fsyncSync(directoryFd);
    } finally {
      closeSync(directoryFd);
    }
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError(
      `Cannot write "${path}": ${messageOf(error)} (--state-dir or TORTIE_STATE_DIR names another place)`,
    );
  }
}
