/**
 * The daemon's HTTP API on a unix socket: one row per question. Whoever can open the socket (mode 0600) may ask everything.
 *
 * Answers are JSON. A bad request is 400 {error}, something unknown 404 {error}, a bad configuration 422 {problems}. Bodies are bounded.
 * Route lists are written in slices between turns of the event loop: a full table must not cost a keepalive.
 */
import { configDigest } from './config-digest.js';
import { withDaemonDefaults } from './config-file.js';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { isObject } from 'node-bgp/config/schema';
import { ConfigError, formatProblem, parseConfig } from 'node-bgp/config/validate';
import { UserError, messageOf } from '../errors.js';
import { BodyReader, noSuchPeer, pastName, RequestError, type Answer, type Request } from './api-request.js';
import { changes, mrt, routes, why } from './api-routes.js';
import type { Daemon } from './daemon.js';
import { renderMetrics } from './metrics.js';

/** BOUNDED: clients that connect and say nothing, or say it a byte at a time, are few and are let go. */
const MAX_CONNECTIONS = 256;
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 60_000;
/** Whoever gave a configuration hears within this time, sooner than clients give up; it is applied further. */
const APPLY_TIMEOUT = 8_000;
/** BOUNDED: configurations that wait for their turn. */
const MAX_CONFIGS_UNDER_WAY = 4;

const ROWS: readonly { readonly method: string; readonly path: string; readonly answer: Answer }[] = [
  {
    method: 'PUT',
    path: '/v1/config',
    answer: configure,
  },
  {
    method: 'GET',
    path: '/v1/config',
    answer: ({ daemon, response }) => {
      if (daemon.configDigest !== undefined) response.setHeader('etag', `"${daemon.configDigest}"`);
      return redacted(daemon.speaker.config ?? {});
    },
  },
  {
    method: 'POST',
    path: '/v1/plan',
    answer: async ({ daemon, body }) => ({
      changes: daemon.speaker.plan(withDaemonDefaults(parseConfig(await body()))),
    }),
  },
  {
    method: 'GET',
    path: '/v1/summary',
    answer: ({ daemon }) =>
      daemon.speaker.config === undefined
        ? { isConfigured: false, peers: [] }
        : {
            isConfigured: true,
            configDigest: daemon.configDigest,
            ...summaryOf(daemon),
            kernel: daemon.fibStatus,
          },
  },
  { method: 'GET', path: '/v1/neighbors', answer: neighbors },
  { method: 'GET', path: '/v1/routes', answer: routes },
  { method: 'GET', path: '/v1/why', answer: why },
  { method: 'GET', path: '/v1/history', answer: history },
  { method: 'GET', path: '/v1/changes', answer: changes },
  { method: 'GET', path: '/v1/bfd', answer: async ({ daemon }) => ({ sessions: await daemon.speaker.bfdStatus() }) },
  { method: 'GET', path: '/v1/status', answer: status },
  { method: 'POST', path: '/v1/clear', answer: clear },
  { method: 'POST', path: '/v1/resync', answer: async ({ daemon }) => ({ changed: await daemon.resync() }) },
  { method: 'GET', path: '/v1/mrt', answer: mrt },
  {
    method: 'GET',
    path: '/metrics',
    answer: ({ daemon, response }) => {
      response.setHeader('content-type', 'text/plain; version=0.0.4');
      response.end(renderMetrics(daemon));
      return undefined;
    },
  },
];

/** Listens on the socket, mode 0600. Fails if another daemon answers there; a socket that nobody listens on is replaced. */
export async function serveApi(daemon: Daemon, socketPath: string): Promise<Server> {
  if (await isAnswered(socketPath)) throw new UserError(`Cannot listen on "${socketPath}": another bgpd answers there`);
  const bodies = new BodyReader();
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT, requestTimeout: REQUEST_TIMEOUT, connectionsCheckingInterval: 5000 },
    (request, response) => void handle(daemon, bodies, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  makeWay(socketPath);
  // The file is closed to others from its first moment.
  const mask = process.umask(0o177);
  try {
    server.listen(socketPath);
    await once(server, 'listening');
    chmodSync(socketPath, 0o600);
  } catch (error) {
    throw cannotListen(socketPath, error);
  } finally {
    process.umask(mask);
  }
  return server;
}

/** The directory, and no socket file of a former process in it. */
function makeWay(socketPath: string): void {
  try {
    mkdirSync(dirname(socketPath), { recursive: true, mode: 0o755 });
    rmSync(socketPath, { force: true });
  } catch (error) {
    throw cannotListen(socketPath, error);
  }
}

const cannotListen = (socketPath: string, error: unknown): UserError =>
  new UserError(
    `Cannot listen on "${socketPath}": ${messageOf(error)}; --run-dir or TORTIE_RUN_DIR names another place`,
  );

async function isAnswered(socketPath: string): Promise<boolean> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // ENOENT, ECONNREFUSED: nobody
  } finally {
    socket.destroy();
  }
}

async function handle(
  daemon: Daemon,
  bodies: BodyReader,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const url = new URL(incoming.url ?? '/', 'http://bgpd');
    const row = ROWS.find(
      ({ method, path }) =>
        method === incoming.method && (url.pathname === path || url.pathname.startsWith(`${path}/`)),
    );
    if (row === undefined) throw new RequestError(404, `There is no ${incoming.method ?? ''} ${url.pathname}`);
    const rest = decoded(url.pathname.slice(row.path.length + 1));
    const result = await row.answer({
      daemon,
      query: url.searchParams,
      rest,
      body: () => bodies.readJson(incoming),
      response,
    });
    if (result !== undefined) send(response, 200, result);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (error instanceof ConfigError)
      send(response, 422, { problems: error.problems, error: error.problems.map(formatProblem).join('\n') });
    else if (error instanceof RequestError) send(response, error.status, { error: error.message });
    else send(response, 500, { error: messageOf(error) });
  }
}

function send(response: ServerResponse, statusCode: number, body: unknown): void {
  const text = `${JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))}\n`;
  response.writeHead(statusCode, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) throw new RequestError(400, `The path has a broken % escape: "${path}"`);
    throw error;
  }
}

/** A copy without secrets. */
export function redacted(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, part: unknown) => (key === 'password' ? '[redacted]' : part)));
}

// ---- answers -----------------------------------------------------------------------------------------------------

async function configure({ daemon, body }: Request): Promise<unknown> {
  const config = parseConfig(await body());
  if (daemon.configsUnderWay >= MAX_CONFIGS_UNDER_WAY)
    throw new RequestError(
      503,
      `Cannot take a configuration: ${daemon.configsUnderWay} are still being applied; try again later`,
    );
  const applying = daemon.configure(config);
  const applied = await Promise.race([applying, timeout(APPLY_TIMEOUT)]);
  if (applied === undefined) {
    applying.catch((error: unknown) => daemon.tellLateFailure(error));
    throw new RequestError(
      504,
      `The configuration is accepted and still being applied after ${APPLY_TIMEOUT / 1000} s; ` +
        `GET /v1/summary has "configDigest" ${configDigest(config)} when it is done`,
    );
  }
  const { listenFailures, notSaved, digest, ...changes } = applied;
  return { digest, changes, listenFailures, ...(notSaved === undefined ? {} : { notSaved }) };
}

/** Undefined after so many milliseconds. */
const timeout = (delay: number): Promise<undefined> =>
  new Promise((resolve) => setTimeout(() => resolve(undefined), delay).unref());

function neighbors({ daemon, rest }: Request): unknown {
  const { speaker } = daemon;
  if (speaker.config === undefined) return { neighbors: [] };
  if (rest === '') return { neighbors: speaker.neighborNames.map((name) => speaker.neighbor(name)) };
  return speaker.neighbor(rest) ?? noSuchPeer(daemon, rest);
}

/** Of a peer that is gone its events remain: only a name that neither the speaker nor its history knows is a mistake. */
function history({ daemon, query }: Request): unknown {
  const name = pastName(daemon, query);
  const entries = daemon.speaker.history(name);
  if (name !== undefined && entries.length === 0 && daemon.speaker.neighbor(name) === undefined)
    noSuchPeer(daemon, name);
  return { events: entries.map(({ at, event }) => ({ at: new Date(at).toISOString(), ...event })) };
}

/** What once went wrong with a session that is well is history: "neighbor" tells it, with the time. */
function summaryOf({ speaker }: Daemon): ReturnType<Daemon['speaker']['summary']> {
  const summary = speaker.summary();
  return {
    ...summary,
    peers: summary.peers.map((peer) => {
      if (!peer.isEstablished) return peer;
      const { lastError: _, ...well } = peer;
      return well;
    }),
  };
}

function status({ daemon }: Request): unknown {
  const { speaker } = daemon;
  const peers = speaker.config === undefined ? [] : speaker.summary().peers;
  return {
    pid: process.pid,
    isConfigured: speaker.config !== undefined,
    isRestarting: speaker.isRestarting,
    kernel: daemon.fibStatus,
    peers: peers.length,
    established: peers.filter((peer) => peer.isEstablished).length,
    memory: process.memoryUsage().rss,
  };
}

async function clear({ daemon, body }: Request): Promise<unknown> {
  const asked = await body();
  const { peer, soft } = isObject(asked) ? asked : {};
  if (typeof peer !== 'string') throw new RequestError(400, 'Cannot clear: expected {"peer": NAME, "soft": BOOLEAN}');
  if (!daemon.speaker.clear(peer, { soft: soft === true })) noSuchPeer(daemon, peer);
  return { cleared: peer };
}
