/** BFD of a peer or of the mesh, as the daemon's field: an empty object turns it on, `enabled: false` off. */
import type { BfdConfig } from 'node-bgp/config';
import type { BfdSettings } from '../api/bgp.js';
import type { DraftFields } from './peer-draft.js';
import type { Place } from './problems.js';

const DEFAULT_INTERVAL = 300;
const DEFAULT_MULTIPLIER = 3;

export function bfdFields(settings: BfdSettings | undefined, place: Place): DraftFields {
  if (settings === undefined || settings.enabled === false) return new Map();
  const { intervalMilliseconds = DEFAULT_INTERVAL, multiplier = DEFAULT_MULTIPLIER } = settings;
  const value: BfdConfig = {
    transmitInterval: intervalMilliseconds,
    receiveInterval: intervalMilliseconds,
    multiplier,
  };
  return new Map([['bfd', { value, place, written: settings, fallback: 'going on without BFD' }]]);
}
