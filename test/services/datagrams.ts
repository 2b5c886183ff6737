/**
 * The rows asked by UDP datagrams and by SCTP packets. The prober builds SCTP by hand (INIT, INIT ACK, ABORT) over raw sockets: a kernel
 * without SCTP sockets tracks, translates and filters it all the same. Servers say who they are and not whom they see: that is
 * read in the table of connections, where what is masqueraded expects its answer at the node.
 */
import { ProberSession, type Probe, type ProbeResult } from '../../src/cases/kernel/prober-session.js';
import { exec } from '../dataplane/scratch-namespaces.js';
import type { Rack } from './rack.js';
import { destinationOf, NET, NODE_PORT, sourceOf, TARGET_PORT, type Row } from './rows.js';

/** Of two endpoints one is missed by so many once in 30 million. */
const MANY = 25;
const FEW = 2;
export const DATAGRAM_PROTOCOLS = ['UDP', 'SCTP'] as const;
type DatagramProtocol = (typeof DATAGRAM_PROTOCOLS)[number];

/** What was heard, and what the row says: both "L1 R masq", places sorted; R is both of the neighbour's pods. */
export interface Heard {
  readonly asked: string;
  readonly seen: string;
  readonly expected: string;
}

export class DatagramRack {
  private constructor(
    private readonly rack: Rack,
    private readonly session: ProberSession,
  ) {}

  static async start(rack: Rack): Promise<DatagramRack> {
    const session = ProberSession.start();
    for (const place of ['L1', 'L2', 'R1'] as const)
      for (const protocol of DATAGRAM_PROTOCOLS)
        await session.serve(rack.namespaceOf(place), nameOf(place), protocol, [TARGET_PORT]);
    return new DatagramRack(rack, session);
  }

  async ask(row: Row, family: 4 | 6, protocol: DatagramProtocol): Promise<readonly Heard[]> {
    exec(this.rack.node, 'conntrack', '-F');
    const asked = row.probes
      .filter(([, , outcome]) => outcome !== 'none')
      // A raw socket hears no ICMP of its packets.
      .map(
        ([from, to, outcome]) => [from, to, protocol === 'SCTP' && outcome === 'reject' ? 'drop' : outcome] as const,
      );
    const probes = asked.flatMap(([from, to, outcome], index) =>
      Array.from(
        { length: isAnswered(outcome) ? MANY : FEW },
        (_, time): Probe => ({
          id: `${index}-${time}`,
          namespace: this.rack.namespaceOf(from),
          protocol,
          source: sourceOf(family, from),
          destination: destinationOf(family, to),
          port: to === 'node-port' ? NODE_PORT : 80,
          allow: outcome !== 'drop',
        }),
      ),
    );
    const results = await this.session.run(probes);
    const table = exec(this.rack.node, 'conntrack', '-L', '-p', protocol.toLowerCase(), '-f', `ipv${family}`);
    return asked.map(([from, to, outcome], index) => {
      const own = [...results]
        .filter(([id]) => id.startsWith(`${index}-`))
        .map(([, result]) => (from === 'node' && isWithheld(result) ? outcome : textOf(result)));
      const masquerade = masqueradeOf(table, family, sourceOf(family, from), destinationOf(family, to));
      const places = [...new Set(own)].sort().join(' ');
      return {
        asked: `${protocol} ${from} to ${to}`,
        seen: isAnswered(outcome) ? `${places}${from === 'node' ? '' : masquerade}` : places,
        expected: expectedOf(outcome, from === 'node'),
      };
    });
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const nameOf = (place: string): string => (place.startsWith('R') ? 'R' : place);
const isAnswered = (outcome: string): boolean => /^[LR]\d/.test(outcome);

function expectedOf(outcome: string, isFromNode: boolean): string {
  const words = outcome.split(' ');
  const isMasqueraded = words[words.length - 1] === 'masq';
  const places = new Set((isMasqueraded ? words.slice(0, -1) : words).map(nameOf));
  return `${[...places].sort().join(' ')}${isMasqueraded && !isFromNode ? ' masq' : ''}`;
}

/** EPERM: what is dropped or rejected on its way out was never sent, and the kernel tells the sender so. */
const isWithheld = (result: ProbeResult): boolean =>
  result.type === 'unreachable' && result.text === 'Operation not permitted';

function textOf(result: ProbeResult): string {
  switch (result.type) {
    case 'allow':
      return result.name;
    case 'refused':
      return 'reject';
    case 'drop':
      return 'drop';
    case 'unreachable':
    case 'error':
      return `${result.type}: ${result.text}`;
  }
}

/** " masq" where every connection from there to there expects its answer at the node, "" where none does. */
function masqueradeOf(table: string, family: 4 | 6, source: string, destination: string): string {
  const kinds = new Set<string>();
  for (const line of table.split('\n')) {
    const ends = [...line.matchAll(/(?:src|dst)=(\S+)/g)].map(([, address]) => address ?? '');
    const [from, to, , answered = ''] = ends;
    if (from !== source || to !== destination) continue;
    const isNode = answered === NET[family].node || answered === '169.254.1.1' || answered.startsWith('fe80:');
    kinds.add(isNode ? ' masq' : '');
  }
  return kinds.size > 1 ? ' now and then masq' : ([...kinds][0] ?? '');
}
