/** Unnumbered peers between speakers in memory: who becomes the peer, when it is forgotten, and what must not happen. */
import { expect } from 'chai';
import fc from 'fast-check';
import { parseAddress } from 'node-bgp/address';
import type { PeerConfig, SpeakerConfig } from 'node-bgp/config';
import { validateConfig } from 'node-bgp/config/validate';
import { encodeAdvertisement } from 'node-bgp/discovery/router-message';
import type { LocalInterface } from 'node-bgp/session/interface';
import type { Transport } from 'node-bgp/transport/transport';
import { MemoryLink } from '../discovery/memory-link.js';
import { World, type Node } from './world.js';

const [A, B, C] = ['fe80::1', 'fe80::2', 'fe80::3'] as const;
const AS = { [A]: 64512, [B]: 64513, [C]: 64514 } as const;
type Host = keyof typeof AS;

class Rack {
  readonly world: World;
  readonly link: MemoryLink;

  constructor(jitter?: () => number) {
    this.world = new World(jitter);
    this.link = new MemoryLink(this.world.clock);
  }

  node(address: Host): Node {
    return this.world.speaker(address, { openRouterSocket: this.link.host(address) });
  }

  async start(address: Host, more: Partial<PeerConfig> = {}): Promise<Node> {
    const node = this.node(address);
    await node.configure(config(address, more));
    return node;
  }
}

function config(address: Host, more: Partial<PeerConfig> = {}): SpeakerConfig {
  const last = address.at(-1) ?? '';
  const peer = { interface: 'eth0', remoteAs: 'external', ...more } as PeerConfig;
  return {
    localAs: AS[address],
    routerId: `10.0.0.${last}`,
    listen: [{ address, port: 179 }],
    peers: [peer],
    originate: [{ prefix: `10.65.${last}.0/24` }],
  };
}

const eth0 = (isUp: boolean, address?: string): readonly LocalInterface[] => [
  { name: 'eth0', isUp, addresses: address === undefined ? [] : [{ address: parseAddress(address), length: 64 }] },
];

describe('bgp/speaker unnumbered', () => {
  it('peers find each other, with IPv4 over IPv6 next hops, and are shown by their interface', async () => {
    const rack = new Rack();
    const [a, b] = [await rack.start(A), await rack.start(B)];
    rack.world.seconds(5);
    expect([a.state('eth0'), b.state('eth0'), rack.world.network.open]).to.deep.equal([
      'Established',
      'Established',
      1,
    ]);
    expect(a.prefixes()).to.include('10.65.2.0/24');
    expect(a.speaker.neighbor('eth0')).to.deep.include({
      name: 'eth0',
      interface: 'eth0',
      address: 'fe80::2%eth0',
      remoteAs: 64513,
      type: 'ebgp',
    });
    expect(a.speaker.neighbor('fe80::2%eth0')?.capabilities.extendedNextHop).to.equal(true);
    expect(a.told('neighbour-found')).to.deep.equal([
      { type: 'neighbour-found', peer: 'eth0', address: 'fe80::2%eth0' },
    ]);
    await Promise.all([a.speaker.stop(), b.speaker.stop()]);
    rack.world.seconds(1);
    expect([rack.world.clock.pending, rack.link.stations.size]).to.deep.equal([0, 0]);
  });

  it('start in either order, at any jitter, and end with exactly one connection (4271 6.8)', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: 0, max: 0.99, noNaN: true }), { minLength: 8, maxLength: 8 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 900 }),
        fc.integer({ min: 0, max: 200 }),
        async (numbers, swap, lead, latency) => {
          let at = 0;
          const rack = new Rack(() => numbers[at++ % numbers.length] ?? 0);
          rack.world.network.latency = () => Math.round((numbers[at++ % numbers.length] ?? 0) * latency);
          const one = await rack.start(swap ? B : A);
          rack.world.clock.advance(lead);
          const two = await rack.start(swap ? A : B);
          rack.world.seconds(8);
          expect([one.state('eth0'), two.state('eth0'), rack.world.network.open]).to.deep.equal([
            'Established',
            'Established',
            1,
          ]);
          rack.world.seconds(300);
          expect([one.told('peer-down').length, two.told('peer-down').length]).to.deep.equal([0, 0]);
        },
      ),
      { numRuns: 200 },
    ));

  it('says what it waits for while nobody is heard', async () => {
    const rack = new Rack();
    const a = await rack.start(A);
    rack.world.seconds(60);
    expect(a.speaker.neighbor('eth0')).to.deep.include({
      state: 'Idle',
      heldDown: 'No router has been heard on interface eth0',
      address: 'eth0',
      remoteAs: 0,
    });
    expect(a.told('attempt-failed')).to.deep.equal([]);
  });

  it('takes a connection from a link-local address before any advertisement', async () => {
    const rack = new Rack();
    rack.link.openError =
      'Cannot look for a neighbour on interface eth0: raw sockets need root or CAP_NET_RAW; one that connects is still accepted';
    const a = await rack.start(A);
    expect(a.told('peer-warning').map(({ reason }) => reason)).to.deep.equal([rack.link.openError]);
    const b = rack.world.speaker(B);
    await b.configure(
      config(B, { interface: undefined, address: `${A}%eth0`, remoteAs: 64512 } as Partial<PeerConfig>),
    );
    rack.world.seconds(5);
    expect([a.state('eth0'), a.speaker.neighbor('eth0')?.address]).to.deep.equal(['Established', 'fe80::2%eth0']);
  });

  it('keeps to the first of two routers, and warns once of the other, by both names', async () => {
    const rack = new Rack();
    const [a, b] = [await rack.start(A), await rack.start(B)];
    rack.world.seconds(5);
    const c = await rack.start(C);
    rack.world.seconds(120);
    expect([
      a.speaker.neighbor('eth0')?.address,
      b.speaker.neighbor('eth0')?.address,
      a.told('peer-down').length,
    ]).to.deep.equal(['fe80::2%eth0', 'fe80::1%eth0', 0]);
    expect(a.told('peer-warning')).to.deep.equal([
      {
        type: 'peer-warning',
        peer: 'eth0',
        reason: 'Router fe80::3 is on interface eth0 too; the session is for fe80::2, which was there first',
      },
    ]);
    expect(c.state('eth0')).to.not.equal('Established');
  });

  it('takes the next router when the first has gone without a word, once its session is over', async () => {
    const rack = new Rack();
    const [a, b] = [await rack.start(A, { holdTime: 9 }), await rack.start(B, { holdTime: 9 })];
    rack.world.seconds(5);
    rack.world.network.silent.add(B);
    await b.speaker.stop({ graceful: true });
    for (const station of [...rack.link.stations])
      if (station.address.value === parseAddress(B).value) rack.link.stations.delete(station);
    const c = await rack.start(C);
    rack.world.seconds(60);
    expect([a.state('eth0'), a.speaker.neighbor('eth0')?.address, a.speaker.neighbor('eth0')?.remoteAs]).to.deep.equal([
      'Established',
      'fe80::3%eth0',
      64514,
    ]);
    expect(c.state('eth0')).to.equal('Established');
  });

  it('forgets its neighbour with the link, and takes whoever is there when it is back', async () => {
    const rack = new Rack();
    const a = rack.node(A);
    a.speaker.setInterfaces(eth0(true, A));
    await a.configure(config(A));
    const b = await rack.start(B);
    rack.world.seconds(5);
    expect(a.state('eth0')).to.equal('Established');
    a.speaker.setInterfaces(eth0(false, A));
    expect(a.speaker.neighbor('eth0')).to.deep.include({
      address: 'eth0',
      heldDown: 'Interface eth0 is down or has lost its carrier',
    });
    await b.speaker.stop({ graceful: true });
    await rack.start(C);
    rack.world.seconds(5);
    a.speaker.setInterfaces(eth0(true));
    a.speaker.setInterfaces(eth0(true, A));
    rack.world.seconds(5);
    expect(a.speaker.neighbor('eth0')).to.deep.include({ address: 'fe80::3%eth0', state: 'Established' });
  });

  it('advertises itself in the moment in which its own address is there', async () => {
    const rack = new Rack();
    const a = rack.node(A);
    a.speaker.setInterfaces(eth0(true));
    rack.link.sendErrors.set(A, 'EADDRNOTAVAIL');
    await a.configure(config(A));
    rack.world.clock.advance(100);
    rack.link.sendErrors.clear();
    a.speaker.setInterfaces(eth0(true, A));
    expect(rack.link.sent.map(({ at, type }) => [at, type])).to.deep.equal([
      [100, 133],
      [100, 134],
    ]);
  });

  it('keeps session and address over a change of its configuration, and lets go with the peer', async () => {
    const rack = new Rack();
    const [a] = [await rack.start(A), await rack.start(B)];
    rack.world.seconds(5);
    const changes = await a.configure(config(A, { description: 'spine', weight: 10 }));
    expect([changes.changed, changes.reset, a.state('eth0'), a.told('peer-down').length]).to.deep.equal([
      ['eth0'],
      [],
      'Established',
      0,
    ]);
    await a.configure({ ...config(A), peers: [] });
    expect([...rack.link.stations].map(({ address }) => address)).to.deep.equal([parseAddress(B)]);
  });

  it('asks nobody on a shut-down peer, and leaves addresses of configured peers to them', async () => {
    const rack = new Rack();
    await rack.start(A, { shutdown: true });
    expect(rack.link.stations.size).to.equal(0);
    const b = rack.node(B);
    const both = config(B);
    await b.configure({ ...both, peers: [...(both.peers ?? []), { address: `${C}%eth0`, remoteAs: 64514 }] });
    rack.link.inject(C, encodeAdvertisement());
    rack.world.seconds(1);
    expect(b.speaker.neighbor('eth0')?.address).to.equal('eth0');
  });

  it('takes any AS but its own as external, and only its own as internal', async () => {
    const rack = new Rack();
    const [a, b] = [await rack.start(A, { remoteAs: 'internal' }), await rack.start(B)];
    rack.world.seconds(5);
    expect(a.speaker.neighbor('eth0')?.errors.sent?.text).to.contain('its AS is 64513; expected 64512');
    await b.configure({ ...config(B), localAs: 64512 });
    rack.world.seconds(90);
    expect(b.speaker.neighbor('eth0')?.errors.sent?.text).to.contain('its AS is 64512; expected any but our own');
    await b.configure({ ...config(B, { remoteAs: 'internal' }), localAs: 64512 });
    rack.world.seconds(90);
    expect([a.state('eth0'), a.speaker.neighbor('eth0')?.type, b.state('eth0')]).to.deep.equal([
      'Established',
      'ibgp',
      'Established',
    ]);
  });

  describe('on a link that has a point-to-point IPv4 address, too: FRR has its session there', () => {
    /** Our node on the link, at both addresses; the network in memory has one address to a host. */
    function both(rack: Rack, length: number, own: string): Node {
      const [linkLocal, ipv4] = [rack.world.network.host(A), rack.world.network.host(own)];
      const transport: Transport = {
        connect: ({ interface: zone, ...target }, done) =>
          target.remote.address.includes(':')
            ? linkLocal.connect({ ...target, interface: zone }, done)
            : ipv4.connect(target, done),
        listen: (endpoint, accept) => (endpoint.address === A ? linkLocal : ipv4).listen(endpoint, accept),
      };
      const node = rack.world.speaker(A, { transport, openRouterSocket: rack.link.host(A) });
      node.speaker.setInterfaces([
        {
          name: 'eth0',
          isUp: true,
          addresses: [
            { address: parseAddress(A), length: 64 },
            { address: parseAddress(own), length },
          ],
        },
      ]);
      return node;
    }
    const listen = (own: string) => [{ address: A }, { address: own }];
    /** FRR: heard by its advertisements, at home at its IPv4 address only. */
    async function frr(rack: Rack, address: string, own: string, more: object): Promise<Node> {
      const socket = rack.link.host(B)('eth0', { onMessage: () => undefined, onFailure: () => undefined });
      const advertise = (): void => {
        socket.send(encodeAdvertisement(), 'all-nodes');
        if (rack.world.clock.now() < 400_000) rack.world.clock.after(2000, advertise);
      };
      advertise();
      const node = rack.world.speaker(address);
      await node.configure({
        localAs: 64513,
        routerId: '10.0.0.2',
        listen: [{ address }],
        peers: [{ address: own, remoteAs: 64512, ...more }],
        originate: [{ prefix: '10.65.2.0/24' }],
      });
      return node;
    }

    const LINKS: readonly (readonly [length: number, own: string, other: string])[] = [
      [30, '192.0.2.1', '192.0.2.2'],
      [30, '192.0.2.6', '192.0.2.5'],
      [31, '192.0.2.0', '192.0.2.1'],
      [31, '192.0.2.7', '192.0.2.6'],
    ];
    it('has the keys of both of its addresses before anybody dials, and of a new one with the link', async () => {
      const rack = new Rack();
      const keys: string[] = [];
      const host = rack.world.network.host(A);
      const transport: Transport = {
        connect: (target, done) => host.connect(target, done),
        listen: async (endpoint, accept) => ({
          ...(await host.listen(endpoint, accept)),
          setKeys: (all) => void keys.splice(0, keys.length, ...all.map(({ address }) => address)),
        }),
      };
      const node = rack.world.speaker(A, { transport, openRouterSocket: rack.link.host(A) });
      const at = (ipv4: string): void =>
        node.speaker.setInterfaces([
          {
            name: 'eth0',
            isUp: true,
            addresses: [
              { address: parseAddress(A), length: 64 },
              { address: parseAddress(ipv4), length: 30 },
            ],
          },
        ]);
      at('192.0.2.1');
      await node.configure(config(A, { password: 'secret' }));
      expect(keys).to.deep.equal(['192.0.2.2']);
      at('192.0.2.6');
      expect(keys).to.deep.equal(['192.0.2.5']);
      const socket = rack.link.host(B)('eth0', { onMessage: () => undefined, onFailure: () => undefined });
      socket.send(encodeAdvertisement(), 'all-nodes');
      rack.world.seconds(1);
      expect([...keys].sort()).to.deep.equal(['192.0.2.5', B.split('%')[0]]);
    });

    for (const [length, own, other] of LINKS)
      for (const passive of [false, true])
        it(`a /${length}, we at ${own}, ${passive ? 'we dial' : 'it dials'}: comes up there, without a rival`, async () => {
          const rack = new Rack();
          const a = both(rack, length, own);
          await a.configure({ ...config(A, passive ? {} : { passive: true }), listen: listen(own) });
          await frr(rack, other, own, { passive });
          rack.world.seconds(20);
          expect(a.speaker.neighbor('eth0')).to.include({ state: 'Established', address: `${other}%eth0` });
          expect(a.prefixes()).to.include('10.65.2.0/24');
          rack.world.seconds(200);
          const warnings = a.told('peer-warning').map(({ reason }) => reason);
          expect(warnings.filter((reason) => !reason.includes('v6only'))).to.deep.equal([]);
          expect([warnings.length, a.told('peer-down').length]).to.deep.equal([passive ? 1 : 0, 0]);
          await a.reconfigure({ originate: [] });
          rack.world.seconds(5);
          expect(a.speaker.neighbor('eth0')?.establishedCount).to.equal(1);
        });

    it('a /29 is no such link: a stranger on it is nobody', async () => {
      const rack = new Rack();
      const a = both(rack, 29, '192.0.2.1');
      await a.configure({ ...config(A), listen: listen('192.0.2.1') });
      await frr(rack, '192.0.2.2', '192.0.2.1', {});
      rack.world.seconds(60);
      expect(a.state('eth0')).to.not.equal('Established');
      expect(a.told('connection-refused')[0]?.address).to.equal('192.0.2.2');
    });

    it('link-local sessions come up as ever, and a dead peer is not dialled without end', async () => {
      const rack = new Rack();
      const a = both(rack, 30, '192.0.2.1');
      await a.configure({ ...config(A), listen: listen('192.0.2.1') });
      const b = await rack.start(B);
      rack.world.seconds(5);
      expect(a.speaker.neighbor('eth0')).to.include({ state: 'Established', address: `${B}%eth0` });
      await b.speaker.stop();
      const before = a.events.length;
      rack.world.seconds(1000);
      expect(a.events.slice(before).filter(({ type }) => type === 'neighbour-found').length).to.be.below(3);
      expect(a.speaker.history('eth0').length).to.be.below(60);
      await rack.start(B);
      rack.world.seconds(90);
      expect(a.state('eth0')).to.equal('Established');
    });
  });

  it('has a configuration that says what is wrong with it', () => {
    const problems = (...peers: readonly object[]): readonly string[] => {
      const validated = validateConfig({ localAs: 64512, routerId: '10.0.0.1', peers });
      return validated.type === 'valid' ? [] : validated.problems.map(({ path, expected }) => `${path}: ${expected}`);
    };
    expect(
      problems(
        { interface: 'eth0', remoteAs: 'external' },
        { address: 'fe80::1', interface: 'eth1', remoteAs: 'internal' },
        { address: 'fe80::1%eth2', interface: 'eth2', remoteAs: 1 },
      ),
    ).to.deep.equal([]);
    expect(problems({ remoteAs: 64513 })).to.deep.equal([
      'peers[0].address: an address, or an "interface" whose router is the peer',
    ]);
    expect(problems({ interface: 'a name that is too long', remoteAs: 'outside' })).to.deep.equal([
      'peers[0].interface: an interface name of at most 15 characters',
      'peers[0].remoteAs: one of external, internal',
    ]);
    expect(problems({ address: '10.0.0.2', interface: 'eth0', remoteAs: 1 })).to.deep.equal([
      'peers[0].interface: no interface beside an address that is not link-local',
    ]);
    expect(problems({ address: 'fe80::1%eth0', interface: 'eth1', remoteAs: 1 })).to.deep.equal([
      'peers[0].interface: the interface of the address, eth0',
    ]);
    expect(problems({ interface: 'eth0', remoteAs: 'external', multihop: 2, localAddress: '10.0.0.1' })).to.deep.equal([
      'peers[0].localAddress: a link-local address of the peer\'s own interface, such as "fe80::1%eth0"',
      'peers[0].multihop: nothing: an unnumbered peer is on the link',
    ]);
    expect(
      problems(
        { interface: 'eth0', remoteAs: 'external' },
        { interface: 'eth0', remoteAs: 'external' },
        { name: 'twin', interface: 'eth0', remoteAs: 'external' },
      ),
    ).to.deep.equal([
      'peers[1].interface: an interface or a "name" of its own; peers[0].interface has the same',
      'peers[2].interface: an interface of its own; peers[0].interface has the same',
    ]);
    expect(problems({ interface: 'eth0', remoteAs: 'external', routeReflectorClient: true })).to.deep.equal([
      'peers[0].routeReflectorClient: a peer of our own AS 64512 (RFC 4456)',
    ]);
  });
});
