/**
 * healthCheckNodePort: a load balancer asks each node whether it has an endpoint of a Service with externalTrafficPolicy Local. Answers as
 * kube-proxy's (pkg/proxy/healthcheck/service_health.go), number of local endpoints included, by which some balancers weigh nodes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Listener } from './listener.js';

export interface HealthCheck {
  readonly namespace: string;
  readonly name: string;
  readonly port: number;
  readonly localEndpoints: number;
}

interface Held {
  readonly listener: Listener;
  check: HealthCheck;
}

export class HealthCheckPorts {
  /** By "namespace/name". BOUNDED by the Services that have such a port. */
  private readonly held = new Map<string, Held>();

  constructor(
    private readonly isProxyHealthy: () => boolean,
    private readonly onHealth: () => void,
  ) {}

  /** Makes the open ports exactly these. */
  level(checks: readonly HealthCheck[]): void {
    const wanted = new Map(checks.map((check) => [`${check.namespace}/${check.name}`, check]));
    for (const [key, { listener }] of this.held)
      if (wanted.get(key)?.port !== listener.address.port) {
        listener.close();
        this.held.delete(key);
      }
    for (const [key, check] of wanted) {
      const held = this.held.get(key);
      if (held === undefined) this.held.set(key, { check, listener: this.open(key, check) });
      else held.check = check;
    }
  }

  problems(): readonly string[] {
    return [...this.held.values()].map(({ listener }) => listener.problem).filter((problem) => problem !== undefined);
  }

  close(): void {
    this.level([]);
  }

  private open(key: string, { port }: HealthCheck): Listener {
    return new Listener(
      `health checks of Service ${key}`,
      { port },
      (request, response) => this.answer(key, request, response),
      this.onHealth,
    );
  }

  private answer(key: string, _request: IncomingMessage, response: ServerResponse): void {
    const check = this.held.get(key)?.check;
    if (check === undefined) return void response.writeHead(503).end();
    const { namespace, name, localEndpoints } = check;
    const serviceProxyHealthy = this.isProxyHealthy();
    response.writeHead(localEndpoints > 0 && serviceProxyHealthy ? 200 : 503, {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': `${localEndpoints}`,
    });
    response.end(JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }, undefined, 2));
  }
}
