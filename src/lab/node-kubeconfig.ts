/**
 * A kubeconfig for one node: the same user and authority, but the server is reached through the node's management link, that
 * is, at 127.0.0.1 in the node's own namespace (forwarder.ts). TLS still checks the server's real name. Pure.
 */
import { isAbsolute, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { UserError } from '../errors.js';

export interface ServerAddress {
  readonly host: string;
  readonly port: number;
}

export interface NodeKubeconfig {
  /** For the node. */
  readonly text: string;
  /** As it was, but for file names that are absolute now: it may be kept elsewhere. */
  readonly original: string;
  /** Where the forwarder connects to. */
  readonly server: ServerAddress;
}

interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly contexts?: readonly {
    readonly name: string;
    readonly context: { readonly cluster: string; readonly user?: string };
  }[];
  readonly clusters?: readonly { readonly name: string; readonly cluster: Readonly<Record<string, unknown>> }[];
  readonly users?: readonly { readonly name: string; readonly user: Readonly<Record<string, unknown>> }[];
}

const FILE_KEYS = ['certificate-authority', 'client-certificate', 'client-key', 'tokenFile'];

/**
 * @param directory of the original file, against which its relative file names are meant
 * @param port where the node's forwarder listens
 */
export function nodeKubeconfig(source: string, directory: string, port: number): NodeKubeconfig {
  const config = parse(source) as Kubeconfig;
  const context = config.contexts?.find((entry) => entry.name === config['current-context'])?.context;
  const cluster = config.clusters?.find((entry) => entry.name === context?.cluster)?.cluster;
  const user = config.users?.find((entry) => entry.name === context?.user)?.user;
  const server = cluster?.['server'];
  if (context === undefined || cluster === undefined || typeof server !== 'string')
    throw new UserError('Cannot use the kubeconfig: expected a current-context with a cluster and its server');
  const url = new URL(server);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const isTls = url.protocol === 'https:';
  const tlsName =
    isTls && host !== '127.0.0.1' && cluster['tls-server-name'] === undefined ? { 'tls-server-name': host } : {};
  url.hostname = '127.0.0.1';
  url.port = String(port);
  const write = (written: Readonly<Record<string, unknown>>): string =>
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'lab',
      contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
      clusters: [{ name: 'lab', cluster: written }],
      users: [{ name: 'lab', user: absolute(user ?? {}, directory) }],
    });
  const there = absolute(cluster, directory);
  const text = write({ ...there, ...tlsName, server: url.href.replace(/\/$/, '') });
  return { text, original: write(there), server: { host, port: Number(new URL(server).port) || (isTls ? 443 : 80) } };
}

const absolute = (entry: Readonly<Record<string, unknown>>, directory: string): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(entry).map(([key, value]) => [
      key,
      FILE_KEYS.includes(key) && typeof value === 'string' && !isAbsolute(value) ? resolve(directory, value) : value,
    ]),
  );
