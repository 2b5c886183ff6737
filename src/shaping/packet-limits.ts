/**
 * How many packets a second and connections at a time a pod may send and receive: Calico's `qos.projectcalico.org/` annotations of that
 * meaning. Pure.
 *
 * The bounds are xt_limit's (a rate of 10,000 at most), for whichever backend: a pod is limited alike on every node.
 */
import type { FlowLimits, InterfaceLimits } from '@tortie/policy/objects';
import type { RateProblem } from './pod-limits.js';
import { parseQuantity } from './quantity.js';

export interface ParsedLimits {
  readonly limits: InterfaceLimits;
  readonly problems: readonly RateProblem[];
}

const PREFIX = 'qos.projectcalico.org/';
const DIRECTIONS = ['ingress', 'egress'] as const;
const WORDS = ['PacketRate', 'PacketBurst', 'MaxConnections'] as const;
type Word = (typeof WORDS)[number];

/** All that are read here. */
export const PACKET_ANNOTATIONS: readonly string[] = DIRECTIONS.flatMap((direction) =>
  WORDS.map((word) => `${PREFIX}${direction}${word}`),
);

/** Calico's. */
const DEFAULT_BURST = 5;
const MOST: Readonly<Record<Word, number>> = { PacketRate: 10_000, PacketBurst: 10_000, MaxConnections: 1_000_000 };
const EXPECTED: Readonly<Record<Word, string>> = {
  PacketRate: 'packets a second, a whole number from 1 to 10000, such as 2k',
  PacketBurst: 'packets, a whole number from 1 to 10000, beside a packet rate',
  MaxConnections: 'connections at a time, a whole number from 1 to 1000000',
};

export function packetLimitsOf(annotations: Readonly<Record<string, string>> = {}): ParsedLimits {
  const problems: RateProblem[] = [];
  const limits: { ingress?: FlowLimits; egress?: FlowLimits } = {};
  for (const direction of DIRECTIONS) {
    const read = (word: Word, isWanted = true): number | undefined => {
      const annotation = `${PREFIX}${direction}${word}`;
      const text = annotations[annotation];
      if (text === undefined) return undefined;
      const value = parseQuantity(text);
      if (isWanted && value !== undefined && Number.isInteger(value) && value >= 1 && value <= MOST[word]) return value;
      problems.push({ annotation, expected: EXPECTED[word] });
      return undefined;
    };
    const perSecond = read('PacketRate');
    const burst = read('PacketBurst', perSecond !== undefined) ?? DEFAULT_BURST;
    const connections = read('MaxConnections');
    if (perSecond !== undefined || connections !== undefined)
      limits[direction] = {
        ...(perSecond === undefined ? {} : { packets: { perSecond, burst } }),
        ...(connections === undefined ? {} : { connections }),
      };
  }
  return { limits, problems };
}
