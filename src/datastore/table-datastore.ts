/**
 * A datastore on any table of objects (object-table.ts): the API server's rules of what may be written, without the server.
 *
 * A write reads the object as it is, lets the API's own functions (../apiserver: validation by the same schemas, defaults, server-side
 * apply, status apart from spec) make of it what they would make on a server, in a store of that one object, and swaps it for what
 * came out. Whoever loses a swap does it over with what is there then.
 *
 * Not kept: Services and their endpoints, which nobody fills without Kubernetes. A namespace goes when nothing is in it; a Pod at once,
 * for there is no kubelet to wait for.
 */
import { tryParsePrefix, type IpPrefix } from 'node-bgp/address';
import { apiVersionOf, kinds, type KindName, type ObjectOf } from '../api/kinds.js';
import type { Condition, KubeObject } from '../api/meta.js';
import {
  alreadyExists,
  ApiError as ApiRefusal,
  badRequest,
  conflict,
  methodNotAllowed,
} from '../apiserver/api-error.js';
import { applyObject } from '../apiserver/apply.js';
import { internalWrite, type Cluster, type Target, type WriteOptions } from '../apiserver/cluster.js';
import { parseFieldSelector } from '../apiserver/field-selector.js';
import { textAt, type JsonObject } from '../apiserver/json.js';
import { withVersion } from '../apiserver/object.js';
import { deleteObject } from '../apiserver/remove.js';
import type { ResourceType } from '../apiserver/resource-type.js';
import { Entry, keyOf, Store } from '../apiserver/store.js';
import { createObject, updateObject } from '../apiserver/write.js';
import {
  ApiError,
  type FreeBlockRequest,
  type ObjectStore,
  type Watch,
  type WatchOptions,
  type WatchSink,
} from './datastore.js';
import { KnownObjects, SinkFault } from './known-objects.js';
import { resourceTypeOf, resourceTypes } from './resource-types.js';
import { BLOCKS, type Commit, type ObjectTable, type StoredObject, type TableListener } from './object-table.js';

const NOT_KEPT: ReadonlySet<KindName> = new Set<KindName>(['services', 'endpoints', 'endpointSlices']);
/** A swap is lost to somebody who has won one: more often than this is no bad luck. */
const MOST_TRIES = 50;
const MANAGER = 'tortie';

type Operation = (cluster: Cluster, target: Target) => void;

export class TableDatastore implements ObjectStore {
  constructor(private readonly table: ObjectTable) {}

  watch<K extends KindName>(kind: K, sink: WatchSink<K>, options: WatchOptions = {}): Watch {
    const known = new KnownObjects(kind, sink, options);
    if (NOT_KEPT.has(kind)) {
      const timer = setImmediate(() => known.listed([]));
      return { stop: () => clearImmediate(timer) };
    }
    const type = resourceTypeOf(kind);
    const matches = matcherOf(type, options);
    const keptOf = (stored: StoredObject): ObjectOf[K] => known.kept(outOf<K>(stored));
    return {
      stop: this.table.watch(
        type.bucket,
        uncaught({
          listed: (objects, isOtherHistory) =>
            known.listed(objects.filter(({ object }) => matches(object)).map(keptOf), isOtherHistory),
          changed: (change, stored) => {
            if (change === 'written' && matches(stored.object)) known.upsert(keptOf(stored));
            else known.deleted(outOf<K>(stored));
          },
          health: (problem) => sink.health(kind, problem),
        }),
      ),
    };
  }

  async list<K extends KindName>(kind: K): Promise<readonly ObjectOf[K][]> {
    if (NOT_KEPT.has(kind)) return [];
    return (await this.table.list(resourceTypeOf(kind).bucket)).map(outOf<K>);
  }

  async get<K extends KindName>(kind: K, name: string, namespace?: string): Promise<ObjectOf[K] | undefined> {
    if (NOT_KEPT.has(kind)) return undefined;
    const stored = await this.table.get(resourceTypeOf(kind).bucket, keyOf(namespace, name));
    return stored && outOf<K>(stored);
  }

  create<K extends KindName>(
    kind: K,
    object: ObjectOf[K],
    { isReassertion = false }: { readonly isReassertion?: boolean } = {},
  ): Promise<ObjectOf[K]> {
    return this.write(kind, object.metadata, { isReassertion, expectsNone: true }, (cluster, target) => {
      createObject(cluster, { ...target, name: '' }, sent(kind, object), options());
    });
  }

  replace<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]> {
    return this.write(kind, object.metadata, {}, (cluster, target) => {
      updateObject(cluster, target, sent(kind, object), options());
    });
  }

  replaceStatus<K extends KindName>(kind: K, object: ObjectOf[K]): Promise<ObjectOf[K]> {
    return this.write(kind, object.metadata, {}, (cluster, target) => {
      updateObject(cluster, { ...target, subresource: 'status' }, sent(kind, object), options());
    });
  }

  applyStatus<K extends KindName>(
    kind: K,
    about: { readonly name: string; readonly namespace?: string },
    status: { readonly conditions: readonly Condition[] } | undefined,
    manager: string,
  ): Promise<ObjectOf[K]> {
    return this.write(kind, about, {}, (cluster, target) => {
      const body = sent(kind, {
        metadata: about,
        ...(status === undefined ? {} : { status }),
      } as unknown as ObjectOf[K]);
      applyObject(cluster, { ...target, subresource: 'status' }, body, options(manager));
    });
  }

  apply<K extends KindName>(
    kind: K,
    object: ObjectOf[K],
    manager: string,
    { isDryRun = false }: { readonly isDryRun?: boolean } = {},
  ): Promise<ObjectOf[K]> {
    return this.write(kind, object.metadata, { isDryRun }, (cluster, target) => {
      applyObject(cluster, target, sent(kind, object), { ...options(manager), fieldValidation: 'Strict' });
    });
  }

  async delete<K extends KindName>(
    kind: K,
    name: string,
    given: { readonly namespace?: string; readonly uid?: string; readonly resourceVersion?: string } = {},
  ): Promise<void> {
    const { namespace, uid, resourceVersion } = given;
    if (kind === 'namespaces') await this.expectEmpty(name);
    const about = { name, ...(namespace === undefined ? {} : { namespace }) };
    const wanted = { graceSeconds: 0, propagation: 'Background', uid, resourceVersion, dryRun: false } as const;
    try {
      await this.write(kind, about, {}, (cluster, target) => {
        deleteObject(cluster, target, wanted);
        if (kind === 'namespaces') cluster.store.remove(target.type.bucket, name);
      });
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }

  async claimFreeBlock({ range, blockLength, start, held, blockOf }: FreeBlockRequest): Promise<IpPrefix | undefined> {
    return this.table.claimFreeBlock({
      bucket: BLOCKS,
      range,
      blockLength,
      start,
      held,
      objectOf: (block) => {
        const type = resourceTypeOf('ipamBlocks');
        const cluster = clusterOf([]);
        createObject(
          cluster,
          { type, namespace: undefined, name: '', subresource: '' },
          sent('ipamBlocks', blockOf(block)),
          options(),
        );
        const [entry] = cluster.store.list(type.bucket);
        if (entry === undefined) throw new Error('a block that was written is not there');
        return entry.object;
      },
    });
  }

  /** Makes it if there is none. */
  async ensureNamespace(name: string): Promise<void> {
    if ((await this.get('namespaces', name)) !== undefined) return;
    const labels = { 'kubernetes.io/metadata.name': name };
    await this.create('namespaces', { metadata: { name, labels } }).catch((error: unknown) => {
      if (!(error instanceof ApiError && error.reason === 'AlreadyExists')) throw error;
    });
  }

  close(): Promise<void> {
    return this.table.close();
  }

  /** Reads, lets `operation` work on what is there, swaps; over again when somebody was faster. */
  private async write<K extends KindName>(
    kind: K,
    { name = '', namespace = '' }: { readonly name?: string; readonly namespace?: string },
    { isReassertion = false, expectsNone = false, isDryRun = false },
    operation: Operation,
  ): Promise<ObjectOf[K]> {
    const type = resourceTypeOf(kind);
    return translated(async () => {
      if (NOT_KEPT.has(kind)) throw methodNotAllowed(`write of a ${type.kind}: without Kubernetes nobody serves it`);
      const within = type.namespaced ? namespace || 'default' : undefined;
      const target: Target = { type, namespace: within, name, subresource: '' };
      for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
        // What is to be made new is mostly not there.
        const before =
          expectsNone && attempt === 0 ? undefined : await this.table.get(type.bucket, keyOf(within, name));
        const cluster = clusterOf([
          ...(before === undefined ? [] : [{ ...before, bucket: type.bucket }]),
          ...(await this.namespaceOf(within)),
        ]);
        const [entryBefore] = cluster.store.list(type.bucket);
        operation(cluster, target);
        const [entry] = cluster.store.list(type.bucket);
        if (entry === entryBefore) return outOf<K>(before ?? fail(name));
        if (isDryRun) return outOf<K>({ key: '', object: entry?.object ?? {}, revision: before?.revision ?? 0 });
        const outcome = await this.table.commit({
          bucket: type.bucket,
          key: (entry ?? entryBefore ?? fail(name)).key,
          before: before?.revision ?? 0,
          object: entry?.object,
          isReassertion,
          ...blockOf(type, entry?.object),
        });
        if (outcome.type === 'done')
          return outOf<K>({ key: '', object: entry?.object ?? {}, revision: outcome.revision });
        if (outcome.type === 'overlaps')
          throw before === undefined
            ? alreadyExists(type, outcome.block)
            : conflict(type, name, `addresses of it lie in block ${outcome.block}`);
      }
      throw conflict(type, name, `somebody else was faster ${MOST_TRIES} times`);
    });
  }

  private async namespaceOf(namespace: string | undefined) {
    const bucket = 'namespaces';
    const stored = namespace === undefined ? undefined : await this.table.get(bucket, namespace);
    return stored === undefined ? [] : [{ ...stored, bucket }];
  }

  private async expectEmpty(namespace: string): Promise<void> {
    for (const type of new Set(Object.keys(kinds).map((kind) => resourceTypeOf(kind as KindName)))) {
      if (!type.namespaced) continue;
      const inside = (await this.table.list(type.bucket)).filter(({ key }) => key.startsWith(`${namespace}/`));
      if (inside.length > 0)
        throw new ApiError(
          `Cannot delete namespace "${namespace}": ${inside.length} ${type.plural} are in it; delete them first`,
          409,
          'Conflict',
        );
    }
  }
}

/** A store of these alone, for the API's functions to work on. */
function clusterOf(objects: readonly (StoredObject & { readonly bucket: string })[]): Cluster {
  const store = new Store();
  for (const { bucket, key, object, revision } of objects)
    store.place(bucket, new Entry(key, withVersion(object, revision), revision));
  return { store, registry: resourceTypes, now: Date.now };
}

function blockOf({ bucket }: ResourceType, object: JsonObject | undefined): Pick<Commit, 'block'> {
  const cidr = bucket === BLOCKS && object !== undefined ? textAt(object, 'spec', 'cidr') : undefined;
  if (cidr === undefined) return {};
  const block = tryParsePrefix(cidr);
  if (block === undefined) throw badRequest(`spec.cidr is "${cidr}"; expected CIDR notation such as 10.65.0.0/26`);
  return { block };
}

function matcherOf(type: ResourceType, { namespace, fieldSelector }: WatchOptions): (object: JsonObject) => boolean {
  const fields = fieldSelector === undefined ? undefined : parseFieldSelector(fieldSelector, type.selectableFields);
  return (object) =>
    (namespace === undefined || textAt(object, 'metadata', 'namespace') === namespace) &&
    (fields?.matches(object) ?? true);
}

const sent = <K extends KindName>(kind: K, object: ObjectOf[K]): JsonObject =>
  ({ ...object, apiVersion: apiVersionOf(kinds[kind]), kind: kinds[kind].kind }) as unknown as JsonObject;

const outOf = <K extends KindName>({ object, revision }: StoredObject): ObjectOf[K] =>
  withVersion(object, revision) as unknown as KubeObject as ObjectOf[K];

const options = (manager = MANAGER): WriteOptions => internalWrite(manager);

const fail = (name: string): never => {
  throw new Error(`nothing was written of "${name}"`);
};

/** The API's refusals, as every datastore words them. */
async function translated<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ApiRefusal) throw new ApiError(error.message, error.code, error.reason);
    throw error;
  }
}

/** What a sink throws is our own fault, and ends the process. */
function uncaught({ listed, changed, health }: TableListener): TableListener {
  const guarded = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      const fault = error instanceof SinkFault ? error.cause : error;
      setImmediate(() => {
        throw fault;
      });
    }
  };
  return {
    listed: (objects, isOtherHistory) => guarded(() => listed(objects, isOtherHistory)),
    changed: (change, object) => guarded(() => changed(change, object)),
    health: (problem) => guarded(() => health(problem)),
  };
}
