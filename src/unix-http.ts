/** One JSON request over a unix socket: how the agent and the CLI talk to bgpd and to the agent. */
import { request } from 'node:http';

export interface UnixResponse {
  readonly status: number;
  /** Parsed JSON; undefined for an empty body. */
  readonly body: unknown;
}

const MOST_BODY_BYTES = 256 * 1024 * 1024;

/**
 * @param timeout of the whole exchange
 * @throws Error with a sentence that names the socket when nobody answers
 */
export function requestOverUnixSocket(
  socketPath: string,
  method: string,
  path: string,
  body?: unknown,
  timeout = 10_000,
): Promise<UnixResponse> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const fail = (why: string, cause?: unknown): void =>
      reject(new Error(`Cannot ask "${socketPath}": ${why}`, { cause }));
    const outgoing = request(
      {
        socketPath,
        method,
        path,
        // A connection each: one kept from before may be closed by the other end as it is asked, or lead to a process that has ended.
        agent: false,
        signal: AbortSignal.timeout(timeout),
        headers:
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MOST_BODY_BYTES)
            response.destroy(new Error(`the answer is longer than ${MOST_BODY_BYTES} bytes; ask for less`));
          else chunks.push(chunk);
        });
        response.on('error', (error) => fail(error.message, error));
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString('utf8');
          try {
            resolve({ status: response.statusCode ?? 0, body: answer === '' ? undefined : JSON.parse(answer) });
          } catch (error) {
            fail(`the answer to ${method} ${path} is not JSON`, error);
          }
        });
      },
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => fail(describe(error, timeout), error));
    outgoing.end(text);
  });
}

function describe(error: NodeJS.ErrnoException, timeout: number): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return `no answer within ${timeout / 1000} s`;
  if (error.code === 'ENOENT') return 'the socket does not exist; is the daemon running?';
  if (error.code === 'ECONNREFUSED') return 'nobody listens there; the daemon has ended';
  if (error.code === 'EACCES') return 'permission denied; run as root';
  return error.message;
}
