import { expect } from 'chai';
import { concerns } from '../../../src/dataplane/netfilter/patrol.js';
import { collectTransactions, type RuleEvent, type TableEvent } from '../../../src/dataplane/netfilter/rule-events.js';

const touched = (chain: string | undefined, table = 'filter', family = 2): TableEvent => ({
  type: 'table',
  family,
  table,
  chain,
});
const commit = (portId: number): RuleEvent => ({ type: 'commit', portId });

function reported(...events: readonly RuleEvent[]): readonly (readonly string[])[] {
  const reports: string[][] = [];
  const take = collectTransactions({
    isOwn: (portId) => portId === 7,
    concerns,
    onTouched: (tables) =>
      reports.push(tables === 'all' ? ['all'] : tables.map((one) => `${one.family} ${one.table} ${one.chain ?? '*'}`)),
  });
  events.forEach(take);
  return reports;
}

describe('nftables events', () => {
  it('report what a foreign transaction touched, each thing once', () => {
    expect(reported(touched('TORTIE-A'), touched('TORTIE-A'), touched('FORWARD', 'raw', 10), commit(9))).to.deep.equal([
      ['2 filter TORTIE-A', '10 raw FORWARD'],
    ]);
  });
  it('say nothing of our own transactions', () => expect(reported(touched('TORTIE-A'), commit(7))).to.deep.equal([]));
  it("say nothing of strangers' chains and tables", () => {
    expect(
      reported(touched('KUBE-SERVICES'), touched('TORTIE-A', 'security'), touched('TORTIE-A', 'filter', 1), commit(9)),
    ).to.deep.equal([]);
  });
  it('mind whole tables', () => expect(reported(touched(undefined), commit(9))).to.deep.equal([['2 filter *']]));
  it('do not mix transactions', () =>
    expect(reported(touched('TORTIE-A'), commit(7), touched('KUBE-X'), commit(9))).to.deep.equal([]));
});
