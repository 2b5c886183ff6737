/**
 * The table of every property of every kind we serve, and of every annotation, label and Secret that Calico documents for them:
 * what it does here, where, and which test shows it. docs/calico.md is this table as a page; table.test.ts holds that
 * nothing is missing, nothing is made up, and every test is there.
 *
 * A path may stand for several: `spec.{ingress,egress}[].action`. A row with a shape covers what is below it, too: selectors and
 * conditions look alike wherever they stand and have rows of their own.
 */

/** A test file and what stands in the title of its test. */
export type Proof = readonly [file: string, title: string];

export interface Row {
  readonly path: string;
  /** What it does here; absent when it is only refused. */
  readonly does?: string;
  /** Refused, with these words in the object's condition or in NodeStatus; they stand in `file`. */
  readonly refusal?: string;
  /** The source file that acts on it, or refuses it. */
  readonly file: string;
  readonly proof: Proof;
  readonly shape?: ShapeName;
}

export type ShapeName = 'labels' | 'conditions' | 'entity' | 'filterRule';

/** Rows of some kinds, as they have the same properties. */
export interface Section {
  readonly kinds: readonly string[];
  /** A sentence or two before the table. */
  readonly about?: string;
  readonly rows: readonly Row[];
}

/** Rows relative to the place a shape stands at. */
export type Shapes = Readonly<Record<ShapeName, { readonly title: string; readonly rows: readonly Row[] }>>;

/** Something that is no property: an annotation, a label, a Secret. */
export interface Mark {
  readonly on: string;
  readonly name: string;
  readonly does?: string;
  readonly refusal?: string;
  readonly file: string;
  readonly proof: Proof;
}

/** A row in few words. */
export const acts = (path: string, does: string, file: string, proof: Proof, shape?: ShapeName): Row => ({
  path,
  does,
  file,
  proof,
  ...(shape === undefined ? {} : { shape }),
});

/** Refused by the table in src/agent/refusals.ts; its words are filled in from there. `does`: what it does as far as it is not refused. */
export const refused = (path: string, proof: Proof, does?: string): Row => ({
  path,
  ...(does === undefined ? {} : { does }),
  refusal: FROM_TABLE,
  file: REFUSALS_FILE,
  proof,
});

export const FROM_TABLE = 'from the table';
export const REFUSALS_FILE = 'src/agent/refusals.ts';

/** `a.{b,c}.d` as a.b.d and a.c.d. */
export function expand(path: string): readonly string[] {
  const match = /^(.*?)\{([^}]*)\}(.*)$/.exec(path);
  if (match === null) return [path];
  const [, before = '', choices = '', after = ''] = match;
  return choices.split(',').flatMap((choice) => expand(`${before}${choice}${after}`));
}

/** All properties that a row speaks of, those of its shape included. */
export const covered = (row: Row, shapes: Shapes): readonly string[] =>
  expand(row.path).flatMap((path) => [
    path,
    ...(row.shape === undefined
      ? []
      : shapes[row.shape].rows.flatMap((inner) => covered(inner, shapes).map((rest) => joined(path, rest)))),
  ]);

const joined = (path: string, rest: string): string => (rest.startsWith('[]') ? `${path}${rest}` : `${path}.${rest}`);
