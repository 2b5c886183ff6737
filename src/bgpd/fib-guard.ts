/**
 * Watches over our routes: hears what others do to them and to their nexthop objects, and decides what of it is put right now. What our own
 * sockets do is not heard (event-filter.ts), so putting something right begins nothing.
 */
import { formatPrefix, type IpPrefix } from 'node-bgp/address';
import { watchKernel, type KernelEvent, type KernelWatch, type Route } from '../dataplane/netlink/index.js';
import type { Correction } from './fib-audit.js';
import { consequenceOf, type FibClaim } from './fib-events.js';
import type { FibProblem } from './fib-refusals.js';
import { RepairLedger, type Contested } from '../dataplane/repair-ledger.js';

export interface FibGuardOptions {
  /** The kernel's events; default: of this thread's namespace. */
  readonly watch?: typeof watchKernel;
  readonly claimOf: (prefix: IpPrefix, metric: number) => FibClaim;
  /** True: it will be read back anyway, so what is lost now need not be looked at. */
  readonly isAlarmed: () => boolean;
  readonly onLoss: () => void;
  readonly onGain: () => void;
  readonly onLeftGone: (route: Route) => void;
  readonly onProblem: (problem: FibProblem) => void;
  readonly onRepair: (count: number) => void;
}

export class FibGuard {
  private readonly ledger = new RepairLedger(() => performance.now());
  private watch: KernelWatch | undefined;
  private repairedCount = 0;

  constructor(private readonly options: FibGuardOptions) {}

  /** @param ports of the sockets by which we write */
  start(ports: readonly number[]): void {
    const watch = this.options.watch ?? watchKernel;
    this.watch = watch({ route: true, nexthop: true }, (event) => this.hear(event), { notBy: ports });
  }

  stop(): void {
    this.watch?.close();
    this.watch = undefined;
  }

  get contested(): number {
    return this.ledger.size;
  }

  /** Routes put right so far. */
  get repaired(): number {
    return this.repairedCount;
  }

  /** What of the found may be put right now; the rest after `pause`. */
  admit(found: readonly Correction[]): { readonly now: readonly Correction[]; readonly pause: number | undefined } {
    for (const key of this.ledger.forget()) this.tell(key, undefined);
    const { now, contested, pause } = this.ledger.admit(found, ({ prefix, metric }) => placeOf(prefix, metric));
    for (const each of contested) this.tell(each.key, each);
    if (now.length > 0) {
      this.repairedCount += now.length;
      this.options.onRepair(now.length);
    }
    return { now, pause };
  }

  private hear(event: KernelEvent): void {
    // Of a burst the first says it all.
    if (this.options.isAlarmed()) return this.options.onLoss();
    switch (consequenceOf(event, (prefix, metric) => this.claimOf(prefix, metric))) {
      case 'loss':
        return this.options.onLoss();
      case 'gain':
        return this.options.onGain();
      case 'left-gone':
        return event.type === 'route' ? this.options.onLeftGone(event.route) : undefined;
      case undefined:
        return;
    }
  }

  private claimOf(prefix: IpPrefix, metric: number): FibClaim {
    const claim = this.options.claimOf(prefix, metric);
    return claim === 'wanted' && this.ledger.isHeldBack(placeOf(prefix, metric)) ? 'held-back' : claim;
  }

  private tell(key: string | undefined, contested: Contested | undefined): void {
    const reason =
      contested &&
      `put back ${contested.count} times, the next time in ${Math.ceil(contested.pause / 1000)} s at the soonest; ` +
        '`ip monitor route` shows when it goes; a second daemon with our protocol number or a network manager that cleans up may do it';
    this.options.onProblem({ prefix: key ?? 'thousands of prefixes', type: 'contested', reason });
  }
}

const placeOf = (prefix: IpPrefix, metric: number): string => `${formatPrefix(prefix)} metric ${metric}`;
