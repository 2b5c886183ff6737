/**
 * Changes of what people write, as the node's journal has them (history/entry.ts): which object, which fields, and who, as far as
 * metadata.managedFields say. Every agent watches these objects anyway, so that any node's journal tells of the cluster's: as they are
 * served, also where a trial or a guard has this node follow others.
 *
 * What was changed while no agent ran here is told at its start, as far as managedFields have the time of it. Not noted: what changes all
 * the time by itself (pods, endpoints, blocks, any status), and values of Secrets.
 */
import type { KindName } from '../api/kinds.js';
import { kinds } from '../api/kinds.js';
import type { KubeObject, ManagedFieldsEntry } from '../api/meta.js';
import { objectKey } from '../cluster/cluster.js';
import type { WatchObserver } from '../datastore/datastore.js';
import { nowText, type ChangedField, type HistoryEntry, type ObjectEntry } from '../history/entry.js';
import { fieldDifferences, type FieldDifference } from '../object-fields.js';

/** Of what the agent watches, all but these. */
const UNNOTED: ReadonlySet<KindName> = new Set<KindName>(['pods', 'endpointSlices', 'ipamBlocks', 'serviceAccounts']);

const isNoted = (kind: KindName): boolean => !UNNOTED.has(kind);

/** BOUNDED: of one change. */
const MOST_FIELDS = 20;
const LONGEST_VALUE = 80;
/** BOUNDED: writers of versions that the sink has not heard of yet; a first list may be long. */
const MOST_WRITERS = 20_000;

export interface ObjectHistoryOptions {
  readonly note: (entry: HistoryEntry) => void;
  /** When an agent of this node last noted anything; undefined: never. */
  readonly lastNoted: string | undefined;
}

type Observed = Parameters<WatchObserver['changed']>[0];

export class ObjectHistory {
  /** By uid and version. */
  private readonly writers = new Map<string, ManagedFieldsEntry>();

  constructor(private readonly options: ObjectHistoryOptions) {}

  /** For a watch; undefined: nothing of this kind is noted. */
  observerOf(kind: KindName): WatchObserver | undefined {
    if (!isNoted(kind)) return undefined;
    return { seen: (object) => this.seen(object), changed: (change) => this.changed(kind, change) };
  }

  private seen(object: KubeObject): void {
    const writer = writerOf(object);
    if (writer === undefined) return;
    if (this.writers.size >= MOST_WRITERS) this.writers.clear();
    this.writers.set(versionOf(object), writer);
  }

  private changed(kind: KindName, { type, object, before, isFirstList }: Observed): void {
    const key = versionOf(object);
    const writer = this.writers.get(key);
    this.writers.delete(key);
    if (type === 'delete') return this.note(kind, object, 'deleted', undefined, []);
    if (isFirstList) return this.found(kind, object, writer);
    if (before === undefined) return this.note(kind, object, 'created', writer, []);
    const differences = fieldDifferences(before, object).filter(({ path }) => isTold(path));
    if (differences.length > 0) this.note(kind, object, 'changed', writer, differences);
  }

  private found(kind: KindName, object: KubeObject, writer: ManagedFieldsEntry | undefined): void {
    const { lastNoted } = this.options;
    // managedFields have whole seconds. What is noted twice, of one second, the timeline tells once.
    const since = Math.floor(Date.parse(lastNoted ?? '') / 1_000) * 1_000;
    if (Number.isNaN(since) || !(Date.parse(writer?.time ?? '') >= since)) return;
    this.note(kind, object, 'found', writer, []);
  }

  private note(
    kind: KindName,
    object: KubeObject,
    verb: ObjectEntry['verb'],
    writer: ManagedFieldsEntry | undefined,
    differences: readonly FieldDifference[],
  ): void {
    const fields = differences.slice(0, MOST_FIELDS).map((each) => fieldOf(kind, each));
    const rest = differences.length - fields.length;
    const { name, namespace } = object.metadata;
    this.options.note({
      at: verb === 'found' ? nowText(Date.parse(writer?.time ?? '')) : nowText(),
      type: 'object',
      kind: kinds[kind].kind,
      name: objectKey(namespace, name),
      verb,
      version: versionOf(object),
      ...(writer?.manager === undefined ? {} : { by: writer.manager }),
      ...(fields.length === 0 ? {} : { fields }),
      ...(rest > 0 ? { moreFields: rest } : {}),
    });
  }
}

const versionOf = ({ metadata }: KubeObject): string => `${metadata.uid ?? ''} ${metadata.resourceVersion ?? ''}`;

/** Whoever wrote last, of those that wrote no status. */
function writerOf({ metadata }: KubeObject): ManagedFieldsEntry | undefined {
  const writers = (metadata.managedFields ?? []).filter(({ subresource = '' }) => subresource !== 'status');
  const time = ({ time: at = '' }: ManagedFieldsEntry): number => Date.parse(at) || 0;
  return writers.reduce<ManagedFieldsEntry | undefined>(
    (last, each) => (last === undefined || time(each) >= time(last) ? each : last),
    undefined,
  );
}

const isTold = (path: string): boolean =>
  path !== 'status' && !path.startsWith('status.') && path !== 'apiVersion' && path !== 'kind';

function fieldOf(kind: KindName, { path, before, after }: FieldDifference): ChangedField {
  const isOpen = kind !== 'secrets' && path.startsWith('spec.');
  const [was, is] = [shortText(before), shortText(after)];
  if (!isOpen || was.length > LONGEST_VALUE || is.length > LONGEST_VALUE) return { path };
  return { path, ...(before === undefined ? {} : { before: was }), ...(after === undefined ? {} : { after: is }) };
}

const shortText = (value: unknown): string => JSON.stringify(value) ?? '';
