/**
 * Which API server to talk to and as whom: a kubeconfig file, or the service account of the pod this runs in.
 *
 * The rules are those of @kubernetes/client-node, made of its parts: how entries of a kubeconfig are read (config_types), tokens in
 * files that rotate, credential plugins (`exec`). Its KubeConfig class brings the models of the whole API along, 75 MB resident in a
 * process that has no use for one of them, so it is loaded only for those who need what it alone has: a proxy, or a provider that asks
 * somebody for tokens (`auth-provider`: oidc, azure, gcp).
 */
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js';
import { FileAuth } from '@kubernetes/client-node/dist/file_auth.js';
import {
  newClusters,
  newContexts,
  newUsers,
  type Cluster,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { parse } from 'yaml';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * A handshake costs some 2 ms, and an agent asks every few seconds for as long as it lives. Few wait for the next request, since each may
 * have died in silence, and shorter than servers keep them.
 */
const KEEPING = { keepAlive: true, maxFreeSockets: 2, timeout: 15_000 };

export interface ClusterAccess {
  /** Base URL of the API server. */
  readonly server: string;
  /** Options for a request as it has to be made now: TLS, headers, agent. @throws Error when there are no credentials to be had */
  requestOptions(): Promise<RequestOptions>;
}

/** The current context of a kubeconfig file. @throws Error for a file that cannot be read or has no such context */
export function accessFromFile(file: string): ClusterAccess {
  const text = readFileSync(file, 'utf8');
  const root = dirname(file);
  const config = mapping(parse(text, { merge: true }));
  const clusters = newClusters(config['clusters']);
  const users = newUsers(config['users']);
  const contexts = newContexts(config['contexts']);
  const context = contexts.find(({ name }) => name === config['current-context']);
  const cluster = clusters.find(({ name }) => name === context?.cluster);
  if (cluster === undefined) throw new Error('it has no current context with a cluster');
  const user = users.find(({ name }) => name === context?.user);
  if (cluster.proxyUrl || isAskedElsewhere(user)) return accessByLibrary(cluster.server, file);
  return accessOf(
    { ...cluster, caFile: absolute(root, cluster.caFile) },
    user && { ...user, certFile: absolute(root, user.certFile), keyFile: absolute(root, user.keyFile) },
  );
}

/** The service account that Kubernetes mounts into a pod. @throws Error outside a pod */
export function accessFromPod(env: NodeJS.ProcessEnv = process.env, root = SERVICE_ACCOUNT): ClusterAccess {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env;
  if (!host || !port) throw new Error('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: it is no pod');
  const scheme = ['80', '8080', '8001'].includes(port) ? 'http' : 'https';
  const server = `${scheme}://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  return accessOf(
    { name: 'inCluster', caFile: join(root, 'ca.crt'), server, skipTLSVerify: false },
    { name: 'inClusterUser', authProvider: { name: 'tokenFile', config: { tokenFile: join(root, 'token') } } },
  );
}

/** Providers whose client only the library has; `exec` and token files are handled here. */
const isAskedElsewhere = (user: User | undefined): boolean =>
  user !== undefined && !!user.authProvider && !authenticators().some((known) => known.isAuthProvider(user));

const authenticators = (): readonly (ExecAuth | FileAuth)[] => [new ExecAuth(), new FileAuth()];

function accessOf(cluster: Cluster, user: User | undefined): ClusterAccess {
  const { server } = cluster;
  if (server.startsWith('http:') && !cluster.skipTLSVerify)
    throw new Error(`its server "${server}" is plain HTTP, which needs insecure-skip-tls-verify: true`);
  // Kept: both remember the token they got last.
  const authenticator = user && authenticators().find((known) => known.isAuthProvider(user));
  /** As long as certificates are what they were. */
  let kept: { readonly of: AgentOptions; readonly agent: HttpAgent } | undefined;
  return {
    server,
    requestOptions: async () => {
      const options: RequestOptions = { headers: {}, ...tlsOptions(cluster, user) };
      if (user !== undefined) {
        await authenticator?.applyAuthentication(user, options);
        Object.assign(options.headers ?? {}, ownHeaders(user));
        if (user.username) options.auth = `${user.username}:${user.password ?? ''}`;
      }
      const { ca, cert, key, rejectUnauthorized, servername } = options;
      const agent: AgentOptions = {
        ca,
        cert,
        key,
        servername,
        ...(rejectUnauthorized === false && { rejectUnauthorized }),
      };
      if (kept === undefined || !isDeepStrictEqual(kept.of, agent)) {
        const kind = server.startsWith('http:') ? HttpAgent : HttpsAgent;
        kept = { of: agent, agent: new kind({ ...agent, ...KEEPING }) };
      }
      options.agent = kept.agent;
      return options;
    },
  };
}

function tlsOptions(cluster: Cluster, user: User | undefined): RequestOptions {
  return {
    ...(cluster.skipTLSVerify && { rejectUnauthorized: false }),
    ...(cluster.tlsServerName && { servername: cluster.tlsServerName }),
    ...withContent('ca', cluster.caFile, cluster.caData),
    ...withContent('cert', user?.certFile, user?.certData),
    ...withContent('key', user?.keyFile, user?.keyData),
  };
}

/** Files are read anew each time: they rotate. */
function withContent(
  name: 'ca' | 'cert' | 'key',
  file: string | undefined,
  base64: string | undefined,
): { readonly [name: string]: Buffer } {
  if (file) return { [name]: readFileSync(file) };
  return base64 ? { [name]: Buffer.from(base64, 'base64') } : {};
}

const ownHeaders = (user: User): Readonly<Record<string, string>> => ({
  ...(user.token && { Authorization: `Bearer ${user.token}` }),
  ...(user.impersonateUser && { 'Impersonate-User': user.impersonateUser }),
});

/** What the parts above cannot do, done by the whole library. */
function accessByLibrary(server: string, file: string): ClusterAccess {
  const whole = import('@kubernetes/client-node').then(({ KubeConfig }) => {
    const config = new KubeConfig();
    config.loadFromFile(file);
    return config;
  });
  // Told to whoever makes the first request.
  whole.catch(() => undefined);
  return {
    server,
    requestOptions: async () => {
      const options: RequestOptions = {};
      await (await whole).applyToHTTPSOptions(options);
      return options;
    },
  };
}

const absolute = (root: string, file: string | undefined): string | undefined =>
  file && !isAbsolute(file) ? join(root, file) : file;

const mapping = (value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new Error('it is no mapping of clusters, users and contexts');
  return value as Readonly<Record<string, unknown>>;
};
