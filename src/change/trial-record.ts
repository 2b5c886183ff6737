/**
 * What a node keeps on its own disk of a Change on trial: `change.json`, what it has taken or gone back from; `before.json`, all objects
 * as they stood before, for a start without an API server. Both are written whole, to the disk, before anything is done by them.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { TrialRecord } from './trial.js';

export type KeptObjects = ReadonlyMap<KindName, readonly KubeObject[]>;

export class TrialFiles {
  private readonly recordPath: string;
  private readonly beforePath: string;

  constructor(private readonly directory: string) {
    this.recordPath = join(directory, 'change.json');
    this.beforePath = join(directory, 'before.json');
  }

  /** @throws Error for a file that is there and cannot be read */
  async read(): Promise<TrialRecord | undefined> {
    const value = await readJson(this.recordPath);
    if (value === undefined) return undefined;
    const record = value as Partial<TrialRecord>;
    if (typeof record.uid !== 'string' || typeof record.takenAt !== 'number' || record.change === undefined)
      throw new Error(`"${this.recordPath}" is no record of a Change; expected uid, takenAt and change`);
    return value as TrialRecord;
  }

  async write(record: TrialRecord): Promise<void> {
    await this.writeWhole(this.recordPath, record);
  }

  async writeBefore(objects: KeptObjects): Promise<void> {
    await this.writeWhole(this.beforePath, Object.fromEntries(objects));
  }

  async readBefore(): Promise<KeptObjects | undefined> {
    const value = (await readJson(this.beforePath)) as Readonly<Record<string, readonly KubeObject[]>> | undefined;
    return value === undefined ? undefined : (new Map(Object.entries(value)) as KeptObjects);
  }

  /** The record first: without it nobody asks for the rest. */
  async forget(): Promise<void> {
    await rm(this.recordPath, { force: true });
    await rm(this.beforePath, { force: true });
  }

  /** Secrets are among them: for root alone, as bgpd's own state is. */
  private async writeWhole(path: string, value: unknown): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const fresh = `${path}.new`;
    const file = await open(fresh, 'w', 0o600);
    try {
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, path);
    const folder = await open(this.directory, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  return JSON.parse(text);
}
