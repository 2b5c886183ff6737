/**
 * Who may ask the lab's API server: whoever has the lab's token, and calls the server by the name of the machine itself. The second keeps
 * out web pages of elsewhere whose name has come to mean 127.0.0.1 (DNS rebinding): a browser sends their name.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from './api-error.js';

export interface Gate {
  /** As `Authorization: Bearer` brings it; absent: nobody is asked. */
  readonly token?: string;
  /** Beside the machine's own: what the server listens on. */
  readonly host?: string;
}

const OWN_NAMES: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);
/** Listening on these, the server has whatever names the machine has. */
const EVERY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** @throws ApiError 401, 403 */
export function pass({ host: called, authorization }: IncomingHttpHeaders, { token, host }: Gate): void {
  if (host === undefined || !EVERY_ADDRESS.has(host)) {
    const name = (called ?? '').replace(/:\d*$/, '').toLowerCase();
    if (!OWN_NAMES.has(name) && name !== host && name !== `[${host}]`)
      throw new ApiError(403, 'Forbidden', 'forbidden: this server is called by a name of its machine only');
  }
  if (token === undefined) return;
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1] ?? '';
  if (!timingSafeEqual(digest(given), digest(token))) throw new ApiError(401, 'Unauthorized', 'Unauthorized');
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
