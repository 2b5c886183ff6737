/** The part of the configuration that the RIB can take without starting anew. */
import type { SpeakerConfig } from '../config.js';
import type { RibTuning } from '../rib/contract.js';
import { identifierOf } from './peer-settings.js';

export function ribTuning({ clusterId, multipath, alwaysCompareMed }: SpeakerConfig): RibTuning {
  return {
    ...(clusterId === undefined ? {} : { clusterId: identifierOf(clusterId) }),
    ...(multipath === undefined ? {} : { multipath }),
    ...(alwaysCompareMed === undefined ? {} : { alwaysCompareMed }),
  };
}
