/**
 * kill -9 in the midst of a storm of changes, again and again: whatever stands then, the next start makes it what a clean start would have,
 * with nothing of ours left over and nothing foreign touched. TORTIE_STORM_KILLS says how often (default 12 a backend). Needs root.
 */
import { PolicyEngine } from '@tortie/policy/engine';
import type { Ruleset } from '@tortie/policy/ruleset';
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createNetfilter } from '../../../src/dataplane/netfilter/netfilter.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { ScratchNamespaces } from '../scratch-namespaces.js';
import { everything, plantForeign } from './whole-kernel.js';
import { firstEvents, randomEvent, seededRandom } from './storm-events.js';

const CHILD = fileURLToPath(new URL('./storm-child.js', import.meta.url));
const kills = Number(process.env['TORTIE_STORM_KILLS'] ?? 12);
const namespaces = new ScratchNamespaces('tns');

function finalRuleset(): Ruleset {
  const random = seededRandom(4711);
  const engine = new PolicyEngine();
  for (const event of firstEvents(random)) engine.apply(event);
  for (let i = 0; i < 40; i++) engine.apply(randomEvent(random));
  engine.flush();
  return engine.ruleset();
}

async function settle(path: string, backend: 'legacy' | 'nft' | 'nftables'): Promise<void> {
  const netfilter = await createNetfilter({
    families: [4, 6],
    backend,
    within: (work) => inNamespace(path, work),
    patrolInterval: 0,
  });
  expect(await netfilter.sync(finalRuleset())).to.deep.equal({ failures: [] });
  // Sets of deleted rules go as soon as the kernel lets go of them.
  const end = Date.now() + 10_000;
  while (!netfilter.status().isClean && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
  await netfilter.stop();
}

for (const backend of ['legacy', 'nft', 'nftables'] as const) {
  describe(`kill -9 in a storm on ${backend}`, function () {
    this.timeout(20_000 + kills * 3_000);
    after(() => namespaces.removeAll());

    it(`ends ${kills} times as after a clean start`, async () => {
      const path = namespaces.create();
      plantForeign(path);
      const random = seededRandom(kills);
      for (let i = 0; i < kills; i++) {
        const child = inNamespace(path, () =>
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
      }
      await settle(path, backend);
      const clean = namespaces.create();
      plantForeign(clean);
      await settle(clean, backend);
      expect(everything(path)).to.equal(everything(clean));
    });
  });
}
