import { expect } from 'chai';
import { checkIpam } from '../../src/ipam/check.js';
import {
  borrowedRows,
  formatBorrowed,
  formatKept,
  formatUsage,
  keptRows,
  usageJson,
  usageRows,
  whyNotFree,
} from '../../src/ipam/show.js';
import { planSplit } from '../../src/ipam/split.js';
import { block, pod, sound, spoilt, told } from './world.js';

/** One address of 10.0.0.0/24 in use, in block 10.0.0.0/26; Calico's table of what a reservation does to that. */
const RESERVATIONS: readonly (readonly [readonly string[], string, string])[] = [
  [[], '256/1/0/255', '64/1/0/63'],
  [['10.0.0.32/30'], '256/1/4/251', '64/1/4/59'],
  [['10.0.0.128/25'], '256/1/128/127', '64/1/0/63'],
  [['10.0.0.5/32'], '256/1/1/255', '64/1/1/63'],
  [['10.0.0.5'], '256/1/1/255', '64/1/1/63'],
  [['10.0.0.0/25', '10.0.0.5/32', '10.0.0.64/26'], '256/1/128/128', '64/1/64/0'],
  [['10.0.0.0/25', '10.0.0.0/25'], '256/1/128/128', '64/1/64/0'],
  [['0.0.0.0/0', 'fd00::/8', 'rubbish'], '256/1/256/0', '64/1/64/0'],
];

describe('ipam show', () => {
  for (const [reservedCIDRs, ofPool, ofBlock] of RESERVATIONS)
    it(`counts an address that is reserved and in use once: ${reservedCIDRs.join(', ') || 'nothing reserved'}`, () => {
      const inventory = spoilt({
        blocks: [block('10.0.0.0/26', 'a')],
        pods: [pod('web', 'a', '10.0.0.5')],
        published: [told('a', { '10.0.0.5': 'web' })],
        reservations: [{ metadata: { name: 'r' }, spec: { reservedCIDRs } }],
      });
      const rows = usageRows(inventory, true).map(
        ({ total, inUse, reserved, free }) => `${total}/${inUse}/${reserved}/${free}`,
      );
      expect(rows.slice(0, 2)).to.deep.equal([ofPool, ofBlock]);
    });

  it('has the columns that users of calicoctl know', () => {
    const text = formatUsage(usageRows(spoilt({}), true));
    expect(text.split('\n')).to.deep.equal([
      'GROUPING  CIDR          IPS TOTAL  IPS IN USE      IPS FREE  RESERVED  POOL OR NODE',
      'IP Pool   10.0.0.0/24         256      3 (1%)     253 (98%)         0  p',
      'Block     10.0.0.0/26          64      1 (1%)      63 (98%)         0  a',
      'Block     10.0.0.64/26         64      2 (3%)      62 (96%)         0  b',
      'IP Pool   fd00::/112        65536      0 (0%)  65536 (100%)         0  q',
    ]);
    expect(usageRows(spoilt({}), false).map(({ grouping }) => grouping)).to.deep.equal(['IP Pool', 'IP Pool']);
  });

  it('counts pools that no number holds', () => {
    const rows = usageRows(spoilt({ pools: [{ metadata: { name: 'wide' }, spec: { cidr: 'fd00::/48' } }] }), false);
    expect(usageJson(rows)).to.deep.include({
      grouping: 'IP Pool',
      cidr: 'fd00::/48',
      owner: 'wide',
      total: '1208925819614629174706176',
      inUse: 0,
      reserved: 0,
      free: '1208925819614629174706176',
    });
  });

  it('shows blocks that lie in no pool, too', () => {
    const rows = usageRows(spoilt({ pools: [] }), true);
    expect(rows.map(({ cidr }) => cidr)).to.deep.equal(['10.0.0.0/26', '10.0.0.64/26']);
  });

  it('shows what is kept, for whom and how long; counts it as in use; names what is past its time', () => {
    const kept = [{ address: '10.0.0.7', keptFor: 'StatefulSet shop/web-0', until: '2026-01-01T00:00:00Z' }];
    const inventory = spoilt({ blocks: [block('10.0.0.0/26', 'a', { kept })], published: [], pods: [] });
    expect(formatKept(keptRows(inventory)).split('\n')).to.deep.equal([
      'IP        KEPT FOR                UNTIL                 BLOCK        NODE',
      '10.0.0.7  StatefulSet shop/web-0  2026-01-01T00:00:00Z  10.0.0.0/26  a',
    ]);
    expect(formatKept([])).to.equal('No address is kept for a pod that may come again.');
    expect(usageRows(inventory, true)[1]).to.deep.include({ inUse: 1n, free: 63n });
    const { isInUse, reasons } = whyNotFree(inventory, '10.0.0.7');
    expect(isInUse).to.equal(false);
    expect(reasons[0]).to.include('It is kept until 2026-01-01T00:00:00Z for StatefulSet shop/web-0');
    expect(checkIpam(inventory, Date.parse('2026-01-01T00:01:00Z'))).to.deep.equal([]);
    expect(
      checkIpam(inventory, Date.parse('2026-01-01T00:03:00Z')).map(({ kind, subject }) => [kind, subject]),
    ).to.deep.equal([['leaked', '10.0.0.7']]);
  });

  it('shows what is borrowed, of whom and for whom', () => {
    expect(borrowedRows(spoilt({}))).to.deep.equal([
      { address: '10.0.0.66', borrower: 'a', block: '10.0.0.64/26', owner: 'b', allocatedTo: 'shop/cart' },
    ]);
    expect(formatBorrowed([])).to.equal('No node has borrowed an address.');
  });

  for (const [address, isInUse, words] of [
    ['10.0.0.5', true, 'Pod "shop/web" has it, says node "a".'],
    ['10.0.0.66', true, 'Node "a" has borrowed it of node "b".'],
    ['10.0.0.127', false, 'Node "b" offers it to other nodes'],
    ['10.0.0.9', false, 'It lies in block 10.0.0.0/26 of node "a": only pods of that node get it unasked'],
    ['10.0.0.200', false, 'It lies in no block: it is free for the node that claims its block.'],
    ['192.0.2.1', false, 'It lies in no IPPool that can be used.'],
    ['fd00:0:0::1', false, 'It lies in no block'],
  ] as const)
    it(`says why ${address} is ${isInUse ? 'in use' : 'not given out'}`, () => {
      const answer = whyNotFree(spoilt({}), address);
      expect(answer.isInUse).to.equal(isInUse);
      expect(answer.reasons.join(' ')).to.include(words);
    });

  it('names reservation, disabled pool and missing Node', () => {
    const { reasons } = whyNotFree(
      spoilt({
        pools: [{ metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24', disabled: true } }],
        nodes: [],
        reservations: [{ metadata: { name: 'r' }, spec: { reservedCIDRs: ['10.0.0.9'] } }],
      }),
      '10.0.0.9',
    );
    expect(reasons.join(' ')).to.match(/IPReservation keeps it.*pool "p" is disabled.*There is no Node "a"/);
  });
});

describe('ipam split', () => {
  it('makes parts with everything the pool has', () => {
    const spec = { cidr: '10.0.0.0/24', blockSize: 28, natOutgoing: true, nodeSelector: 'all()' };
    const parts = planSplit(spoilt({ pools: [{ metadata: { name: 'p' }, spec }], blocks: [] }), 'p', 4);
    expect(parts.map((part) => [part.metadata.name, part.spec.cidr])).to.deep.equal([
      ['p-0', '10.0.0.0/26'],
      ['p-1', '10.0.0.64/26'],
      ['p-2', '10.0.0.128/26'],
      ['p-3', '10.0.0.192/26'],
    ]);
    expect(parts[3]?.spec).to.deep.equal({ ...spec, cidr: '10.0.0.192/26' });
  });

  it('keeps the block size that the pool has by default', () => {
    expect(planSplit(spoilt({}), 'q', 2).map(({ spec }) => `${spec.cidr} ${spec.blockSize}`)).to.deep.equal([
      'fd00::/113 122',
      'fd00::8000/113 122',
    ]);
  });

  for (const [why, pool, into, words] of [
    ['there is none', 'x', 2, /there is no such IPPool/],
    ['the count is odd', 'p', 3, /--into is 3; expected 2, 4, 8/],
    ['the count is no number', 'p', Number.NaN, /--into is NaN/],
    ['the parts are smaller than a block', 'p', 8, /a part would be a \/27, smaller than its blocks \(\/26\)/],
  ] as const)
    it(`refuses when ${why}`, () => {
      expect(() => planSplit(spoilt({}), pool, into)).to.throw(words);
    });

  it('refuses to cut a block in two', () => {
    const blocks = [...sound.blocks, block('10.0.0.128/25', 'b')];
    const pools = [{ metadata: { name: 'p' }, spec: { cidr: '10.0.0.0/24', blockSize: 28 } }];
    expect(() => planSplit(spoilt({ blocks, pools }), 'p', 4)).to.throw(
      /block 10\.0\.0\.128\/25 of node "b" is larger/,
    );
  });
});
