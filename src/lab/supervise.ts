/**
 * The process that holds a lab: `tortie lab supervise`, started detached by `lab up` and `lab run` with the lab's id in its
 * environment. It ends when asked, by a signal, or when the `lab run` that holds it goes away; in the last case nobody is left to
 * sweep, so it does that itself.
 */
import { appendFileSync } from 'node:fs';
import { messageOf } from '../errors.js';
import { createLogger } from '../log.js';
import { serveControl } from './control-server.js';
import { Lab } from './lab.js';
import { clearRealServer } from './lab-cluster.js';
import { labPaths, requireLab } from './state-dir.js';
import { sweepLab } from './sweep.js';
import { parseTopology } from './topology.js';

/** @param isHeld standard input ends with whoever holds the lab */
export async function supervise(name: string, isHeld: boolean): Promise<void> {
  const record = await requireLab(name);
  const log = createLogger('lab', { format: 'text' });
  let finish: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (finish = resolve));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => finish());
  process.on('uncaughtException', (error) => {
    // The lab is in an unknown state: whoever looks finds the reason, and `down` needs nothing of us.
    appendFileSync(labPaths(name).supervisorLog, `${error.stack ?? error.message}\n`);
    process.exit(1);
  });
  const lab = new Lab(record, log, finish);
  if (isHeld) process.stdin.once('close', () => lab.abandon()).resume();
  const server = await serveControl(labPaths(name).socket, lab);
  lab.start();
  await asked;
  log.info('stopping');
  await lab.close();
  if (lab.isAbandoned) {
    const nodes = parseTopology(record.topologyFile, record.topology).nodes.map((node) => node.name);
    await clearRealServer(record, nodes).catch((error: unknown) =>
      log.error({ problem: messageOf(error) }, 'the API server could not be cleared'),
    );
    await sweepLab(name);
  }
  server.closeAllConnections();
  server.close();
  process.exit(0);
}
