/**
 * A speaker that dies again before it is done with its first restart. Its router has its routes from before the first crash marked stale,
 * and drops them at the second (RFC 4724 section 4.2), its own address with them; the mesh reaches it only by that address. Waiting for
 * the mesh's End-of-RIB before saying the address would be waiting for ever.
 */
import { expect } from 'chai';
import type { Node } from './world.js';
import { innerPeer, peerAt, World } from './world.js';

const [ROUTER, NODE, OTHER] = ['10.0.0.1', '10.0.0.2', '10.0.0.3'] as const;
const [LOOPBACK, BLOCK, OTHERS] = ['10.9.0.2/32', '10.65.2.0/26', '10.65.3.0/26'] as const;

/**
 * The rack: a router, a node that peers with it, and another node in a mesh with the first. The router keeps nothing over a crash, as FRR
 * keeps nothing over the second of two.
 */
async function rack() {
  const world = new World();
  const router = world.speaker(ROUTER);
  await router.configure(router.config(64513, [peerAt(NODE, 64512, { gracefulRestart: false })]));
  const other = world.speaker(OTHER);
  await other.configure(other.config(64512, [innerPeer(NODE, 64512)], { originate: [{ prefix: OTHERS }] }));
  const start = async (isRestarting: boolean): Promise<Node> => {
    const node = world.speaker(NODE, { isRestarting, onForwarding: () => undefined });
    await node.configure(
      node.config(64512, [peerAt(ROUTER, 64513), innerPeer(OTHER, 64512)], {
        originate: [{ prefix: LOOPBACK }, { prefix: BLOCK }],
      }),
    );
    return node;
  };
  /** The other node is reached by the node's loopback: whoever has lost it is not heard there. */
  const run = (seconds: number): void => {
    for (let i = 0; i < seconds * 20; i++) {
      if (router.prefixes().includes(LOOPBACK)) world.network.silent.delete(OTHER);
      else world.network.silent.add(OTHER);
      world.clock.advance(50);
    }
  };
  return { world, router, other, start, run };
}

describe('bgp/speaker second crash', () => {
  it('says its own prefixes while it still waits for the others, and nothing else, and no End-of-RIB', async () => {
    const { world, router, start, run } = await rack();
    world.network.silent.add(OTHER);
    const node = await start(true);
    world.seconds(3);
    expect(node.speaker.isRestarting).to.equal(true);
    expect(router.prefixes()).to.deep.equal([BLOCK, LOOPBACK]);
    expect(router.told('end-of-rib')).to.deep.equal([]);
    run(15);
    expect([node.speaker.isRestarting, router.told('end-of-rib').length]).to.deep.equal([false, 2]);
    expect(router.prefixes()).to.include.members([BLOCK, LOOPBACK, OTHERS]);
  });

  it('within seconds of the first costs seconds, not the time that silent peers are given', async () => {
    const { world, router, other, start, run } = await rack();
    await start(false);
    run(10);
    expect(router.prefixes()).to.include.members([BLOCK, LOOPBACK, OTHERS]);
    world.network.kill(NODE);
    run(1);
    await start(true);
    // The mesh is slower than the second crash.
    world.network.silent.add(OTHER);
    world.clock.advance(500);
    world.network.kill(NODE);
    run(1);
    const node = await start(true);
    run(6);
    expect(node.told('restart-done')[0]?.reason).to.equal('Every peer has sent its End-of-RIB');
    expect(router.prefixes()).to.include.members([BLOCK, LOOPBACK, OTHERS]);
    expect(other.prefixes()).to.include.members([BLOCK, LOOPBACK]);
  });

  it('what is our own no longer when the waiting is over is taken back', async () => {
    const { world, router, start, run } = await rack();
    world.network.silent.add(OTHER);
    const node = await start(true);
    world.seconds(2);
    node.speaker.originate([{ prefix: LOOPBACK }, { prefix: '10.65.9.0/26' }]);
    world.seconds(2);
    expect(router.prefixes()).to.include.members([LOOPBACK, '10.65.9.0/26']);
    run(20);
    expect(router.prefixes()).to.not.include(BLOCK);
    expect(router.prefixes()).to.include.members([LOOPBACK, '10.65.9.0/26']);
  });

  it('a prefix of ours that a neighbour is preferred for waits with the rest', async () => {
    const { world, router, start } = await rack();
    await router.reconfigure({ originate: [{ prefix: BLOCK }] });
    const node = await start(true);
    world.seconds(1);
    expect(node.paths(BLOCK).length).to.be.at.least(1);
    expect(router.best(BLOCK)?.attributes.asPath).to.deep.equal([]);
  });
});
