/** policy-traps 1-18: selectors and isolation. The number in a title is the trap's. */
import { expect } from 'chai';
import { PolicyEngine } from '@tortie/policy';
import { expectCells, type Cell } from './cells.js';
import { eventsOf, networkPolicy, smallWorld, type World, type WorldPod } from './world.js';

const world = (...specs: readonly unknown[]): World =>
  smallWorld({ policies: specs.map((spec, index) => networkPolicy('x', `p${index}`, spec)) });

/** Ingress to x/a from peers. */
const from = (...peers: readonly unknown[]): unknown => ({
  podSelector: { matchLabels: { app: 'a' } },
  ingress: [{ from: peers }],
});

const relabel = (base: World, key: string, labels: Readonly<Record<string, string>>): World => ({
  ...base,
  pods: base.pods.map((pod): WorldPod => (`${pod.namespace}/${pod.name}` === key ? { ...pod, labels } : pod)),
});

describe('policy/traps: selectors', () => {
  const peer = (expression: unknown): unknown => from({ podSelector: { matchExpressions: [expression] } });

  it('1: NotIn and DoesNotExist match objects that lack the key', () => {
    expectCells(world(peer({ key: 'nope', operator: 'NotIn', values: ['v'] })), [['x/b', 'x/a', 'TCP/80', true]]);
    expectCells(world(peer({ key: 'nope', operator: 'DoesNotExist' })), [['x/b', 'x/a', 'TCP/80', true]]);
    expectCells(world(peer({ key: 'app', operator: 'NotIn', values: ['b'] })), [['x/b', 'x/a', 'TCP/80', false]]);
    expectCells(world(peer({ key: 'app', operator: 'DoesNotExist' })), [['x/b', 'x/a', 'TCP/80', false]]);
  });

  it('2: an empty value is a value, and missing is not empty', () => {
    const spec = from({ podSelector: { matchLabels: { flag: '' } } });
    expectCells(world(spec), [['x/b', 'x/a', 'TCP/80', false]]);
    expectCells(relabel(world(spec), 'x/b', { flag: '' }), [['x/b', 'x/a', 'TCP/80', true]]);
    expectCells(relabel(world(spec), 'x/b', { flag: 'x' }), [['x/b', 'x/a', 'TCP/80', false]]);
  });

  it('3: Exists is true for an empty value', () => {
    expectCells(relabel(world(peer({ key: 'flag', operator: 'Exists' })), 'x/b', { flag: '' }), [
      ['x/b', 'x/a', 'TCP/80', true],
    ]);
  });

  it('4: labels and expressions are ANDed, also twice about one key', () => {
    const selector = {
      matchLabels: { app: 'b' },
      matchExpressions: [
        { key: 'app', operator: 'In', values: ['b', 'c'] },
        { key: 'app', operator: 'NotIn', values: ['b'] },
      ],
    };
    expectCells(world(from({ podSelector: selector })), [['x/b', 'x/a', 'TCP/80', false]]);
  });

  it('5: a missing selector is not an empty one', () => {
    expectCells(world(from({ podSelector: {} })), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/b', 'x/a', 'TCP/80', false],
    ]);
    expectCells(world(from({ podSelector: {}, namespaceSelector: null })), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/b', 'x/a', 'TCP/80', false],
    ]);
    const blue = { namespaceSelector: { matchLabels: { team: 'blue' } } };
    expectCells(world(from(blue)), [
      ['x/b', 'x/a', 'TCP/80', false],
      ['y/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', true],
    ]);
    expectCells(world(from({ ...blue, podSelector: { matchLabels: { app: 'b' } } })), [
      ['y/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', false],
      ['x/b', 'x/a', 'TCP/80', false],
    ]);
    expectCells(world(from(blue, { podSelector: { matchLabels: { app: 'b' } } })), [
      ['y/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/80', true],
    ]);
  });

  it('6: namespaceSelector {} is all pods, not nodes and not the outside', () => {
    expectCells(world(from({ namespaceSelector: {} })), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', true],
      ['node:n2', 'x/a', 'TCP/80', false],
      ['out', 'x/a', 'TCP/80', false],
    ]);
  });

  it('7: podSelector missing, null or {} is every pod of the namespace', () => {
    for (const podSelector of [undefined, null, {}])
      expectCells(world({ podSelector, policyTypes: ['Ingress'] }), [
        ['y/a', 'x/a', 'TCP/80', false],
        ['y/a', 'x/b', 'TCP/80', false],
        ['x/a', 'y/a', 'TCP/80', true],
      ]);
  });

  it('8: kubernetes.io/metadata.name stays through any replacement of labels', () => {
    const spec = from({ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'y' } } });
    expectCells(
      {
        ...world(spec),
        namespaces: [
          { name: 'x', labels: {} },
          { name: 'y', labels: {} },
        ],
      },
      [
        ['y/a', 'x/a', 'TCP/80', true],
        ['x/b', 'x/a', 'TCP/80', false],
      ],
    );
  });

  it('9: a selector that matches nobody is an empty set, never no condition', () => {
    expectCells(world(from({ podSelector: { matchLabels: { app: 'nobody' } } })), [
      ['x/b', 'x/a', 'TCP/80', false],
      ['y/b', 'x/a', 'TCP/80', false],
      ['out', 'x/a', 'TCP/80', false],
    ]);
  });

  for (const key of ['constructor', 'toString', 'host', '__proto__', 'hasOwnProperty'])
    it(`10: "${key}" is a label like any other`, () => {
      const labels = JSON.parse(`{"${key}":"v"}`) as Record<string, string>;
      expectCells(world(from({ podSelector: { matchExpressions: [{ key, operator: 'Exists' }] } })), [
        ['x/b', 'x/a', 'TCP/80', false],
      ]);
      const exists = relabel(
        world(from({ podSelector: { matchExpressions: [{ key, operator: 'Exists' }] } })),
        'x/b',
        labels,
      );
      const equal = relabel(world(from({ podSelector: { matchLabels: labels } })), 'x/b', labels);
      if (key !== '__proto__') expectCells(exists, [['x/b', 'x/a', 'TCP/80', true]]);
      if (key !== '__proto__') expectCells(equal, [['x/b', 'x/a', 'TCP/80', true]]);
      // Isolation of a pod with such a label holds.
      expectCells(relabel(world({ policyTypes: ['Ingress'] }), 'x/a', labels), [['x/b', 'x/a', 'TCP/80', false]]);
    });
});

describe('policy/traps: isolation', () => {
  const all: readonly Cell[] = [
    ['x/b', 'x/a', 'TCP/80', true],
    ['x/a', 'x/b', 'TCP/80', true],
  ];
  const noIngress: readonly Cell[] = [
    ['x/b', 'x/a', 'TCP/80', false],
    ['y/a', 'x/a', 'UDP/53', false],
  ];
  const noEgress: readonly Cell[] = [
    ['x/a', 'y/b', 'TCP/80', false],
    ['x/a', 'out', 'TCP/80', false],
  ];
  const app = { podSelector: { matchLabels: { app: 'a' } } };

  it('11: without policyTypes ingress always, egress only with an egress rule', () => {
    expectCells(world({ ...app }), [...noIngress, ['x/a', 'y/b', 'TCP/80', true]]);
    expectCells(world({ ...app, policyTypes: [], egress: [] }), [...noIngress, ['x/a', 'y/b', 'TCP/80', true]]);
    expectCells(world({ ...app, egress: [{ ports: [{ port: 1 }] }] }), [...noIngress, ...noEgress]);
    expectCells(world({ ...app, policyTypes: ['Egress'] }), [...noEgress, ['x/b', 'x/a', 'TCP/80', true]]);
  });

  it('12: rules for a direction that is not in policyTypes are dead and isolate nothing', () => {
    expectCells(world({ ...app, policyTypes: ['Egress'], ingress: [{ from: [{ podSelector: {} }] }], egress: [{}] }), [
      ['y/a', 'x/a', 'TCP/80', true],
      ...all,
    ]);
    expectCells(world({ ...app, policyTypes: ['Ingress'], ingress: [{}], egress: [{ ports: [{ port: 1 }] }] }), [
      ['x/a', 'y/b', 'TCP/80', true],
      ...all,
    ]);
  });

  it('13: isolation is per pod and direction; [] isolates, [{}] allows everything', () => {
    expectCells(world({ ...app, policyTypes: ['Ingress'], ingress: [] }), [
      ...noIngress,
      ['x/a', 'x/b', 'TCP/80', true],
      ['y/a', 'x/b', 'TCP/80', true],
    ]);
    expectCells(world({ ...app, policyTypes: ['Ingress'], ingress: [{}] }), [
      ...all,
      ['out', 'x/a', 'SCTP/9', true],
      ['node:n2', 'x/a', 'TCP/80', true],
    ]);
  });

  it('14: empty or missing from and ports mean everything', () => {
    for (const rule of [{}, { from: [], ports: [] }, { from: null, ports: null }, { from: [] }, { ports: [] }])
      expectCells(world({ ...app, ingress: [rule] }), [
        ['out', 'x/a', 'UDP/9', true],
        ['y/a', 'x/a', 'SCTP/1', true],
      ]);
  });

  it('15: policies add up; taking the allow away denies again, taking the deny away opens only without another policy', () => {
    const deny = networkPolicy('x', 'deny', { ...app, policyTypes: ['Ingress'] });
    const allow = networkPolicy('x', 'allow', {
      ...app,
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'b' } } }] }],
    });
    expectCells(smallWorld({ policies: [deny, allow] }), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', false],
    ]);
    expectCells(smallWorld({ policies: [deny] }), [['x/b', 'x/a', 'TCP/80', false]]);
    expectCells(smallWorld({ policies: [allow] }), [
      ['x/b', 'x/a', 'TCP/80', true],
      ['y/a', 'x/a', 'TCP/80', false],
    ]);
  });

  it('16: peers and ports stay inside their rule, and rules inside their policy', () => {
    const b = { podSelector: { matchLabels: { app: 'b' } } };
    const blue = { namespaceSelector: { matchLabels: { team: 'blue' } } };
    const cells: readonly Cell[] = [
      ['x/b', 'x/a', 'TCP/80', true],
      ['x/b', 'x/a', 'TCP/81', false],
      ['y/a', 'x/a', 'TCP/80', false],
      ['y/a', 'x/a', 'TCP/81', true],
    ];
    const [one, two] = [
      { from: [b], ports: [{ port: 80 }] },
      { from: [blue], ports: [{ port: 81 }] },
    ];
    expectCells(world({ ...app, ingress: [one, two] }), cells);
    expectCells(world({ ...app, ingress: [one] }, { ...app, ingress: [two] }), cells);
  });

  it('17: both ends must allow, also on one node', () => {
    const receiver = networkPolicy('x', 'in', { ...app, policyTypes: ['Ingress'] });
    const sender = networkPolicy('y', 'out', { ...app, policyTypes: ['Egress'], egress: [{}] });
    // y/a and x/a are both on n1: an accept for the egress must not end the walk.
    expectCells(smallWorld({ policies: [receiver, sender] }), [
      ['y/a', 'x/a', 'TCP/80', false],
      ['y/a', 'y/b', 'TCP/80', true],
    ]);
    const closed = networkPolicy('y', 'out', { ...app, policyTypes: ['Egress'] });
    expectCells(smallWorld({ policies: [networkPolicy('x', 'in', { ...app, ingress: [{}] }), closed] }), [
      ['y/a', 'x/a', 'TCP/80', false],
    ]);
  });

  it('18: replies need no rule: established and related leave before any policy is asked', () => {
    const engine = new PolicyEngine();
    for (const event of eventsOf(world({ policyTypes: ['Ingress', 'Egress'] }), 'n1')) engine.apply(event);
    engine.flush();
    for (const name of ['TORTIE-POD-FORWARD', 'TORTIE-POD-INPUT']) {
      const rules = engine.ruleset().chains.get(`filter/${name}`)?.rules ?? [];
      expect(rules[0]).to.deep.include({ matches: [{ type: 'state', states: ['invalid'] }], action: { type: 'drop' } });
      expect(rules[1]).to.deep.include({
        matches: [{ type: 'state', states: ['related', 'established'] }],
        action: { type: 'accept' },
      });
    }
  });
});
