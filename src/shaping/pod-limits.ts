/**
 * How fast a pod may send and receive: `kubernetes.io/ingress-bandwidth` and `egress-bandwidth`, and Calico's annotations of the same
 * meaning, which win over them, with their bursts. Pure.
 */

import { parseQuantity } from './quantity.js';

/** One direction. */
export interface Rate {
  /** Octets a second. */
  readonly rate: number;
  /** Octets that may go at once after a rest. */
  readonly burst: number;
}

export interface PodRates {
  /** What the pod receives. */
  readonly ingress?: Rate;
  /** What it sends. */
  readonly egress?: Rate;
}

export interface RateProblem {
  /** "kubernetes.io/ingress-bandwidth" */
  readonly annotation: string;
  readonly expected: string;
}

export interface ParsedRates {
  readonly rates: PodRates;
  readonly problems: readonly RateProblem[];
}

const CALICO = 'qos.projectcalico.org/';
const DIRECTIONS = ['ingress', 'egress'] as const;

/** All that are read here. */
export const RATE_ANNOTATIONS: readonly string[] = DIRECTIONS.flatMap((direction) => [
  `kubernetes.io/${direction}-bandwidth`,
  `${CALICO}${direction}Bandwidth`,
  `${CALICO}${direction}Burst`,
]);

/** Of Kubernetes' own check of its annotations: 1k to 1P bits a second. */
const LEAST = 1_000;
const MOST = 1e15;
/** A whole segment of 64 KiB must pass, and a tenth of a second's worth at once. */
const LEAST_BURST = 65_536;
const BURST_SECONDS = 0.1;
/** The kernel counts a burst in 32 bits. */
const MOST_BURST = 0xffff_ffff;
const EXPECTED_RATE = 'bits a second from 1k to 1P, such as 10M';
const EXPECTED_BURST = 'bits from 524288 (64 KiB) to 34359738360, such as 4M, beside a bandwidth';

export function ratesOf(annotations: Readonly<Record<string, string>> = {}): ParsedRates {
  const problems: RateProblem[] = [];
  const rates: { ingress?: Rate; egress?: Rate } = {};
  for (const direction of DIRECTIONS) {
    const names = [`${CALICO}${direction}Bandwidth`, `kubernetes.io/${direction}-bandwidth`];
    const annotation = names.find((name) => annotations[name] !== undefined);
    const burstName = `${CALICO}${direction}Burst`;
    const bits = annotation === undefined ? undefined : parseQuantity(annotations[annotation] ?? '');
    const isRate = bits !== undefined && bits >= LEAST && bits <= MOST;
    if (annotation !== undefined && !isRate) problems.push({ annotation, expected: EXPECTED_RATE });
    const burst = annotations[burstName] === undefined ? undefined : (parseQuantity(annotations[burstName]) ?? 0) / 8;
    const isBurst = burst === undefined || (burst >= LEAST_BURST && burst <= MOST_BURST && annotation !== undefined);
    if (!isBurst) problems.push({ annotation: burstName, expected: EXPECTED_BURST });
    if (!isRate) continue;
    const rate = Math.floor(bits / 8);
    const usual = Math.min(MOST_BURST, Math.max(LEAST_BURST, Math.floor(rate * BURST_SECONDS)));
    rates[direction] = { rate, burst: isBurst && burst !== undefined ? Math.floor(burst) : usual };
  }
  return { rates, problems };
}
