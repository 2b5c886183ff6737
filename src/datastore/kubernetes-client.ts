/**
 * A thin JSON client of one Kubernetes API server: requests and watch streams.
 *
 * Configuration and every way to authenticate come from @kubernetes/client-node (kubeconfig.ts). Its typed API classes are not
 * used: they parse a list of 5,000 pods into class instances in three times the time of plain JSON, and Tortie keeps only a few
 * fields of each.
 */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { request as httpsRequest, type RequestOptions as HttpsRequestOptions } from 'node:https';
import { breathe } from '../breathe.js';
import { messageOf, UserError } from '../errors.js';
import { ApiError } from './datastore.js';
import { accessFromFile, accessFromPod, type ClusterAccess } from './kubeconfig.js';

export interface RequestBody {
  readonly contentType: string;
  readonly value: unknown;
}

const REQUEST_TIMEOUT = 15_000;
const DIAL_TIMEOUT = 5_000;
/** Exec and token-file credentials expire; asking the configuration again costs little. */
const CREDENTIALS_LIFETIME = 30_000;
/** Dead peers of an idle watch are found by TCP. */
const KEEPALIVE_DELAY = 15_000;
/** A list of 10,000 pods is about 60 MB; a body past this is not a list that a node can hold. */
const MOST_BODY_BYTES = 512 * 1024 * 1024;

export class KubernetesClient {
  private readonly server: URL;
  private credentials: { readonly options: HttpsRequestOptions; readonly at: number } | undefined;

  private constructor(private readonly access: ClusterAccess) {
    const { server } = access;
    this.server = new URL(server.endsWith('/') ? server : `${server}/`);
  }

  /** From a kubeconfig file, or, without one, from the service account of the pod this runs in. @throws UserError */
  static load(kubeconfig: string | undefined): KubernetesClient {
    try {
      return new KubernetesClient(kubeconfig === undefined ? accessFromPod() : accessFromFile(kubeconfig));
    } catch (error) {
      throw new UserError(
        `Cannot load the Kubernetes configuration ${kubeconfig === undefined ? 'of this pod' : `"${kubeconfig}"`}: ${messageOf(error)}`,
        1,
        { cause: error },
      );
    }
  }

  /** Base URL, without credentials. */
  get url(): string {
    return this.server.href;
  }

  /** One request, answered in JSON. @throws ApiError for a Status of the server; other errors when it cannot be reached */
  async request<T>(method: string, path: string, body?: RequestBody): Promise<T> {
    const response = await this.open(method, path, body, REQUEST_TIMEOUT);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MOST_BODY_BYTES)
        throw new Error(`Cannot read ${method} ${path}: the answer is longer than ${MOST_BODY_BYTES} bytes`);
      chunks.push(chunk);
    }
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T;
  }

  /** A TCP connection of its own, which nothing is asked over. @throws Error when there can be none */
  dial(): Promise<void> {
    const { hostname, port, protocol } = this.server;
    const host = hostname.replace(/^\[|\]$/g, '');
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port) || (protocol === 'https:' ? 443 : 80), timeout: DIAL_TIMEOUT });
      socket.on('connect', () => {
        socket.destroy();
        resolve();
      });
      socket.on('timeout', () =>
        socket.destroy(new Error(`Cannot reach ${this.server.origin}: no connection within ${DIAL_TIMEOUT / 1000} s`)),
      );
      socket.on('error', reject);
    });
  }

  /**
   * Reads a watch: calls `onLine` for each line until the server ends the stream, the connection breaks (throws) or `signal`
   * aborts (returns).
   */
  async stream(path: string, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const response = await this.open('GET', path, undefined, undefined, signal);
    response.socket.setKeepAlive(true, KEEPALIVE_DELAY);
    response.setEncoding('utf8');
    /** What has come of a line that has not ended. */
    let begun: string[] = [];
    try {
      for await (const chunk of response as AsyncIterable<string>) {
        const [first = '', ...others] = chunk.split('\n');
        begun.push(first);
        for (const next of others) {
          const line = begun.join('');
          begun = [next];
          if (line === '') continue;
          await breathe();
          onLine(line);
        }
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Sends and waits for the response's head; anything but 2xx is thrown. */
  private async open(
    method: string,
    path: string,
    body?: RequestBody,
    timeout?: number,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = new URL(path.replace(/^\//, ''), this.server);
    const options = await this.requestOptions();
    const text = body === undefined ? undefined : JSON.stringify(body.value);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = send(
        url,
        {
          ...(options as RequestOptions),
          method,
          timeout,
          signal,
          headers: {
            ...options.headers,
            accept: 'application/json',
            'user-agent': 'tortie',
            ...(body === undefined
              ? {}
              : { 'content-type': body.contentType, 'content-length': Buffer.byteLength(text ?? '') }),
          },
        },
        resolve,
      );
      // Of a watch it is only that of its connection, which has been quiet.
      if (timeout !== undefined)
        request.on('timeout', () =>
          request.destroy(new Error(`Cannot reach ${url.origin}: no answer within ${timeout / 1000} s`)),
        );
      request.on('error', reject);
      request.end(text);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    if (status === 401) this.credentials = undefined;
    throw await readStatus(response, status, `${method} ${path}`);
  }

  private async requestOptions(): Promise<HttpsRequestOptions> {
    if (this.credentials !== undefined && Date.now() - this.credentials.at < CREDENTIALS_LIFETIME)
      return this.credentials.options;
    const options = await this.access.requestOptions();
    this.credentials = { options, at: Date.now() };
    return options;
  }
}

/** The server's Status object as an error. */
async function readStatus(response: IncomingMessage, status: number, what: string): Promise<ApiError> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) if ((size += chunk.length) < 65_536) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString('utf8');
  let message = text.slice(0, 500);
  let reason = '';
  try {
    const parsed = JSON.parse(text) as { readonly message?: string; readonly reason?: string };
    message = parsed.message ?? message;
    reason = parsed.reason ?? '';
  } catch {
    // A proxy in between answers in HTML; its text is the best there is.
  }
  return new ApiError(`${what} was refused with ${status}: ${message}`, status, reason);
}
