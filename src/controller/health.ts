/** What kubelets and people ask a controller: GET /livez, /readyz, /healthz (as /livez), /metrics and /state, over plain HTTP. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HealthSource {
  /** Reasons; undefined: well. */
  readonly deadness: () => string | undefined;
  readonly unreadiness: () => string | undefined;
  readonly state: () => unknown;
  /** In Prometheus' text format. */
  readonly metrics: () => string;
}

/** Listens; resolves with the port once it does. `host` absent: on every address of the pod. */
export async function serveHealth(
  source: HealthSource,
  { host, port }: { readonly host?: string; readonly port: number },
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0];
    const answer = (status: number, text: string, type = 'text/plain'): void => {
      response.writeHead(status, { 'content-type': `${type}; charset=utf-8` }).end(`${text}\n`);
    };
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(405, 'expected GET');
    if (path === '/metrics') return answer(200, source.metrics().trimEnd(), 'text/plain; version=0.0.4');
    if (path === '/state') return answer(200, JSON.stringify(source.state()), 'application/json');
    if (path !== '/livez' && path !== '/readyz' && path !== '/healthz')
      return answer(404, 'expected /livez, /readyz, /healthz, /metrics or /state');
    const problem = path === '/readyz' ? (source.deadness() ?? source.unreadiness()) : source.deadness();
    answer(problem === undefined ? 200 : 503, problem ?? 'ok');
  });
  // Nobody holds a connection open for long.
  server.requestTimeout = 10_000;
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
  return { port: (server.address() as AddressInfo).port, close: () => closed(server) };
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
