/**
 * Routes that a former process left in the kernel and nobody has confirmed yet, by place. BOUNDED by what was there at the start: they
 * only become fewer.
 */
import type { IpPrefix } from 'node-bgp/address';
import type { Route } from '../dataplane/netlink/index.js';
import { routeKey } from './fib-refusals.js';

export class FibLeftovers {
  private readonly routes = new Map<string, Route>();
  private readonly metrics = new Set<number>();

  constructor(routes: readonly Route[] = []) {
    for (const route of routes) {
      this.routes.set(routeKey(route.prefix, route.metric), route);
      this.metrics.add(route.metric);
    }
  }

  get size(): number {
    return this.routes.size;
  }

  has({ prefix, metric }: Pick<Route, 'prefix' | 'metric'>): boolean {
    return this.routes.size > 0 && this.routes.has(routeKey(prefix, metric));
  }

  forget({ prefix, metric }: Pick<Route, 'prefix' | 'metric'>): void {
    this.routes.delete(routeKey(prefix, metric));
  }

  /** All that is there for a prefix, and no longer among these. */
  take(prefix: IpPrefix): readonly Route[] {
    const taken: Route[] = [];
    for (const metric of this.metrics) {
      const route = this.routes.get(routeKey(prefix, metric));
      if (route === undefined) continue;
      this.forget(route);
      taken.push(route);
    }
    return taken;
  }

  /** The rest. */
  takeAll(): readonly Route[] {
    const taken = [...this.routes.values()];
    this.routes.clear();
    return taken;
  }
}
