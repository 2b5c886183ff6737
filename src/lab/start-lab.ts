/** Making a lab and taking it away, as the commands and the tests do it. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { messageOf, UserError } from '../errors.js';
import { callLab, LabNotRunning, streamLab, type Progress } from './control.js';
import { clearRealServer } from './lab-cluster.js';
import { LAB_LABEL } from './rack-objects.js';
import { createLab, readLab, type LabRecord, type TorKind } from './state-dir.js';
import { LAB_ID_VARIABLE, sweepLab, type SweepReport } from './sweep.js';
import { parseTopology } from './topology.js';
import { DEFAULT_TOPOLOGY, tortieArgv } from './tortie-argv.js';

export interface StartOptions {
  readonly name: string;
  /** A file; default: the rack of two routers and three nodes. */
  readonly topology?: string;
  readonly tor: TorKind;
  /** A real API server's; default: the embedded one. */
  readonly kubeconfig?: string;
}

const SOCKET_WITHIN = 20_000;
const STOP_WITHIN = 30_000;
/** A supervisor that is stopped or spins is not waited for: the sweep ends it. */
const STUCK_AFTER = 3_000;

/** A lab that was started and is ready. */
export interface StartedLab {
  readonly record: LabRecord;
  /** Settles when its supervisor has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

/**
 * Settles when the lab is ready. When it cannot be started nothing of it is left but the reason.
 *
 * @param isHeld the lab lives only as long as this process: the supervisor reads from a pipe of ours, which ends with us
 * even when we are killed, from the first moment on
 */
export async function startLab(
  options: StartOptions,
  onStep: (text: string) => void,
  isHeld = false,
): Promise<StartedLab> {
  const record = await recordOf(options);
  const paths = await createLab(record);
  try {
    const log = openSync(paths.supervisorLog, 'a', 0o600);
    const [program = process.execPath, ...args] = tortieArgv(
      'lab',
      'supervise',
      '--name',
      record.name,
      ...(isHeld ? ['--held'] : []),
    );
    const child = spawn(program, args, {
      detached: true,
      stdio: [isHeld ? 'pipe' : 'ignore', log, log],
      env: { ...process.env, [LAB_ID_VARIABLE]: record.id },
    });
    closeSync(log);
    if (!isHeld) child.unref();
    let how: string | undefined;
    const ended = new Promise<void>((resolve) =>
      child.once('exit', (code, signal) => {
        how = signal ?? `exit code ${code}`;
        resolve();
      }),
    );
    await followStart(record.name, onStep, () => how);
    return { record, ended };
  } catch (error) {
    const log = await readFile(paths.supervisorLog, 'utf8').catch(() => '');
    const leftover = await stopLab(record.name).then(
      () => '',
      (problem: unknown) => `\n${messageOf(problem)}`,
    );
    const tail = log === '' ? '' : `\nThe last lines of its log:\n${log.trim().split('\n').slice(-8).join('\n')}`;
    throw new UserError(`Cannot start lab "${record.name}": ${messageOf(error)}${leftover}${tail}`, 1, {
      cause: error,
    });
  }
}

async function recordOf(options: StartOptions): Promise<LabRecord> {
  if (process.getuid?.() !== 0)
    throw new UserError('Cannot build a lab: expected to run as root, for network namespaces');
  const file = options.topology ?? DEFAULT_TOPOLOGY;
  const topology = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new UserError(`Cannot read topology "${file}": ${messageOf(error)}`, 2, { cause: error });
  });
  parseTopology(file, topology);
  return {
    name: options.name,
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    tor: options.tor,
    topologyFile: file,
    topology,
    ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }),
  };
}

async function followStart(
  name: string,
  onStep: (text: string) => void,
  ended: () => string | undefined,
): Promise<void> {
  const deadline = Date.now() + SOCKET_WITHIN;
  for (;;) {
    const how = ended();
    if (how !== undefined) throw new Error(`its supervisor ended with ${how}`);
    try {
      await readProgress(name, onStep);
      return;
    } catch (error) {
      if (!(error instanceof LabNotRunning) || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function readProgress(name: string, onStep: (text: string) => void): Promise<void> {
  let rest = '';
  let end: Progress | undefined;
  await streamLab(name, 'GET', '/v1/progress', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const progress = JSON.parse(line) as Progress;
      if (progress.type === 'step') onStep(progress.text);
      else end = progress;
    }
  });
  if (end?.type === 'failed') throw new UserError(end.message);
  if (end === undefined) throw new Error('its supervisor went away during the start');
}

/** Takes a lab away, running, crashed or half-made; fine when there is none. */
export async function stopLab(name: string): Promise<SweepReport> {
  const record = await readLab(name);
  await callLab(name, 'POST', '/v1/stop', undefined, STUCK_AFTER)
    .then(() => waitUntilStopped(name))
    .catch(() => undefined); // A supervisor that is gone or stuck is swept like the rest.
  const leftover =
    record === undefined
      ? undefined
      : await clearRealServer(
          record,
          parseTopology(record.topologyFile, record.topology).nodes.map((node) => node.name),
        ).then(() => undefined, messageOf);
  const report = await sweepLab(name);
  if (leftover !== undefined)
    throw new UserError(
      `Lab "${name}" is gone from this machine, but its objects in the API server of ${record?.kubeconfig} could ` +
        `not be removed: ${leftover}; they carry the label ${LAB_LABEL}=${name}`,
    );
  return report;
}

async function waitUntilStopped(name: string): Promise<void> {
  const deadline = Date.now() + STOP_WITHIN;
  while (Date.now() < deadline) {
    const isGone = await callLab(name, 'GET', '/v1/status', undefined, STUCK_AFTER).then(
      () => false,
      (error: unknown) => error instanceof LabNotRunning || (error as NodeJS.ErrnoException).code === 'ECONNRESET',
    );
    if (isGone) return;
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
