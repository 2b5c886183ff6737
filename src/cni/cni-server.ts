/**
 * The agent's end of the CNI client: HTTP/1.1 over a unix socket, one connection per call, any number at once.
 *
 * `POST /v1/cni` with a call (exchange.ts) answers 200 with what the plugin must print on success, 422 with the error object
 * that it must print on failure. Other paths go to `fallback`, so that the agent can serve its own questions on the same socket.
 *
 * Only root may connect (mode 0600): whoever can, can connect containers. Bounded: the size of a call, the time to send one,
 * and how many run at once; beyond that the client is told to try again. Not here: what a call does (contract.ts).
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { CniError, renderCniError } from './cni-error.js';
import type { CniHandlers } from './contract.js';
import { answerCall, type CniAnswer, type CniCall, decodeCall } from './exchange.js';
import { LATEST_CNI_VERSION } from './version.js';

export const CNI_PATH = '/v1/cni';

export interface CniServerOptions {
  readonly socketPath: string;
  readonly handlers: CniHandlers;
  /** Hears of every call when it is answered, with its duration in milliseconds: for the log and metrics. */
  readonly onAnswer?: (call: CniCall, answer: CniAnswer, duration: number) => void;
  /** Hears what is nobody's fault but ours. */
  readonly onFault: (error: unknown) => void;
  /** Serves every other path; default: 404. */
  readonly fallback?: RequestListener;
  /** BOUNDED: calls at once; default 1,000. */
  readonly maxCalls?: number;
}

/** BOUNDED: the client refuses to read more from the runtime, too. */
const MAX_CALL_BYTES = 2 * 1024 * 1024;
const RECEIVE_TIMEOUT = 10_000;

export class CniServer {
  private readonly server: Server;
  private readonly calls = new Set<Promise<void>>();

  constructor(private readonly options: CniServerOptions) {
    this.server = createServer(
      { requestTimeout: RECEIVE_TIMEOUT, headersTimeout: RECEIVE_TIMEOUT },
      (request, response) => this.route(request, response),
    );
  }

  /** Starts to serve. Takes the place of a dead agent's socket; throws if a living one has it. */
  async listen(): Promise<void> {
    const { socketPath } = this.options;
    mkdirSync(dirname(socketPath), { recursive: true });
    await clearStaleSocket(socketPath);
    await new Promise<void>((resolve, reject) => {
      this.server.once('error', reject);
      // bind(2) happens inside listen(): the socket is never there with wider permissions than these.
      const mask = process.umask(0o177);
      try {
        this.server.listen(socketPath, () => resolve());
      } finally {
        process.umask(mask);
      }
    });
    chmodSync(socketPath, 0o600);
  }

  /** Accepts no further calls and resolves when those under way are answered. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.server.closeIdleConnections();
    await Promise.all(this.calls);
    this.server.closeAllConnections();
    await closed;
  }

  private route(request: IncomingMessage, response: ServerResponse): void {
    if (request.url !== CNI_PATH) {
      if (this.options.fallback !== undefined) this.options.fallback(request, response);
      else response.writeHead(404).end();
      return;
    }
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end();
      return;
    }
    const call = this.serve(request, response)
      .catch(this.options.onFault)
      .finally(() => this.calls.delete(call));
    this.calls.add(call);
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const begun = performance.now();
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('The CNI client has gone away'));
    });
    let call: CniCall | undefined;
    let answer: CniAnswer;
    try {
      if (this.calls.size >= (this.options.maxCalls ?? 1_000))
        throw new CniError('tryAgainLater', `Cannot serve the call: ${this.calls.size} are under way`);
      call = decodeCall(await readBody(request));
      answer = await answerCall(call, this.options.handlers, gone.signal, this.options.onFault);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
      answer = { isDone: false, stdout: renderCniError(error, LATEST_CNI_VERSION), error };
    }
    const body = Buffer.from(answer.stdout, 'utf8');
    response
      .writeHead(answer.isDone ? 200 : 422, {
        'content-type': 'application/json',
        'content-length': body.length,
        connection: 'close',
      })
      .end(body);
    this.options.onAnswer?.(call ?? { environment: new Map(), stdin: '' }, answer, performance.now() - begun);
  }
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_CALL_BYTES)
        throw new CniError('undecodable', `Cannot read the call: it has more than ${MAX_CALL_BYTES} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CniError) throw error;
    throw new CniError('ioFailure', 'Cannot read the call: the client went away', '', { cause: error });
  }
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

/** Removes the socket of an agent that did not live to do so. Anything else at the path, or a living agent, is an error. */
async function clearStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`Cannot listen on "${path}": it is there and is no socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path, () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (isAlive) throw new Error(`Cannot listen on "${path}": another agent serves it`);
  unlinkSync(path);
}
