/**
 * Options of one bench as a table: the table checks what was typed, explains itself for `--help`, and gives typed values. All problems are
 * told at once. Every bench also knows `--output` and `--help`.
 */
import { parseArgs } from 'node:util';

export interface Option {
  readonly about: string;
  /** What stands for the value in the help, "N" or "NAME[,NAME]"; without it the option is a switch. */
  readonly value?: string;
  readonly default?: string;
  readonly short?: string;
  /** A number within these bounds. */
  readonly range?: readonly [least: number, most: number];
  readonly isWhole?: boolean;
  /** One of these words. */
  readonly words?: readonly string[];
  /** Several of these words, separated by commas. */
  readonly list?: readonly string[];
}

export type OptionTable = Readonly<Record<string, Option>>;

/** A switch is a boolean; a value is text, and undefined only where it has no default. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { readonly value: string }
    ? T[K] extends { readonly default: string }
      ? string
      : string | undefined
    : boolean;
};

export interface Usage<T extends OptionTable> {
  readonly area: string;
  /** What is measured, what it needs, what the exit code says. */
  readonly about: string;
  readonly options: T;
}

const COMMON = {
  output: {
    value: 'FORMAT',
    short: 'o',
    default: 'text',
    words: ['text', 'json'],
    about: 'json: the last line of the output is one object',
  },
  help: { short: 'h', about: 'this page' },
} as const satisfies OptionTable;

export type ReadOptions<T extends OptionTable> =
  | { readonly type: 'values'; readonly values: Values<T & typeof COMMON> }
  /** Everything has been said: 0 after help, 2 after problems. */
  | { readonly type: 'exit'; readonly code: 0 | 2; readonly text: string };

export function readOptions<const T extends OptionTable>(usage: Usage<T>, args: readonly string[]): ReadOptions<T> {
  const table: OptionTable = { ...usage.options, ...COMMON };
  const { values, tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([name, { value, short, default: initial }]) => [
        name,
        {
          type: value === undefined ? ('boolean' as const) : ('string' as const),
          ...(short === undefined ? {} : { short }),
          ...(initial === undefined ? {} : { default: initial }),
        },
      ]),
    ),
  });
  if (values['help'] === true) return { type: 'exit', code: 0, text: helpOf(usage) };
  const problems: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') problems.push(`"${token.value}" is not an option`);
    else if (token.kind === 'option' && !Object.hasOwn(table, token.name))
      problems.push(`there is no option ${token.rawName}`);
    else if (token.kind === 'option') {
      const problem = problemOf(token.rawName, token.value, table[token.name]);
      if (problem !== undefined) problems.push(problem);
    }
  }
  if (problems.length > 0)
    return {
      type: 'exit',
      code: 2,
      text: `Cannot measure ${usage.area}: ${problems.join('; ')}\nSee npm run bench -- ${usage.area} --help\n`,
    };
  const named = Object.entries(table).map(([name, { value }]) => [
    name,
    value === undefined ? values[name] === true : values[name],
  ]);
  return { type: 'values', values: Object.fromEntries(named) as Values<T & typeof COMMON> };
}

/** Says what there is to say, and gives the exit code back. */
export function leave({ code, text }: { readonly code: 0 | 2; readonly text: string }): number {
  (code === 0 ? process.stdout : process.stderr).write(text);
  return code;
}

function problemOf(name: string, given: string | undefined, option: Option | undefined): string | undefined {
  if (option?.value === undefined)
    return given === undefined ? undefined : `${name} takes no value, and got "${given}"`;
  if (given === undefined || given === '') return `${name} needs a value: ${option.about}`;
  const { range, words, list, isWhole = true } = option;
  if (range !== undefined) {
    const [least, most] = range;
    const isNumber = /^\d+(\.\d+)?$/.test(given) && (!isWhole || Number.isInteger(Number(given)));
    if (!isNumber || Number(given) < least || Number(given) > most)
      return `${name} "${given}" is not ${isWhole ? 'a whole number' : 'a number'} from ${least} to ${most}`;
  }
  if (words !== undefined && !words.includes(given)) return `${name} "${given}" is not one of ${words.join(', ')}`;
  const stranger = list === undefined ? undefined : given.split(',').find((word) => !list.includes(word));
  return stranger === undefined ? undefined : `${name} "${stranger}" is not one of ${(list ?? []).join(', ')}`;
}

/** The page of `--help`: what, then a line per option with what is allowed and what is taken by default. */
export function helpOf({ area, about, options }: Usage<OptionTable>): string {
  const rows = Object.entries({ ...options, ...COMMON } as OptionTable).map(([name, option]) => {
    const flag =
      `${option.short === undefined ? '    ' : `-${option.short}, `}` +
      `--${name}${option.value === undefined ? '' : ` ${option.value}`}`;
    return [flag, `${option.about}${limitsOf(option)}`] as const;
  });
  const width = Math.max(...rows.map(([flag]) => flag.length));
  return `npm run bench -- ${area} [options]\n\n${about}\n\n${rows.map(([flag, text]) => `  ${flag.padEnd(width)}  ${text}\n`).join('')}`;
}

function limitsOf({ range, words, list, default: initial }: Option): string {
  const allowed =
    range !== undefined
      ? [`${range[0]} to ${range[1]}`]
      : words !== undefined
        ? [words.join(' or ')]
        : list !== undefined
          ? [`of ${list.join(', ')}`]
          : [];
  const facts = [...allowed, ...(initial === undefined ? [] : [`default ${initial}`])];
  return facts.length === 0 ? '' : ` (${facts.join('; ')})`;
}
