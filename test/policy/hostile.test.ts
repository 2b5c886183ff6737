/**
 * Objects that ask for more than a node will give: each costs its own problem and what it selects, nothing else. No timing here; the
 * figures are `npm run bench -- hostile`.
 */
import { expect } from 'chai';
import { heldObject, PolicyEngine, renderIptables, renderNftables, type KubeObject } from '@tortie/policy';
import { MOST_KERNEL_RULES, MOST_PROBLEMS, MOST_VALUES, weigh } from '@tortie/policy/model/bounds';
import { hostileObjects } from '../../bench/hostile/objects.js';
import { expectCells } from './cells.js';
import { calicoPolicy, clusterPolicy, eventsOf, networkPolicy, smallWorld, type WorldPolicy } from './world.js';

const engineOf = (...policies: readonly WorldPolicy[]): PolicyEngine => {
  const engine = new PolicyEngine({ nodeName: 'n1' });
  for (const event of eventsOf(smallWorld({ policies }), 'n1')) engine.apply(event);
  engine.flush();
  return engine;
};
const messagesOf = (engine: PolicyEngine): string =>
  engine
    .problems()
    .flatMap((one) => one.problems.map(({ message }) => message))
    .join('\n');

const app = { podSelector: { matchLabels: { app: 'a' } } };
const addresses = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `10.${64 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}/32`);
const many = <T>(count: number, make: (at: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, at) => make(at));

describe('policy: hostile objects', () => {
  it('thousands of excepts are as many members and no more, in both texts', () => {
    const except = addresses(2_000).filter((_, at) => at % 2 === 1);
    const engine = engineOf(
      networkPolicy('x', 'p', { ...app, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8', except } }] }] }),
    );
    expect(engine.problems()).to.deep.equal([]);
    const ruleset = engine.ruleset();
    const networks = [...ruleset.sets.values()].filter(
      ({ type, family, members }) => type === 'network' && family === 4 && members.size > 0,
    );
    expect(networks.map(({ members }) => members.size)).to.deep.equal([1_000]);
    const [set] = networks;
    expect(renderIptables(ruleset, 4)).to.contain(`-s 10.0.0.0/8 -m set ! --match-set ${set?.name} src`);
    expect(renderNftables(ruleset)).to.contain(`ip saddr 10.0.0.0/8 ip saddr != @${set?.name}`);
  });

  it('an except is a hole in its own block only, however many there are', () => {
    const holes = { cidr: '10.65.0.0/16', except: addresses(3_000).map((one) => one.replace('10.64.', '10.65.')) };
    expectCells(
      smallWorld({
        policies: [
          networkPolicy('x', 'p', {
            ...app,
            ingress: [{ from: [{ ipBlock: holes }, { ipBlock: { cidr: '10.65.1.0/30' } }] }],
          }),
        ],
      }),
      [['x/b', 'x/a', 'TCP/80', true, 4]],
    );
  });

  it('peers times ports past the bound: that rule and the later ones match nothing, the earlier ones stand', () => {
    const policy = networkPolicy('x', 'p', {
      ...app,
      ingress: [
        { from: [{ podSelector: { matchLabels: { app: 'b' } } }] },
        {
          from: many(2_000, (at) => ({ podSelector: { matchLabels: { n: `${at}` } } })),
          ports: many(2_000, (at) => ({ port: `port-${at}` })),
        },
        { from: [{ namespaceSelector: {} }] },
      ],
    });
    const world = smallWorld({ policies: [policy] });
    expectCells(
      world,
      [
        ['x/b', 'x/a', 'TCP/80', true],
        ['y/a', 'x/a', 'TCP/80', false],
      ],
      { reference: false },
    );
    expect(messagesOf(engineOf(policy))).to.match(
      new RegExp(`ingress\\[1\\].*needs 4000000 kernel rules where \\d+ are left of the ${MOST_KERNEL_RULES}`),
    );
  });

  it('in policies where the first match decides, what is left out denies', () => {
    const ports = many(25, (at) => ({ destinationNamedPort: `port-${at}` }));
    const from = many(25, (at) => ({ pods: { podSelector: { matchLabels: { n: `${at}` } } } }));
    const policy = clusterPolicy('ClusterNetworkPolicy', 'c', {
      tier: 'Admin',
      priority: 1,
      subject: { pods: { podSelector: { matchLabels: { app: 'a' } } } },
      ingress: [
        ...many(7, () => ({ action: 'Accept', from, protocols: ports })),
        { action: 'Accept', from: [{ namespaces: {} }] },
      ],
    });
    expectCells(smallWorld({ policies: [policy] }), [['x/b', 'x/a', 'TCP/80', false]], { reference: false });
    expect(messagesOf(engineOf(policy))).to.match(/ingress\[3\].*those after it deny everything/);
    const names = many(300, (at) => `port-${at}`);
    const calico = calicoPolicy('CalicoNetworkPolicy', 'x', 'k', {
      selector: 'app == "a"',
      ingress: [
        { action: 'Pass', protocol: 'TCP', source: { ports: names }, destination: { ports: names } },
        { action: 'Allow' },
      ],
    });
    expectCells(smallWorld({ policies: [calico] }), [['x/b', 'x/a', 'TCP/80', false]], { reference: false });
    expect(messagesOf(engineOf(calico))).to.match(/ingress\[0\].*needs 90000 kernel rules/);
  });

  for (const [title, policy] of [
    ['a NetworkPolicy', networkPolicy('x', 'p', { ...app, ingress: [{}, ...many(50_000, () => ({}))] })],
    [
      'a Calico policy',
      calicoPolicy('CalicoNetworkPolicy', 'x', 'p', {
        selector: 'app == "a"',
        ingress: many(50_000, () => ({ action: 'Allow' })),
      }),
    ],
    [
      'a ClusterNetworkPolicy',
      clusterPolicy('ClusterNetworkPolicy', 'p', {
        tier: 'Admin',
        priority: 0,
        subject: {
          pods: {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'x' } },
            podSelector: { matchLabels: { app: 'a' } },
          },
        },
        ingress: many(50_000, () => ({ action: 'Accept', from: [{ namespaces: {} }] })),
      }),
    ],
  ] as const)
    it(`${title} that is too large isolates whom it selects in its directions, and says so`, () => {
      expect(messagesOf(engineOf(policy))).to.match(/spec: .*may hold at most \d+ values; it isolates what it selects/);
      expectCells(
        smallWorld({ policies: [policy] }),
        [
          ['x/b', 'x/a', 'TCP/80', false],
          ['x/a', 'x/b', 'TCP/80', true],
          ['x/b', 'y/a', 'TCP/80', true],
        ],
        { reference: false },
      );
    });

  it('a namespaced policy does not enter the tiers of cluster policies; a global one may', () => {
    for (const tier of ['kube-admin', 'kube-baseline', 'kube-more'])
      for (const kind of ['CalicoNetworkPolicy', 'StagedNetworkPolicy'] as const) {
        const policy = calicoPolicy(kind, 'x', `${tier}.p`, { tier, selector: 'all()', ingress: [{ action: 'Deny' }] });
        expect(messagesOf(engineOf(policy))).to.equal(
          'spec.tier: Forbidden: a namespaced policy cannot enter the tiers kube-*',
        );
        expectCells(smallWorld({ policies: [policy] }), [['x/b', 'x/a', 'TCP/80', true]], { reference: false });
      }
    const spec = { tier: 'kube-admin', selector: 'app == "a"', ingress: [{ action: 'Deny' }] };
    const global = calicoPolicy('GlobalNetworkPolicy', '', 'kube-admin.p', spec);
    expectCells(smallWorld({ policies: [global] }), [['x/b', 'x/a', 'TCP/80', false]], { reference: false });
  });

  it("what breaks its translator is that object's problem, and isolates", () => {
    const rule = new Proxy(
      {},
      {
        has: () => true,
        getOwnPropertyDescriptor: () => {
          throw new Error('of no kind known');
        },
      },
    );
    const policy = networkPolicy('x', 'p', { ...app, ingress: [rule] });
    expect(messagesOf(engineOf(policy))).to.match(/cannot be translated: Error: of no kind known; it isolates/);
    expectCells(smallWorld({ policies: [policy] }), [['x/b', 'x/a', 'TCP/80', false]], { reference: false });
  });

  it('problems are told up to a bound, with how many more there are', () => {
    const policy = networkPolicy('x', 'p', { ...app, ingress: [{ ports: many(5_000, () => ({ port: 0 })) }] });
    const [found] = engineOf(policy).problems();
    expect(found?.problems).to.have.length(MOST_PROBLEMS + 1);
    expect(found?.problems[MOST_PROBLEMS]?.message).to.contain(`and ${5_000 - MOST_PROBLEMS} more`);
  });

  it('weighing does not follow depth with the stack, nor size to its end', () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 200_000; depth++) deep = [deep];
    expect(weigh(deep).values).to.be.greaterThan(MOST_VALUES);
    const policy = networkPolicy('x', 'p', { ...app, ingress: deep });
    expect(messagesOf(engineOf(policy))).to.match(/may hold at most/);
  });

  it('what a node keeps of an object says what the object says, and of one past its bounds next to nothing', () => {
    for (const size of [60_000, 400_000])
      for (const { shape, kind, object } of hostileObjects({ count: 18, namespace: 'x', size })) {
        const [whole, kept] = [engineOf(), engineOf()];
        const held = heldObject(kind, object);
        whole.apply({ type: 'upsert', kind, object });
        kept.apply({ type: 'upsert', kind, object: held });
        for (const engine of [whole, kept]) engine.flush();
        const rulesOf = (engine: PolicyEngine): string => renderNftables(engine.ruleset());
        expect(rulesOf(kept) === rulesOf(whole), `${shape} of ${size}`).to.equal(true);
        // A value that is cut is told of as it was cut.
        const told = (engine: PolicyEngine): readonly string[] =>
          engine.problems().flatMap((one) => one.problems.map(({ field, reason }) => `${field} ${reason}`));
        expect(told(kept), `${shape} of ${size}`).to.deep.equal(told(whole));
        expect(heldObject(kind, held), shape).to.deep.equal(held);
      }
    const large = networkPolicy('x', 'p', { ...app, ingress: [{ ports: many(3_000, (at) => ({ port: at + 1 })) }] });
    const object = large.object as KubeObject & { readonly spec: object };
    const held = heldObject('NetworkPolicy', object) as typeof object;
    expect(Object.getOwnPropertyDescriptor(held.spec, 'ingress')?.get, 'packed').to.be.a('function');
    expect(JSON.parse(JSON.stringify(held))).to.deep.equal(JSON.parse(JSON.stringify(object)));
    const huge = networkPolicy('x', 'p', { ...app, ingress: [{ ports: many(30_000, (at) => ({ port: at + 1 })) }] });
    expect(JSON.stringify(heldObject('NetworkPolicy', huge.object as KubeObject)).length).to.be.below(1_000);
  });

  it('every hostile object of the bench leaves the pods of others as they are', () => {
    const calm = engineOf();
    const engine = engineOf();
    for (const { kind, object } of hostileObjects({ count: 40, namespace: 'z', size: 200_000 }))
      engine.apply({ type: 'upsert', kind, object: object as KubeObject });
    engine.flush();
    expect(renderIptables(engine.ruleset(), 4)).to.equal(renderIptables(calm.ruleset(), 4));
    expect(engine.problems().length).to.be.greaterThan(0);
  });
});
