/**
 * Network namespaces of one test file: named after the process, removed in `after`, and swept when a crashed run left some.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';

const DIRECTORY = '/run/netns';

export class ScratchNamespaces {
  private readonly names: string[] = [];

  /** @param tag a short word, unique to the test file: names are "<tag>-<pid>-<n>". */
  constructor(private readonly tag: string) {
    for (const name of existsSync(DIRECTORY) ? readdirSync(DIRECTORY) : []) {
      const pid = new RegExp(`^${tag}-(\\d+)-\\d+$`).exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) run('ip', 'netns', 'del', name);
    }
  }

  /** Path of a new namespace, loopback up. */
  create(): string {
    const name = `${this.tag}-${process.pid}-${this.names.length}`;
    run('ip', 'netns', 'add', name);
    this.names.push(name);
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    return `${DIRECTORY}/${name}`;
  }

  remove(path: string): void {
    run('ip', 'netns', 'del', nameOf(path));
  }

  removeAll(): void {
    for (const name of this.names.splice(0)) if (existsSync(`${DIRECTORY}/${name}`)) run('ip', 'netns', 'del', name);
  }
}

/** "x" of "/run/netns/x". */
export const nameOf = (path: string): string => path.slice(DIRECTORY.length + 1);

/** `ip -n <namespace> ...`, its output. */
export const ip = (namespace: string, ...argv: readonly string[]): string =>
  run('ip', '-n', nameOf(namespace), ...argv);

/** A command inside the namespace, its output; throws if it fails. */
export const exec = (namespace: string, ...argv: readonly string[]): string =>
  run('ip', 'netns', 'exec', nameOf(namespace), ...argv);

/** Waits for a condition, checking every 10 ms; throws after a bounded time, which is generous because machines are busy. */
export async function until(what: string, condition: () => boolean, limit = 10_000): Promise<void> {
  const end = Date.now() + limit;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`Waited ${limit} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function run(command: string, ...argv: readonly string[]): string {
  return execFileSync(command, argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
