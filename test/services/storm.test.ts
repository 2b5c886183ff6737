/**
 * kill -9 in the midst of a storm of endpoints, again and again: connections that stand go on, whatever rules stand then the next start
 * makes what a clean start would have, and nothing foreign is touched. TORTIE_STORM_KILLS says how often (default 3 a backend). Needs root.
 */
import { ServicesEngine } from '@tortie/services';
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createNetfilter } from '../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../src/dataplane/netns.js';
import { seededRandom } from '../dataplane/netfilter/storm-events.js';
import { everything, plantForeign } from '../dataplane/netfilter/whole-kernel.js';
import { ScratchNamespaces, until } from '../dataplane/scratch-namespaces.js';
import { buildRack, type HeldConnection, type Rack } from './rack.js';
import { firstEvents, randomEvent, STABLE } from './storm-events.js';

const CHILD = fileURLToPath(new URL('./storm-child.js', import.meta.url));
const kills = Number(process.env['TORTIE_STORM_KILLS'] ?? 3);
const namespaces = new ScratchNamespaces('tss');
type Backend = 'legacy' | 'nft' | 'nftables';

async function settle(path: string, backend: Backend): Promise<void> {
  const random = seededRandom(4711);
  const engine = new ServicesEngine({ nodeName: 'n1' });
  for (const event of firstEvents()) engine.apply(event);
  for (let i = 0; i < 80; i++) engine.apply(randomEvent(random));
  const netfilter = await createNetfilter({
    families: [4, 6],
    backend,
    within: (work) => inNamespace(path, work),
    patrolInterval: 0,
  });
  try {
    expect(await netfilter.sync(engine.ruleset(), 'services')).to.deep.equal({ failures: [] });
    // Sets of deleted rules go as soon as the kernel lets go of them.
    await until('a clean state', () => netfilter.status().isClean, 30_000);
  } finally {
    await netfilter.stop();
  }
}

describe('services: kill -9 in a storm of endpoints', function () {
  this.timeout(60_000 + kills * 10_000);
  let rack: Rack;
  const held: HeldConnection[] = [];
  beforeEach(async () => {
    rack = await buildRack(namespaces);
  });
  afterEach(() => {
    for (const connection of held.splice(0)) connection.close();
    rack?.close();
    namespaces.removeAll();
  });

  for (const backend of ['nftables', 'nft', 'legacy'] as const)
    it(`cuts no connection and ends as after a clean start, on ${backend}`, async () => {
      plantForeign(rack.node);
      await settle(rack.node, backend);
      for (const family of [4, 6] as const)
        for (const from of ['pod', 'node', 'outside'] as const)
          held.push(await rack.hold(family, from, STABLE[family], 80));
      const random = seededRandom(kills);
      for (let i = 0; i < kills; i++) {
        const child = inNamespace(rack.node, () =>
          spawn(process.execPath, [CHILD, backend, String(i)], { stdio: ['ignore', 'pipe', 'pipe'] }),
        );
        let complaint = '';
        child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString('utf8')));
        const ended = once(child, 'exit');
        await Promise.race([once(child.stdout, 'data'), ended]);
        // At once, in the first sync, or some way into the storm.
        await new Promise((resolve) => setTimeout(resolve, random() * random() * 400));
        child.kill('SIGKILL');
        await ended;
        expect(complaint, `child ${i}`).to.equal('');
        await Promise.all(held.map((connection) => connection.echo(`after ${i}`)));
      }
      await settle(rack.node, backend);
      await Promise.all(held.map((connection) => connection.echo('at the end')));
      const clean = namespaces.create();
      plantForeign(clean);
      await settle(clean, backend);
      expect(everything(rack.node)).to.equal(everything(clean));
    });
});
