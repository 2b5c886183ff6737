/**
 * The interop tests in a process of their own, against the root that its environment names: one JSON line on standard output per test that
 * ended. `npm run interop` starts it; arguments are test files.
 */
import Mocha from 'mocha';
import type { Outcome } from './matrix.js';

const mocha = new Mocha({ timeout: 20_000, reporter: class {} as never, parallel: false });
for (const file of process.argv.slice(2)) mocha.addFile(file);
await mocha.loadFilesAsync();

const tell = (test: Mocha.Test, state: Outcome['state'], why?: string): void => {
  const [, scenario = '', party = ''] = test.titlePath();
  // Tests without a table of vendors are about FRR, or about nobody else.
  const outcome: Outcome = {
    scenario,
    party: party === '' ? 'frr' : party,
    state,
    ...(why === undefined ? {} : { why }),
  };
  if (party !== '' || scenario.includes('FRR')) process.stdout.write(`${JSON.stringify(outcome)}\n`);
};
mocha
  .run((failures) => {
    process.exitCode = failures === 0 ? 0 : 1;
  })
  .on('pass', (test) => tell(test, 'pass'))
  .on('pending', (test) => tell(test, 'cannot'))
  .on('fail', (test, error: Error) => tell(test, 'fail', error.message));
