/** Choices that a seed decides. */
import { randomNumbers } from '../soak/route-model.js';

export class Chooser {
  private readonly next: () => number;

  constructor(seed: number) {
    this.next = randomNumbers(seed);
  }

  /** 0 to limit - 1. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  of<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)];
    if (chosen === undefined) throw new Error('Cannot choose from an empty list');
    return chosen;
  }

  /** Each with that probability. */
  some<T>(list: readonly T[], probability = 0.5): readonly T[] {
    return list.filter(() => this.chance(probability));
  }
}
