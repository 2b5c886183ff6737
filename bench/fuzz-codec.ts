/**
 * The long fuzz run: node dist/bench/fuzz-codec.js [--inputs 10000000] [--seed 1] [--target update|control|stream|bfd|router]
 *
 * Stops at the first broken promise with the input in hexadecimal; put that into test/fixtures/bgp/corpus before fixing it.
 */
import { parseArgs } from 'node:util';
import { TARGETS } from '../test/bgp/codec/fuzz-targets.js';
import { fuzz, readCorpus } from '../test/bgp/codec/fuzzer.js';

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '10000000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string' },
  },
});
const targets = TARGETS.filter(({ name }) => values.target === undefined || name === values.target);
if (targets.length === 0)
  throw new Error(`Cannot fuzz "${values.target}": expected one of ${TARGETS.map(({ name }) => name).join(', ')}`);
// UPDATE is most of what a peer can send, and most of the code.
const weights = targets.map(({ name }) => (name === 'update' ? 3 : 1));
const total = weights.reduce((sum, weight) => sum + weight, 0);

for (const [index, target] of targets.entries()) {
  const count = Math.ceil((Number(values.inputs) * (weights[index] ?? 1)) / total);
  const report = fuzz(target, count, Number(values.seed), readCorpus(target.name));
  const rss = Math.round(process.memoryUsage.rss() / 1e6);
  process.stdout.write(
    `${target.name}: ${report.inputs} inputs, ${report.signatures} signatures, ${report.seconds.toFixed(1)} s, ` +
      `slowest 256 inputs ${report.slowestMs.toFixed(1)} ms, ${rss} MB resident, no promise broken\n`,
  );
}
