import { expect } from 'chai';
import type { IPAMBlock } from '../../src/api/ipam.js';
import type { KindName, ObjectOf } from '../../src/api/kinds.js';
import { ApiError } from '../../src/datastore/datastore.js';
import { checkIpam, formatProblems, type ProblemKind } from '../../src/ipam/check.js';
import { applyFix, planOf, type FixStore } from '../../src/ipam/fix.js';
import type { IpamObjects } from '../../src/ipam/inventory.js';
import { block, pod, sound, spoilt, told } from './world.js';

const CASES: readonly (readonly [ProblemKind, string, Partial<IpamObjects>, RegExp])[] = [
  [
    'duplicate',
    'two pods with one address in their status',
    { pods: [...sound.pods, pod('twin', 'b', '10.0.0.5')] },
    /^Address 10\.0\.0\.5 is held by 2 pods: "shop\/twin" on node "b", "shop\/web" on node "a"$/,
  ],
  [
    'duplicate',
    'two nodes that have given one out',
    {
      pods: [...sound.pods, pod('twin', 'b')],
      published: [...sound.published.slice(0, 1), told('b', { '10.0.0.65': 'db', '10.0.0.5': 'twin' })],
    },
    /^Address 10\.0\.0\.5 is held by 2 pods/,
  ],
  [
    'overlapping',
    'two blocks with one address',
    { blocks: [...sound.blocks, block('10.0.0.0/28', 'b')] },
    /^Block 10\.0\.0\.0\/28 of node "b" has addresses of 10\.0\.0\.0\/26 of node "a"$/,
  ],
  [
    'overlapping',
    'two pools with one address',
    { pools: [...sound.pools, { metadata: { name: 'z' }, spec: { cidr: '10.0.0.128/25' } }] },
    /pool "z": 10\.0\.0\.128\/25 overlaps 10\.0\.0\.0\/24 of pool "p"/,
  ],
  [
    'overlapping',
    'a pod with an address of a block that has not lent it',
    { blocks: [block('10.0.0.0/26', 'a'), block('10.0.0.64/26', 'b')] },
    /^Address 10\.0\.0\.66 of pod "shop\/cart" on node "a" lies in block 10\.0\.0\.64\/26 of node "b", which has not lent it$/,
  ],
  [
    'orphaned',
    'a block of a deleted Node',
    { blocks: [...sound.blocks, block('10.0.0.128/26', 'gone')] },
    /^Block 10\.0\.0\.128\/26 belongs to node "gone", and there is no such Node$/,
  ],
  [
    'orphaned',
    'a loan to a deleted Node',
    {
      blocks: [
        sound.blocks[0] ?? block('x', 'a'),
        block('10.0.0.64/26', 'b', {
          loans: [
            { address: '10.0.0.66', node: 'a' },
            { address: '10.0.0.70', node: 'gone' },
          ],
        }),
      ],
    },
    /^Address 10\.0\.0\.70 of block 10\.0\.0\.64\/26 is lent to node "gone", and there is no such Node$/,
  ],
  [
    'orphaned',
    'a loan that no pod has',
    {
      blocks: [
        sound.blocks[0] ?? block('x', 'a'),
        block('10.0.0.64/26', 'b', {
          loans: [
            { address: '10.0.0.66', node: 'a' },
            { address: '10.0.0.70', node: 'a' },
          ],
        }),
      ],
    },
    /^Address 10\.0\.0\.70 .* is lent to node "a", which gives it to no pod$/,
  ],
  [
    'leaked',
    'an address of a pod that is gone',
    { pods: sound.pods.slice(1) },
    /^Address 10\.0\.0\.5 is held on node "a" for pod "shop\/web", and there is no such pod$/,
  ],
  [
    'leaked',
    'an address of a pod whose name another has now',
    {
      pods: [
        { ...pod('web', 'a', '10.0.0.9'), metadata: { name: 'web', namespace: 'shop', uid: 'new' } },
        ...sound.pods.slice(1),
      ],
    },
    /^Address 10\.0\.0\.5 is held on node "a" for pod "shop\/web"/,
  ],
  [
    'out-of-pool',
    'a block whose pool is gone',
    { pools: sound.pools.slice(1) },
    /^Block 10\.0\.0\.0\/26 of node "a" lies in no IPPool that can be used; 1 of its addresses are in use$/,
  ],
  [
    'out-of-pool',
    'an address in no block',
    { blocks: sound.blocks.slice(1) },
    /^Address 10\.0\.0\.5 of pod "shop\/web" on node "a" lies in no block$/,
  ],
  [
    'unpublished',
    'a pod whose node does not know it',
    { published: sound.published.slice(1) },
    /^Pod "shop\/web" has address 10\.0\.0\.5, and node "a" does not say that it gave it$/,
  ],
];

/** An API server of a few objects. */
class FewObjects {
  readonly written: string[] = [];
  constructor(
    private readonly objects: IpamObjects,
    private readonly hasConflict = false,
  ) {}

  readonly store: FixStore = {
    get: async <K extends KindName>(kind: K, name: string) =>
      (kind === 'nodes' ? this.objects.nodes : this.objects.blocks).find(({ metadata }) => metadata.name === name) as
        | ObjectOf[K]
        | undefined,
    list: async <K extends KindName>(kind: K) =>
      (kind === 'nodes' ? this.objects.nodes : this.objects.pods) as unknown as readonly ObjectOf[K][],
    replace: async (_, object) => {
      this.write(`replace ${JSON.stringify((object as IPAMBlock).spec)}`);
      return object;
    },
    delete: async (kind, name, { uid = '', resourceVersion = '' } = {}) =>
      this.write(`delete ${kind} ${name} ${uid} ${resourceVersion}`),
  };

  private write(what: string): void {
    if (this.hasConflict) throw new ApiError('changed', 409, 'Conflict');
    this.written.push(what);
  }
}

describe('ipam check', () => {
  it('takes the address of a tunnel for what it is', () => {
    const tunnel = { address: '10.0.0.9', namespace: '', pod: '', tunnel: 'vxlan.tortie', containerId: 'tunnel' };
    const published = sound.published.map((each) =>
      each.metadata.name === 'a'
        ? { ...each, spec: { ...each.spec, addresses: [...(each.spec.addresses ?? []), tunnel] } }
        : each,
    );
    expect(checkIpam(spoilt({ published }))).to.deep.equal([]);
    const twin = pod('twin', 'b', '10.0.0.9');
    expect(checkIpam(spoilt({ published, pods: [...sound.pods, twin] })).map(({ message }) => message)).to.deep.equal([
      'Address 10.0.0.9 is held by 2 pods: "shop/twin" on node "b", the tunnel on node "a"',
    ]);
  });

  it('finds nothing wrong with a sound cluster', () => {
    expect(checkIpam(spoilt({}))).to.deep.equal([]);
    expect(formatProblems([])).to.equal('Every address is held by at most one pod, in a block of its node.');
  });

  for (const [kind, what, changes, words] of CASES)
    it(`finds ${what}: ${kind}`, () => {
      const problems = checkIpam(spoilt(changes));
      const found = problems.filter((problem) => problem.kind === kind && words.test(problem.message));
      expect(found, formatProblems(problems)).to.have.length(1);
      expect(formatProblems(problems)).to.include(kind);
    });

  it('takes two spellings of an IPv6 address for one', () => {
    const pods = [pod('six', 'a', 'FD00:0::5')];
    const published = [told('a', { 'fd00::5': 'six' })];
    expect(checkIpam(spoilt({ blocks: [block('fd00::/122', 'a')], pods, published }))).to.deep.equal([]);
  });

  it('counts neither finished pods nor those of the host network', () => {
    const finished = {
      ...pod('done', 'b', '10.0.0.5'),
      status: { phase: 'Succeeded' as const, podIPs: [{ ip: '10.0.0.5' }] },
    };
    const host = { ...pod('host', 'b', '10.0.0.5'), spec: { nodeName: 'b', hostNetwork: true, containers: [] } };
    expect(checkIpam(spoilt({ pods: [...sound.pods, finished, host] }))).to.deep.equal([]);
  });

  describe('--fix', () => {
    const orphaned = {
      ...sound,
      blocks: [
        ...sound.blocks,
        block('10.0.0.128/26', 'gone'),
        block('10.0.0.192/26', 'gone', { loans: [{ address: '10.0.0.200', node: 'a' }] }),
      ],
    };
    const plan = planOf(checkIpam(spoilt(orphaned)));

    it('frees the block of a deleted Node, and hands one that is lent from to who has borrowed', async () => {
      const { store, written } = new FewObjects(orphaned);
      for (const fix of plan) expect(await applyFix(fix, store)).to.equal(undefined);
      expect(written).to.deep.equal([
        'delete ipamBlocks 10-0-0-128-26 uid-10.0.0.128/26 1',
        'replace {"cidr":"10.0.0.192/26","node":"a","pool":"p","loans":[]}',
      ]);
    });

    it('ends the loan of a deleted Node, and leaves the others', async () => {
      const loans = [
        { address: '10.0.0.66', node: 'a' },
        { address: '10.0.0.70', node: 'gone' },
      ];
      const objects = { ...sound, blocks: [...sound.blocks.slice(0, 1), block('10.0.0.64/26', 'b', { loans })] };
      const { store, written } = new FewObjects(objects);
      for (const fix of planOf(checkIpam(spoilt(objects)))) expect(await applyFix(fix, store)).to.equal(undefined);
      expect(written).to.deep.equal([
        'replace {"cidr":"10.0.0.64/26","node":"b","pool":"p","loans":[{"address":"10.0.0.66","node":"a"}]}',
      ]);
    });

    for (const [why, objects, words] of [
      ['the Node is there now', { ...orphaned, nodes: [...sound.nodes, { metadata: { name: 'gone' } }] }, /exists now/],
      ['a pod names the Node', { ...orphaned, pods: [...sound.pods, pod('late', 'gone')] }, /pods name node "gone"/],
      ['the block is gone', sound, /the block is gone/],
      ["the block is another node's", { ...orphaned, blocks: [block('10.0.0.128/26', 'a')] }, /somebody has done it/],
    ] as const)
      it(`does nothing when ${why}`, async () => {
        const { store, written } = new FewObjects(objects);
        const [first] = plan;
        expect(first && (await applyFix(first, store))).to.match(words);
        expect(written).to.deep.equal([]);
      });

    it('does nothing when the block changes under it', async () => {
      const { store } = new FewObjects(orphaned, true);
      const [first] = plan;
      expect(first && (await applyFix(first, store))).to.equal('the block has changed meanwhile; check again');
    });
  });
});
