/** What the BFD thread and its owner tell each other. */
import type { BfdEvent, BfdSessionConfig, BfdStatus } from './contract.js';
import type { BfdSession } from './session.js';

/** What a thread that died has left behind. */
export interface BfdLegacy {
  /** Sessions that were up, by key: the successor goes on with them. */
  readonly sessions: ReadonlyMap<string, BfdSession>;
  /** File descriptors that nobody closed. */
  readonly descriptors: readonly number[];
}

export type ToBfdWorker =
  /** Once, before all else, to the successor of a thread that died. */
  | { readonly type: 'inherit'; readonly legacy: BfdLegacy }
  /** All sessions there should be. */
  | { readonly type: 'configure'; readonly sessions: readonly BfdSessionConfig[] }
  | { readonly type: 'status'; readonly request: number }
  /** Say farewell to all peers, then end. */
  | { readonly type: 'close' };

export type FromBfdWorker =
  | { readonly type: 'event'; readonly event: BfdEvent }
  | { readonly type: 'status'; readonly request: number; readonly sessions: readonly BfdStatus[] }
  /** For the legacy: a session that is up and what has been agreed in it; without `session`: it is not up any more. */
  | { readonly type: 'remember'; readonly key: string; readonly session?: BfdSession }
  /** For the legacy: a descriptor that does not close itself with the thread has been opened, or is about to be closed. */
  | { readonly type: 'opened' | 'closing'; readonly descriptor: number };
