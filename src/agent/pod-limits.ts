/** The flags that say how far pods reach into their node, as the engine takes them. */
import type { EngineOptions } from '@tortie/policy';
import { UserError } from '../errors.js';

export interface PodLimitFlags {
  /** "accept" or "drop". */
  readonly podTunnels: string;
  /** "accept" or "drop". */
  readonly podBgp: string;
  /** "unlimited", or a number. */
  readonly podConnections: string;
}

export type PodLimits = Pick<EngineOptions, 'podTunnels' | 'podBgp' | 'podConnections'>;

/** What the kernel's counters take. */
const MOST_CONNECTIONS = 1_000_000;

/** @throws UserError */
export function podLimitsOf({ podTunnels, podBgp, podConnections }: PodLimitFlags): PodLimits {
  const connections = Number(podConnections);
  const isLimited = podConnections !== 'unlimited';
  if (isLimited && !(Number.isInteger(connections) && connections >= 1 && connections <= MOST_CONNECTIONS))
    throw new UserError(
      `Cannot use --pod-connections "${podConnections}": expected unlimited, or 1 to ${MOST_CONNECTIONS}`,
      2,
    );
  return {
    podTunnels: verdictOf(podTunnels, '--pod-tunnels'),
    podBgp: verdictOf(podBgp, '--pod-bgp'),
    ...(isLimited ? { podConnections: connections } : {}),
  };
}

function verdictOf(text: string, flag: string): 'accept' | 'drop' {
  if (text === 'accept' || text === 'drop') return text;
  throw new UserError(`Cannot use ${flag} "${text}": expected accept or drop`, 2);
}
