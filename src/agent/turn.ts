/** One thing at a time, in the order in which they were asked for. */
export class Turn {
  private last: Promise<void> = Promise.resolve();

  /** What fails, fails for who asked for it alone. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work);
    this.last = result.then(
      () => {},
      () => {},
    );
    return result;
  }
}
