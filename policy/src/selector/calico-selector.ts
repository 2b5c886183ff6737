/**
 * Calico's selector expressions: `role == "web" && has(tier) || !(zone in {"a", 'b'})`, parsed into the one selector tree.
 *
 *   expression = and ( "||" and )*          and  = not ( "&&" not )*          not = "!"* atom
 *   atom = "(" expression ")" | "all()" | "global()" | "has(" key ")"
 *        | key ( "==" | "!=" | "contains" | "starts with" | "ends with" ) string
 *        | key ( "in" | "not in" ) "{" [ string ( "," string )* ] "}"
 *
 * Empty text selects everything. Keys are letters, digits and `_./-`; strings stand in single or double quotes without escapes
 * (libcalico-go/lib/selector). `global()` means what is in no namespace.
 */
import { ALL, and, not, NONE, or, valueTerm, type Selector } from './selector.js';

/** Text is not a selector; the message says where and what was expected. */
export class SelectorError extends Error {
  override readonly name = 'SelectorError';
}

/** Resources without a namespace lack this label. */
export const NAMESPACE_LABEL = 'projectcalico.org/namespace';

/** Nesting past this is no selector that a person wrote. */
const DEEPEST = 64;
const LONGEST = 65_536;

interface Token {
  readonly type: 'word' | 'string' | 'symbol' | 'end';
  readonly text: string;
  readonly at: number;
}

/** @throws SelectorError */
export function parseCalicoSelector(text: string): Selector {
  if (text.length > LONGEST)
    throw new SelectorError(`Cannot parse a selector of ${text.length} characters: expected at most ${LONGEST}`);
  return new Parser(text).parse();
}

const WORD = /[A-Za-z0-9_./-]+/y;
const SPACE = /\s*/y;
const PAIRS: ReadonlySet<string> = new Set(['&&', '||', '==', '!=']);
const SINGLES = '!(){},';

/** The token at or behind a place. One at a time: what the parser gives up on is not read to its end. */
function tokenAt(text: string, from: number): Token & { readonly next: number } {
  SPACE.lastIndex = from;
  SPACE.test(text);
  const at = SPACE.lastIndex;
  if (at >= text.length) return { type: 'end', text: '', at: text.length, next: text.length };
  WORD.lastIndex = at;
  if (WORD.test(text)) return { type: 'word', text: text.slice(at, WORD.lastIndex), at, next: WORD.lastIndex };
  const first = text.charAt(at);
  if (first === '"' || first === "'") {
    const end = text.indexOf(first, at + 1);
    // Where it ends: what is told of a value is what stands before it.
    if (end >= 0) return { type: 'string', text: text.slice(at + 1, end), at: end + 1, next: end + 1 };
  }
  const pair = text.slice(at, at + 2);
  if (PAIRS.has(pair)) return { type: 'symbol', text: pair, at, next: at + 2 };
  if (SINGLES.includes(first)) return { type: 'symbol', text: first, at, next: at + 1 };
  throw failure(text, at, 'a label, a quoted value or an operator');
}

const failure = (text: string, at: number, expected: string): SelectorError =>
  new SelectorError(
    `Cannot parse selector "${text.length <= 200 ? text : `${text.slice(0, 200)}...`}" at character ${at + 1}: expected ${expected}`,
  );

class Parser {
  private depth = 0;
  /** The next one. */
  private token: ReturnType<typeof tokenAt>;
  /** Where the one before it stands. */
  private previousAt = 0;

  constructor(private readonly text: string) {
    this.token = tokenAt(text, 0);
  }

  parse(): Selector {
    if (this.peek().type === 'end') return ALL;
    const selector = this.expression();
    if (this.peek().type !== 'end') throw this.failure('"&&", "||" or the end');
    return selector;
  }

  private expression(): Selector {
    if (++this.depth > DEEPEST) throw this.failure(`at most ${DEEPEST} levels of parentheses`);
    const terms = [this.conjunction()];
    while (this.take('||')) terms.push(this.conjunction());
    this.depth--;
    return or(terms);
  }

  private conjunction(): Selector {
    const terms = [this.negation()];
    while (this.take('&&')) terms.push(this.negation());
    return and(terms);
  }

  private negation(): Selector {
    let isNegated = false;
    while (this.take('!')) isNegated = !isNegated;
    const atom = this.atom();
    return isNegated ? not(atom) : atom;
  }

  private atom(): Selector {
    if (this.take('(')) {
      const inner = this.expression();
      this.expect(')');
      return inner;
    }
    const token = this.peek();
    if (token.type !== 'word') throw this.failure('a label name, "(", has(), all() or global()');
    this.advance();
    if (this.take('(')) return this.call(token);
    return this.comparison(token.text);
  }

  private call(name: Token): Selector {
    if (name.text === 'has') {
      const key = this.word('a label name');
      this.expect(')');
      return { type: 'present', key };
    }
    this.expect(')');
    if (name.text === 'all') return ALL;
    if (name.text === 'global') return { type: 'absent', key: NAMESPACE_LABEL };
    throw failure(this.text, name.at, 'has(), all() or global()');
  }

  private comparison(key: string): Selector {
    if (this.take('==')) return valueTerm('in', key, [this.string()]);
    if (this.take('!=')) return valueTerm('not-in', key, [this.string()]);
    const operator = this.peek();
    const word = operator.type === 'word' ? operator.text : '';
    this.advance();
    switch (word) {
      case 'in':
        return this.membership('in', key);
      case 'contains':
        return { type: 'contains', key, text: this.string() };
      case 'not':
        this.keyword('in');
        return this.membership('not-in', key);
      case 'starts':
      case 'ends':
        this.keyword('with');
        return { type: word === 'starts' ? 'starts-with' : 'ends-with', key, text: this.string() };
      default:
        throw failure(this.text, operator.at, '==, !=, in, not in, contains, starts with or ends with');
    }
  }

  private membership(type: 'in' | 'not-in', key: string): Selector {
    this.expect('{');
    const values: string[] = [];
    if (!this.take('}')) {
      do values.push(this.string());
      while (this.take(','));
      this.expect('}');
    }
    if (values.length > 0) return valueTerm(type, key, values);
    return type === 'in' ? NONE : ALL;
  }

  private peek(): Token {
    return this.token;
  }

  private advance(): void {
    this.previousAt = this.token.at;
    this.token = tokenAt(this.text, this.token.next);
  }

  private take(symbol: string): boolean {
    const token = this.peek();
    if (token.type !== 'symbol' || token.text !== symbol) return false;
    this.advance();
    return true;
  }

  private expect(symbol: string): void {
    if (!this.take(symbol)) throw this.failure(`"${symbol}"`);
  }

  private keyword(word: string): void {
    if (this.word(`"${word}"`) !== word) throw failure(this.text, this.previousAt, `"${word}"`);
  }

  private word(expected: string): string {
    const token = this.peek();
    if (token.type !== 'word') throw this.failure(expected);
    this.advance();
    return token.text;
  }

  private string(): string {
    const token = this.peek();
    if (token.type !== 'string') throw this.failure('a value in quotes');
    this.advance();
    return token.text;
  }

  private failure(expected: string): SelectorError {
    return failure(this.text, this.peek().at, expected);
  }
}
