/** For these tests: a server of its own, requests as plain functions, watches as lists of events that fill up. */
import { request } from 'node:http';
import { startApiServer, type ApiServer, type ApiServerOptions } from '../../src/apiserver/server.js';
import { textAt, type Json, type JsonObject } from '../../src/apiserver/json.js';

export interface Reply {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: JsonObject;
}

export interface WatchedEvent {
  readonly type: string;
  readonly object: JsonObject;
}

export interface Watch {
  readonly events: WatchedEvent[];
  readonly isEnded: () => boolean;
  readonly stop: () => void;
}

export class ApiClient {
  private constructor(
    readonly server: ApiServer,
    readonly url: string,
  ) {}

  static async start(options: ApiServerOptions = {}): Promise<ApiClient> {
    const server = await startApiServer(options);
    if (server.url === undefined) throw new Error('the server has no TCP address');
    return new ApiClient(server, server.url);
  }

  close = (): Promise<void> => this.server.close();

  send(method: string, path: string, body?: Json, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    // Node frames no body of a DELETE by itself.
    const framed = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers };
    return new Promise((resolve, reject) => {
      const outgoing = request(`${this.url}${path}`, { method, headers: framed }, (reply) => {
        const chunks: Buffer[] = [];
        reply.on('data', (chunk: Buffer) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          resolve({
            code: reply.statusCode ?? 0,
            headers: reply.headers,
            body: answer.startsWith('{') ? (JSON.parse(answer) as JsonObject) : { text: answer },
          });
        });
      });
      outgoing.on('error', reject);
      outgoing.end(text);
    });
  }

  get = (path: string, headers?: Readonly<Record<string, string>>): Promise<Reply> =>
    this.send('GET', path, undefined, headers);
  post = (path: string, body: Json): Promise<Reply> => this.send('POST', path, body);
  put = (path: string, body: Json): Promise<Reply> => this.send('PUT', path, body);
  delete = (path: string, body?: Json): Promise<Reply> => this.send('DELETE', path, body);
  merge = (path: string, body: Json): Promise<Reply> =>
    this.send('PATCH', path, body, { 'content-type': 'application/merge-patch+json' });
  apply = (path: string, manager: string, body: JsonObject, query = ''): Promise<Reply> =>
    this.send('PATCH', `${path}?fieldManager=${manager}${query}`, body, {
      'content-type': 'application/apply-patch+yaml',
    });

  /** Resolves when the server has answered 200; a refusal rejects with its Status. */
  watch(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Watch> {
    return new Promise((resolve, reject) => {
      const events: WatchedEvent[] = [];
      let isEnded = false;
      const outgoing = request(`${this.url}${path}`, { headers }, (reply) => {
        let rest = '';
        reply.setEncoding('utf8');
        reply.on('data', (chunk: string) => {
          rest += chunk;
          const lines = rest.split('\n');
          rest = lines.pop() ?? '';
          if (reply.statusCode === 200) events.push(...lines.map((line) => JSON.parse(line) as WatchedEvent));
        });
        reply.on('close', () => {
          isEnded = true;
          if (reply.statusCode !== 200) reject(Object.assign(new Error(rest), { code: reply.statusCode }));
        });
        if (reply.statusCode === 200) resolve({ events, isEnded: () => isEnded, stop: () => outgoing.destroy() });
      });
      outgoing.on('error', (error) => (isEnded ? undefined : reject(error)));
      outgoing.end();
    });
  }
}

/** The revision of an object or a list. */
export const revisionOf = (object: JsonObject): string => textAt(object, 'metadata', 'resourceVersion') ?? '';

/** Waits until `isMet`; fails with `what` after a generous while. */
export async function eventually(what: string, isMet: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!(await isMet())) {
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export const pod = (name: string, labels: JsonObject = {}, spec: JsonObject = {}): JsonObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: { containers: [{ name: 'main', image: 'web:1' }], ...spec },
});

export const configMap = (name: string, data: JsonObject = {}): JsonObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  data,
});
