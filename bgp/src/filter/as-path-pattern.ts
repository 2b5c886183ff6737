/**
 * AS-path regular expressions as routers have them: POSIX extended syntax on the path's text ("65001 64512 {65010,65011}"), with
 * `_` for a boundary: the start, the end, a blank, a comma, a brace or a parenthesis.
 *
 * The engine is our own because the paths come from strangers: it simulates an automaton, so a match takes time in
 * proportion to the path's length times the pattern's, whatever both say. JavaScript's RegExp can take exponential time.
 */

/** A compiled pattern. */
export interface AsPathPattern {
  readonly source: string;
  test(path: string): boolean;
}

export type ParsedPattern =
  | { readonly type: 'ok'; readonly pattern: AsPathPattern }
  /** What would have been right. */
  | { readonly type: 'error'; readonly expected: string };

/** Instructions of the automaton; targets are indices. */
type Step =
  | { readonly type: 'character'; readonly accepts: (code: number) => boolean }
  | { readonly type: 'split'; first: number; second: number }
  | { readonly type: 'start' }
  | { readonly type: 'end' }
  | { readonly type: 'boundary' }
  | { readonly type: 'match' };

type Node =
  | { readonly type: 'character'; readonly accepts: (code: number) => boolean }
  | { readonly type: 'assert'; readonly what: 'start' | 'end' | 'boundary' }
  | { readonly type: 'sequence'; readonly nodes: readonly Node[] }
  | { readonly type: 'choice'; readonly nodes: readonly Node[] }
  | { readonly type: 'repeat'; readonly node: Node; readonly min: number; readonly max: number };

/** BOUNDED: counted repetitions multiply, and a match costs as much per character as there are steps: 70 ms at worst for 1,000 AS. */
const MAX_STEPS = 1_000;
const MAX_REPEAT = 255;
const MAX_DEPTH = 100;

class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** Compiles a pattern, or says what is wrong with it. */
export function parseAsPathPattern(source: string): ParsedPattern {
  try {
    const program = compile(new PatternParser(source).parse());
    return { type: 'ok', pattern: { source, test: (path) => run(program, path) } };
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return { type: 'error', expected: error.message };
  }
}

/** Recursive descent over: choice = sequence ("|" sequence)*; sequence = repetition*; repetition = atom [*+?{m,n}]. */
class PatternParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node {
    const node = this.#choice();
    if (this.#at < this.#text.length) throw new PatternError('an opening parenthesis for every closing one');
    return node;
  }

  #choice(): Node {
    if (++this.#depth > MAX_DEPTH) throw new PatternError(`at most ${MAX_DEPTH} nested parentheses`);
    const nodes = [this.#sequence()];
    while (this.#take('|')) nodes.push(this.#sequence());
    this.#depth--;
    return nodes.length === 1 ? (nodes[0] ?? { type: 'sequence', nodes: [] }) : { type: 'choice', nodes };
  }

  #sequence(): Node {
    const nodes: Node[] = [];
    while (this.#at < this.#text.length && !'|)'.includes(this.#peek())) nodes.push(this.#repetition());
    return { type: 'sequence', nodes };
  }

  #repetition(): Node {
    let node = this.#atom();
    for (;;) {
      if (this.#take('*')) node = { type: 'repeat', node, min: 0, max: Infinity };
      else if (this.#take('+')) node = { type: 'repeat', node, min: 1, max: Infinity };
      else if (this.#take('?')) node = { type: 'repeat', node, min: 0, max: 1 };
      else if (this.#take('{')) node = this.#counted(node);
      else return node;
    }
  }

  #counted(node: Node): Node {
    const match = /^(\d{1,3})(,(\d{0,3}))?\}/.exec(this.#text.slice(this.#at));
    if (match === null)
      throw new PatternError('a count such as {2}, {2,} or {2,5}; braces of AS sets are written \\{ and \\}');
    this.#at += match[0].length;
    const min = Number(match[1]);
    const max = match[2] === undefined ? min : match[3] === '' ? Infinity : Number(match[3]);
    if (max < min || min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT))
      throw new PatternError(`a count of at most ${MAX_REPEAT}, the smaller number first`);
    return { type: 'repeat', node, min, max };
  }

  #atom(): Node {
    const character = this.#text[this.#at++] ?? '';
    switch (character) {
      case '(': {
        const node = this.#choice();
        if (!this.#take(')')) throw new PatternError('a closing parenthesis for every opening one');
        return node;
      }
      case '.':
        return { type: 'character', accepts: () => true };
      case '^':
        return { type: 'assert', what: 'start' };
      case '$':
        return { type: 'assert', what: 'end' };
      case '_':
        return {
          type: 'choice',
          nodes: [
            { type: 'assert', what: 'boundary' },
            { type: 'character', accepts: isDelimiter },
          ],
        };
      case '[':
        return this.#set();
      case '*':
      case '+':
      case '?':
      case '{':
        throw new PatternError(`something to repeat before "${character}"`);
      case '\\': {
        const escaped = this.#text[this.#at++];
        if (escaped === undefined) throw new PatternError('a character after the backslash');
        return escaped === 'd' ? { type: 'character', accepts: isDigit } : exactly(escaped);
      }
      default:
        return exactly(character);
    }
  }

  /** "[0-9]", "[^5]": single characters and ranges; "]" first stands for itself. */
  #set(): Node {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      const from = this.#text[this.#at++];
      if (from === undefined) throw new PatternError('a closing bracket for every opening one');
      const isRange =
        this.#peek() === '-' && this.#text[this.#at + 1] !== undefined && this.#text[this.#at + 1] !== ']';
      if (isRange) this.#at++;
      const to = isRange ? (this.#text[this.#at++] ?? from) : from;
      if (to < from) throw new PatternError(`a range in order, not ${from}-${to}`);
      ranges.push([from.charCodeAt(0), to.charCodeAt(0)]);
    }
    this.#at++;
    const holds = (code: number): boolean => ranges.some(([low, high]) => code >= low && code <= high);
    return { type: 'character', accepts: isNegated ? (code) => !holds(code) : holds };
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }
}

const exactly = (character: string): Node => {
  const wanted = character.charCodeAt(0);
  return { type: 'character', accepts: (code) => code === wanted };
};

const DELIMITERS: ReadonlySet<number> = new Set([...' ,{}()[]'].map((character) => character.charCodeAt(0)));
const isDelimiter = (code: number): boolean => DELIMITERS.has(code);
const isDigit = (code: number): boolean => code >= 48 && code <= 57;

function compile(root: Node): readonly Step[] {
  const program: Step[] = [];
  const push = (step: Step): number => {
    if (program.length >= MAX_STEPS)
      throw new PatternError(`a smaller pattern: counted repetitions make this one larger than ${MAX_STEPS} steps`);
    return program.push(step) - 1;
  };
  const emit = (node: Node): void => {
    switch (node.type) {
      case 'character':
        push(node);
        return;
      case 'assert':
        push({ type: node.what });
        return;
      case 'sequence':
        node.nodes.forEach(emit);
        return;
      case 'choice':
        return emitChoice(node.nodes);
      case 'repeat':
        return emitRepeat(node);
    }
  };
  /** A jump is a split with two equal targets. */
  const emitChoice = (nodes: readonly Node[]): void => {
    const jumps: { type: 'split'; first: number; second: number }[] = [];
    for (const [index, node] of nodes.entries()) {
      if (index === nodes.length - 1) {
        emit(node);
        break;
      }
      const split = { type: 'split' as const, first: program.length + 1, second: 0 };
      push(split);
      emit(node);
      const jump = { type: 'split' as const, first: 0, second: 0 };
      push(jump);
      jumps.push(jump);
      split.second = program.length;
    }
    for (const jump of jumps) jump.first = jump.second = program.length;
  };
  const emitRepeat = ({ node, min, max }: Extract<Node, { type: 'repeat' }>): void => {
    for (let i = 0; i < min; i++) emit(node);
    if (max === Infinity) {
      const split = { type: 'split' as const, first: program.length + 1, second: 0 };
      const at = push(split);
      emit(node);
      push({ type: 'split', first: at, second: at });
      split.second = program.length;
      return;
    }
    const splits: { type: 'split'; first: number; second: number }[] = [];
    for (let i = min; i < max; i++) {
      const split = { type: 'split' as const, first: program.length + 1, second: 0 };
      push(split);
      splits.push(split);
      emit(node);
    }
    for (const split of splits) split.second = program.length;
  };
  emit(root);
  push({ type: 'match' });
  return program;
}

/** Does the automaton match anywhere in the text? A new attempt begins at every position, all at once. */
function run(program: readonly Step[], text: string): boolean {
  let current: number[] = [];
  let next: number[] = [];
  const addedAt = new Int32Array(program.length).fill(-1);
  for (let at = 0; at <= text.length; at++) {
    if (follow(program, 0, at, text.length, current, addedAt)) return true;
    if (at === text.length) return false;
    const code = text.charCodeAt(at);
    next.length = 0;
    for (const index of current) {
      const step = program[index];
      if (
        step?.type === 'character' &&
        step.accepts(code) &&
        follow(program, index + 1, at + 1, text.length, next, addedAt)
      )
        return true;
    }
    [current, next] = [next, current];
  }
  return false;
}

/** Adds a step and what can be reached from it without a character; true when that is the match. */
function follow(
  program: readonly Step[],
  from: number,
  at: number,
  length: number,
  into: number[],
  addedAt: Int32Array,
): boolean {
  const waiting = [from];
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    if (addedAt[index] === at) continue;
    addedAt[index] = at;
    const step = program[index];
    switch (step?.type) {
      case 'match':
        return true;
      case 'character':
        into.push(index);
        break;
      case 'split':
        waiting.push(step.first, step.second);
        break;
      case 'start':
        if (at === 0) waiting.push(index + 1);
        break;
      case 'end':
        if (at === length) waiting.push(index + 1);
        break;
      case 'boundary':
        if (at === 0 || at === length) waiting.push(index + 1);
        break;
    }
  }
  return false;
}
