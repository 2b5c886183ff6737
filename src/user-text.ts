/**
 * Text that users wrote (names, annotations, values inside our sentences) on its way into a log line, an event or a status: no character
 * that a terminal obeys, and no more of it than people read.
 */

/** Longer than any sentence of ours about one part of an object. */
const MOST_LENGTH = 1_024;

/** C0, C1, line and paragraph separators, and what turns the direction of writing. */
const OBEYED = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Escaped as JSON escapes (`\u001b`). */
export const escaped = (text: string): string => text.replace(OBEYED, escapeOf);

/** The same, of text that has lines and columns of our making; within JSON it still means the same. */
export const terminalText = (text: string): string =>
  text.replace(OBEYED, (one) => (one === '\n' || one === '\t' ? one : escapeOf(one)));

const escapeOf = (one: string): string => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** Escaped, then cut, with "..." where it was. */
export function userText(text: string, most: number = MOST_LENGTH): string {
  const beginning = text.slice(0, most + 1);
  const shown = escaped(beginning);
  return shown.length <= most ? shown : `${shown.slice(0, Math.max(0, most - 3))}...`;
}
