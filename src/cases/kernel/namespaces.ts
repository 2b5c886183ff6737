/**
 * Network namespaces of a case run: made many at a time, kept and used again, and all removed at the end. Their names carry our pid, so
 * that a later run finds and removes what a killed one left behind.
 */
import { existsSync, readdirSync } from 'node:fs';
import { runChild } from '../../dataplane/netfilter/child.js';
import { UserError } from '../../errors.js';

const PREFIX = 'tortie-case-';
const FOLDER = '/run/netns';

/** Namespaces this process has made, in all its pools. */
let count = 0;

export class NamespacePool {
  private made: string[] = [];
  private readonly free: string[] = [];

  /** One that nobody uses; pools grow by need. */
  async take(): Promise<string> {
    if (this.free.length === 0) await this.grow(Math.max(4, this.made.length));
    const name = this.free.pop();
    if (name === undefined) throw new Error('The namespace pool has grown and is still empty');
    return name;
  }

  giveBack(name: string): void {
    this.free.push(name);
  }

  /** Removes all, the ones in use too. */
  async removeAll(): Promise<void> {
    const names = this.made;
    this.made = [];
    this.free.length = 0;
    await ipBatch(names.map((name) => `netns delete ${name}`));
  }

  private async grow(size: number): Promise<void> {
    const names = Array.from({ length: size }, () => `${PREFIX}${process.pid}-${count++}`);
    this.made.push(...names);
    await ipBatch(names.map((name) => `netns add ${name}`));
    this.free.push(...names.reverse());
  }
}

export const namespacePath = (name: string): string => `${FOLDER}/${name}`;

/** Removes what runs that are gone have left. */
export async function sweepNamespaces(): Promise<void> {
  const names = existsSync(FOLDER) ? readdirSync(FOLDER) : [];
  const orphans = names.filter((name) => {
    const pid = new RegExp(`^${PREFIX}(\\d+)-\\d+$`).exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  await ipBatch(orphans.map((name) => `netns delete ${name}`));
}

async function ipBatch(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const { status, stderr } = await runChild('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
  if (status !== 0) throw new UserError(`Cannot make or remove network namespaces: ${stderr.trim()}`);
}
