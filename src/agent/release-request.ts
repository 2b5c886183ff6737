/**
 * `POST /v1/ipam/release` on the agent's socket: gives addresses back whose pod and sandbox are gone, as `tortie ipam release` asks.
 * The agent does so by itself (leak-sweeper.ts); this is for who does not want to wait, and says why something cannot be given back.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { NODE_NETWORK, type Owner } from '@tortie/ipam';
import { formatAddress, tryParseAddress } from 'node-bgp/address';
import { messageOf } from '../errors.js';

export const RELEASE_PATH = '/v1/ipam/release';

export interface ReleaseOutcome {
  readonly address: string;
  readonly isReleased: boolean;
  /** A sentence. */
  readonly message: string;
}

export interface ReleaseOptions {
  readonly holderOf: (address: string) => Owner | undefined;
  /** Does the API still have the owner's very pod? Undefined: it cannot be told now. */
  readonly hasPod: (owner: Owner) => boolean | undefined;
  /** Has the kernel the owner's interface? */
  readonly hasInterface: (owner: Owner) => boolean;
  readonly release: (owner: Owner) => Promise<void>;
  /** For whom this node keeps it, though nobody has it. */
  readonly keptFor: (address: string) => string | undefined;
  /** Keeps it no more. False: another node has it by now. */
  readonly free: (address: string) => Promise<boolean>;
}

/** BOUNDED: octets of a request, and addresses in it. */
const MOST_BYTES = 1_000_000;
const MOST_ADDRESSES = 4_096;

export async function releaseAddresses(
  addresses: readonly string[],
  options: ReleaseOptions,
): Promise<readonly ReleaseOutcome[]> {
  const outcomes: ReleaseOutcome[] = [];
  for (const address of addresses) outcomes.push(await releaseOne(address, options));
  return outcomes;
}

async function releaseOne(text: string, options: ReleaseOptions): Promise<ReleaseOutcome> {
  const parsed = tryParseAddress(text);
  const address = parsed === undefined ? text : formatAddress(parsed);
  const kept = (why: string): ReleaseOutcome => ({
    address,
    isReleased: false,
    message: `Cannot release ${address}: ${why}`,
  });
  if (parsed === undefined) return kept('expected an address');
  const owner = options.holderOf(address);
  if (owner === undefined) return releaseKept(address, options);
  if (owner.network === NODE_NETWORK) return kept('the node itself has it, for its tunnel');
  const pod = `"${owner.namespace}/${owner.pod}"`;
  const hasPod = options.hasPod(owner);
  if (hasPod === undefined) return kept('this node cannot read pods from the API server now');
  if (hasPod) return kept(`pod ${pod} has it`);
  if (options.hasInterface(owner))
    return kept(
      `the sandbox of pod ${pod} is still there (container "${owner.containerId}"); the runtime has to remove it`,
    );
  await options.release(owner);
  return { address, isReleased: true, message: `Released ${address} of pod ${pod}` };
}

async function releaseKept(address: string, { keptFor, free }: ReleaseOptions): Promise<ReleaseOutcome> {
  const whom = keptFor(address);
  const isReleased = whom !== undefined && (await free(address));
  const message = isReleased
    ? `Released ${address}, which was kept for ${whom}`
    : `Cannot release ${address}: ${whom === undefined ? 'nobody has it on this node' : `${whom} has just got it`}`;
  return { address, isReleased, message };
}

export function releaseListener(options: ReleaseOptions): RequestListener {
  return (request, response) => {
    if (request.url !== RELEASE_PATH) return answer(response, 404, { error: 'not found' });
    if (request.method !== 'POST') return answer(response, 405, { error: 'expected POST' });
    serve(request, options).then(
      (outcomes) => answer(response, 200, outcomes),
      (error: unknown) => answer(response, 400, { error: messageOf(error) }),
    );
  };
}

async function serve(request: IncomingMessage, options: ReleaseOptions): Promise<readonly ReleaseOutcome[]> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new Error(`Cannot read the request: more than ${MOST_BYTES} octets`);
    chunks.push(chunk);
  }
  const { addresses } = (JSON.parse(Buffer.concat(chunks).toString('utf8')) ?? {}) as { readonly addresses?: unknown };
  if (
    !Array.isArray(addresses) ||
    addresses.length > MOST_ADDRESSES ||
    !addresses.every((each) => typeof each === 'string')
  )
    throw new Error(`Cannot read the request: expected {"addresses": [...]}, ${MOST_ADDRESSES} at most`);
  return releaseAddresses(addresses as readonly string[], options);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
