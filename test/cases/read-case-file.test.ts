import { expect } from 'chai';
import { isBroken, type Case, type Cell } from '../../src/cases/case-file.js';
import { CaseFileError, readCaseFile } from '../../src/cases/read-case-file.js';

const world = {
  nodes: [{ name: 'n1', ips: ['172.18.0.1', 'fc00::1'], labels: {} }],
  namespaces: [{ name: 'x', labels: {} }],
  pods: [
    { namespace: 'x', name: 'a', labels: {}, node: 'n1', ips: ['10.0.0.1', 'fd00::1'], ports: [] },
    { namespace: 'x', name: 'six', labels: {}, node: 'n1', ips: ['fd00::2'], ports: [] },
  ],
  externals: [],
};

const read = (step: object, extra: object = {}): Case => {
  const [one] = readCaseFile(
    JSON.stringify({ worlds: { w: world }, cases: [{ id: 'c', title: 't', world: 'w', steps: [step], ...extra }] }),
  ).cases;
  if (one === undefined || isBroken(one)) throw new Error(`broken: ${JSON.stringify(one)}`);
  return one;
};
const problems = (step: object, extra: object = {}): readonly string[] => {
  const [one] = readCaseFile(
    JSON.stringify({ worlds: { w: world }, cases: [{ id: 'c', title: 't', world: 'w', steps: [step], ...extra }] }),
  ).cases;
  return one !== undefined && isBroken(one) ? one.problems : [];
};
const cells = (step: object): readonly Cell[] => read(step).steps[0]?.cells ?? [];

describe('readCaseFile', () => {
  it('makes a cell of every 0 and 1, and of nothing else', () => {
    const table = { protocol: 'UDP', port: 53, family: 6, rows: ['-1', '0?'] };
    expect(cells({ actions: [], endpoints: ['x/a', 'node:n1'], expect: [table] })).to.deep.equal([
      { from: 'x/a', to: 'node:n1', protocol: 'UDP', port: 53, family: 6, allow: true },
      { from: 'node:n1', to: 'x/a', protocol: 'UDP', port: 53, family: 6, allow: false },
    ]);
  });

  it('takes assertions and published tables where the tables are silent', () => {
    const step = {
      endpoints: ['x/a', 'node:n1'],
      expect: [{ protocol: 'TCP', port: 80, family: 4, rows: ['-1', '?-'] }],
      assert: [
        { from: 'x/a', to: 'node:n1', protocol: 'TCP', port: 80, family: 4, allow: false },
        { from: 'node:n1', to: 'x/a', port: 80, allow: false },
      ],
      published: [{ protocol: 'TCP', port: 81, family: 4, endpoints: ['node:n1', 'x/a'], rows: ['-1', '--'] }],
    };
    expect(
      cells(step).map((cell) => `${cell.from} ${cell.to} ${cell.port} ${cell.family} ${cell.allow}`),
    ).to.deep.equal(['x/a node:n1 80 4 true', 'node:n1 x/a 80 4 false', 'node:n1 x/a 81 4 true']);
  });

  it('takes verdicts in the words 1, 0, ? and -, as texts, numbers and booleans, in rows and assertions', () => {
    const table = { protocol: 'TCP', port: 80, family: 4 };
    const endpoints = ['x/a', 'node:n1'];
    const allows = (rows: readonly unknown[]): readonly string[] =>
      cells({ endpoints, expect: [{ ...table, rows }] }).map(({ from, allow }) => `${from} ${allow}`);
    expect(allows(['-1', '0-'])).to.deep.equal(['x/a true', 'node:n1 false']);
    expect(
      allows([
        ['-', '1'],
        ['0', '?'],
      ]),
    ).to.deep.equal(['x/a true', 'node:n1 false']);
    expect(
      allows([
        ['-', 1],
        [false, '-'],
      ]),
    ).to.deep.equal(['x/a true', 'node:n1 false']);
    const ask = (allow: unknown): readonly boolean[] =>
      cells({ assert: [{ from: 'x/a', to: 'node:n1', port: 80, allow }] }).map((cell) => cell.allow);
    for (const allow of [true, 1, '1']) expect(ask(allow), JSON.stringify(allow)).to.deep.equal([true]);
    for (const allow of [false, 0, '0']) expect(ask(allow), JSON.stringify(allow)).to.deep.equal([false]);
    for (const allow of ['?', '-', null]) expect(ask(allow), JSON.stringify(allow)).to.deep.equal([]);
  });

  it('refuses what is no verdict, by its place', () => {
    for (const allow of ['yes', 'true', 2, '', [], '10'])
      expect(
        problems({ assert: [{ from: 'x/a', to: 'node:n1', port: 80, allow }] }).join(),
        JSON.stringify(allow),
      ).to.match(/assert\[0\]\.allow: expected 1 or true, 0 or false, \? or -, got/);
    const rows = [['-', 'x'], ['0']];
    const step = { endpoints: ['x/a', 'node:n1'], expect: [{ protocol: 'TCP', port: 80, family: 4, rows }] };
    expect(problems(step)).to.have.length(2);
  });

  it('asserts without family in IPv4 where both ends have it, else in IPv6', () => {
    const ask = (to: string): number | undefined =>
      cells({ endpoints: [], assert: [{ from: 'x/a', to, port: 80, allow: true }] })[0]?.family;
    expect(ask('node:n1')).to.equal(4);
    expect(ask('x/six')).to.equal(6);
  });

  it('names every problem of a case by its place, and runs the others', () => {
    const bad = {
      actions: [
        { op: 'frob' },
        { op: 'createPolicy', object: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd' } } },
        { op: 'deletePod', namespace: 'x' },
      ],
      endpoints: ['x/a', 'node:n1'],
      expect: [{ protocol: 'ICMP', port: 0, family: 5, rows: ['-1', '1'] }],
    };
    const found = problems(bad);
    for (const place of [
      'actions[0].op: expected one of createPolicy',
      'actions[1].object: expected a policy kind',
      'actions[2].name: expected a text',
      'expect[0].protocol',
      'expect[0].port',
      'expect[0].family',
      'expect[0].rows[1]: expected 2 characters',
    ])
      expect(
        found.some((text) => text.includes(place)),
        `${place} in\n${found.join('\n')}`,
      ).to.equal(true);
    const file = readCaseFile(
      JSON.stringify({
        cases: [
          { id: 'bad', world: 'none', steps: [] },
          { id: 'good', world, steps: [] },
        ],
      }),
    );
    expect(file.cases.map(isBroken)).to.deep.equal([true, false]);
  });

  it('refuses two addresses of one family, and text that is none', () => {
    const pod = {
      namespace: 'x',
      name: 'p',
      labels: {},
      node: 'n1',
      ips: ['10.0.0.1', '10.0.0.2', 'nonsense'],
      ports: [],
    };
    expect(problems({ actions: [{ op: 'createPod', pod }] })).to.have.length(2);
  });

  it('refuses what is no file of cases', () => {
    expect(() => readCaseFile('{')).to.throw(CaseFileError);
    expect(() => readCaseFile('[]')).to.throw(CaseFileError);
    expect(() => readCaseFile('{"cases":{}}')).to.throw(CaseFileError, 'expected a list');
  });

  it('keeps labels that are named like properties of every object', () => {
    const [action] =
      read({
        actions: [{ op: 'setPodLabels', namespace: 'x', name: 'a', labels: { constructor: 'y', __proto__: 'z' } }],
      }).steps[0]?.actions ?? [];
    expect(action?.op === 'setPodLabels' && action.labels['constructor']).to.equal('y');
    expect(action?.op === 'setPodLabels' && action.labels['toString']).to.equal(undefined);
  });
});
