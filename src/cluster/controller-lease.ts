/**
 * Does a `tortie controller` lead? Agents do its work for the cluster only where none does.
 *
 * A lease lives while it changes more often than it says it will, by our own clock; one that is seen for the first time counts as
 * living for as long.
 */
import type { Lease } from '../api/core.js';
import type { Datastore } from '../datastore/datastore.js';

export const CONTROLLER_LEASE = 'tortie-controller';
const DEFAULT_SECONDS = 15;

export class ControllerLease {
  private seen: { readonly version: string; readonly at: number } | undefined;

  constructor(
    private readonly datastore: Pick<Datastore, 'get'>,
    private readonly namespace: string,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Asks; @throws when the API server does not answer */
  async isHeld(): Promise<boolean> {
    const lease = await this.datastore.get('leases', CONTROLLER_LEASE, this.namespace);
    if (lease === undefined || (lease.spec?.holderIdentity ?? '') === '') return false;
    const version = versionOf(lease);
    if (this.seen?.version !== version) this.seen = { version, at: this.now() };
    return this.now() - this.seen.at < (lease.spec?.leaseDurationSeconds ?? DEFAULT_SECONDS) * 1000;
  }
}

const versionOf = ({ metadata }: Lease): string => `${metadata.uid} ${metadata.resourceVersion}`;
