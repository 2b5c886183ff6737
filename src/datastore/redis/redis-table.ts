/**
 * A table of objects on Redis or Valkey: one script for each write, one round trip, and WAIT behind it where replicas must have it.
 *
 * Opening it looks at the server first and says what is wrong with it. What is watched is in redis-watch.ts, what happens on the server
 * in scripts.ts.
 */
import { randomInt } from 'node:crypto';
import type { IpPrefix } from 'node-bgp/address';
import type { JsonObject } from '../../apiserver/json.js';
import { put } from '../../apiserver/json.js';
import { messageOf, UserError } from '../../errors.js';
import type {
  Commit,
  CommitOutcome,
  FreeBlockClaim,
  ObjectTable,
  StoredObject,
  TableListener,
} from '../object-table.js';
import { infoOf, listBucket, run, scriptOf, storedOf, type Script } from './calls.js';
import { connectionTo, type Connection } from './connection.js';
import type { RedisLocation } from './location.js';
import { RedisWatch } from './redis-watch.js';
import { dangers, impediment, type Info } from './safety.js';
import { CLAIM, COMMIT, keysOf, rangeText, SALT, type Keys } from './scripts.js';

/** Blocks that one call looks at: some milliseconds of the server's time. */
const MOST_STEPS = 1000;
/** How often a pool may be gone through while others change it. */
const MOST_CALLS = 10_000;

/** The server has not forgotten anything that we know of, but may have: it asks owners first. */
export class SettlingError extends Error {
  override readonly name = 'SettlingError';

  constructor(readonly milliseconds: number) {
    super(
      `Cannot claim a block: Redis was started or promoted a moment ago, and for ${Math.ceil(milliseconds / 1000)} s ` +
        'only says whose blocks are whose',
    );
  }
}

/** The write is done, and is lost when this server is: whoever asks again finds out. */
export class QuorumError extends Error {
  override readonly name = 'QuorumError';
}

const [commitScript, claimScript] = [scriptOf(COMMIT), scriptOf(CLAIM)];

export interface RedisTableOptions {
  /** What an operator should hear and need not end anything. */
  readonly warn: (sentence: string) => void;
}

/** One that answers and never becomes ready, such as a cluster without all its slots, is waited for no longer than this. */
const READY_WAIT = 20_000;

async function connected(connection: Connection): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it is not ready after ${READY_WAIT / 1000} s`)), READY_WAIT);
  });
  await Promise.race([connection.connect(), late]).finally(() => clearTimeout(timer));
}

export class RedisTable implements ObjectTable {
  private readonly keys: Keys;
  private readonly watching: RedisWatch;

  private constructor(
    private readonly connection: Connection,
    private readonly location: RedisLocation,
    warn: (sentence: string) => void,
  ) {
    this.keys = keysOf(location.prefix);
    this.watching = new RedisWatch(location, this.keys, warn);
  }

  /** @throws UserError that says why the server cannot be reached, or should not be trusted */
  static async open(location: RedisLocation, { warn }: RedisTableOptions): Promise<RedisTable> {
    let last = '';
    const connection = connectionTo(location, (error) => {
      if (error.message !== last) warn(`The connection to ${location.display}: ${error.message}`);
      last = error.message;
    });
    connection.on('ready', () => (last = ''));
    try {
      await connected(connection);
      expectSafe(await infoOf(connection, keysOf(location.prefix)), location, warn);
    } catch (error) {
      connection.disconnect();
      if (error instanceof UserError) throw error;
      // That a connection is closed says less than what was said before it.
      const why = last === '' ? messageOf(error) : last;
      throw new UserError(`Cannot use ${location.display}: ${why}`, 1, { cause: error });
    }
    return new RedisTable(connection, location, warn);
  }

  async get(bucket: string, key: string): Promise<StoredObject | undefined> {
    const value = await this.asked(this.connection.hget(this.keys.objects(bucket), key));
    return value === null ? undefined : storedOf(key, value);
  }

  async list(bucket: string): Promise<readonly StoredObject[]> {
    return (await this.asked(listBucket(this.connection, this.keys, bucket))).objects;
  }

  async commit({ bucket, key, before, object, block, isReassertion }: Commit): Promise<CommitOutcome> {
    const { history, settle } = this.location;
    const [outcome, detail] = await this.write(commitScript, bucket, [
      key,
      String(before),
      object === undefined ? 'd' : 'w',
      object === undefined ? '' : textOf(object),
      randomInt(SALT),
      history,
      block === undefined ? '' : rangeText(block),
      isReassertion === true ? 'reassert' : '',
      settle,
    ]);
    if (outcome === 'done') return { type: 'done', revision: Number(detail) };
    if (outcome === 'overlaps') return { type: 'overlaps', block: String(detail) };
    if (outcome === 'settling') throw new SettlingError(Number(detail));
    return { type: 'changed' };
  }

  async claimFreeBlock(claim: FreeBlockClaim): Promise<IpPrefix | undefined> {
    const { bucket, range, blockLength, start, held, objectOf } = claim;
    const { history, settle } = this.location;
    const [first, last] = endsOf(range);
    const [begin] = endsOf(start);
    const size = 1n << BigInt((range.family === 4 ? 32 : 128) - blockLength);
    const sample = objectOf(start);
    const json = textOf(put(put(sample, ['metadata', 'name'], '@NAME@'), ['spec', 'cidr'], '@CIDR@'));
    let [at, wrapped] = [begin, '0'];
    for (let call = 0; call < MOST_CALLS; call++) {
      const fixed = [range.family, first, last, size.toString(), begin, json, randomInt(SALT), history, settle];
      const answer = await this.write(claimScript, bucket, [...fixed, MOST_STEPS, at, wrapped, ...held.map(rangeText)]);
      const [outcome, detail = ''] = answer;
      if (outcome === 'none') return undefined;
      if (outcome === 'settling') throw new SettlingError(Number(detail));
      if (outcome === 'done') return { family: range.family, value: BigInt(`0x${detail}`), length: blockLength };
      [at, wrapped] = [detail, answer[2] ?? '0'];
    }
    throw new Error(`Cannot claim a block of ${rangeText(range)}: it does not stand still for ${MOST_CALLS} calls`);
  }

  watch(bucket: string, listener: TableListener): () => void {
    return this.watching.add(bucket, listener);
  }

  async close(): Promise<void> {
    this.watching.close();
    this.connection.disconnect();
  }

  /** @throws Error that says who did not answer as it should */
  private async asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw new Error(`Cannot use ${this.location.display}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** One round trip: the script, and WAIT for its replicas. @throws QuorumError */
  private async write(script: Script, bucket: string, args: readonly (string | number)[]): Promise<readonly string[]> {
    const { quorum, quorumTimeout } = this.location;
    const { state, blocks, ranges, objects, events } = this.keys;
    const keys = [state, blocks, ranges, objects(bucket), events(bucket)];
    const [answer, replicas] = await this.asked(
      run(this.connection, script, keys, [bucket, ...args], quorum, quorumTimeout),
    );
    if (quorum > 0 && Number(replicas) < quorum)
      throw new QuorumError(
        `Cannot be sure of a write to ${this.location.display}: ${Number(replicas)} of ${quorum} replicas have it after ` +
          `${quorumTimeout} ms`,
      );
    return answer as readonly string[];
  }
}

function expectSafe(info: Info, location: RedisLocation, warn: (sentence: string) => void): void {
  const reason = impediment(info);
  if (reason !== undefined) throw new UserError(`Cannot use ${location.display}: ${reason}`);
  const found = dangers(info, location);
  if (found.length === 0) return;
  const sentence = `${location.display} may lose what it has acknowledged: ${found.join('; ')}`;
  if (!location.acceptsLoss)
    throw new UserError(`Cannot use ${sentence}. ?accept-loss=true in the URL uses it all the same`);
  warn(sentence);
}

const endsOf = (prefix: IpPrefix): readonly [string, string] => {
  const [first = '', last = ''] = rangeText(prefix).slice(2).split('-');
  return [first, last];
};

/** The version is the revision beside it. */
const textOf = (object: JsonObject): string => JSON.stringify(put(object, ['metadata', 'resourceVersion'], undefined));
