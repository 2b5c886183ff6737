/**
 * npm run bench -- edits [--help]
 *
 * Random edits of Calico's resources in a lab of its own, under traffic. Not a measurement: a search for the edit after which routers,
 * NodeStatus, the conditions of the object and bgpd's table do not agree with what the edit means.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.js';
import { startLab, stopLab } from '../../src/lab/start-lab.js';
import { requireLab } from '../../src/lab/state-dir.js';
import { LabView } from '../../src/lab/tour/lab-view.js';
import { leave, readOptions } from '../options.js';
import { shellOf } from './edit.js';
import { factsOf, groundOf } from './facts.js';
import { ROWS, Soak, Violation, type Outcome } from './soak.js';

const UP_WITHIN = 120_000;

const USAGE = {
  area: 'edits',
  about: `Random edits of BGPPeers, BGPFilters, BGPConfigurations, IPPools, Nodes and Secrets in a lab of its own, valid ones and
wrong ones, one after another and up to three at once, each undone again, with flows between pods and from outside all the
while. After each, both routers, every NodeStatus, the conditions of the objects, every bgpd and every kernel have to be as a
small model of the rack says; no session resets and no flow loses a packet that the edit does not concern; after a round all is
as before. Needs root and bird. Exit code 1: something was not, and the edits that did it are printed for kubectl.`,
  options: {
    minutes: { value: 'N', default: '30', range: [0.1, 10_000], isWhole: false, about: 'of edits' },
    seed: { value: 'N', range: [0, 2 ** 32 - 1], about: 'the same seed makes the same edits; default: the time' },
    only: { value: 'TEXT', about: 'kinds of edits whose name holds this text' },
    keep: { about: 'leave the lab as it is when something was wrong' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { values } = read;
  if (process.getuid?.() !== 0) return leave({ code: 2, text: 'Cannot edit without root: the run builds a lab\n' });
  const rows = ROWS.filter(({ kind }) => kind.includes(values.only ?? ''));
  if (rows.length === 0)
    return leave({
      code: 2,
      text: `--only "${values.only}" names no kind; there are\n${ROWS.map(({ kind }) => `  ${kind}\n`).join('')}`,
    });
  const seed = Number(values.seed ?? Date.now() % 2 ** 32);
  const name = `edits${process.pid}`.slice(0, 12);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const begun = performance.now();
  const tell = (line: string): void =>
    void process.stderr.write(`${((performance.now() - begun) / 1000).toFixed(0).padStart(5)} s  ${line}\n`);
  tell(`seed ${seed}, lab ${name}`);
  let isKept = false;
  try {
    await startLab({ tor: 'bird', name }, () => undefined);
    const view = new LabView(await requireLab(name));
    await untilUp(view);
    const outcome = await new Soak(view, await groundOf(view), seed, tell, rows).run(
      Number(values.minutes) * 60_000,
      stop.signal,
    );
    process.stdout.write(report(outcome, seed));
    if (values.output === 'json')
      process.stdout.write(
        `${JSON.stringify({ area: 'edits', seed, ...outcome, tallies: Object.fromEntries(outcome.tallies) })}\n`,
      );
    return 0;
  } catch (error) {
    isKept = values.keep && error instanceof Violation;
    process.stdout.write(error instanceof Violation ? violationReport(error, seed) : `${messageOf(error)}\n`);
    if (isKept)
      process.stdout.write(`\nThe lab is left: tortie lab status --name ${name}; tortie lab down --name ${name}\n`);
    return 1;
  } finally {
    if (!isKept) await stopLab(name);
  }
}

/** All sessions are up, and every pod runs: flows can start. */
async function untilUp(view: LabView): Promise<void> {
  const deadline = performance.now() + UP_WITHIN;
  for (;;) {
    const { pods } = await view.status();
    const { conditions } = await factsOf(view).catch(
      () => ({ conditions: new Map() }) as Pick<Awaited<ReturnType<typeof factsOf>>, 'conditions'>,
    );
    const isReady = view.rack.nodes.every(
      ({ name }) =>
        conditions.get(`NodeStatus/${name}`)?.some(({ type, status }) => type === 'Ready' && status === 'True') ===
        true,
    );
    if (isReady && pods.length > 0 && pods.every(({ state }) => state === 'Running')) return;
    if (performance.now() > deadline) throw new Error(`The lab is not ready after ${UP_WITHIN / 1000} s`);
    await sleep(500);
  }
}

function report({ rounds, edits, looks, packets, lostByConcerned, tallies }: Outcome, seed: number): string {
  const rows = [...tallies].sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(4, ...rows.map(([kind]) => kind.length));
  return [
    `${'edit'.padEnd(width)}  made  slowest until all agree`,
    ...rows.map(
      ([kind, { made, slowestMs }]) =>
        `${kind.padEnd(width)}  ${String(made).padStart(4)}  ${(slowestMs / 1000).toFixed(1).padStart(6)} s`,
    ),
    '',
    `seed ${seed}: ${edits} edits made and undone in ${rounds} rounds; ${looks} looks at everything.`,
    `${packets} packets; of flows that no edit concerned none was lost, of the others ${lostByConcerned}.`,
    '',
  ].join('\n');
}

function violationReport({ problems, edits, when }: Violation, seed: number): string {
  return [
    `Not as it should be, ${when} (seed ${seed}):`,
    ...problems.map((problem) => `  ${problem}`),
    '',
    'The edits, as they were made:',
    ...edits.map(({ kind, steps, undo }) => `\n# ${kind}\n${shellOf(steps)}\n# undone by\n${shellOf(undo)}`),
    '',
  ].join('\n');
}
