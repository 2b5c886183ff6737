/**
 * Requests and replies over HTTP/1.1: reads bounded bodies, writes JSON, streams watches, turns every thrown ApiError into
 * its Status and anything else thrown into a 500 that is also reported to `onError`.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { ApiError, tooLarge } from './api-error.js';
import type { ApiReply } from './api-reply.js';
import { pass, type Gate } from './gate.js';
import type { Requests } from './requests.js';

/** BOUNDED: upstream's limit of a request's body. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;

/** BOUNDED: a client that sends on and on is cut off. */
const MAX_DRAINED_BYTES = 64 * 1024 * 1024;

const JSON_TYPE = 'application/json';

export function requestListener(requests: Requests, gate: Gate, onError: (error: unknown) => void): RequestListener {
  return (request, response) => {
    response.on('error', () => response.destroy()); // the client went away; nothing to answer
    answer(requests, gate, request, response).catch((error: unknown) => {
      if (request.destroyed && !request.complete) return; // cut off in the middle of the body: nobody waits for an answer
      const failure = error instanceof ApiError ? error : internal(error, onError);
      if (response.headersSent) response.destroy();
      else
        send(
          response,
          { type: 'text', code: failure.code, text: JSON.stringify(failure.toStatus()) },
          failure.details?.retryAfterSeconds,
        );
    });
  };
}

function internal(error: unknown, onError: (error: unknown) => void): ApiError {
  onError(error);
  return new ApiError(
    500,
    'InternalError',
    `Internal error occurred: ${error instanceof Error ? error.message : String(error)}`,
  );
}

async function answer(
  requests: Requests,
  gate: Gate,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://apiserver');
  // Read even of who may not ask, so that he gets to read the answer.
  const body = await readBody(request);
  pass(request.headers, gate);
  const reply = requests.answer({
    method: request.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    accept: request.headers.accept ?? '*/*',
    contentType: request.headers['content-type'] ?? '',
    userAgent: request.headers['user-agent'] ?? 'unknown',
    body,
  });
  if (reply.type === 'watch') stream(reply, response);
  else send(response, reply);
}

/** The whole body. One that is too large is read to its end all the same, so that the client gets to read the answer. */
function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      else chunks.length = 0;
      if (size > MAX_DRAINED_BYTES) request.destroy();
    });
    request.on('error', reject);
    request.on('end', () =>
      size <= MAX_BODY_BYTES ? resolve(Buffer.concat(chunks)) : reject(tooLarge(MAX_BODY_BYTES)),
    );
  });
}

function send(response: ServerResponse, reply: Exclude<ApiReply, { type: 'watch' }>, retryAfterSeconds?: number): void {
  const bytes = reply.type === 'bytes' ? reply.bytes : Buffer.from(reply.text);
  response.statusCode = reply.code;
  response.setHeader('Content-Type', reply.contentType ?? JSON_TYPE);
  response.setHeader('Content-Length', bytes.length);
  response.setHeader('Cache-Control', 'no-cache, private');
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds);
  if (reply.type === 'text' && reply.warnings !== undefined && reply.warnings.length > 0)
    response.setHeader(
      'Warning',
      reply.warnings.map((warning) => `299 - ${JSON.stringify(warning)}`),
    );
  response.end(bytes);
}

function stream(reply: Extract<ApiReply, { type: 'watch' }>, response: ServerResponse): void {
  let isOpen = false;
  let isOver = false;
  const early: string[] = [];
  const stop = reply.start({
    send: (line) => {
      if (isOpen) response.write(line);
      else early.push(line);
      return response.writableLength;
    },
    end: () => {
      isOver = true;
      if (isOpen) response.end();
    },
    abort: () => response.destroy(),
  });
  // start() threw when the revision was too old: only now is 200 the answer.
  response.writeHead(200, {
    'Content-Type': JSON_TYPE,
    'Cache-Control': 'no-cache, private',
    'Transfer-Encoding': 'chunked',
  });
  response.flushHeaders();
  isOpen = true;
  if (early.length > 0) response.write(early.join(''));
  if (isOver) response.end();
  response.on('close', stop);
}
