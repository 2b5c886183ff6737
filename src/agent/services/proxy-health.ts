/**
 * Is the service proxy well? As kube-proxy has it (pkg/proxy/healthcheck/proxy_health.go): it is, until a change has waited longer than the
 * limit for the kernel. Answers of /healthz and /livez, without the sockets.
 */
import type { Node } from '../../api/core.js';

/** Twice kube-proxy's default sync period. */
export const LATE_AFTER = 60_000;
/** The cluster autoscaler is about to delete the node. */
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler';

export interface HealthAnswer {
  readonly isHealthy: boolean;
  readonly lastUpdated: string;
  readonly currentTime: string;
  readonly nodeEligible?: boolean;
}

export class ProxyHealth {
  private updatedAt = 0;
  private queuedAt: number | undefined;

  constructor(private readonly now: () => number = Date.now) {}

  /** Something waits to be written. */
  queued(): void {
    this.queuedAt ??= this.now();
  }

  /** The kernel holds everything. */
  updated(): void {
    this.queuedAt = undefined;
    this.updatedAt = this.now();
  }

  get lastUpdated(): number {
    return this.updatedAt;
  }

  get lastQueued(): number | undefined {
    return this.queuedAt;
  }

  /** Before the first write it is not well: nothing is served yet. */
  get isHealthy(): boolean {
    if (this.updatedAt === 0) return false;
    return this.queuedAt === undefined || this.now() - this.queuedAt < LATE_AFTER;
  }

  livez(): HealthAnswer {
    const { isHealthy } = this;
    // A healthy proxy says "now", whenever something last changed: kube-proxy's readers look at the time.
    const at = isHealthy ? this.now() : this.updatedAt;
    return {
      isHealthy,
      lastUpdated: new Date(at).toISOString(),
      currentTime: new Date(this.now()).toISOString(),
    };
  }

  /** Load balancers ask this: a node that is about to go gets no new connections. */
  healthz(node: Node | undefined): HealthAnswer {
    const nodeEligible = isEligible(node);
    const answer = this.livez();
    return { ...answer, isHealthy: answer.isHealthy && nodeEligible, nodeEligible };
  }
}

function isEligible(node: Node | undefined): boolean {
  if (node === undefined || node.metadata.deletionTimestamp !== undefined) return false;
  return !(node.spec?.taints ?? []).some(({ key }) => key === TO_BE_DELETED);
}
