import { expect } from 'chai';
import { parseAddress, parsePrefix } from 'node-bgp/address';
import type { LocalInterface } from 'node-bgp/session/interface';
import { ConfigError } from 'node-bgp/config/validate';
import { isIgnored } from 'node-bgp/speaker/connectivity';
import { StubPeer } from './stub-peer.js';
import { innerPeer, peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';

async function triangle(world: World): Promise<readonly [Node, Node, Node]> {
  const nodes = [A, B, C].map((address) => world.speaker(address));
  const [a, b, c] = nodes as [Node, Node, Node];
  await a.configure(a.config(64512, [peerAt(B, 64513), peerAt(C, 64514)], { originate: [{ prefix: '10.65.1.0/24' }] }));
  await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
  await c.configure(c.config(64514, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.3.0/24' }] }));
  world.seconds(10);
  return [a, b, c];
}

const link = (name: string, text: string, isUp = true): LocalInterface => {
  const [address = '', length = ''] = text.split('/');
  return { name, isUp, addresses: [{ address: parseAddress(address), length: Number(length) }] };
};

describe('bgp/speaker configure', () => {
  it('refuses a bad configuration whole, with all problems, and changes nothing', async () => {
    const world = new World();
    const [a] = await triangle(world);
    const before = a.speaker.config;
    const error = await a
      .configure({ ...a.config(64512, [peerAt(B, 0), peerAt(C, 64514, { holdTime: 2 })]) })
      .catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ConfigError);
    expect((error as ConfigError).problems.map(({ path }) => path)).to.deep.equal([
      'peers[0].remoteAs',
      'peers[1].holdTime',
    ]);
    expect(a.speaker.config).to.equal(before);
    expect(a.state(B)).to.equal('Established');
  });

  it('applied twice changes nothing', async () => {
    const world = new World();
    const [a] = await triangle(world);
    const changes = await a.configure(
      a.config(64512, [peerAt(B, 64513), peerAt(C, 64514)], { originate: [{ prefix: '10.65.1.0/24' }] }),
    );
    expect(changes).to.deep.equal({
      added: [],
      removed: [],
      renamed: [],
      changed: [],
      reset: [],
      originated: { added: 0, removed: 0 },
      listenChanged: false,
      listenFailures: [],
    });
    world.seconds(60);
    expect(a.told('peer-up')).to.have.length(2);
  });

  it('resets a session only if its own parameters force it, and says which and why', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    const next = a.config(
      64512,
      [peerAt(B, 64513, { holdTime: 30 }), peerAt(C, 64514, { allowLocalAs: 1, description: 'third' })],
      { originate: [{ prefix: '10.65.1.0/24' }] },
    );
    expect(a.speaker.plan(next).reset).to.deep.equal([{ peer: B, reasons: ['holdTime'] }]);
    const changes = await a.configure(next);
    expect([changes.reset, changes.changed]).to.deep.equal([[{ peer: B, reasons: ['holdTime'] }], [C]]);
    world.seconds(10);
    expect([b.told('peer-up').length, c.told('peer-up').length]).to.deep.equal([2, 1]);
    expect(a.speaker.neighbor(B)?.holdTime).to.equal(30);
  });

  for (const isUp of [false, true])
    it(`dials as often as it is told from now on, changed while ${isUp ? 'a session stands' : 'it waits'}`, async () => {
      const world = new World();
      const a = world.speaker(A);
      const other = async (): Promise<Node> => {
        const b = world.speaker(B);
        await b.configure(b.config(64513, [peerAt(A, 64512, { passive: true })]));
        return b;
      };
      const configured = (connectRetryTime: number) =>
        a.configure(a.config(64512, [peerAt(B, 64513, { connectRetryTime, gracefulRestart: false })]));
      await configured(3000);
      if (isUp) {
        await other();
        world.seconds(5);
        await configured(2);
        expect(a.state(B), 'lives on').to.equal('Established');
        world.network.kill(B);
      }
      world.seconds(1500);
      if (!isUp) await configured(2);
      await other();
      world.seconds(3);
      expect(a.state(B)).to.equal('Established');
    });

  it('opens as soon as it is told to wait no longer for the other OPEN', async () => {
    const world = new World();
    const a = world.speaker(A);
    const stub = await StubPeer.listen(world.network.host(B), world.clock, B, () => undefined);
    const configured = (delayOpenTime: number) => a.configure(a.config(64512, [peerAt(B, 65001, { delayOpenTime })]));
    await configured(200);
    world.seconds(10);
    expect(stub.opens).to.deep.equal([]);
    await configured(0);
    world.seconds(2);
    expect([stub.opens.length, a.state(B)]).to.deep.equal([1, 'Established']);
  });

  it('adds and removes peers and prefixes without touching the rest', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    await a.configure(a.config(64512, [peerAt(C, 64514)], { originate: [{ prefix: '10.65.9.0/24' }] }));
    world.seconds(5);
    expect(b.told('peer-down')[0]?.reason).to.contain('Peer De-configured');
    expect(c.told('peer-down')).to.deep.equal([]);
    expect(c.prefixes()).to.deep.equal(['10.65.3.0/24', '10.65.9.0/24']);
  });

  it('redoes filters on the living session', async () => {
    const world = new World();
    const [a, , c] = await triangle(world);
    expect(c.prefixes()).to.include('10.65.2.0/24');
    await a.configure(
      a.config(64512, [peerAt(B, 64513), peerAt(C, 64514, { export: ['own'] })], {
        originate: [{ prefix: '10.65.1.0/24' }],
        filters: { own: { rules: [{ match: { source: ['local'] }, action: 'accept' }], default: 'reject' } },
      }),
    );
    world.seconds(2);
    expect(c.prefixes()).to.deep.equal(['10.65.1.0/24', '10.65.3.0/24']);
    expect(c.told('peer-down')).to.deep.equal([]);
    await a.configure(
      a.config(64512, [peerAt(B, 64513), peerAt(C, 64514)], { originate: [{ prefix: '10.65.1.0/24' }] }),
    );
    world.seconds(2);
    expect(c.prefixes()).to.include('10.65.2.0/24');
  });

  it('exchanges nothing without policy where RFC 8212 is asked for', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    await a.configure(
      a.config(64512, [peerAt(B, 64513)], { originate: [{ prefix: '10.65.1.0/24' }], requirePolicy: true }),
    );
    await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
    world.seconds(3);
    expect([a.state(B), a.prefixes(), b.prefixes()]).to.deep.equal(['Established', ['10.65.1.0/24'], ['10.65.2.0/24']]);
    const why = (prefix: string) => a.speaker.rib?.why(parsePrefix(prefix));
    expect(why('10.65.2.0/24')?.candidates[0]?.reason).to.equal(
      'Import policy rejects it: the peer is in another AS and names no import filter (RFC 8212)',
    );
    expect(why('10.65.1.0/24')?.peers[0]).to.include({
      code: 'rejected-by-policy',
      reason: 'Export policy rejects it: the peer is in another AS and names no export filter (RFC 8212)',
    });
  });

  it('keeps a peer shut down, and takes it up again', async () => {
    const world = new World();
    const [a, b] = await triangle(world);
    await a.configure(a.config(64512, [peerAt(B, 64513, { shutdown: true }), peerAt(C, 64514)]));
    world.seconds(60);
    expect(b.told('peer-down')[0]?.reason).to.contain('Administrative Shutdown');
    expect([a.state(B), a.speaker.neighbor(B)?.heldDown]).to.deep.equal(['Idle', 'Shut down by configuration']);
    await a.configure(a.config(64512, [peerAt(B, 64513), peerAt(C, 64514)]));
    world.seconds(130);
    expect(a.state(B)).to.equal('Established');
  });

  it('tells about a port that is taken, goes on, and takes it when it is free', async () => {
    const world = new World();
    const holder = world.speaker(A);
    await holder.configure(holder.config(64512, []));
    const a = world.speaker(A);
    const { listenFailures } = await a.configure(a.config(64512, []));
    expect(listenFailures).to.deep.equal([
      { address: A, port: 1790, reason: `Cannot listen on ${A} port 1790: the port is taken` },
    ]);
    expect(a.speaker.summary().listen[0]?.problem).to.contain('the port is taken');
    await holder.speaker.stop();
    world.seconds(6);
    await new Promise((resolve) => setImmediate(resolve));
    expect(a.told('listening')).to.have.length(1);
  });
});

describe('bgp/speaker max-prefixes', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => ({ prefix: `10.66.${i}.0/24` }));

  async function flooded(world: World, limits: object): Promise<readonly [Node, Node]> {
    const a = world.speaker(A);
    const b = world.speaker(B);
    await a.configure(a.config(64512, [peerAt(B, 64513, { maxPrefixes: 20, ...limits })]));
    await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: many(16) }));
    world.seconds(2);
    return [a, b];
  }

  it('warns near the limit, ends the session over it, and says so on both ends', async () => {
    const world = new World();
    const [a, b] = await flooded(world, {});
    expect(a.told('peer-warning').map(({ reason }) => reason)).to.deep.equal([
      'The peer sends 16 IPv4 prefixes; the limit is 20',
    ]);
    b.speaker.originate(many(21));
    world.seconds(2);
    expect(b.told('peer-down')[0]?.reason).to.contain('Maximum Number of Prefixes Reached').and.contain('at most 20');
    expect(a.speaker.neighbor(B)?.heldDown).to.equal(
      'The peer sends 21 IPv4 prefixes; the limit is 20: down until "clear"',
    );
    expect(a.prefixes()).to.deep.equal([]);
    world.seconds(600);
    expect(a.state(B)).to.equal('Idle');
    b.speaker.originate(many(5));
    a.speaker.clear(B);
    world.seconds(200);
    expect([a.state(B), a.prefixes().length]).to.deep.equal(['Established', 5]);
  });

  it('comes back by itself after a while, if asked to', async () => {
    const world = new World();
    const [a, b] = await flooded(world, { maxPrefixesRestartAfter: 60 });
    b.speaker.originate(many(21));
    world.seconds(30);
    expect(a.state(B)).to.equal('Idle');
    b.speaker.originate(many(3));
    world.seconds(200);
    expect(a.state(B)).to.equal('Established');
  });

  it('leaves no timer behind that would keep a stopped process alive', async () => {
    const world = new World();
    const [a, b] = await flooded(world, { maxPrefixesRestartAfter: 86_400 });
    b.speaker.originate(many(21));
    world.seconds(2);
    expect(a.state(B)).to.equal('Idle');
    await Promise.all([a.speaker.stop(), b.speaker.stop()]);
    world.seconds(1);
    expect(world.clock.pending).to.equal(0);
  });

  it('only warns, if asked to', async () => {
    const world = new World();
    const [a, b] = await flooded(world, { maxPrefixesWarnOnly: true });
    b.speaker.originate(many(30));
    world.seconds(2);
    expect([a.state(B), a.prefixes().length]).to.deep.equal(['Established', 30]);
    expect(a.told('peer-warning')).to.have.length(2);
  });

  describe('changed under a session that stands, with more prefixes than the new limit', () => {
    const limited = (a: Node, limits: object): Promise<unknown> => a.reconfigure({ peers: [peerAt(B, 64513, limits)] });

    it('ends it at once, as an UPDATE would, and a higher one lets it back', async () => {
      const world = new World();
      const [a, b] = await flooded(world, {});
      await limited(a, { maxPrefixes: 10 });
      expect(a.speaker.neighbor(B)?.heldDown).to.equal(
        'The peer sends 16 IPv4 prefixes; the limit is 10: down until "clear"',
      );
      world.seconds(2);
      expect(a.prefixes()).to.deep.equal([]);
      expect(b.told('peer-down')[0]?.reason).to.contain('Maximum Number of Prefixes Reached').and.contain('at most 10');
      world.seconds(600);
      expect(a.state(B)).to.equal('Idle');
      await limited(a, { maxPrefixes: 16 });
      world.seconds(200);
      expect([a.state(B), a.prefixes().length]).to.deep.equal(['Established', 16]);
    });

    it('comes back after a while, if asked to', async () => {
      const world = new World();
      const [a, b] = await flooded(world, {});
      await limited(a, { maxPrefixes: 10, maxPrefixesRestartAfter: 60 });
      world.seconds(30);
      expect([a.state(B), a.speaker.neighbor(B)?.heldDown]).to.deep.equal([
        'Idle',
        'The peer sends 16 IPv4 prefixes; the limit is 10: down for 60 s',
      ]);
      b.speaker.originate(many(3));
      world.seconds(200);
      expect(a.state(B)).to.equal('Established');
    });

    it('only warns, of each limit, until it is not only to warn', async () => {
      const world = new World();
      const [a] = await flooded(world, { maxPrefixesWarnAt: 100 });
      for (const maxPrefixes of [10, 5]) await limited(a, { maxPrefixes, maxPrefixesWarnOnly: true });
      world.seconds(2);
      expect(a.told('peer-warning').map(({ reason }) => reason)).to.deep.equal([
        'The peer sends 16 IPv4 prefixes; the limit is 10, which only warns here',
        'The peer sends 16 IPv4 prefixes; the limit is 5, which only warns here',
      ]);
      expect([a.state(B), a.prefixes().length]).to.deep.equal(['Established', 16]);
      await limited(a, { maxPrefixes: 5 });
      world.seconds(2);
      expect([a.state(B), a.prefixes().length]).to.deep.equal(['Idle', 0]);
    });

    it('leaves a session alone that keeps to it', async () => {
      const world = new World();
      const [a, b] = await flooded(world, {});
      await limited(a, { maxPrefixes: 16 });
      world.seconds(2);
      expect([a.state(B), a.prefixes().length]).to.deep.equal(['Established', 16]);
      expect(b.told('peer-down')).to.deep.equal([]);
    });

    it('also that of a range', async () => {
      const world = new World();
      const a = world.speaker(A);
      const b = world.speaker(B);
      const range = (maxPrefixes: number): object => ({
        dynamicPeers: [{ name: 'rack', range: '10.0.0.0/24', remoteAs: 64513, maxPrefixes }],
      });
      await a.configure(a.config(64512, [], range(20)));
      await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: many(16) }));
      world.seconds(10);
      expect(a.prefixes()).to.have.length(16);
      await a.reconfigure(range(10));
      world.seconds(2);
      expect(a.prefixes()).to.deep.equal([]);
      expect(b.told('peer-down')[0]?.reason).to.contain('at most 10');
    });
  });
});

describe('bgp/speaker interfaces', () => {
  it('a direct eBGP session ends with its carrier, its routes with it, and is back with the carrier', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/24')]);
    await a.configure(a.config(64512, [{ address: B, port: 1790, remoteAs: 64513 }]));
    await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
    world.seconds(10);
    expect(a.prefixes()).to.deep.equal(['10.65.2.0/24']);
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/24', false)]);
    world.seconds(1);
    expect(a.told('peer-down')[0]).to.deep.include({
      reason: 'Interface eth0 is down or has lost its carrier',
      direction: 'local',
      keptFamilies: [],
    });
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Idle', []]);
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/24')]);
    world.seconds(5);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Established', ['10.65.2.0/24']]);
  });

  it('says what is wrong with a direct peer that is not on any link, and with a missing source address', async () => {
    const world = new World();
    const a = world.speaker(A);
    a.speaker.setInterfaces([link('eth0', '192.0.2.1/24')]);
    await a.configure(
      a.config(64512, [{ address: B, remoteAs: 64513 }, innerPeer(C, 64512, { localAddress: '10.9.9.9' })]),
    );
    expect(a.speaker.neighbor(B)?.heldDown).to.equal(
      'No interface that is up has a prefix with 10.0.0.2 in it; a peer further away needs "multihop"',
    );
    expect(a.speaker.neighbor(C)?.heldDown).to.equal('Local address 10.9.9.9 is on no interface');
  });

  it('leaves sessions between loopbacks alone when a link goes', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    a.speaker.setInterfaces([link('lo', '10.0.0.1/32'), link('eth0', '192.0.2.1/24')]);
    await a.configure(a.config(64512, [innerPeer(B, 64512, { localAddress: A })]));
    await b.configure(b.config(64512, [innerPeer(A, 64512)]));
    world.seconds(10);
    a.speaker.setInterfaces([link('lo', '10.0.0.1/32'), link('eth0', '192.0.2.1/24', false)]);
    world.seconds(10);
    expect(a.state(B)).to.equal('Established');
  });

  it('takes an ignored interface for no link, from one configuration to the next', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    const peers = [{ address: B, port: 1790, remoteAs: 64513 }] as const;
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/24'), link('lo', '10.0.9.1/32')]);
    await a.configure(a.config(64512, peers, { ignoredInterfaces: ['e?h0'] }));
    await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
    world.seconds(10);
    expect(a.speaker.neighbor(B)?.heldDown).to.equal(
      '10.0.0.2 is on eth0, one of "ignoredInterfaces"; a peer there needs "multihop"',
    );
    for (const ignored of [['lo', 'veth*'], []]) {
      await a.configure(a.config(64512, peers, { ignoredInterfaces: ignored }));
      world.seconds(10);
      expect([a.state(B), a.prefixes()], ignored.join()).to.deep.equal(['Established', ['10.65.2.0/24']]);
    }
    await a.configure(a.config(64512, peers, { ignoredInterfaces: ['l*', 'e*'] }));
    world.seconds(1);
    expect([a.state(B), a.prefixes()]).to.deep.equal(['Idle', []]);
  });

  it('resolves no next hop through an ignored interface, and goes on using its addresses', async () => {
    const world = new World();
    const a = world.speaker(A);
    const b = world.speaker(B);
    const peers = [innerPeer(B, 64512, { localAddress: A })];
    a.speaker.setInterfaces([link('eth0', '10.0.0.1/24')]);
    await b.configure(b.config(64512, [innerPeer(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
    for (const [ignoredInterfaces, best] of [
      [['eth*'], []],
      [['eth', 'eth1'], ['10.65.2.0/24']],
    ] as const) {
      await a.configure(a.config(64512, peers, { ignoredInterfaces }));
      world.seconds(10);
      expect([a.state(B), a.prefixes()], ignoredInterfaces.join()).to.deep.equal(['Established', best]);
    }
  });

  it('reads a pattern as a whole name, and nothing in it but * and ? as anything else', () => {
    for (const [pattern, name, expected] of [
      ['eth*', 'eth0', true],
      ['eth*', 'veth0', false],
      ['*', 'lo', true],
      ['eth0.?', 'eth0.1', true],
      ['eth0.1', 'eth001', false],
      ['e+h0', 'eeh0', false],
      ['[ab]', 'a', false],
      ['br-**x', 'br-1x', true],
    ] as const)
      expect(isIgnored(name, [pattern]), `${pattern} ${name}`).to.equal(expected);
  });
});
