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
  /** How fast what may go at once goes. */
  readonly peak?: Peak;
}

export interface Peak {
  /** Octets a second, more than the rate. */
  readonly rate: number;
  /** Octets that go without a pause; default and least: one packet of the interface's MTU. */
  readonly burst?: number;
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
  `${CALICO}${direction}Peakrate`,
  `${CALICO}${direction}Minburst`,
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
const EXPECTED_PEAK = 'bits a second, more than the bandwidth beside it and at most 1P, such as 20M';
const EXPECTED_MINBURST = 'octets from 1 to 100M beside a peak rate, such as 1500';
const MOST_MINBURST = 100_000_000;
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
    const peak = peakOf(direction, annotations, isRate ? Math.floor(bits / 8) : undefined, problems);
    if (!isRate) continue;
    const rate = Math.floor(bits / 8);
    const usual = Math.min(MOST_BURST, Math.max(LEAST_BURST, Math.floor(rate * BURST_SECONDS)));
    rates[direction] = {
      ...{ rate, burst: isBurst && burst !== undefined ? Math.floor(burst) : usual },
      ...(peak === undefined ? {} : { peak }),
    };
  }
  return { rates, problems };
}

/** Calico counts the rate in bits, and in octets what is typically the MTU. */
function peakOf(
  direction: (typeof DIRECTIONS)[number],
  annotations: Readonly<Record<string, string>>,
  rate: number | undefined,
  problems: RateProblem[],
): Peak | undefined {
  const read = (word: string): number | undefined => {
    const text = annotations[`${CALICO}${direction}${word}`];
    return text === undefined ? undefined : (parseQuantity(text) ?? NaN);
  };
  const refuse = (word: string, expected: string): void =>
    void problems.push({ annotation: `${CALICO}${direction}${word}`, expected });
  const bits = read('Peakrate');
  const isPeak = bits !== undefined && rate !== undefined && Math.floor(bits / 8) > rate && bits <= MOST;
  if (bits !== undefined && !isPeak) refuse('Peakrate', EXPECTED_PEAK);
  const burst = read('Minburst');
  const isBurst = burst !== undefined && isPeak && burst >= 1 && burst <= MOST_MINBURST;
  if (burst !== undefined && !isBurst) refuse('Minburst', EXPECTED_MINBURST);
  return isPeak ? { rate: Math.floor(bits / 8), ...(isBurst ? { burst: Math.floor(burst) } : {}) } : undefined;
}
