/** The supervisor's side of control.ts: a unix socket that turns requests into calls of the lab. */
import { chmod } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { messageOf, UserError } from '../errors.js';
import type { LabStatus, LinkRequest, ProcessRequest, Progress } from './control.js';

/** What the supervisor does when asked. */
export interface ControlTarget {
  status(): LabStatus;
  /** Steps so far, then those to come; settles when the start is over. */
  progress(onStep: (progress: Progress) => void): Promise<void>;
  process(request: ProcessRequest): Promise<void>;
  link(request: LinkRequest): Promise<void>;
  restartPod(namespace: string, name: string): Promise<void>;
  /** Called at once; the answer is sent before the process ends. */
  stop(): void;
}

const LONGEST_BODY = 64 * 1024;

export async function serveControl(socket: string, target: ControlTarget): Promise<Server> {
  const server = createServer((request, response) => {
    answer(target, request, response).catch((error: unknown) => {
      const status = error instanceof UserError ? 422 : 500;
      if (!response.headersSent) send(response, status, { message: messageOf(error) });
      else response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(socket, resolve));
  await chmod(socket, 0o600);
  return server;
}

async function answer(target: ControlTarget, request: IncomingMessage, response: ServerResponse): Promise<void> {
  switch (`${request.method} ${request.url}`) {
    case 'GET /v1/status':
      return send(response, 200, target.status());
    case 'GET /v1/progress':
      await target.progress((progress) => void response.write(`${JSON.stringify(progress)}\n`));
      response.end();
      return;
    case 'POST /v1/stop':
      send(response, 200, {});
      return target.stop();
    case 'POST /v1/process':
      await target.process((await readBody(request)) as ProcessRequest);
      return send(response, 200, {});
    case 'POST /v1/link':
      await target.link((await readBody(request)) as LinkRequest);
      return send(response, 200, {});
    case 'POST /v1/restart-pod': {
      const { namespace, name } = (await readBody(request)) as { namespace: string; name: string };
      await target.restartPod(namespace, name);
      return send(response, 200, {});
    }
    default:
      return send(response, 404, {
        message: `Cannot answer ${request.method} ${request.url}: there is no such request`,
      });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > LONGEST_BODY)
      throw new UserError(`Cannot read the request: it is longer than ${LONGEST_BODY} bytes`);
  }
  return JSON.parse(text);
}
