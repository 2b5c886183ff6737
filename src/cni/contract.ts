/**
 * What the CNI server asks of the agent: one method per command, with a request that has been decoded and validated.
 *
 * Calls run concurrently, also for the same container; the implementation serializes what it must. A handler throws CniError
 * for what the runtime should hear; anything else thrown is our own fault: it is reported with its message and code 999, and
 * handed to the server's `onFault`.
 */
import type { CniResult } from './result.js';
import type { CniVersion } from './version.js';

/** A container's interface: what every command but STATUS and GC is about. Unique per network. */
export interface CniAttachment {
  readonly containerId: string;
  /** The name inside the container: "eth0". */
  readonly interfaceName: string;
}

/** CNI_ARGS as Kubernetes' runtimes set them, and everything else that was there. */
export interface CniArguments {
  readonly podNamespace?: string;
  readonly podName?: string;
  readonly podUid?: string;
  readonly all: ReadonlyMap<string, string>;
}

/** The plugin's configuration: our object of the conflist, with what the runtime added. */
export interface CniNetworkConfig {
  readonly cniVersion: CniVersion;
  /** The network's name. */
  readonly name: string;
  /** Interface MTU; absent: the agent's own choice. */
  readonly mtu?: number;
  /** Everything, also keys that are not ours. */
  readonly raw: Readonly<Record<string, unknown>>;
}

interface CniRequest {
  readonly config: CniNetworkConfig;
  /** Aborted when the plugin's process has gone away: nobody will read the answer. */
  readonly signal: AbortSignal;
}

export interface CniAddRequest extends CniRequest, CniAttachment {
  /** Path of the container's network namespace. */
  readonly netns: string;
  readonly arguments: CniArguments;
  /** Of the plugin before us in the chain; the server merges it into the result. */
  readonly previous?: CniResult;
}

export interface CniDelRequest extends CniRequest, CniAttachment {
  /** Absent or empty when the runtime no longer has the namespace. */
  readonly netns?: string;
  readonly arguments: CniArguments;
  readonly previous?: CniResult;
}

export interface CniCheckRequest extends CniRequest, CniAttachment {
  readonly netns: string;
  readonly arguments: CniArguments;
  /** What ADD had returned, and the chain after us had added. */
  readonly previous: CniResult;
}

export type CniStatusRequest = CniRequest;

export interface CniGcRequest extends CniRequest {
  /** Attachments of this network that still exist; everything else may go. */
  readonly valid: readonly CniAttachment[];
}

export interface CniHandlers {
  /**
   * Returns when the pod is connected and its policy is enforced; throws otherwise, with nothing left behind. Idempotent:
   * repeated for the same attachment it returns the same result. The result is our own part alone (see `attachmentResult`).
   */
  add(request: CniAddRequest): Promise<CniResult>;
  /** Returns when the attachment's address and interface are out of use; of an unknown attachment at once. */
  del(request: CniDelRequest): Promise<void>;
  /** Returns the part of `previous` that must be ours, as `add` would return it now; throws CniError when something is missing. */
  check(request: CniCheckRequest): Promise<CniResult>;
  /** Throws CniError 'notAvailable' or 'limitedConnectivity' while ADD cannot be served. */
  status(request: CniStatusRequest): Promise<void>;
  gc(request: CniGcRequest): Promise<void>;
}
