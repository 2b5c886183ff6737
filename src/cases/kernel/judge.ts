/** What a probe's result means for a cell. Pure. */
import type { ProbeResult } from './prober-session.js';

/**
 * Undefined when it came out as wanted; otherwise what happened instead. An allowed connection must be answered by the
 * right party; a denied one must meet silence, because a refusal tells that there is something to attack.
 */
export function judge(allow: boolean, name: string, result: ProbeResult | undefined): string | undefined {
  if (result === undefined) return 'no result from the prober';
  switch (result.type) {
    case 'allow':
      if (!allow) return 'allowed';
      return result.name === name ? undefined : `answered by "${result.name}"`;
    case 'drop':
      return allow ? 'dropped' : undefined;
    case 'refused':
      return 'refused';
    case 'unreachable':
      return `unreachable: ${result.text}`;
    case 'error':
      return `an error of the probe: ${result.text}`;
  }
}
