/**
 * Is a concurrent history of one thing linearizable: can every call be put at a moment between its beginning and its end, so that, one
 * after the other, each answers what it did? The search of Wing and Gong (1993) with the memory of Lowe (2017): of two orders that lead to
 * one state with the same calls done, one is enough.
 */
export interface Call<Operation, Answer> {
  readonly operation: Operation;
  readonly begun: number;
  readonly ended: number;
  /** Undefined: it failed, and may have been done, at any time after it began, or never. */
  readonly answer: Answer | undefined;
}

/** What an operation answers in a state, and the state after it. States are compared by `JSON.stringify`. */
export type Model<State, Operation, Answer> = (state: State, operation: Operation) => readonly [Answer, State];

export function isLinearizable<State, Operation, Answer>(
  calls: readonly Call<Operation, Answer>[],
  initial: State,
  model: Model<State, Operation, Answer>,
): boolean {
  const seen = new Set<string>();
  const isPossible = (done: ReadonlySet<number>, state: State): boolean => {
    const open = calls.flatMap((call, index) => (done.has(index) ? [] : [{ call, index }]));
    if (open.every(({ call }) => call.answer === undefined)) return true;
    const key = `${open.map(({ index }) => index).join()} ${JSON.stringify(state)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    // Who began after another had ended comes after it.
    const soonest = Math.min(
      ...open.map(({ call }) => (call.answer === undefined ? Number.POSITIVE_INFINITY : call.ended)),
    );
    return open.some(({ call, index }) => {
      if (call.begun > soonest) return false;
      const [answer, after] = model(state, call.operation);
      if (call.answer !== undefined && JSON.stringify(answer) !== JSON.stringify(call.answer)) return false;
      return isPossible(new Set([...done, index]), after);
    });
  };
  return isPossible(new Set(), initial);
}
