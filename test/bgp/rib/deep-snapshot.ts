/**
 * Everything that hangs on an object as plain text: private fields, columns, free lists and counters included. Private fields cannot be
 * reached from JavaScript, so the debugger of this very process is asked for them.
 */
import { Session } from 'node:inspector';

interface Remote {
  readonly type: string;
  readonly objectId?: string;
}
interface PrivateProperty {
  readonly name: string;
  readonly value?: Remote;
}

/** Where the debugger and we hand each other values. */
const exchange: { subject: unknown; taken: unknown } = { subject: undefined, taken: undefined };
const KEY = Symbol.for('tortie.test.deep-snapshot');

export class DeepSnapshot {
  readonly #session = new Session();
  readonly #ignored: ReadonlySet<string>;

  /** `ignored`: names of fields that are left out, private ones with "#". */
  constructor(ignored: readonly string[] = []) {
    this.#ignored = new Set(ignored);
    this.#session.connect();
    Reflect.set(globalThis, KEY, exchange);
  }

  close(): void {
    this.#session.disconnect();
    Reflect.deleteProperty(globalThis, KEY);
  }

  /** One line per value, by its path from `root`. An object seen before is told by the path where it was seen first. */
  take(root: object): readonly string[] {
    const lines: string[] = [];
    const seen = new Map<object, string>();
    const queue: (readonly [string, unknown])[] = [['', root]];
    for (const [path, value] of queue) {
      if (typeof value !== 'object' || value === null) {
        lines.push(`${path} = ${typeof value === 'function' ? 'function' : String(value)}`);
        continue;
      }
      const known = seen.get(value);
      if (known !== undefined) {
        lines.push(`${path} = ${known}`);
        continue;
      }
      seen.set(value, path);
      for (const [name, inner] of this.#fields(value))
        if (typeof inner === 'string') lines.push(`${path}${name} = ${inner}`);
        else queue.push([`${path}${name}`, inner]);
    }
    return lines;
  }

  #fields(value: object): Iterable<readonly [string, unknown]> {
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      const { length } = value as Uint8Array;
      return [['', `${value.constructor.name}(${length}) ${runs(value as Uint8Array)}`]];
    }
    if (value instanceof Map)
      return [...value].flatMap(([key, inner], i) => [
        [`<${i}>`, key],
        [`[${i}]`, inner],
      ]);
    if (value instanceof Set) return [...value].map((inner, i) => [`<${i}>`, inner]);
    const own = Object.entries(value).map(([name, inner]) => [`.${name}`, inner] as const);
    const isPlain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
    const all = isPlain ? own : [...own, ...this.#privateFields(value)];
    return all.filter(([name]) => !this.#ignored.has(name.slice(1)));
  }

  #privateFields(value: object): readonly (readonly [string, unknown])[] {
    exchange.subject = value;
    const found: [string, unknown][] = [];
    const expression = `globalThis[Symbol.for('${KEY.description ?? ''}')].subject`;
    const objectId = this.#post<{ result: Remote }>('Runtime.evaluate', { expression }).result.objectId;
    const { privateProperties = [] } = this.#post<{ privateProperties?: readonly PrivateProperty[] }>(
      'Runtime.getProperties',
      { objectId, ownProperties: true },
    );
    // Methods and accessors have no state.
    for (const { name, value: remote } of privateProperties)
      if (remote !== undefined && remote.type !== 'function') found.push([`.${name}`, this.#local(remote)]);
    this.#post('Runtime.releaseObject', { objectId });
    return found;
  }

  #local(remote: Remote & { readonly value?: unknown; readonly unserializableValue?: string }): unknown {
    if (remote.objectId === undefined) return remote.unserializableValue ?? remote.value;
    this.#post('Runtime.callFunctionOn', {
      objectId: remote.objectId,
      functionDeclaration: `function () { globalThis[Symbol.for('${KEY.description ?? ''}')].taken = this; }`,
    });
    this.#post('Runtime.releaseObject', { objectId: remote.objectId });
    return exchange.taken;
  }

  /** In-process sessions answer before `post` returns. */
  #post<T>(method: string, parameters: object): T {
    let answer: T | undefined;
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result as T;
    });
    if (answer === undefined) throw new Error(`The debugger did not answer ${method}`);
    return answer;
  }
}

/** Values in order; equal ones in a row are counted. */
function runs(values: Uint8Array): string {
  const out: string[] = [];
  for (let from = 0; from < values.length; ) {
    let until = from + 1;
    while (until < values.length && values[until] === values[from]) until++;
    out.push(until - from === 1 ? `${values[from]}` : `${values[from]}*${until - from}`);
    from = until;
  }
  return out.join(' ');
}
