/**
 * What a kubelet asks of a daemon, over HTTP on an address of the node: `/livez`, is there anybody at home; `/readyz`, does it do its
 * work, with a line per check and the reasons of those that fail. As the API server's own: 200 or 503, plain text. `/metrics` beside them,
 * where the daemon has some.
 *
 * BOUNDED: a handful of connections, closed after each answer; nothing is read but the request line.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { messageOf, UserError } from './errors.js';
import { userText } from './user-text.js';

export interface HealthCheck {
  readonly name: string;
  /** Sentences; none when all is well. */
  readonly problems: readonly string[];
}

export interface HealthAddress {
  readonly host: string;
  readonly port: number;
}

const MAX_CONNECTIONS = 32;
const TIMEOUT = 5_000;
const MOST_REASONS = 10;

/** "127.0.0.1:9679" or "[::1]:9679". @throws UserError */
export function parseHealthAddress(text: string, option: string): HealthAddress {
  const [, inBrackets, plain, digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = inBrackets ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535)
    throw new UserError(`Cannot use ${option} "${text}": expected ADDRESS:PORT, such as 127.0.0.1:9679`, 2);
  return { host, port };
}

/** The answer to `/readyz`, and whether all of it is well. */
export function renderHealth(checks: readonly HealthCheck[]): { readonly isWell: boolean; readonly text: string } {
  const isWell = checks.every(({ problems }) => problems.length === 0);
  const lines = checks.map(({ name, problems }) => {
    if (problems.length === 0) return `[+]${name} ok`;
    const shown = problems.slice(0, MOST_REASONS).map((problem) => userText(problem));
    const more = problems.length > MOST_REASONS ? [`and ${problems.length - MOST_REASONS} more`] : [];
    return `[-]${name} failed: ${[...shown, ...more].join('; ')}`;
  });
  return { isWell, text: `${[...lines, isWell ? 'readyz check passed' : 'readyz check failed'].join('\n')}\n` };
}

/** Listens until closed. @throws UserError when it cannot */
export async function serveHealth(
  { host, port }: HealthAddress,
  readiness: () => readonly HealthCheck[],
  /** In Prometheus' text format. */
  metrics?: () => string,
): Promise<Server> {
  const server = createServer(
    { headersTimeout: TIMEOUT, requestTimeout: TIMEOUT, connectionsCheckingInterval: TIMEOUT },
    (request, response) => {
      const path = (request.url ?? '').split('?')[0];
      const answer = (status: number, text: string, type = 'text/plain'): void => {
        response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, connection: 'close' });
        response.end(request.method === 'HEAD' ? undefined : text);
      };
      if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'expected GET\n');
      if (path === '/livez') return answer(200, 'ok\n');
      if (path === '/metrics' && metrics !== undefined) return answer(200, metrics(), 'text/plain; version=0.0.4');
      if (path !== '/readyz') return answer(404, 'expected /livez or /readyz\n');
      const { isWell, text } = renderHealth(readiness());
      answer(isWell ? 200 : 503, text);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    throw new UserError(`Cannot listen on ${host} port ${port} for health checks: ${messageOf(error)}`, 1, {
      cause: error,
    });
  }
  return server;
}
