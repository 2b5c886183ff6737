/**
 * One call of the plugin on its way through the agent: the bytes that the client sends, what they ask, and what the plugin
 * must print and exit with. Pure but for the handlers.
 *
 * The client posts its environment and standard input as they are, so that it needs to understand neither:
 *
 * ```
 *  "CNI_COMMAND=ADD\0" "CNI_CONTAINERID=...\0" ... "\0" | standard input
 * ```
 */
import type { CniHandlers } from './contract.js';
import { CniError, renderCniError } from './cni-error.js';
import { parseCommand, parseTarget } from './environment.js';
import { parseNetworkConfig } from './network-config.js';
import { mergeResults, missingFrom, renderResult } from './result.js';
import { CNI_VERSIONS, type CniVersion, isCniVersion, LATEST_CNI_VERSION } from './version.js';

export interface CniCall {
  readonly environment: ReadonlyMap<string, string>;
  readonly stdin: string;
}

/** What the plugin does: prints `stdout` and exits with 0 if `isDone`, else 1. */
export interface CniAnswer {
  readonly isDone: boolean;
  readonly stdout: string;
  /** For the log. */
  readonly error?: CniError;
}

/** Splits a request's body; throws CniError if the client did not write it. */
export function decodeCall(body: Uint8Array): CniCall {
  const environment = new Map<string, string>();
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let at = 0;
  for (;;) {
    const end = bytes.indexOf(0, at);
    if (end < 0) throw new CniError('undecodable', 'Cannot decode the call: its environment has no end');
    const pair = bytes.toString('utf8', at, end);
    at = end + 1;
    if (pair === '') return { environment, stdin: bytes.toString('utf8', at) };
    const equals = pair.indexOf('=');
    if (equals > 0) environment.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
}

/** As the client writes it: for tests and for programs that speak to the agent directly. */
export function encodeCall(call: CniCall): Uint8Array {
  const pairs = Array.from(call.environment, ([key, value]) => `${key}=${value}\0`);
  return Buffer.from(`${pairs.join('')}\0${call.stdin}`, 'utf8');
}

/** Serves one call; never throws. `onFault` hears what a handler threw besides CniError. */
export async function answerCall(
  call: CniCall,
  handlers: CniHandlers,
  signal: AbortSignal,
  onFault: (error: unknown) => void,
): Promise<CniAnswer> {
  try {
    return { isDone: true, stdout: await serve(call, handlers, signal) };
  } catch (thrown) {
    if (!(thrown instanceof CniError)) onFault(thrown);
    const error =
      thrown instanceof CniError
        ? thrown
        : new CniError(
            'internal',
            `Cannot serve the call: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
          );
    return { isDone: false, stdout: renderCniError(error, versionForErrors(call.stdin)), error };
  }
}

async function serve(call: CniCall, handlers: CniHandlers, signal: AbortSignal): Promise<string> {
  const command = parseCommand(call.environment);
  if (command === 'VERSION') return renderVersions(call.stdin);
  const { config, previous, valid } = parseNetworkConfig(call.stdin, command);
  switch (command) {
    case 'ADD': {
      const target = parseTarget(call.environment, false);
      const ours = await handlers.add({ ...target, config, previous, signal });
      return renderResult(mergeResults(previous, ours), config.cniVersion);
    }
    case 'DEL':
      await handlers.del({ ...parseTarget(call.environment, true), config, previous, signal });
      return '';
    case 'CHECK': {
      const target = parseTarget(call.environment, false);
      if (previous === undefined)
        throw new CniError('invalidConfig', 'Cannot check: the configuration has no prevResult');
      const missing = missingFrom(previous, await handlers.check({ ...target, config, previous, signal }));
      if (missing.length > 0)
        throw new CniError(
          'checkFailed',
          `Container "${target.containerId}" is not as prevResult says: ${missing[0] ?? ''}`,
          missing.join('\n'),
        );
      return '';
    }
    case 'STATUS':
      await handlers.status({ config, signal });
      return '';
    case 'GC':
      await handlers.gc({ config, valid, signal });
      return '';
  }
}

function renderVersions(stdin: string): string {
  return `${JSON.stringify({ cniVersion: versionForErrors(stdin), supportedVersions: CNI_VERSIONS })}\n`;
}

/** The version that the runtime speaks, as far as that can be told; an answer needs one even if the question was unreadable. */
function versionForErrors(stdin: string): CniVersion {
  try {
    const value: unknown = JSON.parse(stdin);
    const version = typeof value === 'object' && value !== null && 'cniVersion' in value ? value.cniVersion : undefined;
    if (typeof version === 'string' && isCniVersion(version)) return version;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return LATEST_CNI_VERSION;
}
