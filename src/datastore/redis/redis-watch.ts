/**
 * Watches on a connection of their own: lists each bucket once, then reads its stream from there.
 *
 *   list --> XREAD from its revision --> events in order
 *    ^            |
 *    +-- an event whose predecessor we never saw (the stream was cut), another server, or one that knows less than before
 *
 * A connection that broke goes on where it was, when the same server answers with the same past; any other may have forgotten or
 * changed what we have seen, so everything is listed anew.
 */
import { messageOf } from '../../errors.js';
import type { TableListener } from '../object-table.js';
import { connectionTo, type Connection } from './connection.js';
import type { RedisLocation } from './location.js';
import { infoOf, listBucket, storedOf } from './calls.js';
import { historyOf } from './safety.js';
import type { Keys } from './scripts.js';

/** A watch that is added meanwhile waits this long for its first event. */
const BLOCK = 500;
const MOST_EVENTS = 1000;
const SHORTEST_PAUSE = 100;
const LONGEST_PAUSE = 3_000;

interface Subscription {
  readonly bucket: string;
  readonly listener: TableListener;
  /** Where it is; undefined: it has to be listed. */
  revision: number | undefined;
  isOtherHistory: boolean;
}

export class RedisWatch {
  /** BOUNDED by the kinds there are. */
  private readonly subscriptions = new Set<Subscription>();
  private connection: Connection | undefined;
  /** Which past of which server the revisions are of. */
  private history: string | undefined;
  /** Has the connection broken since anybody looked whose it is? */
  private isConnectionNew = true;
  private isClosed = false;
  private wake: () => void = () => {};

  constructor(
    private readonly location: RedisLocation,
    private readonly keys: Keys,
    private readonly warn: (sentence: string) => void,
  ) {}

  add(bucket: string, listener: TableListener): () => void {
    const subscription: Subscription = { bucket, listener, revision: undefined, isOtherHistory: false };
    this.subscriptions.add(subscription);
    if (this.connection === undefined) {
      this.connection = connectionTo(this.location, () => {}, BLOCK);
      for (const event of ['close', 'end', '+node']) this.connection.on(event, () => (this.isConnectionNew = true));
      void this.run(this.connection);
    }
    this.wake();
    return () => void this.subscriptions.delete(subscription);
  }

  close(): void {
    this.isClosed = true;
    this.subscriptions.clear();
    this.connection?.disconnect();
    this.wake();
  }

  /** Until closed. */
  private async run(connection: Connection): Promise<void> {
    let failures = 0;
    while (!this.isClosed) {
      try {
        if (connection.status === 'wait') await connection.connect();
        await this.step(connection);
        failures = 0;
      } catch (error) {
        if (this.isClosed) return;
        this.isConnectionNew = true;
        const problem = `Cannot watch ${this.location.display}: ${messageOf(error)}`;
        if (failures === 0) this.warn(problem);
        for (const { listener } of this.subscriptions) listener.health(problem);
        await this.sleep(Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(failures++, 10)));
      }
    }
  }

  private async step(connection: Connection): Promise<void> {
    if (this.subscriptions.size === 0) return this.sleep(LONGEST_PAUSE);
    if (this.isConnectionNew) await this.meet(connection);
    for (const subscription of this.subscriptions)
      if (subscription.revision === undefined) await this.list(connection, subscription);
    if (!(await this.read(connection))) await this.expectNoLess(connection);
  }

  /** Is it the server that we know, with the past that we know? */
  private async meet(connection: Connection): Promise<void> {
    this.isConnectionNew = false;
    const history = historyOf(await infoOf(connection, this.keys));
    if (this.history !== undefined && history !== this.history) {
      this.warn(`Another server, or another life of it, answers at ${this.location.display}: reading everything anew`);
      this.forget();
    }
    this.history = history;
    for (const { listener, revision } of this.subscriptions) if (revision !== undefined) listener.health(undefined);
  }

  private forget(): void {
    for (const subscription of this.subscriptions) {
      subscription.revision = undefined;
      subscription.isOtherHistory = true;
    }
  }

  private async list(connection: Connection, subscription: Subscription): Promise<void> {
    const { objects, revision } = await listBucket(connection, this.keys, subscription.bucket);
    if (!this.subscriptions.has(subscription)) return;
    subscription.listener.listed(objects, subscription.isOtherHistory);
    subscription.listener.health(undefined);
    subscription.revision = revision;
    subscription.isOtherHistory = false;
  }

  /** False when nothing came. */
  private async read(connection: Connection): Promise<boolean> {
    const byStream = new Map<string, Subscription[]>();
    for (const subscription of this.subscriptions) {
      const stream = this.keys.events(subscription.bucket);
      byStream.set(stream, [...(byStream.get(stream) ?? []), subscription]);
    }
    const names = [...byStream.keys()];
    // Those who share a bucket may be at several places of it: from the earliest.
    const from = names.map(
      (name) => `${Math.min(...(byStream.get(name) ?? []).map(({ revision = 0 }) => revision))}-0`,
    );
    const answer = await connection.xread('COUNT', MOST_EVENTS, 'BLOCK', BLOCK, 'STREAMS', ...names, ...from);
    for (const [name, entries] of answer ?? [])
      for (const subscription of byStream.get(name) ?? [])
        for (const [id, fields] of entries) this.take(subscription, id, fields);
    return answer !== null;
  }

  private take(subscription: Subscription, id: string, fields: readonly string[]): void {
    const { revision: seen, listener } = subscription;
    const revision = Number(id.split('-')[0]);
    if (seen === undefined || revision <= seen || !this.subscriptions.has(subscription)) return;
    const of = (name: string): string =>
      fields[fields.findIndex((field, index) => index % 2 === 0 && field === name) + 1] ?? '';
    if (Number(of('p')) > seen) {
      // What came between is cut off.
      subscription.revision = undefined;
      return;
    }
    subscription.revision = revision;
    listener.changed(of('t') === 'w' ? 'written' : 'removed', storedOf(of('k'), `${revision} ${of('v')}`));
  }

  /** Somebody may have emptied or restored the server under us. */
  private async expectNoLess(connection: Connection): Promise<void> {
    const revision = Number((await connection.hget(this.keys.state, 'revision')) ?? '0');
    if ([...this.subscriptions].some(({ revision: seen = 0 }) => seen > revision)) this.forget();
  }

  private sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
