import { expect } from 'chai';
import { parsePrefix } from 'node-bgp/address';
import { isBlockOf, strayAddresses, strayText } from '../../src/agent/stray-addresses.js';
import type { IPPool } from '../../src/api/ipam.js';

const pool = (name: string, cidr: string, blockSize?: number): IPPool => ({
  metadata: { name },
  spec: { cidr, ...(blockSize === undefined ? {} : { blockSize }) },
});
const endpoint = (name: string, ...addresses: readonly string[]) => ({
  hostInterface: `tort-${name}`,
  addresses,
  owner: { namespace: 'x', pod: name },
});

describe('agent/stray-addresses', () => {
  const pools = [pool('blue', '10.65.0.0/16'), pool('six', 'fd00:65::/48')];

  it('are those of living pods in no block of the node, in a pool that there is', () => {
    const found = strayAddresses(
      [
        endpoint('a', '10.65.0.7', 'fd00:65::7'),
        endpoint('b', '10.65.1.7', 'fd00:65::1:7'),
        endpoint('c', '10.66.0.1'),
      ],
      [{ cidr: '10.65.0.0/26' }, { cidr: 'fd00:65::1:0/122' }],
      pools,
    );
    expect(found).to.deep.equal([
      { cidr: 'fd00:65::7/128', pool: 'six', pod: 'x/a' },
      { cidr: '10.65.1.7/32', pool: 'blue', pod: 'x/b' },
    ]);
    expect(found.map(strayText)[1]).to.contain('10.65.1.7/32 of pod x/b is in no block of this node any more');
  });

  it('know a block by its pool and size', () => {
    const all = [...pools, pool('small', '10.99.0.0/24', 30)];
    for (const cidr of ['10.65.3.0/26', 'fd00:65::40/122', '10.99.0.4/30'])
      expect(isBlockOf(parsePrefix(cidr), all), cidr).to.equal(true);
    for (const cidr of [
      '10.65.0.0/16',
      '10.65.3.0/27',
      '10.65.3.0/25',
      '10.99.0.0/26',
      '10.64.0.0/26',
      '0.0.0.0/0',
      '::/0',
    ])
      expect(isBlockOf(parsePrefix(cidr), all), cidr).to.equal(false);
  });
});
