/**
 * `npm run bench -- change`: Changes on trial in a lab while agents are killed (-9) at moments of chance; each is confirmed or reverted at
 * another. At the end all of it stands on every node, or nothing. A verdict, no measurement.
 */
import { startLab, stopLab } from '../../src/lab/start-lab.js';
import { requireLab } from '../../src/lab/state-dir.js';
import { LabView } from '../../src/lab/tour/lab-view.js';
import { ClaimFailed, eventually } from '../../src/lab/tour/narrator.js';
import { chance, killRound } from '../../test/lab/change-kills.js';
import { leave, readOptions } from '../options.js';

const UP_WITHIN = 120_000;

const USAGE = {
  area: 'change',
  about:
    'Changes on trial in a lab while agents are killed (-9) at moments of chance. Needs root. ' +
    'Exits 1 when half of a Change stood anywhere.',
  options: {
    rounds: {
      value: 'N',
      default: '50',
      range: [1, 10_000],
      isWhole: true,
      about: 'Changes, each with one to three kills',
    },
    seed: { value: 'N', range: [0, 4_294_967_295], isWhole: true, about: 'of chance; default: another one each time' },
  },
} as const;

export async function run(args: readonly string[]): Promise<number> {
  const read = readOptions(USAGE, args);
  if (read.type === 'exit') return leave(read);
  const { rounds, seed: given, output } = read.values;
  const seed = given === undefined ? Date.now() % 1_000_000 : Number(given);
  const name = `chg${process.pid}`.slice(0, 12);
  await startLab({ tor: 'bird', name }, () => undefined);
  try {
    const view = new LabView(await requireLab(name));
    await eventually(UP_WITHIN, async () => {
      const isUp = (await view.matrix()).cells.every(({ verdict }) => verdict === 'allow');
      if (!isUp) throw new ClaimFailed(`The rack is not up within ${UP_WITHIN / 1000} s`);
    });
    return await play(view, Number(rounds), seed, output === 'json');
  } finally {
    await stopLab(name);
  }
}

async function play(view: LabView, rounds: number, seed: number, isJson: boolean): Promise<number> {
  const random = chance(seed);
  const tally = { seed, rounds: 0, kills: 0, confirmed: 0, reverted: 0, halves: 0 };
  for (let index = 0; index < rounds; index++) {
    const round = await killRound(view, index, random);
    tally.rounds += 1;
    tally.kills += round.kills.length;
    tally[round.phase === 'Confirmed' ? 'confirmed' : 'reverted'] += 1;
    tally.halves += round.problems.length > 0 ? 1 : 0;
    process.stderr.write(`${index + 1}: ${round.phase}, killed ${round.kills.join(', ')}\n`);
    for (const problem of round.problems) process.stderr.write(`  ${problem}\n`);
  }
  const { kills, confirmed, reverted, halves } = tally;
  process.stdout.write(
    isJson
      ? `${JSON.stringify(tally)}\n`
      : `${rounds} Changes, ${kills} kills: ${confirmed} confirmed, ${reverted} reverted, ${halves} in half (seed ${seed})\n`,
  );
  return halves === 0 ? 0 : 1;
}
