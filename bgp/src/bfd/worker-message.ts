/** What the BFD thread and its owner tell each other. */
import type { BfdEvent, BfdSessionConfig, BfdStatus } from './contract.js';

export type ToBfdWorker =
  /** All sessions there should be. */
  | { readonly type: 'configure'; readonly sessions: readonly BfdSessionConfig[] }
  | { readonly type: 'status'; readonly request: number }
  /** Say farewell to all peers, then end. */
  | { readonly type: 'close' };

export type FromBfdWorker =
  | { readonly type: 'event'; readonly event: BfdEvent }
  | { readonly type: 'status'; readonly request: number; readonly sessions: readonly BfdStatus[] };
