/**
 * One configuration in 64 hexadecimal digits, passwords included: whoever gave it can tell whether the daemon holds it, and nobody
 * reads a secret from the answer. Two configurations that mean the same to `JSON` have the same digest, in whatever order their keys are.
 */
import { createHash } from 'node:crypto';
import type { SpeakerConfig } from 'node-bgp/config';
import { isObject } from 'node-bgp/config/schema';
import { withDaemonDefaults } from './config-file.js';

/** SHA-256 of the configuration as the daemon takes it, with its defaults, as JSON with sorted keys. */
export function configDigest(config: SpeakerConfig): string {
  return createHash('sha256')
    .update(JSON.stringify(withDaemonDefaults(config), (_, value: unknown) => sorted(value)))
    .digest('hex');
}

/** A field that is null is one that is not there, to the daemon as well. */
const sorted = (value: unknown): unknown =>
  isObject(value)
    ? Object.fromEntries(
        Object.entries(value)
          .filter(([, each]) => each !== null)
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      )
    : value;
