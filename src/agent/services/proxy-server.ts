/** kube-proxy's two ports: /healthz and /livez for everybody, /metrics, /proxyMode and a bare /healthz for the node. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Node } from '../../api/core.js';
import { Listener, type ListenAddress } from './listener.js';
import type { HealthAnswer, ProxyHealth } from './proxy-health.js';
import type { ProxyGauges, ProxyMetrics } from './proxy-metrics.js';

export interface ProxyServerOptions {
  readonly healthAddress: ListenAddress;
  readonly metricsAddress: ListenAddress;
  readonly health: ProxyHealth;
  readonly metrics: ProxyMetrics;
  readonly node: () => Node | undefined;
  readonly gauges: () => ProxyGauges;
  /** "iptables" or "nftables", as kube-proxy calls its modes. */
  readonly mode: () => string;
  readonly onHealth: () => void;
}

export class ProxyServer {
  private readonly listeners: readonly Listener[];

  constructor(private readonly options: ProxyServerOptions) {
    const { healthAddress, metricsAddress, onHealth } = options;
    this.listeners = [
      new Listener(
        'load balancers (/healthz)',
        healthAddress,
        (request, response) => this.health(request, response),
        onHealth,
      ),
      new Listener(
        '/metrics and /proxyMode',
        metricsAddress,
        (request, response) => this.metrics(request, response),
        onHealth,
      ),
    ];
  }

  problems(): readonly string[] {
    return this.listeners.map(({ problem }) => problem).filter((problem) => problem !== undefined);
  }

  /** For tests: where the two listen. */
  get ports(): readonly (number | undefined)[] {
    return this.listeners.map(({ port }) => port);
  }

  close(): void {
    for (const listener of this.listeners) listener.close();
  }

  private health(request: IncomingMessage, response: ServerResponse): void {
    const { health, metrics, node } = this.options;
    const path = pathOf(request);
    if (path !== '/healthz' && path !== '/livez') return notFound(response);
    const answer = path === '/healthz' ? health.healthz(node()) : health.livez();
    const status = answer.isHealthy ? 200 : 503;
    metrics.answered(path === '/healthz' ? 'healthz' : 'livez', status);
    response.writeHead(status, { 'Content-Type': 'application/json', 'X-Content-Type-Options': 'nosniff' });
    response.end(JSON.stringify(shown(answer)));
  }

  private metrics(request: IncomingMessage, response: ServerResponse): void {
    const { metrics, gauges, mode } = this.options;
    const text = (body: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(200, { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff' });
      response.end(body);
    };
    switch (pathOf(request)) {
      case '/proxyMode':
        return text(mode());
      case '/metrics':
        return text(metrics.render(gauges(), mode()), 'text/plain; version=0.0.4; charset=utf-8');
      case '/healthz':
        return text('ok');
      default:
        return notFound(response);
    }
  }
}

const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?')[0] ?? '/';

function notFound(response: ServerResponse): void {
  response.writeHead(404, { 'Content-Type': 'text/plain' }).end('404 page not found\n');
}

const shown = ({ lastUpdated, currentTime, nodeEligible }: HealthAnswer): object => ({
  lastUpdated,
  currentTime,
  ...(nodeEligible === undefined ? {} : { nodeEligible }),
});
