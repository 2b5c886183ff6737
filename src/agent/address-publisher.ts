/**
 * Tells the cluster who has which address on this node: the object NodeAddresses of the node's name, a copy of the journal for readers.
 *
 * Nothing waits for it. A change is told after DELAY, so that a burst is one write, and the next not before INTERVAL has passed; what is as
 * it was told is not told again. Who cannot be told now is told later.
 */
import { isDeepStrictEqual } from 'node:util';
import { NODE_NETWORK, type Owner } from '@tortie/ipam';
import type { NodeAddresses, PublishedAddress } from '../api/ipam.js';
import type { Datastore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import type { Logger } from '../log.js';

export interface AddressPublisherOptions {
  readonly node: string;
  readonly datastore: Pick<Datastore, 'get' | 'create' | 'replace'>;
  readonly owners: () => readonly { readonly owner: Owner; readonly addresses: readonly string[] }[];
  /** Is there a Node of this name? What a deleted one has told is deleted with it. */
  readonly hasNode: () => boolean;
  readonly log: Logger;
  /** Milliseconds; defaults DELAY and INTERVAL. */
  readonly delay?: number;
  readonly interval?: number;
}

/** From a change to when it is told, at least and at most. */
export const DELAY = 5_000;
export const INTERVAL = 60_000;

export class AddressPublisher {
  private timer: NodeJS.Timeout | undefined;
  private told: NodeAddresses | undefined;
  private lastAt = Number.NEGATIVE_INFINITY;
  private isBusy = false;
  private isDirty = false;
  private isStopped = false;

  constructor(private readonly options: AddressPublisherOptions) {}

  changed(): void {
    this.isDirty = true;
    if (this.timer !== undefined || this.isBusy || this.isStopped) return;
    const { delay = DELAY, interval = INTERVAL } = this.options;
    const wait = Math.max(delay, this.lastAt + interval - performance.now());
    this.timer = setTimeout(() => void this.run(), wait).unref();
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  private async run(): Promise<void> {
    this.timer = undefined;
    this.isBusy = true;
    this.isDirty = false;
    this.lastAt = performance.now();
    try {
      await this.publish();
    } catch (error) {
      this.options.log.debug({ problem: messageOf(error) }, 'Cannot tell who has which address; trying again');
      this.told = undefined;
      this.isDirty = true;
    }
    this.isBusy = false;
    if (this.isDirty) this.changed();
  }

  private async publish(): Promise<void> {
    const { datastore, hasNode, node } = this.options;
    if (!hasNode()) {
      this.told = undefined;
      return;
    }
    const addresses = publishedOf(this.options.owners());
    this.told ??= await datastore.get('nodeAddresses', node);
    if (this.told !== undefined && isDeepStrictEqual(this.told.spec.addresses ?? [], addresses)) return;
    const spec = { publishedAt: new Date().toISOString().replace(/\.\d+Z/, 'Z'), addresses };
    this.told =
      this.told === undefined
        ? await datastore.create('nodeAddresses', { metadata: { name: node }, spec })
        : await datastore.replace('nodeAddresses', { ...this.told, spec });
  }
}

const publishedOf = (
  owners: readonly { readonly owner: Owner; readonly addresses: readonly string[] }[],
): readonly PublishedAddress[] =>
  owners
    .flatMap(({ owner, addresses }) => {
      const { network, namespace, pod, uid, containerId, interfaceName } = owner;
      const tunnel = network === NODE_NETWORK ? { tunnel: interfaceName } : {};
      return addresses.map((address) => ({
        address,
        namespace,
        pod,
        ...tunnel,
        ...(uid === undefined ? {} : { uid }),
        containerId,
      }));
    })
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
