/** `guarded.json`: what guards have let through, for an agent that starts anew. Written a moment after it changes, whole. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeObject } from '../api/meta.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import { GUARD_KINDS, type GuardedObjects } from './guard.js';

const DELAY = 500;

export class GuardFile {
  private readonly path: string;
  private wanted: GuardedObjects | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isWriting = false;
  private isDirty = false;

  constructor(
    private readonly directory: string,
    private readonly log: Logger,
  ) {
    this.path = join(directory, 'guarded.json');
  }

  /** Undefined: nothing was kept. @throws Error for a file that cannot be read */
  async read(): Promise<GuardedObjects | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const value = JSON.parse(text) as Readonly<Record<string, readonly KubeObject[] | undefined>>;
    return Object.fromEntries(
      GUARD_KINDS.map((kind) => [kind, new Map((value[kind] ?? []).map((object) => [object.metadata.name, object]))]),
    ) as unknown as GuardedObjects;
  }

  /** @param objects undefined: nothing is to be kept */
  keep(objects: GuardedObjects | undefined): void {
    this.wanted = objects;
    this.isDirty = true;
    if (!this.isWriting) this.timer ??= setTimeout(() => void this.write(), DELAY);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private async write(): Promise<void> {
    this.timer = undefined;
    this.isWriting = true;
    this.isDirty = false;
    try {
      await this.replace(this.wanted);
    } catch (error) {
      this.isDirty = true;
      this.log.warn({ problem: messageOf(error) }, `Cannot write "${this.path}"; trying again`);
    }
    this.isWriting = false;
    if (this.isDirty) this.timer = setTimeout(() => void this.write(), DELAY);
  }

  private async replace(objects: GuardedObjects | undefined): Promise<void> {
    if (objects === undefined) return rm(this.path, { force: true });
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const fresh = `${this.path}.new`;
    const file = await open(fresh, 'w', 0o600);
    try {
      await file.writeFile(
        JSON.stringify(Object.fromEntries(GUARD_KINDS.map((kind) => [kind, [...objects[kind].values()]]))),
      );
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.path);
  }
}
