/**
 * A Change out of what a person wants to apply: asks the datastore what would stand (a dry run, by its own rules), and keeps what differs
 * from what stands. Nothing is written.
 */
import type { ChangeEntry } from '../api/change.js';
import { apiVersionOf, kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import type { ObjectStore } from '../datastore/datastore.js';
import { messageOf } from '../errors.js';
import { displayName, type GivenObject } from '../objects/files.js';
import { CHANGE_KINDS, isAsWished, LABELLED_KINDS } from './overlay.js';

type Store = Pick<ObjectStore, 'get' | 'apply'>;

export interface Composed {
  /** What changes; empty when all stands already. */
  readonly entries: readonly ChangeEntry[];
  /** Sentences: nothing is on trial while there are any. */
  readonly problems: readonly string[];
}

/** "rack=a" sets, "rack-" takes away. */
export interface LabelWish {
  readonly node: string;
  readonly wish: string;
}

export async function compose(
  store: Store,
  given: readonly GivenObject[],
  {
    isRemoval,
    labels,
    manager,
  }: { readonly isRemoval: boolean; readonly labels: readonly LabelWish[]; readonly manager: string },
): Promise<Composed> {
  const entries: ChangeEntry[] = [];
  const problems: string[] = [];
  const add = async (what: string, work: () => Promise<ChangeEntry | undefined>): Promise<void> => {
    try {
      const entry = await work();
      if (entry !== undefined) entries.push(entry);
    } catch (error) {
      problems.push(`Cannot put ${what} on trial: ${messageOf(error)}`);
    }
  };
  const seen = new Set<string>();
  for (const one of given) {
    const name = displayName(one.kind, one.object.metadata);
    await add(`${name} of ${one.from}`, async () => {
      if (seen.has(name)) throw new Error('it is there twice; expected each object once');
      seen.add(name);
      return isRemoval ? removalOf(store, one) : changeOf(store, one, manager);
    });
  }
  for (const [node, wishes] of grouped(labels))
    await add(`labels of node/${node}`, () => labelsOf(store, node, wishes));
  return { entries, problems };
}

async function changeOf(
  store: Store,
  { kind, object }: GivenObject,
  manager: string,
): Promise<ChangeEntry | undefined> {
  expectCarried(kind);
  const { name, namespace } = object.metadata;
  const before = await store.get(kind, name, namespace);
  const after = await store.apply(kind, object as ObjectOf[typeof kind], manager, { isDryRun: true });
  if (LABELLED_KINDS.includes(kind)) return labelEntry(kind, before, after);
  if (before !== undefined && isAsWished(after, before)) return undefined;
  return {
    ...about(kind, object.metadata),
    object: wholeOf(kind, after),
    given: { ...object, ...typeOf(kind) } as unknown as Readonly<Record<string, unknown>>,
  };
}

/** What a server writes goes: who made it when, who owns which field, how it is. */
function wholeOf(kind: KindName, object: KubeObject): Readonly<Record<string, unknown>> {
  const { metadata, status: _status, ...rest } = object as KubeObject & { readonly status?: unknown };
  const { name, namespace, labels, annotations } = metadata;
  return {
    ...rest,
    ...typeOf(kind),
    metadata: { name, ...(namespace && { namespace }), ...(labels && { labels }), ...(annotations && { annotations }) },
  };
}

function labelEntry(kind: KindName, before: KubeObject | undefined, after: KubeObject): ChangeEntry | undefined {
  if (before === undefined) throw new Error('there is none of that name; a Change makes none');
  const labels = after.metadata.labels ?? {};
  const unlabelled = (object: KubeObject): KubeObject => ({ ...object, metadata: { ...object.metadata, labels: {} } });
  if (!isAsWished(unlabelled(after), unlabelled(before)))
    throw new Error('it differs in more than labels; a Change carries nothing else of it');
  const was = before.metadata.labels ?? {};
  const set = Object.entries(labels).filter(([key, value]) => was[key] !== value);
  const removedLabels = Object.keys(was).filter((key) => !(key in labels));
  if (set.length + removedLabels.length === 0) return undefined;
  return { ...about(kind, before.metadata), labels: Object.fromEntries(set), removedLabels };
}

async function labelsOf(store: Store, node: string, wishes: readonly string[]): Promise<ChangeEntry | undefined> {
  const before = await store.get('nodes', node);
  if (before === undefined) throw new Error('there is no such node');
  const labels = new Map(Object.entries(before.metadata.labels ?? {}));
  for (const wish of wishes) {
    const [, key = '', value] = /^([^=]+)=(.*)$/.exec(wish) ?? [];
    if (value !== undefined) labels.set(key, value);
    else if (wish.length > 1 && wish.endsWith('-')) labels.delete(wish.slice(0, -1));
    else throw new Error(`--label is "${wish}"; expected KEY=VALUE, or KEY- to take a label away`);
  }
  return labelEntry('nodes', before, {
    ...before,
    metadata: { ...before.metadata, labels: Object.fromEntries(labels) },
  });
}

async function removalOf(store: Store, { kind, object }: GivenObject): Promise<ChangeEntry | undefined> {
  expectCarried(kind);
  if (LABELLED_KINDS.includes(kind)) throw new Error('a Change removes none of these');
  const { name, namespace } = object.metadata;
  if ((await store.get(kind, name, namespace)) === undefined) throw new Error('there is none of that name');
  return { ...about(kind, object.metadata), remove: true };
}

function expectCarried(kind: KindName): void {
  if (!CHANGE_KINDS.includes(kind))
    throw new Error(
      `a Change carries no ${kinds[kind].kind}; expected ${CHANGE_KINDS.map((each) => kinds[each].kind).join(', ')}`,
    );
}

const typeOf = (kind: KindName) => ({ apiVersion: apiVersionOf(kinds[kind]), kind: kinds[kind].kind });

const about = (
  kind: KindName,
  { name, namespace }: KubeObject['metadata'],
): Pick<ChangeEntry, 'apiVersion' | 'kind' | 'name' | 'namespace'> => ({
  ...typeOf(kind),
  name,
  ...(namespace === undefined ? {} : { namespace }),
});

function grouped(labels: readonly LabelWish[]): ReadonlyMap<string, readonly string[]> {
  const groups = new Map<string, string[]>();
  for (const { node, wish } of labels) groups.set(node, [...(groups.get(node) ?? []), wish]);
  return groups;
}

/** An object of an API server holds a megabyte and a half; `object` and `given` are both in it. */
export const MOST_BYTES = 1_000_000;
