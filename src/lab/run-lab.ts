/** placeholder until tour.ts */
import { UserError } from '../errors.js';
import type { StartOptions } from './start-lab.js';
import { holdLab, startLab, stopLab } from './start-lab.js';

export async function runLab(options: StartOptions, isOnce: boolean): Promise<void> {
  const record = await startLab(options, (text) => process.stdout.write(`${text}\n`));
  const release = holdLab(record.name, () => undefined);
  if (isOnce) throw new UserError('not yet');
  await new Promise<void>((resolve) => process.once('SIGINT', () => resolve()));
  await stopLab(record.name);
  release();
}
