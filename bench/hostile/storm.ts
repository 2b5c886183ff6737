/**
 * Hostile objects one after the other, of every shape and of sizes around every bound, written, changed and deleted by chance, as a watch
 * would bring them: for so many seconds, from a seed that is printed. Not for averages: the longest time that one event keeps the loop.
 */
import { heldObject, type PolicyEngine, type KubeObject, type ObjectKind } from '@tortie/policy';
import { MOST_TEXT } from '@tortie/policy/model/bounds';
import { threadTime } from '../thread-time.js';
import { hostileObject, SHAPE_NAMES } from './objects.js';

export interface Storm {
  readonly events: number;
  /** Of objects that select no pod of the node, and of those that select them all. */
  readonly slowest: Readonly<Record<Namespace, { readonly milliseconds: number; readonly event: string }>>;
  /** Objects that had something wrong with them when it ended: an object past a bound is never silent. */
  readonly problems: number;
  readonly objects: number;
}

type Namespace = 'here' | 'elsewhere';
export const NAMESPACES: readonly Namespace[] = ['here', 'elsewhere'];

interface Written {
  readonly namespace: Namespace;
  readonly kind: ObjectKind;
  readonly object: KubeObject;
}

/** BOUNDED: objects that are there at a time. */
const MOST_OBJECTS = 300;
export const SIZES = [200, 5_000, MOST_TEXT / 4, MOST_TEXT - 2_000, MOST_TEXT, MOST_TEXT + 2_000, 300_000, 1_000_000];

export async function storm(engine: PolicyEngine, seconds: number, seed: number): Promise<Storm> {
  const random = chance(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const written = new Map<string, Written>();
  let events = 0;
  const slowest = { here: { milliseconds: 0, event: 'none' }, elsewhere: { milliseconds: 0, event: 'none' } };
  // Once before the clock runs, so that code is compiled.
  for (const shape of SHAPE_NAMES) {
    const { kind, object } = hostileObject({ shape, name: 'warm', namespace: 'here', size: 20_000 });
    engine.apply({ type: 'upsert', kind, object: heldObject(kind, object) });
    engine.flush();
    engine.apply({ type: 'delete', kind, name: 'warm', namespace: object.metadata?.namespace ?? '' });
    engine.flush();
  }
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    const name = `storm-${Math.floor(random() * MOST_OBJECTS)}`;
    const before = written.get(name);
    const shape = pick(SHAPE_NAMES);
    const size = pick(SIZES);
    const namespace = pick(NAMESPACES);
    const made = before !== undefined && random() < 0.4 ? undefined : hostileObject({ shape, name, namespace, size });
    const start = threadTime();
    // A name may come back as another kind: the old one goes first, as the API server has it.
    if (before !== undefined && (made === undefined || made.kind !== before.kind)) {
      engine.apply({ type: 'delete', kind: before.kind, name, namespace: before.object.metadata?.namespace ?? '' });
      written.delete(name);
    }
    if (made !== undefined) {
      const object = heldObject(made.kind, made.object);
      engine.apply({ type: 'upsert', kind: made.kind, object });
      written.set(name, { kind: made.kind, object, namespace });
    }
    engine.flush();
    const milliseconds = threadTime() - start;
    const event = made === undefined ? `delete of a ${before?.kind}` : `${shape} of ${size}`;
    // What was there counts, too: taking it away makes chains anew.
    const of = namespace === 'here' || before?.namespace === 'here' ? 'here' : 'elsewhere';
    if (milliseconds > slowest[of].milliseconds) slowest[of] = { milliseconds, event };
    events++;
    await new Promise(setImmediate);
  }
  return { events, slowest, problems: engine.problems().length, objects: written.size };
}

/** mulberry32: small, and the same everywhere. */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
