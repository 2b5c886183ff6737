import { expect } from 'chai';
import { collectTransactions, type RuleEvent, type Touched } from '../../../src/dataplane/netfilter/rule-events.js';

const touched = (chain: string | undefined, table: 'raw' | 'filter' = 'filter', family: 4 | 6 = 4): RuleEvent => ({ type: 'touched', family, table, chain });
const commit = (pid: number): RuleEvent => ({ type: 'commit', pid });

function reported(...events: readonly RuleEvent[]): readonly (readonly Touched[])[] {
  const reports: (readonly Touched[])[] = [];
  const take = collectTransactions((pid) => pid === 7, (tables) => reports.push(tables));
  events.forEach(take);
  return reports;
}

describe('nftables events', () => {
  it('report each touched table of a foreign transaction once', () => {
    expect(reported(touched('TORTIE-A'), touched('TORTIE-B'), touched('FORWARD', 'raw', 6), commit(9)))
      .to.deep.equal([[{ family: 4, table: 'filter' }, { family: 6, table: 'raw' }]]);
  });
  it('say nothing of our own transactions', () => expect(reported(touched('TORTIE-A'), commit(7))).to.deep.equal([]));
  it('say nothing of strangers\' chains', () => expect(reported(touched('KUBE-SERVICES'), commit(9))).to.deep.equal([]));
  it('mind whole tables', () => expect(reported(touched(undefined), commit(9))).to.have.length(1));
  it('do not mix transactions', () => expect(reported(touched('TORTIE-A'), commit(7), touched('KUBE-X'), commit(9))).to.deep.equal([]));
});
