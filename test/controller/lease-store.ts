/** One Lease with compare-and-swap, as an API server keeps it. */
import type { Lease } from '../../src/api/core.js';
import { ApiError, type Datastore } from '../../src/datastore/datastore.js';

export class LeaseStore {
  lease: Lease | undefined;
  isAway = false;
  /** Awaited before each answer to a write. */
  beforeWrite: () => Promise<void> = async () => undefined;
  private version = 0;

  readonly datastore = {
    get: async () => this.answer(() => this.lease),
    create: async (_: unknown, lease: Lease) => {
      await this.beforeWrite();
      return this.answer(() => {
        if (this.lease !== undefined) throw new ApiError('exists', 409, 'AlreadyExists');
        return this.keep(lease);
      });
    },
    replace: async (_: unknown, lease: Lease) => {
      await this.beforeWrite();
      return this.answer(() => {
        if (lease.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
          throw new ApiError('stale', 409, 'Conflict');
        return this.keep(lease);
      });
    },
  } as unknown as Pick<Datastore, 'get' | 'create' | 'replace'>;

  private answer<T>(make: () => T): T {
    if (this.isAway) throw new Error('no route to the API server');
    return make();
  }

  private keep(lease: Lease): Lease {
    this.version += 1;
    this.lease = { ...lease, metadata: { ...lease.metadata, uid: 'u', resourceVersion: String(this.version) } };
    return this.lease;
  }
}
