/** The long attack on a live speaker: node --expose-gc dist/bench/fuzz-session.js [--connections 5000] [--seed 1] */
import { parseArgs } from 'node:util';
import { attack } from '../test/bgp/codec/live-fuzzer.js';

const { values } = parseArgs({
  options: { connections: { type: 'string', default: '5000' }, seed: { type: 'string', default: '1' } },
});
const begin = performance.now();
const report = await attack(Number(values.connections), Number(values.seed));
const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
process.stdout.write(
  `${report.connections} connections (${report.established} established), ${report.messages} messages, ` +
    `${((performance.now() - begin) / 1000).toFixed(1)} s\n` +
    `honest neighbour: ${report.honestDowns} times down, ${report.honestPrefixes} of 50 prefixes at the end\n` +
    `heap ${megabytes(report.heapBefore)} MB before, ${megabytes(report.heapAfter)} MB after\n` +
    `${[...report.notifications]
      .sort((a, b) => b[1] - a[1])
      .map(([words, count]) => `${count} x ${words}`)
      .join('\n')}\n`,
);
process.exitCode = report.honestDowns === 0 && report.honestPrefixes === 50 ? 0 : 1;
