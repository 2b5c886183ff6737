/** From a capture of BFD packets to the time between them, side by side: what a detection timer at the other end would have seen. */
export interface Intervals {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
}

/** Arguments of tcpdump: a line per control packet, each with its moment in seconds since 1970, while they come. */
export const captureArguments = (interfaceName: string): readonly string[] => [
  'tcpdump',
  '-i',
  interfaceName,
  '-ltt',
  '-n',
  '-q',
  'udp',
  'dst',
  'port',
  '3784',
];

/** Milliseconds between the packets that `source` sent from `begin` to `end` (milliseconds since 1970); undefined: fewer than two. */
export function intervalsOf(capture: string, source: string, begin: number, end: number): Intervals | undefined {
  const moments = capture.split('\n').flatMap((line) => {
    const [, seconds, from] = /^(\d+\.\d+) IP (\d+\.\d+\.\d+\.\d+)\.\d+ > /.exec(line) ?? [];
    const moment = Number(seconds) * 1000;
    return from === source && moment >= begin && moment <= end ? [moment] : [];
  });
  const gaps = moments
    .slice(1)
    .map((moment, index) => moment - (moments[index] ?? moment))
    .sort((a, b) => a - b);
  if (gaps.length === 0) return undefined;
  const at = (share: number): number => gaps[Math.min(gaps.length - 1, Math.floor(share * gaps.length))] ?? NaN;
  return { count: gaps.length, median: at(0.5), p99: at(0.99), longest: at(1) };
}
