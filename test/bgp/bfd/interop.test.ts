/** BFD against BIRD and FRR in network namespaces, with real packets, real TTLs and a main thread that is busy. */
import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { encodeBfdPacket } from 'node-bgp/bfd/packet';
import { Cable, eventually, run, type BfdNode } from './real-peers.js';

const FAST = { transmitInterval: 50, receiveInterval: 50, multiplier: 3 };

describe('bgp/bfd: real peers', function () {
  this.timeout(60_000);
  let cable: Cable;
  beforeEach(() => {
    cable = new Cable();
    cable.up();
  });
  afterEach(() => cable.down());

  const BIRD = `
    router id 10.99.0.2;
    protocol device {}
    protocol bfd {
      interface "eth0" { min rx interval 50 ms; min tx interval 50 ms; idle tx interval 200 ms; multiplier 3; };
      neighbor 10.99.0.1 dev "eth0";
      neighbor fd99::1 dev "eth0";
    }`;
  const birdStates = (show: string): string[] =>
    [...show.matchAll(/^(\S+)\s+eth0\s+(\S+)/gm)].map(([, address, state]) => `${address} ${state}`).sort();

  async function withBird(): Promise<{ readonly node: BfdNode; readonly bird: ReturnType<Cable['bird']> }> {
    const bird = cable.bird(BIRD);
    const node = cable.speaker();
    node.set(
      { peer: '10.99.0.2', localAddress: '10.99.0.1', ...FAST },
      { peer: 'fd99::2', localAddress: 'fd99::1', ...FAST },
    );
    await node.up(2);
    return { node, bird };
  }

  it('comes up with BIRD over both families, at the agreed 50 ms x 3', async () => {
    const { node, bird } = await withBird();
    await eventually('BIRD to agree', () =>
      birdStates(bird.show()).join() === '10.99.0.1 Up,fd99::1 Up' ? true : undefined,
    );
    const status = await eventually('the poll to end', async () => {
      const sessions = await node.status();
      return sessions.every(({ transmitInterval, detectionTime }) => transmitInterval === 50 && detectionTime === 150)
        ? sessions
        : undefined;
    });
    expect(status.map(({ failures, sendError }) => [failures, sendError])).to.deep.equal([
      [0, undefined],
      [0, undefined],
    ]);
  });

  it('sees BIRD freeze, and come back', async () => {
    const { node, bird } = await withBird();
    bird.process.kill('SIGSTOP');
    try {
      await eventually('both sessions down', () => (node.downs().length === 2 ? true : undefined));
    } finally {
      bird.process.kill('SIGCONT');
    }
    for (const event of node.downs())
      expect(event).to.deep.include({ from: 'up', isFailure: true, reason: 'control detection time expired' });
    await node.up(2);
  });

  it('is seen by BIRD when it dies, and says farewell when it closes', async () => {
    const { node, bird } = await withBird();
    node.close();
    await eventually('AdminDown at BIRD', () =>
      birdStates(bird.show()).every((line) => line.endsWith(' Down') || line.endsWith(' AdminDown')) ? true : undefined,
    );
    const second = await withBirdAgain();
    second.process.kill('SIGKILL');
    await eventually('Down at BIRD', () =>
      birdStates(bird.show()).every((line) => line.endsWith(' Down')) ? true : undefined,
    );
  });
  async function withBirdAgain(): Promise<BfdNode> {
    const node = cable.speaker();
    node.set({ peer: '10.99.0.2', ...FAST }, { peer: 'fd99::2', ...FAST });
    await node.up(2);
    return node;
  }

  it('holds both ways while the main thread does nothing else for two seconds', async () => {
    const { node, bird } = await withBird();
    const since = (): string => bird.show();
    const before = birdStates(since());
    await node.busy(2_000);
    expect(node.downs()).to.deep.equal([]);
    expect(birdStates(since())).to.deep.equal(before);
    // BIRD shows the time of the last change: a flap in between would have made it younger than the load.
    expect((await node.status()).map(({ failures }) => failures)).to.deep.equal([0, 0]);
  });

  it('changes its timers without a flap', async () => {
    const { node, bird } = await withBird();
    const slower = { transmitInterval: 300, receiveInterval: 300, multiplier: 4 };
    node.set(
      { peer: '10.99.0.2', localAddress: '10.99.0.1', ...slower },
      { peer: 'fd99::2', localAddress: 'fd99::1', ...slower },
    );
    await eventually('the new pace', async () =>
      (await node.status()).every(({ transmitInterval }) => transmitInterval === 300) ? true : undefined,
    );
    await eventually('BIRD to see it', () => (/0\.300\s+1\.200/.test(bird.show()) ? true : undefined));
    expect(node.downs()).to.deep.equal([]);
  });

  it('comes up with FRR, single hop and multihop', async () => {
    const frr = cable.frr(`
bfd
 peer 10.99.0.1 interface eth0
  transmit-interval 50
  receive-interval 50
  no shutdown
 !
 peer fd99::1 multihop local-address fd99::2
  transmit-interval 50
  receive-interval 50
  no shutdown
 !
!
`);
    const node = cable.speaker();
    node.set({ peer: '10.99.0.2', ...FAST }, { peer: 'fd99::2', localAddress: 'fd99::1', multihop: true, ...FAST });
    await node.up(2);
    await eventually('FRR to agree', () => ((frr.show().match(/\bup\b/g) ?? []).length === 2 ? true : undefined));
  });

  it('hears single-hop packets only with TTL 255 (RFC 5881 section 5)', async () => {
    const { node } = await withBird();
    const session = (await node.status()).find(({ config }) => config.peer === '10.99.0.2');
    const forged = encodeBfdPacket({
      diagnostic: 7,
      state: 'down',
      poll: false,
      final: false,
      controlPlaneIndependent: false,
      demand: false,
      detectMultiplier: 3,
      myDiscriminator: session?.remoteDiscriminator ?? 1,
      yourDiscriminator: session?.localDiscriminator ?? 1,
      desiredMinTx: 50_000,
      requiredMinRx: 50_000,
      requiredMinEchoRx: 0,
    });
    const forge = (ttl: number): string =>
      cable.there(
        process.execPath,
        '-e',
        `
      const socket = require('node:dgram').createSocket('udp4');
      socket.bind(0, '10.99.0.2', () => { 
        socket.setTTL(${ttl});
        socket.send(Buffer.from('${Buffer.from(forged).toString('hex')}', 'hex'), 3784, '10.99.0.1', () => socket.close());
      });`,
      );
    const before = (await node.status()).find(({ config }) => config.peer === '10.99.0.2')?.packetsIn ?? 0;
    for (const ttl of [1, 64, 254]) forge(ttl);
    // Once packets that BIRD sent after the forged ones are in, the forged ones would be, too.
    await eventually('more packets', async () =>
      (await node.status()).some(({ packetsIn }) => packetsIn > before + 5) ? true : undefined,
    );
    expect(node.downs()).to.deep.equal([]);
    forge(255);
    await eventually('the forged packet of TTL 255', () => (node.downs().length === 1 ? true : undefined));
  });

  it('reads all that waits in its socket at once, more than a turn of the event loop takes', () => {
    cable.here('ip', 'addr', 'add', 'fe80::99/64', 'dev', 'eth0', 'nodad');
    // Send and drain in one go: nothing is read by the event loop in between.
    const count = cable.here(
      process.execPath,
      '--input-type=module',
      '-e',
      `
      const { Libc } = await import(${JSON.stringify(import.meta.resolve('node-bgp/bfd/libc'))});
      const { BfdUdp } = await import(${JSON.stringify(import.meta.resolve('node-bgp/bfd/udp-socket'))});
      const udp = new BfdUdp(new Libc());
      const heard = [];
      const hear = (bytes, from) => heard.push(from + ' ' + bytes.length);
      const listeners = await Promise.all([4, 6].map((family) => udp.listen(family, false, hear, console.error)));
      for (const peer of ['10.99.0.1', 'fd99::1', 'fe80::99%eth0']) {
        const sender = udp.connect(peer, undefined, false);
        for (let i = 0; i < 100; i++) sender.send(new Uint8Array(24));
      }
      for (const listener of listeners) listener.drain();
      console.log(JSON.stringify([...new Set(heard)].map((from) => from + ' x ' + heard.filter((each) => each === from).length)));
      process.exit(0);`,
    );
    expect(JSON.parse(count)).to.deep.equal(['10.99.0.1 24 x 100', 'fd99::1 24 x 100', 'fe80::99%eth0 24 x 100']);
  });

  describe('echo (RFC 5880 section 6.4)', () => {
    const ECHO = { ...FAST, echoInterval: 50 };
    const loop = (isOn: boolean, where: 'here' | 'there' = 'there'): void =>
      void cable[where](
        'sysctl',
        '-qw',
        `net.ipv4.conf.all.forwarding=${isOn ? 1 : 0}`,
        `net.ipv4.conf.eth0.forwarding=${isOn ? 1 : 0}`,
        `net.ipv6.conf.all.forwarding=${isOn ? 1 : 0}`,
      );
    const frrConfig = `
bfd
 peer 10.99.0.1 interface eth0
  transmit-interval 50
  receive-interval 50
  echo receive-interval 50
  echo transmit-interval 50
  echo-mode
  no shutdown
 !
!
`;

    it('is looped by Linux beside FRR, counts, and is missed when Linux stops to forward', async () => {
      loop(true);
      loop(true, 'here');
      const frr = cable.frr(frrConfig);
      const node = cable.speaker();
      node.set({ peer: '10.99.0.2', localAddress: '10.99.0.1', ...ECHO });
      await node.up(1);
      await eventually(
        'echoes both ways',
        async () =>
          (await node.status()).every(({ echo }) => echo?.state === 'active' && echo.returned > 5) ? true : undefined,
        30_000,
      );
      // FRR hears that we are slow now: RFC 5880 section 6.8.3.
      await eventually('a packet a second from FRR', async () =>
        (await node.status()).every(({ detectionTime }) => detectionTime === 3_000) ? true : undefined,
      );
      expect((await node.status())[0]?.echo?.loopsForPeer).to.equal(true);
      await eventually('FRR’s echoes, looped by our kernel', () => {
        const [, returned = '0'] = /Echo packets? input: (\d+)|Echo packet input: (\d+)/i.exec(frr.counters()) ?? [];
        return Number(returned) > 5 ? true : undefined;
      });
      expect(node.downs()).to.deep.equal([]);
      loop(false);
      await eventually('the loss', () => node.downs()[0]);
      expect(node.downs()[0]).to.deep.include({
        from: 'up',
        to: 'down',
        isFailure: true,
        reason: 'echo function failed',
      });
    });

    it('works over IPv6 as well, and comes to nothing where the peer does not forward', async () => {
      loop(true);
      cable.frr(
        frrConfig
          .replaceAll('10.99.0.1 interface eth0', 'fd99::1 local-address fd99::2 interface eth0')
          .replace('  echo-mode\n', ''),
      );
      const node = cable.speaker();
      node.set({ peer: 'fd99::2', localAddress: 'fd99::1', ...ECHO });
      await node.up(1);
      await eventually(
        'echoes',
        async () =>
          (await node.status()).every(({ echo }) => echo?.state === 'active' && echo.returned > 5) ? true : undefined,
        30_000,
      );
      // This end does not forward, and does not claim to.
      expect((await node.status())[0]?.echo?.loopsForPeer).to.equal(false);
      loop(false);
      await eventually('the loss', () => node.downs()[0]);
      await node.up(1);
      await eventually('echoes in vain', async () =>
        (await node.status()).every(({ echo }) => echo?.state === 'unproven' && echo.sent > 10) ? true : undefined,
      );
      expect(node.downs()).to.have.length(1);
    });
  });

  it('runs in front of other threads, and says so', async () => {
    const { node } = await withBird();
    // The rights of root may still be cut by a cgroup; then it is one step back.
    for (const { scheduling } of await node.status()) expect(scheduling).to.be.oneOf(['real-time', 'raised']);
    const policies = readdirSync(`/proc/${node.pid()}/task`).map((thread) => run('chrt', '-p', thread));
    const [{ scheduling } = { scheduling: 'normal' }] = await node.status();
    expect(policies.filter((text) => /SCHED_RR/.test(text))).to.have.length(scheduling === 'real-time' ? 1 : 0);
  });

  it('says so when its port is taken', async () => {
    const taken = cable.spawn(
      cable.ours,
      process.execPath,
      '-e',
      `require('node:dgram').createSocket('udp4').bind(3784, () => console.log('bound'))`,
    );
    await new Promise((resolve) => taken.stdout?.once('data', resolve));
    const node = cable.speaker();
    node.set({ peer: '10.99.0.2', ...FAST });
    const problem = await eventually('the problem', () => node.events.find((event) => event.type === 'problem'));
    expect(problem).to.deep.equal({
      type: 'problem',
      reason: 'Cannot listen for BFD on 0.0.0.0 port 3784: EADDRINUSE',
    });
  });
});
