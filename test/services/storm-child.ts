/**
 * Not a test: the process that storm.test.ts kills. Applies a random, endless history of Services to the namespace that it is started in,
 * as fast as it can. Arguments: backend, seed.
 */
import { isEmptyDelta } from '@tortie/policy/ruleset';
import { ServicesEngine } from '@tortie/services';
import { createNetfilter } from '../../src/dataplane/netfilter/netfilter.js';
import type { BackendSetting } from '../../src/dataplane/netfilter/status.js';
import { seededRandom } from '../dataplane/netfilter/storm-events.js';
import { firstEvents, randomEvent } from './storm-events.js';

const [backend = 'nft', seed = '1'] = process.argv.slice(2);
const random = seededRandom(Number(seed));
const engine = new ServicesEngine({ nodeName: 'n1' });
for (const event of firstEvents()) engine.apply(event);
for (let i = 0; i < 40; i++) engine.apply(randomEvent(random));
engine.flush();
const netfilter = await createNetfilter({ families: [4, 6], backend: backend as BackendSetting, patrolInterval: 50 });
process.stdout.write('started\n');
await netfilter.sync(engine.ruleset(), 'services');
for (;;) {
  for (let i = 0; i < 1 + random() * 4; i++) engine.apply(randomEvent(random));
  const delta = engine.flush();
  if (isEmptyDelta(delta)) continue;
  const { failures } = await netfilter.apply(delta, 'services');
  if (failures.length > 0) {
    process.stderr.write(`${JSON.stringify(failures)}\n`);
    process.exit(1);
  }
}
