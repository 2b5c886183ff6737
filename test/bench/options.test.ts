/** Every bench explains itself and refuses what it does not know, before it touches anything. */
import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { readOptions } from '../../bench/options.js';
import { packageFile } from '../../src/lab/tortie-argv.js';

const USAGE = {
  area: 'tea',
  about: 'How long tea takes.',
  options: {
    cups: { value: 'N', default: '2', range: [1, 12], about: 'to fill' },
    hours: { value: 'N', default: '1', range: [0.5, 2], isWhole: false, about: 'to wait' },
    kind: { value: 'NAME', words: ['green', 'black'], about: 'of tea' },
    with: { value: 'NAME[,NAME]', default: 'milk', list: ['milk', 'sugar'], about: 'what goes in' },
    cold: { about: 'no fire' },
  },
} as const;
const problem = (...args: readonly string[]): string => {
  const read = readOptions(USAGE, args);
  return read.type === 'exit' && read.code === 2 ? (read.text.split('\n')[0] ?? '') : `taken: ${JSON.stringify(read)}`;
};

describe('bench/options', () => {
  it('takes defaults, values and switches', () => {
    expect(readOptions(USAGE, [])).to.deep.equal({
      type: 'values',
      values: { cups: '2', hours: '1', kind: undefined, with: 'milk', cold: false, output: 'text', help: false },
    });
    expect(
      readOptions(USAGE, [
        '--cups=12',
        '--hours',
        '0.5',
        '--kind',
        'green',
        '--with',
        'milk,sugar',
        '--cold',
        '-o',
        'json',
      ]),
    ).to.deep.equal({
      type: 'values',
      values: { cups: '12', hours: '0.5', kind: 'green', with: 'milk,sugar', cold: true, output: 'json', help: false },
    });
  });

  const refused: readonly (readonly [args: readonly string[], words: string])[] = [
    [['--cup', '3'], 'there is no option --cup; "3" is not an option'],
    [['-x'], 'there is no option -x'],
    [['--cups', '13'], '--cups "13" is not a whole number from 1 to 12'],
    [['--cups', '1.5'], '--cups "1.5" is not a whole number from 1 to 12'],
    [['--cups', 'many'], '--cups "many" is not a whole number from 1 to 12'],
    [['--hours', '3'], '--hours "3" is not a number from 0.5 to 2'],
    [['--cups'], '--cups needs a value: to fill'],
    [['--kind', 'red'], '--kind "red" is not one of green, black'],
    [['--with', 'milk,salt'], '--with "salt" is not one of milk, sugar'],
    [['--cold=yes'], '--cold takes no value, and got "yes"'],
    [['-o', 'xml'], '-o "xml" is not one of text, json'],
    [
      ['--cups', '0', '--kind', 'red'],
      '--cups "0" is not a whole number from 1 to 12; --kind "red" is not one of green, black',
    ],
  ];
  for (const [args, words] of refused)
    it(`refuses ${args.join(' ')}`, () => expect(problem(...args)).to.equal(`Cannot measure tea: ${words}`));

  it('shows every option with what is allowed, also beside a wrong one', () => {
    const help = readOptions(USAGE, ['--nonsense', '--help']);
    expect(help).to.deep.equal({
      type: 'exit',
      code: 0,
      text: `npm run bench -- tea [options]

How long tea takes.

      --cups N            to fill (1 to 12; default 2)
      --hours N           to wait (0.5 to 2; default 1)
      --kind NAME         of tea (green or black)
      --with NAME[,NAME]  what goes in (of milk, sugar; default milk)
      --cold              no fire
  -o, --output FORMAT     json: the last line of the output is one object (text or json; default text)
  -h, --help              this page
`,
    });
  });
});

describe('bench/main', function () {
  this.timeout(20_000);
  const bench = (
    ...args: readonly string[]
  ): { readonly status: number | null; readonly stdout: string; readonly stderr: string } =>
    spawnSync(process.execPath, [packageFile('dist/bench/main.js'), ...args], { encoding: 'utf8' });

  const areas = [...bench('--help').stdout.matchAll(/^ {2}(\w+) /gm)].map(([, name = '']) => name);
  it('lists its areas, also to those who name another', () => {
    expect(areas).to.include.members(['bgp', 'soak', 'cni']);
    const unknown = bench('tea');
    expect([unknown.status, unknown.stdout]).to.deep.equal([2, '']);
    for (const name of ['Cannot measure "tea"', ...areas]) expect(unknown.stderr).to.contain(name);
  });

  for (const area of areas)
    it(`${area} explains itself, and refuses what it does not know`, () => {
      const help = bench(area, '--help');
      expect([help.status, help.stderr]).to.deep.equal([0, '']);
      expect(help.stdout)
        .to.match(new RegExp(`^npm run bench -- ${area} \\[options\\]\\n\\n\\w`))
        .and.to.contain('--output FORMAT');
      const wrong = bench(area, '--nonsense');
      expect(wrong).to.deep.include({
        status: 2,
        stdout: '',
        stderr: `Cannot measure ${area}: there is no option --nonsense\nSee npm run bench -- ${area} --help\n`,
      });
    });
});
