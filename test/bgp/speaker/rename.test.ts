/** A session is known by its ends: what it is called, and where the next attempt would go, can change while it lives. */
import { expect } from 'chai';
import type { SpeakerConfig } from 'node-bgp/config';
import { peerAt, World, type Node } from './world.js';

const A = '10.0.0.1';
const B = '10.0.0.2';
const C = '10.0.0.3';
const originate = [{ prefix: '10.65.1.0/24' }];

/** `a` peers with b, called "b", and with c, called "c". */
async function triangle(world: World): Promise<readonly [Node, Node, Node]> {
  const [a, b, c] = [A, B, C].map((address) => world.speaker(address)) as [Node, Node, Node];
  await a.configure(called(a, 'b', 'c'));
  await b.configure(b.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
  await c.configure(c.config(64514, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.3.0/24' }] }));
  world.seconds(10);
  return [a, b, c];
}

const called = (a: Node, nameOfB: string, nameOfC: string, more: Partial<SpeakerConfig> = {}): SpeakerConfig =>
  a.config(64512, [peerAt(B, 64513, { name: nameOfB }), peerAt(C, 64514, { name: nameOfC })], { originate, ...more });

const untouched = (...nodes: readonly Node[]): void => {
  for (const node of nodes) expect(node.told('peer-down')).to.deep.equal([]);
};

describe('bgp/speaker, names of peers', () => {
  it('renames a peer in place', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    const changes = await a.configure(called(a, 'router', 'c'));
    world.seconds(60);
    untouched(a, b, c);
    expect(changes).to.deep.include({ added: [], removed: [], renamed: [{ from: 'b', to: 'router' }], reset: [] });
    expect(a.speaker.neighborNames).to.have.members(['router', 'c']);
    expect(a.best('10.65.2.0/24')?.source).to.deep.include({ peer: 'router' });
    expect(a.speaker.neighbor('router')?.families.ipv4).to.deep.include({ received: 1 });
  });

  it('does not hold against a peer what another did under its name, or at its old address', async () => {
    for (const change of ['name', 'address'] as const) {
      const world = new World();
      const [a, b] = [world.speaker(A), world.speaker(B)];
      await b.configure(b.config(64513, [peerAt(A, 64512, { passive: true })]));
      await a.configure(a.config(64512, [peerAt(B, 64999, { name: 'b' })]));
      world.seconds(5);
      expect(a.speaker.neighbor('b')?.lastError).to.contain('expected 64999');
      const fresh = peerAt('10.0.0.9', 64519, { name: 'b' });
      const old = peerAt(B, 64999, { name: 'old' });
      await a.configure(a.config(64512, change === 'name' ? [old, fresh] : [fresh]));
      expect(a.speaker.neighbor('b')?.address).to.equal('10.0.0.9');
      expect(a.speaker.neighbor('b')?.lastError, change).to.equal(undefined);
      if (change === 'name') expect(a.speaker.neighbor('old')?.lastError).to.contain('expected 64999');
    }
  });

  it('exchanges two names', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    await a.configure(called(a, 'c', 'b'));
    world.seconds(60);
    untouched(a, b, c);
    expect(a.speaker.neighbor('c')?.address).to.equal(B);
    expect(a.best('10.65.2.0/24')?.source).to.deep.include({ peer: 'c' });
    expect(a.best('10.65.3.0/24')?.source).to.deep.include({ peer: 'b' });
  });

  it('gives a name to another peer without touching the session that had it', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    await a.configure(
      a.config(
        64512,
        [peerAt('10.0.0.9', 64519, { name: 'b' }), peerAt(B, 64513, { name: 'b~1' }), peerAt(C, 64514, { name: 'c' })],
        { originate },
      ),
    );
    world.seconds(60);
    untouched(b, c);
    expect([a.state('b~1'), a.speaker.neighbor('b')?.address]).to.deep.equal(['Established', '10.0.0.9']);
  });

  it('gives a name to another peer while the port of the one that had it changes', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    const changes = await a.configure(
      a.config(
        64512,
        [
          peerAt('10.0.0.9', 64519, { name: 'b' }),
          peerAt(B, 64513, { name: 'b~1', port: 1179 }),
          peerAt(C, 64514, { name: 'c', port: 1179 }),
        ],
        { originate },
      ),
    );
    world.seconds(60);
    untouched(b, c);
    expect(changes).to.deep.include({ added: ['b'], removed: [], renamed: [{ from: 'b', to: 'b~1' }], reset: [] });
    expect([a.state('b~1'), a.speaker.neighbor('b')?.address]).to.deep.equal(['Established', '10.0.0.9']);
  });

  it('applies filters that look at the name', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    const filters: SpeakerConfig['filters'] = {
      own: { rules: [{ match: { peers: ['secret'] }, action: 'reject' }] },
    };
    const withFilter = (name: string): SpeakerConfig =>
      a.config(64512, [peerAt(B, 64513, { name, export: ['own'] }), peerAt(C, 64514, { name: 'c' })], {
        originate,
        filters,
      });
    await a.configure(withFilter('b'));
    world.seconds(5);
    expect(b.prefixes()).to.include('10.65.1.0/24');
    await a.configure(withFilter('secret'));
    world.seconds(5);
    expect(b.prefixes()).to.deep.equal(['10.65.2.0/24']);
    untouched(b, c);
  });

  it('keeps the routes of a renamed peer while it restarts, and takes them over', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    await b.speaker.stop({ graceful: true });
    world.seconds(1);
    expect(a.state('b')).to.not.equal('Established');
    await a.configure(called(a, 'router', 'c'));
    expect(a.best('10.65.2.0/24')?.source).to.deep.include({ peer: 'router' });
    const again = world.speaker(B, { isRestarting: true });
    await again.configure(again.config(64513, [peerAt(A, 64512)], { originate: [{ prefix: '10.65.2.0/24' }] }));
    world.seconds(60);
    expect(a.state('router')).to.equal('Established');
    expect(a.paths('10.65.2.0/24').map(({ source }) => source)).to.have.length(1);
    untouched(c);
  });

  it('leaves a session alone when its port changes, and dials there the next time', async () => {
    const world = new World();
    const [a, b, c] = await triangle(world);
    const moved = a.config(64512, [peerAt(B, 64513, { name: 'b', port: 1791 }), peerAt(C, 64514, { name: 'c' })], {
      originate,
    });
    expect((await a.configure(moved)).reset).to.deep.equal([]);
    await b.reconfigure({ listen: [{ address: B, port: 1791 }], peers: [peerAt(A, 64512, { passive: true })] });
    world.seconds(60);
    untouched(a, b, c);
    a.speaker.clear('b');
    world.seconds(60);
    expect([a.state('b'), b.told('peer-up').length]).to.deep.equal(['Established', 2]);
  });
});
