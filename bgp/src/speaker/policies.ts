/**
 * Import and export policy of a session: the filters that it names, or none at all, or, where RFC 8212 is asked for and an external
 * peer has no filter, nothing in and nothing out.
 */
import type { SpeakerConfig } from '../config.js';
import { compilePolicy } from '../filter/policy.js';
import type { RoutePolicy } from '../rib/policy.js';
import { knownAddress, type PeerSettings } from './peer-settings.js';

/** RFC 8212 section 2. */
const closed = (direction: 'import' | 'export'): RoutePolicy => ({
  key: 'rfc8212',
  dependsOnPrefix: false,
  dependsOnPeer: false,
  constant: { type: 'reject' },
  judge: () => ({ type: 'reject' }),
  explain: () => ({ text: `the peer is in another AS and names no ${direction} filter (RFC 8212)` }),
});
const CLOSED_IMPORT = closed('import');
const CLOSED_EXPORT = closed('export');

/** `remoteAs`: the one that the peer opened with. */
export function importPolicy(settings: PeerSettings, config: SpeakerConfig, remoteAs: number): RoutePolicy | undefined {
  return settings.isImportClosed ? CLOSED_IMPORT : compile('import', settings, config, remoteAs);
}

export function exportPolicy(settings: PeerSettings, config: SpeakerConfig, remoteAs: number): RoutePolicy | undefined {
  return settings.isExportClosed ? CLOSED_EXPORT : compile('export', settings, config, remoteAs);
}

function compile(
  direction: 'import' | 'export',
  settings: PeerSettings,
  config: SpeakerConfig,
  remoteAs: number,
): RoutePolicy | undefined {
  const names = settings[direction];
  if (names.length === 0) return undefined;
  const { name, localAs } = settings;
  return compilePolicy(config.filters ?? {}, names, {
    direction,
    peerType: remoteAs === localAs ? 'ibgp' : 'ebgp',
    name,
    address: knownAddress(settings),
    remoteAs,
    localAs,
  });
}
