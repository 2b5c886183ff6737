/**
 * What the server needs to know of a kind to serve it. Built-in kinds are rows in kinds/, custom kinds are made from CRDs
 * (crd-type.ts); nothing after this knows the difference but `manner`.
 */
import type { Problem, Subject } from './api-error.js';
import type { DecodingManner } from './decode.js';
import type { FieldText } from './field-selector.js';
import type { Json } from './json.js';
import type { ApiObject } from './object.js';
import type { Schema } from './schema.js';
import type { Entry } from './store.js';

export interface ResourceType extends Subject {
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  /** Where objects of the kind are kept; versions of one kind share it. */
  readonly bucket: string;
  readonly schema: Schema;
  readonly manner: DecodingManner;
  readonly hasStatus: boolean;
  /** Other subresources, by name: the kind their bodies have. */
  readonly subresources: Readonly<
    Record<string, { readonly group: string; readonly version: string; readonly kind: string }>
  >;
  readonly columns: readonly Column[];
  /** Cells of a row, one per column. `now` is for ages. */
  readonly cells: (object: ApiObject, now: number) => readonly Json[];
  readonly selectableFields: Readonly<Record<string, FieldText>>;
  readonly strategy: Strategy;
  readonly isNamespaceItself?: boolean;
  /** Where the bucket holds another kind's form of the same objects. Both leave alone what has the wanted form. */
  readonly conversion?: {
    readonly toStored: (object: ApiObject) => ApiObject;
    readonly fromStored: (object: ApiObject) => ApiObject;
  };
}

/** A column of `kubectl get` (metav1.TableColumnDefinition). Priority 0 always shows, 1 with -o wide. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly format: string;
  readonly description: string;
  readonly priority: number;
}

/** What a kind adds to the common rules. All pure. */
export interface Strategy {
  /** Completes an object about to be created: defaults that a schema cannot say, fields the server owns. */
  readonly prepareCreate?: (object: ApiObject) => ApiObject;
  /** The same for an update; `old` is the stored object. */
  readonly prepareUpdate?: (object: ApiObject, old: ApiObject) => ApiObject;
  /** Gives the object what must be unique among those stored (addresses of Services). Runs last; may throw ApiError. */
  readonly allocate?: (object: ApiObject, stored: readonly Entry[]) => ApiObject;
  /** All problems of the object; `old` is undefined on create. */
  readonly validate?: (object: ApiObject, old: ApiObject | undefined) => readonly Problem[];
  /** Seconds between deletion's request and the removal; 0 removes at once. Default 0. */
  readonly graceSeconds?: (object: ApiObject, asked: number | undefined) => number;
  /** How objects may be named; default 'subdomain' (RFC 1123). */
  readonly nameRule?: NameRule;
  /** Does a change of the object's desired state count in metadata.generation? Default true when there is a `spec`. */
  readonly countsGenerations?: boolean;
}

export type NameRule = 'subdomain' | 'label' | 'label1035' | 'path';

/** "v1" or "apps/v1". */
export const apiVersionOf = (type: { readonly group: string; readonly version: string }): string =>
  type.group === '' ? type.version : `${type.group}/${type.version}`;

/** "pods" or "ippools.projectcalico.org". */
export const groupResourceOf = (type: { readonly group: string; readonly plural: string }): string =>
  type.group === '' ? type.plural : `${type.plural}.${type.group}`;
