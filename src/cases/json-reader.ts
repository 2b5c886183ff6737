/**
 * Reading untyped JSON with all problems collected: each read names its place in the file, a wrong value becomes a problem
 * and a harmless stand-in, and reading goes on.
 */

export class JsonReader {
  constructor(
    readonly problems: string[],
    readonly path: string,
    readonly value: unknown,
  ) {}

  /** Says what is wrong here: `cases[3].world: expected ..., got ...`. */
  fail(expected: string): void {
    this.problems.push(`${this.path}: expected ${expected}, got ${shown(this.value)}`);
  }

  field(name: string): JsonReader {
    const { value } = this;
    const child = isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
    return new JsonReader(this.problems, `${this.path}.${name}`, child);
  }

  get isMissing(): boolean {
    return this.value === undefined || this.value === null;
  }

  text(): string {
    if (typeof this.value === 'string') return this.value;
    this.fail('a text');
    return '';
  }

  textOr(fallback: string): string {
    return this.isMissing ? fallback : this.text();
  }

  integer(low: number, high: number): number {
    if (typeof this.value === 'number' && Number.isInteger(this.value) && this.value >= low && this.value <= high)
      return this.value;
    this.fail(`an integer from ${low} to ${high}`);
    return low;
  }

  flag(): boolean {
    if (this.isMissing) return false;
    if (typeof this.value === 'boolean') return this.value;
    this.fail('true or false');
    return false;
  }

  oneOf<T extends string | number>(allowed: readonly T[]): T | undefined {
    const found = allowed.find((one) => one === this.value);
    if (found === undefined) this.fail(`one of ${allowed.join(', ')}`);
    return found;
  }

  /** A missing list is empty. */
  list(): readonly JsonReader[] {
    if (this.isMissing) return [];
    if (Array.isArray(this.value))
      return this.value.map((one: unknown, i) => new JsonReader(this.problems, `${this.path}[${i}]`, one));
    this.fail('a list');
    return [];
  }

  /** A missing object is empty. */
  entries(): readonly (readonly [string, JsonReader])[] {
    if (this.isMissing) return [];
    if (isRecord(this.value))
      return Object.entries(this.value).map(([name, one]) => [
        name,
        new JsonReader(this.problems, `${this.path}.${name}`, one),
      ]);
    this.fail('an object');
    return [];
  }

  /** String to string, without a prototype's names. */
  labels(): Readonly<Record<string, string>> {
    const labels: Record<string, string> = Object.create(null) as Record<string, string>;
    for (const [key, reader] of this.entries()) labels[key] = reader.text();
    return labels;
  }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length <= 100 ? text : `${text.slice(0, 97)}...`;
}
