/** Reads and writes objects of the embedded API server over its unix socket, many at once. */
import { Agent, request } from 'node:http';

/** Requests under way at the same time in `createAll`. */
const WINDOW = 16;

export interface Write {
  readonly path: string;
  readonly object: unknown;
}

export class ApiClient {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: WINDOW });

  constructor(private readonly socketPath: string) {}

  async isReady(): Promise<boolean> {
    return this.send('GET', '/readyz').then(
      () => true,
      () => false,
    );
  }

  async get(path: string): Promise<unknown> {
    return JSON.parse(await this.send('GET', path)) as unknown;
  }

  async create(path: string, object: unknown): Promise<void> {
    await this.send('POST', path, object);
  }

  async delete(path: string): Promise<void> {
    await this.send('DELETE', path);
  }

  /** JSON merge patch (RFC 7396). */
  async patch(path: string, change: unknown): Promise<void> {
    await this.send('PATCH', path, change, 'application/merge-patch+json');
  }

  async createAll(writes: Iterable<Write>): Promise<void> {
    await inParallel(writes, WINDOW, ({ path, object }) => this.create(path, object));
  }

  close(): void {
    this.agent.destroy();
  }

  private send(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<string> {
    return new Promise((resolve, reject) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const headers =
        body === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) };
      const sent = request({ socketPath: this.socketPath, path, method, headers, agent: this.agent }, (response) => {
        let answer = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => (answer += chunk))
          .on('end', () => {
            const status = response.statusCode ?? 0;
            if (status >= 200 && status < 300) resolve(answer);
            else reject(new Error(`Cannot ${method} ${path}: HTTP ${status}: ${answer.slice(0, 500)}`));
          });
      });
      sent.on('error', reject).end(text);
    });
  }
}

/** So many at a time; the first failure ends it. */
export async function inParallel<T>(
  items: Iterable<T>,
  window: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: window }, lane));
}
