/** node-bgp: a BGP-4 speaker. The README shows how to start; `Speaker` is where to read on. */
export * from './address.js';
export type * from './config.js';
export { formatProblem, speakerSchema, validateConfig, type Problem, type Validated } from './config/validate.js';
export type { LocalInterface } from './session/interface.js';
export type { ConfigChanges } from './speaker/config-diff.js';
export type { SpeakerEvent, SpeakerEventListener } from './speaker/event.js';
export type { HistoryEntry } from './speaker/history.js';
export { ConfigError, Speaker, type Configured, type SpeakerOptions } from './speaker/speaker.js';
export type { PeerDetail, PeerSummary, SpeakerSummary } from './speaker/view.js';
