/**
 * How commands talk to a running lab: HTTP with JSON over the unix socket of its supervisor.
 *
 *   GET  /v1/status            LabStatus
 *   GET  /v1/progress          one line of JSON per step of the start, ending with {"type":"ready"} or {"type":"failed"}
 *   POST /v1/stop              ends every process of the lab, then the supervisor
 *   POST /v1/process           {name, action: kill|stop|start}
 *   POST /v1/link              {node, tor, state: up|down}
 *   POST /v1/restart-pod       {namespace, name}: a new sandbox for it, as after a crash of its container runtime
 *
 * The socket lies in a directory of root's; there is no other authentication.
 */
import { request } from 'node:http';
import { UserError } from '../errors.js';
import type { DaemonStatus } from './daemon.js';
import { labPaths, type TorKind } from './state-dir.js';

export type Progress =
  | { readonly type: 'step'; readonly text: string }
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly message: string };

export interface LabStatus {
  readonly name: string;
  readonly phase: 'starting' | 'ready' | 'failed' | 'stopping';
  readonly tor: TorKind;
  readonly apiServer: string;
  readonly processes: readonly DaemonStatus[];
  readonly links: readonly LinkStatus[];
  readonly pods: readonly SandboxStatus[];
}

export interface LinkStatus {
  readonly device: string;
  readonly tor: string;
  readonly interface: string;
  readonly state: 'up' | 'down';
}

/** One pod as its kubelet stand-in runs it. */
export interface SandboxStatus {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly netns: string;
  readonly ips: readonly string[];
  /** Starting, Running, Stopping, or a failed start that will be tried again. */
  readonly state: string;
  readonly problem?: string;
}

export interface ProcessRequest {
  readonly name: string;
  readonly action: 'kill' | 'stop' | 'start';
}

export interface LinkRequest {
  readonly device: string;
  readonly tor: string;
  readonly state: 'up' | 'down';
}

/** Nobody listens: the supervisor of this lab is not running. */
export class LabNotRunning extends UserError {
  constructor(name: string) {
    super(
      `Cannot reach lab "${name}": its supervisor is not running; "tortie lab down --name ${name}" clears what is left of it`,
    );
  }
}

/** Shutting a port or reading the state takes milliseconds; a supervisor that takes longer than this is stuck. */
const ANSWER_WITHIN = 30_000;

/** One request; the answer's JSON. @throws UserError with the lab's own sentence, LabNotRunning */
export async function callLab<T>(
  name: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
  within = ANSWER_WITHIN,
): Promise<T> {
  let text = '';
  await streamLab(name, method, path, (chunk) => (text += chunk), body, AbortSignal.timeout(within)).catch(
    (error: unknown) => {
      if (error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError'))
        throw new UserError(`Cannot reach lab "${name}": its supervisor did not answer within ${within / 1000} s`);
      throw error;
    },
  );
  return JSON.parse(text) as T;
}

/** Hands over each piece of the answer as it comes; settles at its end, rejects when the connection breaks. */
export function streamLab(
  name: string,
  method: 'GET' | 'POST',
  path: string,
  onText: (text: string) => void,
  body?: unknown,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        socketPath: labPaths(name).socket,
        method,
        path,
        agent: false,
        signal,
        headers: { 'content-type': 'application/json' },
      },
      (response) => {
        response.setEncoding('utf8');
        let refusal = '';
        const isRefusal = (response.statusCode ?? 500) >= 400;
        response.on('data', (text: string) => (isRefusal ? (refusal += text) : onText(text)));
        response.once('error', reject);
        response.once('end', () => (isRefusal ? reject(new UserError(refusalOf(refusal))) : resolve()));
      },
    );
    outgoing.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? new LabNotRunning(name) : error),
    );
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

function refusalOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
