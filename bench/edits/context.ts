/** What a row of the catalogue chooses from. */
import type { Edit } from './edit.js';
import type { Ground } from './model.js';
import type { Chooser } from './random.js';

export interface Context {
  readonly ground: Ground;
  readonly choose: Chooser;
}

export interface Row {
  readonly kind: string;
  readonly make: (context: Context) => Edit;
}

/** A name that no edit of one run has again, but for one in millions. */
export const shortHash = (choose: Chooser): string =>
  choose
    .below(36 ** 5)
    .toString(36)
    .padStart(5, '0');
