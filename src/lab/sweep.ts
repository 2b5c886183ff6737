/**
 * Taking a lab away, in whatever state it is: from its directory and its names alone, with or without its supervisor.
 *
 * A process belongs to the lab when its environment says so (TORTIE_LAB_ID, inherited by every child) or when it lives in one
 * of the lab's namespaces (a shell of `tortie lab exec`, a program that rewrote its environment). Nothing else is ever
 * signalled, so a recycled process id costs nobody their process. Every step may be repeated.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { readdir, rm, rmdir } from 'node:fs/promises';
import { removeNamespace } from './network.js';
import { netnsPrefixOf } from './rack.js';
import { isErrno, LABS_ROOT, readLab, removeLab } from './state-dir.js';

/** Environment variable by which the lab's processes are known. */
export const LAB_ID_VARIABLE = 'TORTIE_LAB_ID';

const KILL_AFTER = 5_000;
const GIVE_UP_AFTER = 10_000;
const NETNS_ROOT = '/run/netns';

export interface SweepReport {
  readonly processes: number;
  readonly namespaces: number;
}

/** Ends and removes everything of lab `name`; fine when there is nothing. */
export async function sweepLab(name: string): Promise<SweepReport> {
  const record = await readLab(name);
  const namespaces = await namespacesOf(name);
  const processes = await endProcesses(() => [
    ...(record === undefined ? [] : processesMarked(record.id)),
    ...processesInside(namespaces),
  ]);
  for (const netns of namespaces) await removeNamespace(netns);
  for (const leftover of await readNames('/etc/netns', netnsPrefixOf(name)))
    await rm(`/etc/netns/${leftover}`, { recursive: true, force: true });
  await removeLab(name);
  for (const parent of ['/etc/netns', LABS_ROOT]) await removeEmpty(parent);
  return { processes, namespaces: namespaces.length };
}

/** The names of all network namespaces of a lab, pods' included. */
export const namespacesOf = (name: string): Promise<readonly string[]> => readNames(NETNS_ROOT, netnsPrefixOf(name));

async function readNames(directory: string, prefix: string): Promise<readonly string[]> {
  try {
    return (await readdir(directory)).filter((entry) => entry.startsWith(prefix));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

async function removeEmpty(directory: string): Promise<void> {
  await rmdir(directory).catch((error: unknown) => {
    if (!isErrno(error, 'ENOTEMPTY') && !isErrno(error, 'ENOENT') && !isErrno(error, 'EBUSY')) throw error;
  });
}

/** SIGTERM, then SIGKILL to whatever `find` still finds; returns how many there were. Gives up on what survives that. */
async function endProcesses(find: () => readonly number[]): Promise<number> {
  const first = new Set(find());
  for (const pid of first) signal(pid, 'SIGTERM');
  const deadline = Date.now() + KILL_AFTER;
  for (let left: readonly number[] = [...first]; left.length > 0; left = find()) {
    if (Date.now() > deadline + GIVE_UP_AFTER)
      throw new Error(`Cannot end the processes ${left.join(', ')}: they are still there after SIGKILL`);
    if (Date.now() > deadline) for (const pid of left) signal(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return first.size;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

function processesMarked(id: string): readonly number[] {
  const mark = `${LAB_ID_VARIABLE}=${id}`;
  return processesWhere((pid) => readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark));
}

function processesInside(namespaces: readonly string[]): readonly number[] {
  const inodes = new Set(namespaces.map((netns) => inodeOf(`${NETNS_ROOT}/${netns}`)));
  return processesWhere((pid) => inodes.has(readlinkSync(`/proc/${pid}/ns/net`).slice('net:['.length, -1)));
}

/** nsfs gives one inode per namespace, the number that /proc/PID/ns/net names; a half-made mount point is a plain file. */
const inodeOf = (path: string): string => String(statSync(path).ino);

/** All processes but ourselves that `holds`; zombies have neither environment nor namespaces. */
function processesWhere(holds: (pid: number) => boolean): readonly number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      if (pid === process.pid) return false;
      try {
        return holds(pid);
      } catch (error) {
        if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH') || isErrno(error, 'EACCES')) return false;
        throw error;
      }
    });
}
