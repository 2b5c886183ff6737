/**
 * Three namespaces of a run's own: senders, the speaker under test, a receiver.
 *
 *     <id>S vS 10.10.0.2+k/16, fd00:10::2+k/64  --  <id>D dS 10.10.0.1, fd00:10::1
 *     <id>R vR 10.20.0.2/16,   fd00:20::2/64    --  <id>D dR 10.20.0.1, fd00:20::1
 */
import { execFileSync } from 'node:child_process';

export interface BenchNetwork {
  readonly senders: string;
  readonly speaker: string;
  readonly receiver: string;
}

/** Address of the k-th sender (0 and up). */
export const senderAddress = (family: 4 | 6, k: number): string =>
  family === 6 ? `fd00:10::${(k + 2).toString(16)}` : `10.10.${(k + 2) >> 8}.${(k + 2) & 255}`;
export const receiverAddress = (family: 4 | 6): string => (family === 6 ? 'fd00:20::2' : '10.20.0.2');
export const speakerAddresses = (family: 4 | 6): readonly string[] =>
  family === 6 ? ['fd00:10::1', 'fd00:20::1'] : ['10.10.0.1', '10.20.0.1'];

const ip = (args: readonly string[], input?: string): void =>
  void execFileSync('ip', args, { input, stdio: ['pipe', 'ignore', 'pipe'] });

export const networkOf = (id: string): BenchNetwork => ({ senders: `${id}S`, speaker: `${id}D`, receiver: `${id}R` });

export function createNetwork(network: BenchNetwork, senders: number): void {
  const { senders: s, speaker: d, receiver: r } = network;
  for (const name of [s, d, r]) {
    ip(['netns', 'add', name]);
    ip(['-n', name, 'link', 'set', 'lo', 'up']);
  }
  ip(['-n', d, 'link', 'add', 'dS', 'type', 'veth', 'peer', 'name', 'vS', 'netns', s]);
  ip(['-n', d, 'link', 'add', 'dR', 'type', 'veth', 'peer', 'name', 'vR', 'netns', r]);
  for (const name of [s, d, r])
    ip([
      'netns',
      'exec',
      name,
      'sysctl',
      '-qwe',
      'net.ipv6.conf.all.accept_dad=0',
      'net.ipv6.conf.default.accept_dad=0',
      'net.ipv4.conf.all.rp_filter=0',
      'net.ipv6.route.max_size=4000000',
    ]);
  ip(
    ['-n', d, '-batch', '-'],
    'addr add 10.10.0.1/16 dev dS\naddr add fd00:10::1/64 dev dS nodad\n' +
      'addr add 10.20.0.1/16 dev dR\naddr add fd00:20::1/64 dev dR nodad\nlink set dS up\nlink set dR up\n',
  );
  ip(['-n', r, '-batch', '-'], 'addr add 10.20.0.2/16 dev vR\naddr add fd00:20::2/64 dev vR nodad\nlink set vR up\n');
  const own = Array.from(
    { length: senders },
    (_, k) => `addr add ${senderAddress(4, k)}/16 dev vS\naddr add ${senderAddress(6, k)}/64 dev vS nodad\n`,
  );
  ip(['-n', s, '-batch', '-'], `link set vS up\n${own.join('')}`);
}

/** Also what a crashed run with the same id left behind. */
export function removeNetwork({ senders, speaker, receiver }: BenchNetwork): void {
  const present = new Set(
    execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.split(' ')[0]),
  );
  for (const name of [senders, speaker, receiver]) if (present.has(name)) ip(['netns', 'del', name]);
}
