/**
 * Connections to Redis or Valkey, single, by Sentinel or as a cluster, with one answer for each command: done, refused, or not known.
 *
 * A command whose connection broke may have been done. Nothing here sends it again: a swap that is sent twice loses to itself. Whoever
 * asked is told that it failed, and reads what became of it.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisLocation } from './location.js';

export type Connection = Redis | Cluster;

const CONNECT_TIMEOUT = 5_000;
const COMMAND_TIMEOUT = 5_000;
const SHORTEST_PAUSE = 50;
const LONGEST_PAUSE = 2_000;

/**
 * Opens nothing yet: `connect()` does. Errors between commands go to `onError`; without a listener they would end the process.
 * @param slowest milliseconds that a command of it may take by itself
 */
export function connectionTo(location: RedisLocation, onError: (error: Error) => void, slowest = 0): Connection {
  const connection =
    location.form === 'cluster' ? clusterOf(location, slowest) : new Redis(singleOptions(location, slowest));
  connection.on('error', onError);
  return connection;
}

const pause = (times: number): number => Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** Math.min(times, 10));

function commonOptions({ user, password, tls }: RedisLocation, slowest: number): RedisOptions {
  return {
    protocol: 2,
    lazyConnect: true,
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: COMMAND_TIMEOUT + slowest,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
  };
}

function singleOptions(location: RedisLocation, slowest: number): RedisOptions {
  const { form, hosts, master, database, tls, sentinelUser, sentinelPassword } = location;
  const common: RedisOptions = {
    ...commonOptions(location, slowest),
    retryStrategy: pause,
    // A former master that became a replica says so to every write: look for the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
  if (form === 'single') return { ...common, ...hosts[0], db: database };
  return {
    ...common,
    sentinels: [...hosts],
    name: master,
    sentinelRetryStrategy: pause,
    ...(tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tls }),
    ...(sentinelUser === undefined ? {} : { sentinelUsername: sentinelUser }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
  };
}

function clusterOf(location: RedisLocation, slowest: number): Cluster {
  return new Cluster([...location.hosts], {
    lazyConnect: true,
    clusterRetryStrategy: pause,
    // See above: after a break nothing is sent again.
    retryDelayOnFailover: 0,
    redisOptions: commonOptions(location, slowest),
  });
}
