/**
 * Where the cluster's objects are, by URL: the only place that knows all datastores. Each is loaded only when it is asked for.
 *
 *   kubernetes:                   the API server of the kubeconfig, or of the pod's service account; kubernetes:FILE names the kubeconfig
 *   redis://, redis-sentinel://, redis-cluster:// and the same with rediss    Redis or Valkey (redis/location.ts)
 *   dir:DIRECTORY                 a directory of this host
 */
import { UserError } from '../errors.js';
import type { ObjectStore } from './datastore.js';
import type { ObjectTable } from './object-table.js';
import { isRedisUrl, parseRedisUrl } from './redis/location.js';

export interface OpenOptions {
  /** For kubernetes: when the URL names none. */
  readonly kubeconfig?: string;
  /** Hears what need not end anything. */
  readonly warn?: (sentence: string) => void;
}

export interface OpenedDatastore {
  readonly store: ObjectStore;
  /** What it is, for people; without secrets. */
  readonly display: string;
  /** Does a kubelet or anybody else say which nodes and pods there are? */
  readonly isKubernetes: boolean;
}

/** @throws UserError with what was expected, or why it cannot be used */
export async function openDatastore(
  url: string,
  { kubeconfig, warn = () => {} }: OpenOptions,
): Promise<OpenedDatastore> {
  if (isRedisUrl(url)) {
    const location = parseRedisUrl(url);
    const { RedisTable } = await import('./redis/redis-table.js');
    return { ...(await onTable(await RedisTable.open(location, { warn }))), display: location.display };
  }
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(url) ?? [];
  if (scheme === 'dir' && rest.startsWith('/')) {
    const { DirectoryTable } = await import('./directory/directory-table.js');
    return { ...(await onTable(DirectoryTable.open(rest))), display: url };
  }
  if (scheme === 'kubernetes') {
    const { KubernetesClient } = await import('./kubernetes-client.js');
    const { KubernetesDatastore } = await import('./kubernetes-datastore.js');
    const client = KubernetesClient.load(rest === '' ? kubeconfig : rest);
    return { store: new KubernetesDatastore(client), display: client.url, isKubernetes: true };
  }
  throw new UserError(
    `Cannot use a datastore of scheme "${scheme}:": expected kubernetes:, redis://..., rediss://..., redis-sentinel://..., ` +
      'redis-cluster://... or dir:/DIRECTORY',
    2,
  );
}

async function onTable(table: ObjectTable) {
  const { TableDatastore } = await import('./table-datastore.js');
  const store = new TableDatastore(table);
  try {
    // As on every API server.
    await store.ensureNamespace('default');
  } catch (error) {
    await store.close();
    throw error;
  }
  return { store, isKubernetes: false };
}
