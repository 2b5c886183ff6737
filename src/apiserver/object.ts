/** The parts of an object's metadata that everybody asks for. */
import { listAt, put, textAt, type Json, type JsonObject } from './json.js';

/** An object as stored: apiVersion, kind and metadata are there. Never changed in place. */
export type ApiObject = JsonObject;

export const nameOf = (object: Json): string => textAt(object, 'metadata', 'name') ?? '';

/** "" on a cluster-scoped object. */
export const namespaceOf = (object: Json): string => textAt(object, 'metadata', 'namespace') ?? '';

export const uidOf = (object: Json): string => textAt(object, 'metadata', 'uid') ?? '';

/** "" when the object does not say. */
export const versionOf = (object: Json | undefined): string => textAt(object, 'metadata', 'resourceVersion') ?? '';

export const isBeingDeleted = (object: Json): boolean => textAt(object, 'metadata', 'deletionTimestamp') !== undefined;

export const finalizersOf = (object: Json): readonly Json[] => listAt(object, 'metadata', 'finalizers');

export const withVersion = (object: ApiObject, revision: number): ApiObject =>
  put(object, ['metadata', 'resourceVersion'], String(revision));
