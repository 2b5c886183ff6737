import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { UserError } from '../src/errors.js';
import { parseKubectlYaml, resolvePlain } from '../src/kubectl-yaml.js';

const read = (text: string): readonly unknown[] => parseKubectlYaml(text, 'test.yaml');
const refusal = (text: string): string => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
  return '';
};

/** What kubectl makes of a manifest, without a server. */
function kubectl(text: string): unknown {
  const args = ['annotate', '--local', '-f', '-', 'tortie.dev/seen=yes', '-o', 'json'];
  const { status, stdout, stderr } = spawnSync('kubectl', args, { input: text, encoding: 'utf8' });
  if (status !== 0) throw new Error(`kubectl: ${stderr}`);
  return JSON.parse(stdout);
}
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
const HEAD = 'apiVersion: example.dev/v1\nkind: Odd\nmetadata: {name: x, annotations: {tortie.dev/seen: "yes"}}\n';

/** Numbers with exponents and very long ones are refused as keys. */
const isEasyKey = (text: string): boolean => {
  const value = resolvePlain(text);
  return (
    typeof value !== 'number' ||
    (!/^[^xX]*[eE]/.test(text) && /^-?[0-9]{1,15}$|^-?[0-9]{1,4}\.[0-9]{1,3}$/.test(String(value)))
  );
};

describe('kubectl-yaml', () => {
  it('reads plain scalars as kubectl does', () => {
    const table: readonly (readonly [string, unknown])[] = [
      ['0120', 80],
      ['-0120', -80],
      ['0o120', 80],
      ['0b1010', 10],
      ['0x1F', 31],
      ['8_080', 8080],
      ['089', 89],
      ['1:20', '1:20'],
      ['190:20:30', '190:20:30'],
      ['+80', 80],
      ['1e3', 1000],
      ['.5', 0.5],
      ['1.', 1],
      ['10.0.0.1', '10.0.0.1'],
      ['fd00::1', 'fd00::1'],
      ['y', true],
      ['Y', true],
      ['yes', true],
      ['YES', true],
      ['yEs', 'yEs'],
      ['on', true],
      ['Off', false],
      ['n', false],
      ['No', false],
      ['~', null],
      ['Null', null],
      ['nULL', 'nULL'],
      ['2026-11-30', '2026-11-30'],
      ['2026-11-30T10:00:00Z', '2026-11-30T10:00:00Z'],
    ];
    for (const [text, value] of table) {
      expect(resolvePlain(text), text).to.equal(value);
      expect(read(`v: ${text}`), text).to.deep.equal([{ v: value }]);
      expect(read(`v: "${text}"`), text).to.deep.equal([{ v: text }]);
    }
  });

  it('agrees with kubectl itself, on values, keys and lists', function () {
    if (!hasKubectl) this.skip();
    this.timeout(60_000);
    const piece = fc.constantFrom(
      '0',
      '1',
      '7',
      '8',
      '9',
      '_',
      '.',
      '-',
      '+',
      'e',
      'E',
      'x',
      'o',
      'b',
      'a',
      'F',
      'y',
      'n',
    );
    const scalars = [
      ...fc.sample(
        fc.array(piece, { minLength: 1, maxLength: 6 }).map((all) => all.join('')),
        { numRuns: 2_000, seed: 7 },
      ),
      ...[
        'y',
        'Y',
        'yes',
        'on',
        'off',
        'no',
        'null',
        '~',
        'true',
        'TRUE',
        'tRue',
        '0o17',
        '0O17',
        '0B11',
        '0X1f',
        '0_7',
        '12:30',
      ],
      ...[
        '2026-11-30',
        '.5',
        '5.',
        '1e3',
        '1E+3',
        '-0',
        '+0',
        '00',
        '08',
        '0.0',
        '-.5',
        '<<x',
        '0x',
        '0b',
        '0o',
        '1__0',
      ],
    ].filter((text) => !/^-+$|^- |^-$/.test(text) && !/^(\.|[-+]*)(inf|nan)$/i.test(text));
    const spec = scalars
      .map((text, i) => `  - {at: ${i}, plain: ${text}, single: '${text}', list: [${text}]}\n`)
      .join('');
    const keys = [...new Map(scalars.map((text) => [String(resolvePlain(text)), text])).values()]
      .filter((text) => resolvePlain(text) !== null && isEasyKey(text))
      .map((text, i) => `  - {${text}: ${i}}\n`)
      .join('');
    const manifest = `${HEAD}values:\n${spec}keys:\n${keys}`;
    expect(read(manifest)).to.deep.equal([kubectl(manifest)]);
  });

  it('takes anchors, aliases, merges and explicit tags as kubectl does', function () {
    const manifest =
      `${HEAD}base: &base {a: 1, b: 2}\nother: &other {b: 3, c: 4}\n` +
      'one: {<<: *base, b: 5}\ntwo: {<<: [*base, *other]}\nsame: *base\n' +
      'texts: [!!str 12, !!str yes, !!int 012, !!float 1, !!binary aGk=]\nblock: |\n  0120\n  yes\nfolded: >-\n  0120\n';
    const [ours] = read(manifest) as readonly Record<string, unknown>[];
    expect(ours).to.deep.include({
      one: { a: 1, b: 5 },
      two: { a: 1, b: 2, c: 4 },
      texts: ['12', 'yes', 10, 1, 'hi'],
      block: '0120\nyes\n',
      folded: '0120',
    });
    if (!hasKubectl) this.skip();
    expect(ours).to.deep.equal(kubectl(manifest));
  });

  it('reads documents, empty ones among them, and JSON one behind the other', () => {
    expect(read('a: 1\n---\n---\n# nothing\n---\nb: 0120\n...\n')).to.deep.equal([{ a: 1 }, null, null, { b: 80 }]);
    expect(read('')).to.deep.equal([]);
    expect(read('{"a": "}{", "b": [1, {}]}\n{"c": "\\""}{"d": 1}')).to.deep.equal([
      { a: '}{', b: [1, {}] },
      { c: '"' },
      { d: 1 },
    ]);
    // In JSON `012` is no number: YAML in braces is what this is.
    expect(read('{a: 012, y: no}')).to.deep.equal([{ a: 10, true: false }]);
  });

  it('keeps keys that every object has already', () => {
    const [value] = read('__proto__: {a: 1}\nconstructor: x\n') as readonly object[];
    expect(Object.keys(value ?? {})).to.deep.equal(['__proto__', 'constructor']);
  });

  for (const [what, text, says] of [
    ['a key written twice', 'a: 1\nb: 2\na: 3\n', /test\.yaml, line 3: key "a" stands twice/],
    ['a key written twice in two spellings', '{y: 1, true: 2}', /line 1: key "true" stands twice/],
    [
      'a merge over a key before it',
      'a: &a {x: 1}\nb:\n  x: 2\n  <<: *a\n',
      /line 4: "<<" overrides "x".*write "<<" first/,
    ],
    ['a merge of what is no mapping', 'b:\n  <<: [1]\n', /line 2: expected a mapping/],
    ['infinity', 'a:\n- .inf\n', /line 2: "\.inf" is no number of JSON; quote it/],
    ['a key that is a list', '? [1, 2]\n: 3\n', /line 1: expected a text, a number or a boolean as a key/],
    ['a key that is nothing', '~: 3\n', /line 1: expected a text/],
    ['a key that Go writes in its own way', '1e9: 3\n', /line 1: expected a key without exponent; quote it/],
    ['a tag of its own', 'a: !secret x\n', /line 1: tag "!secret" has no meaning in JSON/],
    ['a tag that lies', 'a: !!int many\n', /line 1: "many" is no int/],
    ['what is no YAML', 'a: [\n', /test\.yaml, line 2: /],
    ['broken JSON, by its line', '{"a": 1}\n{"b": }}\n', /test\.yaml, line 2: /],
  ] as const)
    it(`refuses ${what}`, () => expect(refusal(text)).to.match(says));

  it('is not led round in circles or blown up by aliases', () => {
    expect(refusal('a: &a [*a]\n')).to.not.equal('');
    const levels = Array.from({ length: 12 }, (_, i) => `l${i}: &l${i} [${`*l${i - 1}, `.repeat(9)}*l${i - 1}]`).slice(
      1,
    );
    expect(refusal(`l0: &l0 [x]\n${levels.join('\n')}\n`)).to.match(/at most 1000000 values/);
  });
});
