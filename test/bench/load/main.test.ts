/** A small run of the whole: nothing that is timed is looked at, only what must never happen. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { packageFile } from '../../../src/lab/tortie-argv.js';

interface Result {
  readonly latencies: readonly { readonly name: string; readonly count: number }[];
  readonly disturbances: Readonly<Record<string, number>>;
  readonly flows: readonly {
    readonly isAllowed: boolean;
    readonly sent: number;
    readonly received: number;
    readonly error: string;
  }[];
}

describe('bench/load', function () {
  this.timeout(90_000);

  for (const backend of ['auto', 'nftables'])
    it(`loses nothing that is allowed and passes nothing that is denied, policy backend ${backend}`, async () => {
      const argv = [
        packageFile('dist/bench/main.js'),
        'load',
        '--policies',
        '40',
        '--pods',
        '60',
        '--local',
        '16',
        '--seconds',
        '0.5',
        '--resyncs',
        '52',
        '--policy-backend',
        backend,
        '-o',
        'json',
      ];
      const { stdout } = await promisify(execFile)(process.execPath, argv);
      const { latencies, disturbances, flows } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Result;
      expect(latencies[0]).to.include({ name: 'all', count: 10 });
      expect(Object.values(disturbances).reduce((sum, times) => sum + times, 0)).to.equal(52);
      expect(flows).to.have.length(4);
      for (const { isAllowed, sent, received, error } of flows) {
        expect({ received, error }).to.deep.equal({ received: isAllowed ? sent : 0, error: '' });
        expect(sent).to.be.greaterThan(100);
      }
    });

  it('says what it cannot measure', async () => {
    const failure: unknown = await promisify(execFile)(process.execPath, [
      packageFile('dist/bench/main.js'),
      'load',
      '--local',
      '3',
    ]).catch((error: unknown) => error);
    expect(failure).to.include({ code: 2 });
    expect(String(failure)).to.include('Cannot measure with --local "3": expected a whole number from 16 on');
  });
});
