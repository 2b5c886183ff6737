/**
 * The BFD packets themselves, as the kernel of bgpd's namespace stamped them: who was silent, and when. A session that BFD ends while its
 * peer had sent nothing for the whole detection time was ended rightly, whatever kept the peer from sending.
 */
export interface Silence {
  readonly from: 'ours' | 'peer';
  /** Milliseconds since 1970, of its end. */
  readonly at: number;
  readonly milliseconds: number;
}

/** Longer than any jitter of packets that are due every 50 ms. */
const WORTH_TELLING = 100;

const PACKET = /^(\d+\.\d+) IP (\d+\.\d+\.\d+\.\d+)\./;

/** Arguments of tcpdump: one line per BFD control packet, with the time in seconds since 1970. */
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

export function silences(capture: string, ownAddress: string): readonly Silence[] {
  const last = new Map<Silence['from'], number>();
  return capture.split('\n').flatMap((line) => {
    const [, seconds, source] = PACKET.exec(line) ?? [];
    if (seconds === undefined || source === undefined) return [];
    const from = source === ownAddress ? 'ours' : 'peer';
    const at = Number(seconds) * 1000;
    const milliseconds = Math.round(at - (last.get(from) ?? at));
    last.set(from, at);
    return milliseconds >= WORTH_TELLING ? [{ from, at, milliseconds }] : [];
  });
}

/** How many packets of each side the capture has. */
export function countPackets(capture: string, ownAddress: string): Readonly<Record<Silence['from'], number>> {
  const sources = capture.split('\n').flatMap((line) => PACKET.exec(line)?.[2] ?? []);
  const ours = sources.filter((source) => source === ownAddress).length;
  return { ours, peer: sources.length - ours };
}
