/**
 * `GET /v1/flows` on the agent's socket: flows as lines of JSON (flows/flow.ts, FlowLine), the labels they name before the first that
 * names them. With `follow=1` connections as they happen, until the client goes.
 *
 * BOUNDED: followers (the loop's), and what one has not read yet: who is too slow misses connections and is told how many.
 */
import type { RequestListener, ServerResponse } from 'node:http';
import { messageOf, UserError } from '../errors.js';
import type { Connection, Flow, FlowLine, FlowSubject } from '../flows/flow.js';
import { parseQuery, QUERY_KEYS, type FlowQuery, type ParsedQuery } from '../flows/query.js';
import type { FlowLoop } from './flow-loop.js';

export const FLOWS_PATH = '/v1/flows';

/** Octets that a follower may leave unread. */
const MOST_UNREAD = 4 * 1024 * 1024;

/** `flows` is undefined where the agent records none. */
export function flowListener(node: string, flows: FlowLoop | undefined, others: RequestListener): RequestListener {
  return (request, response) => {
    const url = new URL(request.url ?? '/', 'http://agent');
    if (url.pathname !== FLOWS_PATH) return others(request, response);
    if (request.method !== 'GET') return refuse(response, 405, 'expected GET');
    if (flows === undefined)
      return refuse(response, 404, 'This agent records no flows: it was started with --flows off');
    let query: ParsedQuery;
    try {
      query = parseQuery(queryOf(url.searchParams), Date.now());
    } catch (error) {
      if (error instanceof UserError) return refuse(response, 400, error.message);
      throw error;
    }
    if (url.searchParams.get('follow') === '1') return follow(node, flows, query, response);
    answer(node, flows, query, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else refuse(response, 500, messageOf(error));
    });
  };
}

function queryOf(parameters: URLSearchParams): FlowQuery {
  const query: Partial<Record<(typeof QUERY_KEYS)[number], string>> = {};
  for (const key of QUERY_KEYS) {
    const value = parameters.get(key);
    if (value !== null) query[key] = value;
  }
  return query;
}

async function answer(node: string, flows: FlowLoop, query: ParsedQuery, response: ServerResponse): Promise<void> {
  const line = lineWriter(flows);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  for await (const part of flows.query(query)) {
    const isRoom = response.write(part.map(line).join(''));
    if (!isRoom && !response.destroyed)
      await new Promise<void>((resolve) => {
        response.once('drain', resolve);
        response.once('close', resolve);
      });
    if (response.destroyed) return;
  }
  response.end(text({ type: 'lost', node, ...flows.lost }));
}

function follow(node: string, flows: FlowLoop, { matches }: ParsedQuery, response: ServerResponse): void {
  const line = lineWriter(flows);
  let missed = 0;
  const leave = flows.follow((connection) => {
    if (!matches(connection)) return;
    if (response.writableLength > MOST_UNREAD) {
      missed++;
      return;
    }
    if (missed > 0) response.write(text({ type: 'missed', node, connections: missed }));
    missed = 0;
    response.write(line(connection));
  });
  if (leave === undefined) return refuse(response, 429, 'Too many follow the flows of this node already');
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  response.once('close', leave);
}

/** Each flow as a line, behind the labels that it is the first to name. */
function lineWriter(flows: FlowLoop): (flow: Flow | Connection) => string {
  /** BOUNDED: begun anew when full. */
  let told = new Set<string>();
  return (flow) => {
    if (told.size > 16_384) told = new Set();
    const fresh = labelIds(flow).filter((id) => !told.has(id));
    for (const id of fresh) told.add(id);
    const sets = fresh.map((id) => flows.labels(id)).filter((set) => set !== undefined);
    return [...sets.map((set) => text({ type: 'labels', ...set })), text(flow)].join('');
  };
}

const labelIds = ({ from, to }: FlowSubject): readonly string[] =>
  [from.labels, to.labels].filter((id) => id !== undefined);

const text = (line: FlowLine): string => `${JSON.stringify(line)}\n`;

function refuse(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
}
