/**
 * What every operation of the API needs: the objects, the kinds, the time. Operations (read.ts, write.ts, remove.ts) are
 * synchronous functions of a Cluster, so two requests never interleave and a read-modify-write needs no lock.
 */
import { notFound, type Subject } from './api-error.js';
import { nameOf, namespaceOf, type ApiObject } from './object.js';
import type { Registry } from './registry.js';
import type { ResourceType } from './resource-type.js';
import { Entry, keyOf, type Store } from './store.js';

export interface Cluster {
  readonly store: Store;
  readonly registry: Registry;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The object or collection a request is about. */
export interface Target {
  readonly type: ResourceType;
  /** Undefined: cluster-scoped, or all namespaces. */
  readonly namespace: string | undefined;
  readonly name: string;
  /** "" for the object itself. */
  readonly subresource: string;
}

export interface WriteOptions {
  readonly dryRun: boolean;
  /** Who writes, for managedFields. */
  readonly fieldManager: string;
  readonly fieldValidation: 'Strict' | 'Warn' | 'Ignore';
  /** Server-side apply: take fields that others own. */
  readonly force: boolean;
  /** Collects what becomes Warning headers. */
  readonly warnings: string[];
}

/** Options of writes the server does by itself. */
export const internalWrite = (fieldManager: string): WriteOptions => ({
  dryRun: false,
  fieldManager,
  fieldValidation: 'Ignore',
  force: true,
  warnings: [],
});

/** The stored object as the target's kind has it; undefined when there is none. */
export function findEntry(cluster: Cluster, { type, namespace, name }: Target): Entry | undefined {
  const entry = cluster.store.get(type.bucket, keyOf(namespace, name));
  return entry === undefined || type.conversion === undefined
    ? entry
    : new Entry(entry.key, type.conversion.fromStored(entry.object), entry.revision);
}

/** The same; 404 when there is none. */
export function requireEntry(cluster: Cluster, target: Target): Entry {
  const entry = findEntry(cluster, target);
  if (entry === undefined) throw notFound(target.type, target.name);
  return entry;
}

/** Stores a new version of an object of this kind. */
export const storeObject = (
  cluster: Cluster,
  { bucket, conversion }: ResourceType,
  key: string,
  object: ApiObject,
): Entry => cluster.store.write(bucket, key, conversion?.toStored(object) ?? object);

/** The target that an object of this kind is. */
export const targetOf = (type: ResourceType, object: ApiObject): Target => ({
  type,
  namespace: type.namespaced ? namespaceOf(object) : undefined,
  name: nameOf(object),
  subresource: '',
});

/** For the 404 of a namespace, which a namespaced write needs. */
export const NAMESPACES: Subject = { group: '', plural: 'namespaces', kind: 'Namespace' };
