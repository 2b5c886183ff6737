/** node-bgp: a BGP-4 speaker. The README shows how to start; `Speaker` is where to read on. */
export * from './address.js';
export type * from './config.js';
export {
  ConfigError,
  formatProblem,
  parseConfig,
  speakerSchema,
  validateConfig,
  type ParsedConfig,
  type Problem,
  type Validated,
} from './config/validate.js';
export type { Candidate, PeerCounts, PeerVerdict, RibQueries, RouteView, Why } from './rib/answers.js';
export type { LocalInterface } from './session/interface.js';
export type { ConfigChanges } from './speaker/config-diff.js';
export type { SpeakerEvent, SpeakerEventListener } from './speaker/event.js';
export type { EventOf, EventsLost } from './speaker/event-stream.js';
export type { HistoryEntry } from './speaker/history.js';
export type { RouteChange, RouteHop } from './speaker/route-stream.js';
export { Speaker, type Configured, type SpeakerOptions } from './speaker/speaker.js';
export type { PeerDetail, PeerSummary, SpeakerSummary } from './speaker/view.js';
