/** Token buckets on a pod's interface, in namespaces. Needs root, sch_tbf, sch_ingress, cls_u32, act_mirred and ifb. */
import { expect } from 'chai';
import { createServer, Socket, type Server } from 'node:net';
import { AF_INET } from '../../src/dataplane/libc.js';
import { NetlinkSocket } from '../../src/dataplane/netlink/netlink-socket.js';
import { inNamespace, listenInNamespace, socketInNamespace } from '../../src/dataplane/netns.js';
import { Shaper } from '../../src/dataplane/shaper.js';
import type { PodRates, Rate } from '../../src/shaping/pod-limits.js';
import { exec, ip, nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const SLOW: Rate = { rate: 125_000, burst: 65_536 };

describe('Shaper', function () {
  this.timeout(60_000);
  const namespaces = new ScratchNamespaces('tshp');
  let node: string;
  let pod: string;
  let socket: NetlinkSocket;
  let shaper: Shaper;
  let server: Server | undefined;

  beforeEach(() => {
    [node, pod] = [namespaces.create(), namespaces.create()];
    ip(node, 'link', 'add', 'tortpod', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', nameOf(pod));
    ip(node, 'link', 'add', 'tortother', 'type', 'veth', 'peer', 'name', 'eth1', 'netns', nameOf(pod));
    ip(node, 'addr', 'add', '10.65.0.1/24', 'dev', 'tortpod');
    ip(pod, 'addr', 'add', '10.65.0.7/24', 'dev', 'eth0');
    for (const [place, device] of [
      [node, 'tortpod'],
      [pod, 'eth0'],
    ] as const)
      ip(place, 'link', 'set', device, 'up');
    socket = inNamespace(node, () => new NetlinkSocket());
    shaper = new Shaper(socket);
  });
  afterEach(() => {
    socket.close();
    server?.close();
  });
  after(() => namespaces.removeAll());

  const level = (rates: PodRates, by = shaper): readonly string[] => by.level(new Map([['tortpod', rates]]));
  const state = (): string =>
    exec(node, 'sh', '-c', 'tc qdisc show; tc filter show dev tortpod ingress; ip -br link | cut -d@ -f1');
  const buckets = (): readonly string[] =>
    [...state().matchAll(/qdisc tbf 7071: dev (\S+) root .*rate (\S+) burst (\S+)/g)].map(
      ([, device, rate, burst]) => `${device} ${rate} ${burst}`,
    );
  const hasRedirect = (): boolean => state().includes('Egress Redirect to device torqpod');

  it('puts a bucket for each direction, changes them, and takes all away', () => {
    const before = state();
    expect(level({ ingress: SLOW })).to.deep.equal([]);
    expect(buckets()).to.deep.equal(['tortpod 1Mbit 64Kb']);
    expect(hasRedirect()).to.equal(false);
    expect(level({ ingress: { rate: 250_000, burst: 131_072 }, egress: SLOW })).to.deep.equal([]);
    expect([...buckets()].sort()).to.deep.equal(['torqpod 1Mbit 64Kb', 'tortpod 2Mbit 128Kb']);
    expect(hasRedirect()).to.equal(true);
    expect(level({ egress: SLOW })).to.deep.equal([]);
    expect(buckets()).to.deep.equal(['torqpod 1Mbit 64Kb']);
    // More than 32 bits can say.
    expect(level({ egress: { rate: 12_500_000_000, burst: 4_000_000_000 } })).to.deep.equal([]);
    expect(state()).to.match(/torqpod root .*rate 100Gbit/);
    expect(shaper.level(new Map())).to.deep.equal([]);
    expect(state()).to.equal(before);
  });

  it('puts a second bucket for a peak, and knows it again', () => {
    const peaks = (): string => /qdisc tbf 7071: dev tortpod .*/.exec(state())?.[0] ?? '';
    expect(level({ ingress: { ...SLOW, peak: { rate: 250_000 } } })).to.deep.equal([]);
    // One packet of the MTU and its Ethernet header.
    expect(peaks()).to.match(/rate 1Mbit burst 64Kb peakrate 2Mbit minburst 151[0-9]b/);
    const made = state();
    const next = new Shaper(socket);
    for (let look = 0; look < 2; look++)
      expect(level({ ingress: { ...SLOW, peak: { rate: 250_000 } } }, next)).to.deep.equal([]);
    expect(state()).to.equal(made);
    // More than 32 bits can say.
    expect(level({ ingress: { ...SLOW, peak: { rate: 12_500_000_000, burst: 9_000 } } })).to.deep.equal([]);
    expect(peaks()).to.include('peakrate 100Gbit');
    expect(level({ ingress: { ...SLOW, peak: { rate: 250_000, burst: 9_000 } } })).to.deep.equal([]);
    expect(peaks()).to.match(/peakrate 2Mbit minburst (899\d|900\d)b/);
    expect(level({ ingress: SLOW })).to.deep.equal([]);
    expect(peaks())
      .to.match(/rate 1Mbit burst 64Kb/)
      .and.not.include('peakrate');
    exec(
      node,
      'tc',
      'qdisc',
      'replace',
      'dev',
      'tortpod',
      'root',
      'handle',
      '7071:',
      ...'tbf rate 1mbit burst 64kb'.split(' '),
      ...'latency 25ms peakrate 3mbit minburst 1540'.split(' '),
    );
    expect(level({ ingress: SLOW })).to.deep.equal([]);
    expect(peaks()).to.not.include('peakrate');
  });

  it('sends what is saved up no faster than the peak, and loses nothing of it', async () => {
    level({ ingress: { rate: 125_000, burst: 400_000, peak: { rate: 250_000 } } });
    // All of it is saved up, and goes at the peak: 300,000 octets at 250,000 a second.
    expect(await timeToSend('ingress')).to.be.greaterThan(1_000);
  });

  it('adopts what a predecessor made, and puts back what somebody took away', () => {
    level({ ingress: SLOW, egress: SLOW });
    const made = state();
    const next = new Shaper(socket);
    level({ ingress: SLOW, egress: SLOW }, next);
    expect(state()).to.equal(made);
    for (const harm of [
      'tc qdisc del dev tortpod root',
      'tc qdisc del dev tortpod ingress',
      'tc filter del dev tortpod ingress',
      'tc qdisc del dev torqpod root',
      'ip link del torqpod',
    ]) {
      exec(node, 'sh', '-c', harm);
      expect(level({ ingress: SLOW, egress: SLOW }, next), harm).to.deep.equal([]);
      expect([...buckets()].sort(), harm).to.deep.equal(['torqpod 1Mbit 64Kb', 'tortpod 1Mbit 64Kb']);
      expect(hasRedirect(), harm).to.equal(true);
    }
    next.level(new Map());
    expect(state()).to.not.match(/tbf|torqpod|Redirect/);
  });

  it('finds a burst that changed while nobody looked', () => {
    level({ ingress: SLOW, egress: SLOW });
    expect(level({ ingress: { ...SLOW, burst: 131_072 }, egress: SLOW }, new Shaper(socket))).to.deep.equal([]);
    expect([...buckets()].sort()).to.deep.equal(['torqpod 1Mbit 64Kb', 'tortpod 1Mbit 128Kb']);
  });

  it('goes on saying what the kernel refuses, and shares the entry with others', () => {
    exec(node, 'tc', 'qdisc', 'add', 'dev', 'tortpod', 'clsact');
    for (let look = 0; look < 2; look++)
      expect(level({ egress: SLOW }).join(), `look ${look}`).to.match(/^Cannot limit tortpod: /);
    exec(node, 'tc', 'qdisc', 'del', 'dev', 'tortpod', 'clsact');
    exec(node, 'tc', 'qdisc', 'add', 'dev', 'tortpod', 'ingress');
    expect(level({ egress: SLOW })).to.deep.equal([]);
    expect(hasRedirect()).to.equal(true);
  });

  it('goes with the pod, and leaves the interfaces of others alone', () => {
    level({ egress: SLOW });
    exec(
      node,
      'sh',
      '-c',
      'ip link add torqmine type ifb; tc qdisc add dev tortother ingress; ' +
        'tc qdisc add dev tortother root tbf rate 3mbit burst 32k latency 9ms',
    );
    ip(node, 'link', 'del', 'tortpod');
    expect(level({ egress: SLOW })).to.deep.equal([]);
    const after = exec(node, 'sh', '-c', 'ip -br link; tc qdisc show');
    expect(after).to.not.include('torqpod');
    expect(after)
      .to.include('torqmine')
      .and.match(/tortother root .*rate 3Mbit/);
  });

  for (const direction of ['ingress', 'egress'] as const)
    it(`slows what a pod ${direction === 'ingress' ? 'receives' : 'sends'}, and loses nothing of it`, async () => {
      level({ [direction]: SLOW });
      // (300,000 - 65,536) octets at 125,000 a second; a busy machine only takes longer.
      expect(await timeToSend(direction)).to.be.greaterThan(1_500);
    });

  /** Milliseconds for 300,000 octets to the pod or from it, all of which must come. */
  async function timeToSend(direction: 'ingress' | 'egress'): Promise<number> {
    const [sender, receiver, address] = direction === 'ingress' ? [node, pod, '10.65.0.7'] : [pod, node, '10.65.0.1'];
    let got = 0;
    const done = new Promise<void>((resolve) => {
      server = createServer((connection) => connection.on('data', (data) => (got += data.length)).on('end', resolve));
    });
    await new Promise<void>((resolve) => server?.listen({ fd: listenInNamespace(receiver, address, 7_009) }, resolve));
    const start = performance.now();
    const client = new Socket({ fd: socketInNamespace(sender, AF_INET), manualStart: true } as ConstructorParameters<
      typeof Socket
    >[0]);
    client.connect({ host: address, port: 7_009 });
    client.end(Buffer.alloc(300_000));
    await done;
    expect(got).to.equal(300_000);
    return performance.now() - start;
  }
});
