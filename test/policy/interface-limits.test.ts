/** Limits of pods' interfaces: chains of their own in mangle, there only while somebody is limited. */
import { expect } from 'chai';
import { isEmptyDelta, PolicyEngine, renderIptables, renderNftables } from '@tortie/policy';
import type { InterfaceLimits } from '@tortie/policy/objects';

const A = { egress: { connections: 3, packets: { perSecond: 100, burst: 5 } } };

describe('policy: limits of interfaces', () => {
  let engine: PolicyEngine;
  beforeEach(() => {
    engine = new PolicyEngine({ nodeName: 'n1' });
    engine.flush();
  });
  const limit = (limits: Readonly<Record<string, InterfaceLimits>>): void =>
    engine.apply({ type: 'interface-limits', limits: new Map(Object.entries(limits)) });
  const rules = (): readonly string[] =>
    renderIptables(engine.ruleset(), 4)
      .split('\n')
      .filter((line) =>
        /^-A TORTIE-L(FROM|TO)|^-I P\S+ROUTING .*TORTIE-|^-A TORTIE-P\S+ROUTING .*-j TORTIE-L/.test(line),
      )
      .map((line) => line.replace(/ -m comment --comment (?:"[^"]*"|\S+)/g, ''));

  it('drop new connections, then packets, each way by itself', () => {
    limit({ torta: A, tortb: { ingress: { connections: 7 } } });
    engine.flush();
    expect(rules()).to.have.members([
      '-I PREROUTING 1 -j TORTIE-PREROUTING',
      '-I PREROUTING 1 -j TORTIE-PREROUTING',
      '-I POSTROUTING 1 -j TORTIE-POSTROUTING',
      '-A TORTIE-PREROUTING -i tort+ -j TORTIE-LFROM',
      '-A TORTIE-POSTROUTING -o tort+ -j TORTIE-LTO',
      '-A TORTIE-LFROM -i torta -g TORTIE-LFROM-torta',
      '-A TORTIE-LFROM-torta -m conntrack --ctstate NEW -m connlimit --connlimit-above 3 --connlimit-mask 0 --connlimit-saddr -j DROP',
      '-A TORTIE-LFROM-torta -m limit --limit 100/second --limit-burst 5 -j RETURN',
      '-A TORTIE-LFROM-torta -j DROP',
      '-A TORTIE-LTO -o tortb -g TORTIE-LTO-tortb',
      '-A TORTIE-LTO-tortb -m conntrack --ctstate NEW -m connlimit --connlimit-above 7 --connlimit-mask 0 --connlimit-saddr -j DROP',
    ]);
    const nft = renderNftables(engine.ruleset());
    for (const text of ['ct state new ct count over 3 counter drop', 'limit rate 100/second burst 5 packets return'])
      expect(nft).to.contain(text);
  });

  it("leave another's chain alone, and nothing when nobody is limited", () => {
    limit({ torta: A });
    engine.flush();
    limit({ torta: A });
    expect(isEmptyDelta(engine.flush())).to.equal(true);
    limit({ torta: A, tortb: { ingress: { connections: 7 } } });
    expect(engine.flush().chainsUpserted.map(({ name }) => name)).to.deep.equal(['TORTIE-LTO-tortb']);
    limit({ tortc: {} });
    const { chainsDeleted, mapsDeleted, hooks } = engine.flush();
    expect(chainsDeleted.map(({ name }) => name)).to.include.members(['TORTIE-LFROM-torta', 'TORTIE-LTO-tortb']);
    expect(mapsDeleted.map(({ name }) => name)).to.have.members(['TORTIE-LFROM', 'TORTIE-LTO']);
    expect((hooks ?? []).filter(({ table }) => table === 'mangle')).to.deep.equal([]);
    expect(rules()).to.deep.equal(['-I PREROUTING 1 -j TORTIE-PREROUTING']);
  });
});
