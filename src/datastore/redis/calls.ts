/** Single calls of a server: a script by its digest, the list of a bucket, INFO; and how objects lie there. */
import { createHash } from 'node:crypto';
import { Cluster } from 'ioredis';
import { textAt, type JsonObject } from '../../apiserver/json.js';
import { messageOf } from '../../errors.js';
import type { StoredObject } from '../object-table.js';
import type { Connection } from './connection.js';
import { parseInfo, type Info } from './safety.js';
import { LIST, type Keys } from './scripts.js';

export interface Script {
  readonly text: string;
  readonly digest: string;
}

export const scriptOf = (text: string): Script => ({ text, digest: createHash('sha1').update(text).digest('hex') });
const listScript = scriptOf(LIST);

/** Sends the digest; a server that does not know it yet gets the text. */
export async function run(
  connection: Connection,
  { text, digest }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
  quorum: number,
  timeout: number,
): Promise<readonly [unknown, unknown]> {
  const attempt = async (command: 'evalsha' | 'eval', script: string): Promise<readonly [unknown, unknown]> => {
    if (quorum === 0) return [await connection[command](script, keys.length, ...keys, ...args), 0];
    const pipeline = connection.pipeline();
    pipeline[command](script, keys.length, ...keys, ...args);
    pipeline.wait(quorum, timeout);
    const answers = (await pipeline.exec()) ?? [];
    const failure = answers.find(([error]) => error !== null)?.[0];
    if (failure) throw failure;
    return [answers[0]?.[1], answers[1]?.[1]];
  };
  for (let redirections = 0; ; redirections++)
    try {
      return await attempt('evalsha', digest);
    } catch (error) {
      if (messageOf(error).startsWith('NOSCRIPT')) return attempt('eval', text);
      if (!messageOf(error).startsWith('MOVED') || redirections === MOST_REDIRECTIONS) throw error;
      // Refused, not done. ioredis follows by itself, but not where one of a pipeline (WAIT) has no key and was answered.
      await learnSlots(connection);
    }
}

const MOST_REDIRECTIONS = 3;

const learnSlots = (connection: Connection): Promise<void> =>
  connection instanceof Cluster
    ? new Promise((resolve, reject) => connection.refreshSlotsCache((error) => (error ? reject(error) : resolve())))
    : Promise.resolve();

/** All of a bucket, and the revision of its last event. */
export async function listBucket(
  connection: Connection,
  { state, objects }: Keys,
  bucket: string,
): Promise<{ readonly objects: readonly StoredObject[]; readonly revision: number }> {
  const [answer] = await run(connection, listScript, [state, objects(bucket)], [bucket], 0, 0);
  const [revision, flat] = answer as readonly [string, readonly string[]];
  const found: StoredObject[] = [];
  for (let index = 0; index + 1 < flat.length; index += 2)
    found.push(storedOf(flat[index] ?? '', flat[index + 1] ?? ''));
  found.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { objects: found, revision: Number(revision) };
}

/** INFO of the server that has our keys. */
export async function infoOf(connection: Connection, { state }: Keys): Promise<Info> {
  // In a cluster INFO would go to any server; a script goes where its key is.
  const text = await connection.eval("return redis.call('INFO')", 1, state);
  return parseInfo(String(text));
}

export function storedOf(key: string, value: string): StoredObject {
  const space = value.indexOf(' ');
  const object = JSON.parse(value.slice(space + 1)) as JsonObject;
  if (textAt(object, 'metadata', 'name') === undefined) throw new Error(`"${key}" of the datastore is no object`);
  return { key, object, revision: Number(value.slice(0, space)) };
}
