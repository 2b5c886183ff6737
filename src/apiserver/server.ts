/**
 * The lab's API server: enough of Kubernetes' REST API, in memory, for kubectl and client libraries to work unchanged.
 *
 * The way of a request: http.ts (bytes) -> requests.ts (route, verb) -> read.ts, write.ts, patch.ts, remove.ts (operations on
 * store.ts) -> representation.ts. Kinds are described in kinds/ and by CRDs (crd-type.ts); schemas in tables/. Controllers
 * that a cluster cannot do without (namespaces, ownership, custom kinds, endpoints) run inside, each a listener of the store.
 *
 * One token opens everything (gate.ts). Not here: users, authorization, admission webhooks, conversion, scheduling, kubelets,
 * durability. Nothing may depend on this server that a real one does not offer.
 */
import { createServer, type Server } from 'node:http';
import { internalWrite, type Cluster } from './cluster.js';
import { startCustomKinds } from './controllers/custom-kinds.js';
import { startEndpointSlices } from './controllers/endpoint-slices.js';
import { startGarbageCollector } from './controllers/garbage-collector.js';
import { startNamespaceLifecycle } from './controllers/namespace-lifecycle.js';
import { requestListener } from './http.js';
import { builtInTypes } from './kinds/index.js';
import type { JsonObject } from './json.js';
import { CRD_BUCKET } from './crd-type.js';
import { Registry } from './registry.js';
import { Requests } from './requests.js';
import { Store } from './store.js';
import { createObject } from './write.js';

export interface ApiServerOptions {
  /** TCP address; port 0 takes a free one. Default 127.0.0.1:0 when there is no unix path either. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Also (or only) listen on this unix socket. */
  readonly listenUnix?: string;
  /** What clients must bring as `Authorization: Bearer`; absent: nobody is asked. */
  readonly token?: string;
  /** CustomResourceDefinitions to have from the start, as `loadManifests` reads them. */
  readonly crds?: readonly JsonObject[];
  /** Events a resource remembers for watches to resume from; default 10000. Tests make it small to see 410. */
  readonly historyLength?: number;
  /** Errors that are nobody's fault but ours; default: thrown, that is, the process ends. */
  readonly onError?: (error: unknown) => void;
}

export interface ApiServer {
  /** "http://127.0.0.1:6443"; undefined when it listens on a unix socket only. */
  readonly url: string | undefined;
  readonly cluster: Cluster;
  /** Ends watches and connections, and stops listening. */
  readonly close: () => Promise<void>;
}

const SYSTEM_NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];

export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const cluster: Cluster = {
    // Microseconds: no server writes so often that its successor would start behind it.
    store: new Store({
      firstRevision: Date.now() * 1000,
      ...(options.historyLength === undefined ? {} : { historyLength: options.historyLength }),
    }),
    registry: new Registry(builtInTypes),
    now: Date.now,
  };
  const stops = [
    startCustomKinds(cluster),
    startGarbageCollector(cluster),
    startNamespaceLifecycle(cluster),
    startEndpointSlices(cluster),
  ];
  bootstrap(cluster, options.crds ?? []);
  const gate = {
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(options.listen === undefined ? {} : { host: options.listen.host }),
  };
  const listener = requestListener(new Requests(cluster), gate, options.onError ?? rethrow);
  const servers: Server[] = [];
  const address = options.listen ?? (options.listenUnix === undefined ? { host: '127.0.0.1', port: 0 } : undefined);
  let url: string | undefined;
  if (address !== undefined) {
    const server = await listenOn(createServer(SERVER_OPTIONS, listener), { host: address.host, port: address.port });
    servers.push(server);
    const bound = server.address();
    if (bound !== null && typeof bound === 'object')
      url = `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
  }
  if (options.listenUnix !== undefined)
    servers.push(await listenOn(createServer(SERVER_OPTIONS, listener), { path: options.listenUnix }));
  return {
    url,
    cluster,
    close: async () => {
      for (const stop of stops) stop();
      await Promise.all(servers.map(closeServer));
    },
  };
}

/** Watches last an hour and idle clients keep their connection: no timeouts of Node's own. */
const SERVER_OPTIONS = { requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 120_000, noDelay: true } as const;

function bootstrap(cluster: Cluster, crds: readonly JsonObject[]): void {
  const write = internalWrite('kube-apiserver');
  const create = (group: string, plural: string, object: JsonObject): void => {
    const type = cluster.registry.find(group, 'v1', plural);
    if (type !== undefined)
      createObject(cluster, { type, namespace: undefined, name: '', subresource: '' }, object, write);
  };
  for (const name of SYSTEM_NAMESPACES) create('', 'namespaces', { metadata: { name } });
  for (const crd of crds) create('apiextensions.k8s.io', CRD_BUCKET.split('.')[0] ?? '', crd);
}

function listenOn(
  server: Server,
  where: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve(server);
    });
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A client that was connecting while we closed shows up after; its watch would hold us for an hour.
    server.on('connection', (socket) => socket.destroy());
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** Out of the request's promise, so that the process ends with the stack. */
function rethrow(error: unknown): void {
  setImmediate(() => {
    throw error;
  });
}
