/**
 * What a command says on standard output: the one place where it is written. Text of users and peers is in most of it, and whoever
 * reads it has a terminal that obeys.
 */
import { terminalText } from './user-text.js';

export function print(text: string): void {
  process.stdout.write(terminalText(text));
}

/** In place of what the screen shows. */
export function printScreen(text: string): void {
  process.stdout.write(`\u001b[H\u001b[2J${terminalText(text)}`);
}

/** Why a command could not, on standard error. */
export function printError(text: string): void {
  process.stderr.write(terminalText(text));
}
