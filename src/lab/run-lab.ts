/**
 * `tortie lab run`: starts a lab, shows what it does, and stays until Ctrl-C; with `--once` shows everything, failures
 * included, checks every claim, takes the lab down and says how it went.
 */
import { UserError } from '../errors.js';
import { startLab, stopLab, type StartOptions } from './start-lab.js';
import type { LabRecord } from './state-dir.js';
import { LabView } from './tour/lab-view.js';
import { Narrator } from './tour/narrator.js';
import { tellPolicy } from './tour/policy.js';
import { tellNodeTable, tellReachability, tellRouterTable, tellSessions } from './tour/routing.js';
import { tellServices } from './tour/services.js';
import { tellSteering } from './tour/steering.js';
import { tellAgentKill, tellBgpdKill, tellLinkCut } from './tour/survival.js';

const write = (text: string): void => void process.stdout.write(text);

export async function runLab(options: StartOptions, isOnce: boolean): Promise<void> {
  const started = Date.now();
  write(`Building lab "${options.name}"\n`);
  const { record, ended } = await startLab(options, (text) => write(`  ${text}\n`), true);
  let isLost = false;
  let isEnding = false;
  const lost = ended.then(() => void (isLost = !isEnding));
  const interrupted = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve());
  });
  const narrator = new Narrator(write);
  try {
    await Promise.race([tell(record, narrator, isOnce), interrupted, lost]);
    if (!isOnce && !isLost) {
      write(hints(record));
      await Promise.race([interrupted, lost]);
    }
  } finally {
    isEnding = true;
    write(`\nTaking lab "${record.name}" down\n`);
    await stopLab(record.name);
  }
  if (isLost) throw new UserError(`Cannot go on: the supervisor of lab "${record.name}" ended by itself`);
  if (!isOnce) return;
  write(`\n${narrator.summary()} ${Math.round((Date.now() - started) / 1000)} s in all.\n`);
  if (narrator.failures.length > 0) process.exitCode = 1;
}

async function tell(record: LabRecord, narrator: Narrator, isOnce: boolean): Promise<void> {
  const view = new LabView(record);
  await tellSessions(view, narrator);
  await tellReachability(view, narrator);
  await tellNodeTable(view, narrator);
  await tellRouterTable(view, narrator);
  if (!isOnce) return;
  await tellPolicy(view, narrator);
  await tellSteering(view, narrator);
  await tellServices(view, narrator);
  await tellLinkCut(view, narrator);
  await tellAgentKill(view, narrator);
  await tellBgpdKill(view, narrator);
}

const hints = ({ name }: LabRecord): string => {
  const flag = name === 'lab' ? '' : ` --name ${name}`;
  return `
The lab runs until Ctrl-C. In another terminal, with npx tortie or node dist/src/cli.js as tortie:
  tortie lab status${flag}
  tortie lab exec${flag} node1 -- route -n
  tortie lab exec${flag} tor1 -- birdc show route
  tortie lab exec${flag} shop/web -- ip route
  tortie lab probe${flag} --port 80/TCP
  tortie lab link${flag} down node1 tor1
  tortie lab kill${flag} node1 bgpd
  export KUBECONFIG=$(tortie lab kubeconfig${flag} --path); kubectl get pods -A -o wide
`;
};
