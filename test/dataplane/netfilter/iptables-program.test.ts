/** Error texts as iptables 1.8.9 printed them; the only contract there is. */
import { expect } from 'chai';
import { outcomeOf } from '../../../src/dataplane/netfilter/iptables-program.js';

const outcome = (status: number, stderr: string): ReturnType<typeof outcomeOf> =>
  outcomeOf({ status, stderr, stdout: '', pid: 1 });

describe('the outcome of iptables-restore', () => {
  it('is done with status 0', () => expect(outcome(0, '')).to.deep.equal({ type: 'done' }));

  it('blames the line of a parse error, both backends', () => {
    const legacy = outcome(
      2,
      "iptables-restore v1.8.9 (legacy): Set nope doesn't exist.\n\nError occurred at line: 5\nTry " +
        "`iptables-restore -h' or 'iptables-restore --help' for more information.\n",
    );
    expect(legacy).to.deep.equal({
      type: 'refused',
      lines: [5],
      text: "Set nope doesn't exist.; Error occurred at line: 5",
    });
    const nft = outcome(
      2,
      "ip6tables-nft-restore v1.8.9 (nf_tables): Chain 'NOPE' does not exist\nError occurred at line: 4\nTry `x'\n",
    );
    expect(nft).to.deep.equal({
      type: 'refused',
      lines: [4],
      text: "Chain 'NOPE' does not exist; Error occurred at line: 4",
    });
  });

  it('blames the line of a refused commit, or of a command that found nothing', () => {
    expect(outcome(1, 'iptables-restore: line 4 failed\n')).to.deep.equal({
      type: 'refused',
      lines: [4],
      text: 'line 4 failed',
    });
    expect(
      outcome(1, 'iptables-nft-restore: line 3 failed: Bad rule (does a matching rule exist in that chain?).\n'),
    ).to.deep.include({ type: 'refused', lines: [3] });
  });

  it('blames every line that nft names', () => {
    const text =
      'iptables-nft-restore v1.8.9 (nf_tables): \nline 3: CHAIN_DEL failed (Device or resource busy): chain ' +
      'A\nline 7: RULE_APPEND failed (Invalid argument): rule in chain B\n';
    expect(outcome(4, text)).to.deep.include({ type: 'refused', lines: [3, 7] });
  });

  it('counts lines from the input, not from the start of the process', () => {
    expect(
      outcomeOf({ status: 1, stderr: 'iptables-restore: line 104 failed\n', stdout: '', pid: 1 }, 100),
    ).to.deep.include({ lines: [4] });
  });

  it('knows the lock from a refusal', () => {
    const text =
      'Another app is currently holding the xtables lock; still 0s 0us time ahead to have a chance to grab the ' +
      'lock...\nAnother app is currently holding the xtables lock. Stopped waiting after 5s.\n';
    expect(outcome(4, text)).to.deep.include({ type: 'locked' });
  });
});
