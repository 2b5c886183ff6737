import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ConnectionEvent,
  type ConnectionWatch,
  decodeConnection,
  watchConnections,
} from '../../../src/dataplane/netlink/conntrack-events.js';
import { flushAllConnections } from '../../../src/dataplane/netlink/conntrack.js';
import { NetlinkProtocolError } from '../../../src/dataplane/netlink/message.js';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import { writeSysctl } from '../../../src/dataplane/sysctl.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces, until } from '../scratch-namespaces.js';

describe('connection events', () => {
  const namespaces = new ScratchNamespaces('tctev');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-ctev-'));
  let node: string;
  let events: ConnectionEvent[];
  let lost: number;
  let watch: ConnectionWatch | undefined;

  const start = (receiveBufferSize?: number): ConnectionWatch =>
    inNamespace(node, () =>
      watchConnections({
        onEvent: (event) => events.push(event),
        onLost: (count) => (lost += count),
        onFault: (error) => {
          throw error;
        },
        ...(receiveBufferSize === undefined ? {} : { receiveBufferSize }),
      }),
    );

  beforeEach(() => {
    node = namespaces.create();
    events = [];
    lost = 0;
    inNamespace(node, () => {
      for (const name of ['nf_conntrack_acct', 'nf_conntrack_timestamp']) writeSysctl(['net', 'netfilter', name], 1);
    });
    // The kernel tracks where a rule asks for it.
    for (const program of ['iptables', 'ip6tables'])
      exec(node, program, '-A', 'INPUT', '-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT');
  });
  afterEach(() => watch?.close());
  after(() => {
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });

  const flush = (): void => {
    const socket = inNamespace(node, () => new NetlinkSocket({ family: 'netfilter' }));
    flushAllConnections(socket);
    socket.close();
  };

  it('tells beginning and end, with tuples, times and octets', async () => {
    watch = start();
    const before = Date.now();
    for (const address of ['127.0.0.1', '::1'])
      exec(
        node,
        'python3',
        '-c',
        `import socket
family = socket.AF_INET6 if ':' in '${address}' else socket.AF_INET
client, server = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
server.bind(('${address}', 53))
for i in range(3):
  client.sendto(b'x' * 100, ('${address}', 53))
  server.sendto(*server.recvfrom(200))`,
      );
    await until('both beginnings', () => events.length >= 2);
    flush();
    await until('both ends', () => events.length >= 4);
    expect(events.map(({ type }) => type)).to.deep.equal(['new', 'new', 'ended', 'ended']);
    for (const [family, address, octets] of [
      [4, '127.0.0.1', 3 * 128],
      [6, '::1', 3 * 148],
    ] as const) {
      const own = events.filter(({ connection }) => connection.family === family).map(({ connection }) => connection);
      const [begun, ended] = own;
      expect(begun?.original).to.include({
        protocol: 17,
        source: address,
        destination: address,
        destinationPort: 53,
      });
      expect(ended?.id).to.equal(begun?.id);
      expect(ended?.sent).to.deep.equal({ packets: 3, bytes: octets });
      expect(ended?.answered).to.deep.equal({ packets: 3, bytes: octets });
      expect(ended?.isCounted).to.equal(true);
      expect(ended?.start).to.be.within(before - 1, Date.now());
      expect(ended?.stop).to.be.within(ended?.start ?? 0, Date.now());
    }
  });

  it('tells what a Service translated, and how TCP stood', async () => {
    exec(
      node,
      ...'iptables -t nat -A OUTPUT -d 10.96.0.1 -p tcp --dport 80 -j DNAT --to-destination 10.1.1.1:8080'.split(' '),
    );
    exec(node, ...'ip address add 10.1.1.1/32 dev lo'.split(' '));
    exec(node, ...'ip route add 10.96.0.1 dev lo src 10.1.1.1'.split(' '));
    watch = start();
    // Nobody listens: the connection is refused, which is a connection too.
    exec(node, 'bash', '-c', '! (echo > /dev/tcp/10.96.0.1/80) 2> /dev/null');
    await until('a beginning', () => events.length >= 1);
    flush();
    await until('an end', () => events.length >= 2);
    const connection = events[1]?.connection;
    expect(connection?.original).to.include({ protocol: 6, destination: '10.96.0.1', destinationPort: 80 });
    expect(connection?.reply).to.include({ source: '10.1.1.1', sourcePort: 8080 });
    expect(connection?.tcpState).to.equal(8); // TCP_CONNTRACK_CLOSE
  });

  it('counts exactly what the kernel dropped', async () => {
    watch = start(32_768);
    const lines = Array.from(
      { length: 3000 },
      (_, i) =>
        `-I -p udp -s 10.65.${i >> 8}.${i & 255} -d 192.0.2.1 -r 192.0.2.1 -q 10.65.${i >> 8}.${i & 255} --sport 1000 ` +
        '--dport 53 --reply-port-src 53 --reply-port-dst 1000 -t 600',
    );
    const file = join(directory, 'flows');
    writeFileSync(file, `${lines.join('\n')}\n`);
    // Nobody reads while this runs.
    exec(node, 'conntrack', '-R', file);
    await until('every event, had or lost', () => events.length + lost >= 3000);
    watch.drain();
    expect(lost).to.be.greaterThan(0);
    expect(events.length + lost).to.equal(3000);
  });

  it('is not led astray by cut messages', async () => {
    const whole = Buffer.from([
      ...[2, 0, 0, 0],
      ...[52, 0, 1, 0x80],
      ...[20, 0, 1, 0x80, 8, 0, 1, 0, 10, 65, 0, 1, 8, 0, 2, 0, 10, 65, 0, 2],
      ...[28, 0, 2, 0x80, 5, 0, 1, 0, 6, 0, 0, 0, 6, 0, 2, 0, 0, 80, 0, 0, 6, 0, 3, 0, 1, 187, 0, 0],
    ]);
    const twice = Buffer.concat([whole, whole.subarray(4)]);
    twice[4 + 52 + 2] = 2;
    expect(decodeConnection(twice, 0, twice.length)?.original).to.deep.equal({
      protocol: 6,
      source: '10.65.0.1',
      destination: '10.65.0.2',
      sourcePort: 80,
      destinationPort: 443,
    });
    for (let length = 0; length < twice.length; length++)
      try {
        decodeConnection(twice.subarray(0, length), 0, length);
      } catch (error) {
        expect(error).to.be.instanceOf(NetlinkProtocolError);
      }
  });
});
