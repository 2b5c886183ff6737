/**
 * Watches of kinds that a node needs only for some purposes: each begins when the first purpose asks for it, and goes on until the
 * process ends. Services, for one, are 30,000 objects that a node without announcements or load balancing of its own never reads.
 */
import type { KindName } from '../api/kinds.js';
import type { Datastore, Watch, WatchOptions, WatchSink } from '../datastore/datastore.js';

export class OnDemandWatch {
  private readonly watches = new Map<KindName, Watch>();
  private isStopped = false;

  constructor(
    private readonly datastore: Pick<Datastore, 'watch'>,
    private readonly sink: WatchSink<KindName>,
    private readonly optionsOf: (kind: KindName) => WatchOptions = () => ({}),
  ) {}

  /** From now on the copy has this kind. Asking again costs nothing. */
  need(kind: KindName): void {
    if (this.isStopped || this.watches.has(kind)) return;
    this.watches.set(kind, this.datastore.watch(kind, this.sink, this.optionsOf(kind)));
  }

  isNeeded(kind: KindName): boolean {
    return this.watches.has(kind);
  }

  stop(): void {
    this.isStopped = true;
    for (const watch of this.watches.values()) watch.stop();
  }
}
