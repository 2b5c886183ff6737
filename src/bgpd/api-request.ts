/** One request to the API as its answers see it, and what may be wrong with it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { nearest } from 'node-bgp/config/schema';
import { messageOf } from '../errors.js';
import type { Daemon } from './daemon.js';

/** BOUNDED: a configuration with a million prefixes fits; all requests together hold no more than two such. */
const MAX_BODY_BYTES = 128 * 1024 * 1024;
const MAX_ALL_BODIES = 2 * MAX_BODY_BYTES;

export class RequestError extends Error {
  override readonly name = 'RequestError';
  constructor(
    readonly status: 400 | 404 | 409 | 413 | 503 | 504,
    message: string,
  ) {
    super(message);
  }
}

export interface Request {
  readonly daemon: Daemon;
  readonly query: URLSearchParams;
  /** What stands behind the row's path. */
  readonly rest: string;
  readonly body: () => Promise<unknown>;
  readonly response: ServerResponse;
}

/** Undefined: the answer has been written. */
export type Answer = (request: Request) => unknown;

/** Bodies of all requests under way. */
export class BodyReader {
  private held = 0;

  async readJson(incoming: IncomingMessage): Promise<unknown> {
    const chunks: Buffer[] = [];
    let size = 0;
    try {
      for await (const chunk of incoming as AsyncIterable<Buffer>) {
        size += chunk.length;
        this.held += chunk.length;
        if (size > MAX_BODY_BYTES) throw new RequestError(413, `The body is longer than ${MAX_BODY_BYTES} bytes`);
        if (this.held > MAX_ALL_BODIES)
          throw new RequestError(
            503,
            `The bodies of all requests together are longer than ${MAX_ALL_BODIES} bytes; try again later`,
          );
        chunks.push(chunk);
      }
    } finally {
      this.held -= size;
    }
    try {
      return JSON.parse(Buffer.concat(chunks).toString('utf8'));
    } catch (error) {
      throw new RequestError(400, `The body is not JSON: ${messageOf(error)}`);
    }
  }
}

/** By name or address; a peer that is gone has a past under its name. */
export function pastName({ speaker }: Daemon, query: URLSearchParams): string | undefined {
  const peer = query.get('peer') ?? undefined;
  return peer === undefined ? undefined : (speaker.neighbor(peer)?.name ?? peer);
}

export function peerNameOf(daemon: Daemon, peer: string): string {
  return daemon.speaker.neighbor(peer)?.name ?? noSuchPeer(daemon, peer);
}

export function ribOf(daemon: Daemon): NonNullable<Daemon['speaker']['rib']> {
  const { rib } = daemon.speaker;
  if (rib === undefined) throw new RequestError(503, 'There is no configuration yet');
  return rib;
}

export function noSuchPeer(daemon: Daemon, name: string): never {
  const names = daemon.speaker.neighborNames;
  const near = nearest(name, names) ?? names.find((each) => each.startsWith(name));
  throw new RequestError(
    404,
    `There is no peer "${name}"; ${near === undefined ? '"tortie bgp summary" lists all' : `did you mean "${near}"?`}`,
  );
}
