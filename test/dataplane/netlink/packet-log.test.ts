import { expect } from 'chai';
import { type LoggedPacket, openPacketLog, type PacketLog } from '../../../src/dataplane/netlink/packet-log.js';
import { NetlinkError } from '../../../src/dataplane/netlink/netlink-error.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces, until } from '../scratch-namespaces.js';

const GROUP = 1777;

describe('packet log', () => {
  const namespaces = new ScratchNamespaces('tplog');
  let node: string;
  let packets: LoggedPacket[];
  let lost: number;
  let log: PacketLog | undefined;

  const open = (): PacketLog =>
    inNamespace(node, () =>
      openPacketLog({
        group: GROUP,
        onPacket: (packet) => packets.push(packet),
        onLost: (count) => (lost += count),
        onFault: (error) => {
          throw error;
        },
      }),
    );
  const send = (address: string, times: number): string =>
    exec(
      node,
      'python3',
      '-c',
      `import socket
s = socket.socket(socket.AF_INET6 if ':' in '${address}' else socket.AF_INET, socket.SOCK_DGRAM)
for i in range(${times}):
  try: s.sendto(b'x' * 72, ('${address}', 9))
  except OSError: pass`,
    );

  beforeEach(() => {
    node = namespaces.create();
    packets = [];
    lost = 0;
    for (const program of ['iptables', 'ip6tables'])
      exec(
        node,
        ...`${program} -A INPUT -p udp --dport 9 -j NFLOG --nflog-group ${GROUP} --nflog-prefix one:two`.split(' '),
      );
  });
  afterEach(() => log?.close());
  after(() => namespaces.removeAll());

  it('tells prefix, tuple, size and interface', async () => {
    log = open();
    send('127.0.0.1', 1);
    send('::1', 1);
    await until('both packets', () => packets.length === 2);
    const [four, six] = packets;
    expect(four).to.include({ prefix: 'one:two', family: 4, bytes: 100, inInterface: 1 });
    expect(four?.tuple).to.include({
      protocol: 17,
      source: '127.0.0.1',
      destination: '127.0.0.1',
      destinationPort: 9,
    });
    expect(four?.tuple.sourcePort).to.be.greaterThan(0);
    expect(six).to.include({ prefix: 'one:two', family: 6, bytes: 120 });
    expect(six?.tuple).to.include({ protocol: 17, source: '::1', destination: '::1', destinationPort: 9 });
    expect(lost).to.equal(0);
  });

  it('counts exactly what did not reach it', async function () {
    this.timeout(60_000);
    log = open();
    // Nobody reads while this runs.
    send('127.0.0.1', 60_000);
    // What is lost shows when the next one comes, and that one needs room.
    let [seen, before] = [-1, -2];
    await until('the rest', () => {
      [before, seen] = [seen, packets.length];
      return seen > 0 && seen === before;
    });
    send('127.0.0.1', 1);
    await until('all, had or lost', () => packets.length + lost >= 60_001);
    expect(lost).to.be.greaterThan(0);
    expect(packets.length + lost).to.equal(60_001);
  });

  it('says so when somebody else has the group', () => {
    log = open();
    expect(open).to.throw(NetlinkError, `Cannot listen to packets of NFLOG group ${GROUP}`);
  });
});
