/** The answer of `tortie trace`: the way of a first packet, hop by hop, and where it ends. Plain data, the contract of `-o json`. */
import type { FlowProtocol } from '@tortie/policy';
import type { Family } from 'node-bgp/address';

export type Step = 'source' | 'entry' | 'service' | 'policy' | 'nat' | 'route' | 'destination';

/** goes on: to the next hop; ends: here it is dropped or refused; not known: nobody who was asked can say. */
export type HopOutcome = 'goes on' | 'ends' | 'not known';

export interface Hop {
  readonly step: Step;
  /** The node that decides it; undefined: outside the nodes. */
  readonly node?: string;
  readonly outcome: HopOutcome;
  /** Whose doing it is: "NetworkPolicy shop/deny", "IPPool/blue". */
  readonly object?: string;
  readonly message: string;
  /** What stands behind it; with --live what kernel and bgpd of this machine say. */
  readonly evidence: readonly string[];
}

/** One way that the packet may take: a Service spreads over several. */
export interface Way {
  /** "10.65.0.7:80 shop/web-0 on node2" */
  readonly to: string;
  readonly hops: readonly Hop[];
  readonly verdict: TraceVerdict;
}

export type TraceVerdict = 'arrives' | 'does not arrive' | 'cannot say';

export interface Trace {
  readonly from: string;
  readonly to: string;
  readonly family: Family;
  readonly protocol: FlowProtocol;
  readonly port: number;
  readonly ways: readonly Way[];
  readonly verdict: TraceVerdict;
}

/** The first hop that ends it decides, wherever an unknown one stands: it is not got past either way. */
export function verdictOfHops(hops: readonly Hop[]): TraceVerdict {
  if (hops.some(({ outcome }) => outcome === 'ends')) return 'does not arrive';
  return hops.some(({ outcome }) => outcome === 'not known') ? 'cannot say' : 'arrives';
}

/** A Service with an endpoint that is not reached does not serve: one bad way is no arrival. */
export function verdictOfWays(ways: readonly Way[]): TraceVerdict {
  if (ways.length === 0 || ways.some(({ verdict }) => verdict === 'does not arrive')) return 'does not arrive';
  return ways.some(({ verdict }) => verdict === 'cannot say') ? 'cannot say' : 'arrives';
}

/** 0 arrives, 1 does not, 2 cannot be said. */
export const exitCodeOf = ({ verdict }: Trace): number =>
  ({ arrives: 0, 'does not arrive': 1, 'cannot say': 2 })[verdict];

export function formatTrace(trace: Trace): string {
  const { from, to, family, protocol, port, ways, verdict } = trace;
  const head = `${verdict.toUpperCase()}  ${from} -> ${to} ${port}/${protocol} IPv${family}`;
  return [head, ...ways.flatMap((way) => formatWay(way, ways.length > 1))].join('\n');
}

function formatWay({ to, hops, verdict }: Way, isOneOfMany: boolean): readonly string[] {
  const widest = hops.reduce((width, { node }) => Math.max(width, (node ?? '-').length), 0);
  return [
    '',
    ...(isOneOfMany ? [`${verdict}: ${to}`] : []),
    ...hops.flatMap(({ step, node, outcome, object, message, evidence }, index) => [
      `${String(index + 1).padStart(2)}  ${(node ?? '-').padEnd(widest)}  ${step.padEnd(11)}  ` +
        `${outcome === 'goes on' ? '' : `${outcome.toUpperCase()}: `}${message}${object === undefined ? '' : `  [${object}]`}`,
      ...evidence.map((line) => `${' '.repeat(4 + widest + 2 + 13)}${line}`),
    ]),
  ];
}
