/** `tortie install --chart DIR`: the Helm chart as files. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { UserError } from '../errors.js';
import { VERSION } from '../version.js';
import { helmChart } from './helm-chart.js';
import { loadKustomization } from './kustomization.js';
import { BASE } from './print.js';

/** What is said when it is done. @param others options that were given, too @throws UserError */
export function writeChart(folder: string, others: readonly string[]): string {
  if (others.length > 0)
    throw new UserError(
      `Cannot use --chart with ${others.join(', ')}: what differs between clusters is a value of the chart`,
      2,
    );
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new UserError(`Cannot write a chart into "${folder}": expected a folder that is not there, or empty`);
  const files = helmChart(loadKustomization(BASE), VERSION);
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return `${folder}: chart tortie ${VERSION}, ${files.size} files; values.yaml says what can be set\n`;
}
