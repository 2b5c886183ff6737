/**
 * Where a lab keeps what it made: `/run/tortie-lab/<name>`, readable by root only, one directory per lab.
 *
 * `lab.json` is written before anything else is made, so that a lab that crashed at any moment can be taken down from this
 * directory alone. Secrets (router keys, client keys) lie in files of mode 0600 below it and nowhere else.
 */
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LAB_NAME } from './rack.js';
import { UserError } from '../errors.js';

export const LABS_ROOT = '/run/tortie-lab';

export type TorKind = 'bird' | 'frr' | 'tortie';

/** What a lab was asked to be; enough to rebuild every name in it. */
export interface LabRecord {
  readonly name: string;
  /** In the environment of every process of the lab as TORTIE_LAB_ID; by it the sweeper knows them. */
  readonly id: string;
  readonly createdAt: string;
  readonly tor: TorKind;
  /** The topology file's own name, for messages, and its text. */
  readonly topologyFile: string;
  readonly topology: string;
  /** A real API server's kubeconfig; absent: the embedded one. */
  readonly kubeconfig?: string;
}

export interface LabPaths {
  readonly root: string;
  readonly record: string;
  readonly socket: string;
  readonly kubeconfig: string;
  readonly apiServer: string;
  readonly logs: string;
  readonly supervisorLog: string;
  readonly node: (name: string) => NodePaths;
  readonly tor: (name: string) => string;
}

export interface NodePaths {
  readonly root: string;
  readonly run: string;
  readonly state: string;
  readonly kubeconfig: string;
  readonly cniConfig: string;
  readonly cniCache: string;
}

export function labPaths(name: string): LabPaths {
  if (!LAB_NAME.test(name))
    throw new UserError(
      `Cannot use lab name "${name}": expected 1 to 12 lower-case letters and digits, a letter first`,
      2,
    );
  const root = join(LABS_ROOT, name);
  return {
    root,
    record: join(root, 'lab.json'),
    socket: join(root, 'lab.sock'),
    kubeconfig: join(root, 'kubeconfig'),
    apiServer: join(root, 'apiserver'),
    logs: join(root, 'logs'),
    supervisorLog: join(root, 'logs', 'supervisor.log'),
    node: (node) => nodePaths(join(root, 'nodes', node)),
    tor: (tor) => join(root, 'tors', tor),
  };
}

const nodePaths = (root: string): NodePaths => ({
  root,
  run: join(root, 'run'),
  state: join(root, 'state'),
  kubeconfig: join(root, 'kubeconfig'),
  cniConfig: join(root, 'cni', 'net.d'),
  cniCache: join(root, 'cni', 'cache'),
});

/** Makes the directory and the record; a lab of that name must not exist. */
export async function createLab(record: LabRecord): Promise<LabPaths> {
  const paths = labPaths(record.name);
  await mkdir(LABS_ROOT, { recursive: true, mode: 0o700 });
  try {
    await mkdir(paths.root, { mode: 0o700 });
  } catch (error) {
    if (isErrno(error, 'EEXIST'))
      throw new UserError(
        `Cannot create lab "${record.name}": it exists already; "tortie lab down --name ${record.name}" removes it`,
      );
    throw error;
  }
  await writePrivate(paths.record, `${JSON.stringify(record, null, 2)}\n`);
  await mkdir(paths.logs);
  return paths;
}

/** The record of a lab; undefined when there is no such lab. A lab that crashed before its record was written has none. */
export async function readLab(name: string): Promise<LabRecord | undefined> {
  try {
    return JSON.parse(await readFile(labPaths(name).record, 'utf8')) as LabRecord;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** As readLab, with a sentence for people when there is none. */
export async function requireLab(name: string): Promise<LabRecord> {
  const record = await readLab(name);
  if (record === undefined)
    throw new UserError(
      `Cannot find lab "${name}": there is no ${labPaths(name).record}; "tortie lab up --name ${name}" makes it`,
    );
  return record;
}

export async function listLabs(): Promise<readonly string[]> {
  try {
    return (await readdir(LABS_ROOT)).filter((name) => LAB_NAME.test(name)).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

export async function removeLab(name: string): Promise<void> {
  await rm(labPaths(name).root, { recursive: true, force: true });
}

/** Whole or not at all, and for root's eyes. */
export async function writePrivate(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, text, { mode: 0o600 });
  await chmod(temporary, 0o600);
  await rename(temporary, path);
}

export const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code;
