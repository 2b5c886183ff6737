/** Runs work of one key in order and work of different keys side by side. */
export class KeyedQueue {
  /** The tail of each key's line; gone when the line is empty. */
  private readonly tails = new Map<string, Promise<unknown>>();

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    const result = before.then(work, work);
    // Whoever comes next only waits; the failure belongs to whoever asked.
    const tail = result
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        if (this.tails.get(key) === tail) this.tails.delete(key);
      });
    this.tails.set(key, tail);
    return result;
  }
}
