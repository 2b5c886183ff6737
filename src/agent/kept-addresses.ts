/**
 * A pod that comes again gets the addresses that were kept for it: from the node's own blocks, from what the node has borrowed, or from
 * another node's block, whose record says for whom they are kept (block-lending.ts).
 *
 * Best effort, and off the way of every other pod: a store that does not answer in time means other addresses, and a line in the log.
 */
import type { Allocator, Kept } from '@tortie/ipam';
import { parseAddress, type Family } from 'node-bgp/address';
import type { Cluster } from '../cluster/cluster.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';
import type { BlockLending } from './block-lending.js';

export interface KeptAddressesOptions {
  readonly node: string;
  readonly cluster: Cluster;
  readonly allocator: Allocator;
  readonly lending: BlockLending;
  readonly mayBorrow: () => boolean;
  readonly log: Logger;
  /** Milliseconds that a pod waits for the store; default RECALL_WAIT. */
  readonly wait?: number;
}

/** Ready for the pod: assign `own` by name, `borrowed` as borrowed, and settle all of them then. */
export interface Recalled {
  readonly own: readonly string[];
  readonly borrowed: readonly string[];
}

export const NOTHING_RECALLED: Recalled = { own: [], borrowed: [] };

const RECALL_WAIT = 3_000;

export class KeptAddresses {
  constructor(private readonly options: KeptAddressesOptions) {}

  /** @param mayServe may the pod have this address today? Never rejects. */
  async recall(whom: string, mayServe: (address: string) => boolean): Promise<Recalled> {
    const { log, lending, wait = RECALL_WAIT } = this.options;
    const recalling = this.recallAll(whom, mayServe).catch((error: unknown) => {
      log.warn({ keptFor: whom, problem: messageOf(error) }, 'Cannot get a kept address; the pod gets another');
      return NOTHING_RECALLED;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), wait);
    });
    const recalled = await Promise.race([recalling, late]);
    clearTimeout(timer);
    if (recalled !== undefined) return recalled;
    log.warn({ keptFor: whom }, 'The store does not say in time that a kept address is free; the pod gets another');
    void recalling.then(({ own, borrowed }) => {
      for (const address of [...own, ...borrowed]) lending.settle(address);
    });
    return NOTHING_RECALLED;
  }

  private async recallAll(whom: string, mayServe: (address: string) => boolean): Promise<Recalled> {
    const { allocator, lending } = this.options;
    const found = new Set<Family>();
    /** One of each family: a pod that was twice at once may have left two. */
    const isWanted = ({ address, keptFor }: Kept): boolean =>
      keptFor === whom && !found.has(parseAddress(address).family) && mayServe(address);
    const own: string[] = [];
    const asked: string[] = [];
    const borrowed: string[] = [];
    const take = (to: string[], address: string): void => {
      found.add(parseAddress(address).family);
      to.push(address);
    };
    try {
      for (const kept of allocator.kept())
        if (isWanted(kept)) {
          asked.push(kept.address);
          if (await lending.recallOwn(kept.cidr, kept.address)) take(own, kept.address);
        }
      for (const kept of [...allocator.keptOutside().values()])
        if (isWanted(kept) && lending.holdBorrowed(kept.address)) take(borrowed, kept.address);
      for (const [cidr, kept] of this.keptElsewhere(whom))
        if (isWanted(kept) && (await lending.borrowKept(kept, cidr))) take(borrowed, kept.address);
      for (const address of asked) if (!own.includes(address)) lending.settle(address);
      return { own, borrowed };
    } catch (error) {
      for (const address of [...asked, ...borrowed]) lending.settle(address);
      throw error;
    }
  }

  private keptElsewhere(whom: string): readonly (readonly [string, Kept])[] {
    const { cluster, mayBorrow, node } = this.options;
    if (!mayBorrow()) return [];
    return [...cluster.all('ipamBlocks').values()].flatMap(({ spec }) =>
      spec.node === node || spec.agentless === true
        ? []
        : (spec.kept ?? []).filter((kept) => kept.keptFor === whom).map((kept) => [spec.cidr, kept] as const),
    );
  }
}
