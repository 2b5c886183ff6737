import { expect } from 'chai';
import { birdTable, differences } from '../../../bench/soak/final-state.js';

describe('bench/soak/final-state', () => {
  it('counts what is missing, what is too much and what is wrong', () => {
    const wanted = new Map([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    expect(differences(new Map(wanted), wanted)).to.equal(0);
    expect(
      differences(
        new Map([
          ['a', 1],
          ['b', 2],
        ]),
        wanted,
      ),
    ).to.equal(1);
    expect(differences(new Map([...wanted, ['d', 4]]), wanted)).to.equal(1);
    expect(
      differences(
        new Map([
          ['a', 1],
          ['b', 9],
          ['d', 4],
        ]),
        wanted,
      ),
    ).to.equal(3);
    expect(differences(new Map(), wanted)).to.equal(3);
  });

  it('reads BIRD’s table, both families, the AS behind ours', () => {
    const text = `BIRD 2.0.12 ready.
Table master4:
20.0.0.0/24          unicast [dut 22:00:01.123] * (100) [AS65101i]
	via 10.20.0.1 on dR
	Type: BGP univ
	BGP.origin: IGP
	BGP.as_path: 64512 65101 4200000001
	BGP.next_hop: 10.20.0.1

Table master6:
2001:db8::/48        unicast [dut 22:00:01.123] * (100) [AS65102i]
	via fd20::1 on dR
	BGP.as_path: 64512 65102
`;
    expect([...birdTable(text)]).to.deep.equal([
      ['20.0.0.0/24', 65101],
      ['2001:db8::/48', 65102],
    ]);
    expect(birdTable('BIRD 2.0.12 ready.\n').size).to.equal(0);
  });
});
