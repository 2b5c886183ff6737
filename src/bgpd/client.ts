/** Questions to a running bgpd, for the CLI. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { UserError, messageOf } from '../errors.js';
import { requestOverUnixSocket } from '../unix-http.js';

export class BgpdClient {
  private readonly socketPath: string;

  constructor(runDir: string) {
    this.socketPath = join(runDir, 'bgpd.sock');
  }

  get<T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
    const parameters = new URLSearchParams(
      Object.entries(query).flatMap(([key, value]): [string, string][] => (value === undefined ? [] : [[key, value]])),
    );
    const text = parameters.toString();
    return this.ask<T>('GET', text === '' ? path : `${path}?${text}`);
  }

  post<T>(path: string, body: unknown): Promise<T> {
    return this.ask<T>('POST', path, body);
  }

  /** An answer that is no JSON, as it comes; `into` is only made when there is one. Throws UserError. */
  async download(path: string, into: () => Writable): Promise<void> {
    try {
      const outgoing = request({ socketPath: this.socketPath, method: 'GET', path }).end();
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
      if (response.statusCode !== 200)
        throw new Error(
          ((await json(response)) as { readonly error?: string }).error ?? `status ${response.statusCode ?? 0}`,
        );
      await pipeline(response, into());
    } catch (error) {
      throw new UserError(`Cannot download ${path} from "${this.socketPath}": ${messageOf(error)}`);
    }
  }

  /** Throws UserError with the daemon's own sentence. */
  private async ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    let answer: Awaited<ReturnType<typeof requestOverUnixSocket>>;
    try {
      answer = await requestOverUnixSocket(this.socketPath, method, path, body, 60_000);
    } catch (error) {
      throw new UserError(`${messageOf(error)} (another place: --run-dir or TORTIE_RUN_DIR)`);
    }
    if (answer.status === 200) return answer.body as T;
    const { error } = (answer.body ?? {}) as { readonly error?: string };
    throw new UserError(error ?? `bgpd answers with status ${answer.status}`);
  }
}
