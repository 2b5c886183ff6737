/**
 * The same objects for an older API server: without what it does not know. A server drops unknown fields of what it stores, but kubectl's
 * validation and server-side apply refuse them. Pure.
 */
import type { Manifest } from './manifest.js';

/** Fields of definitions of kinds, and the minor version of Kubernetes that knows them. */
const SCHEMA_FIELDS: Readonly<Record<string, number>> = { 'x-kubernetes-validations': 25, selectableFields: 30 };
/** Fields of a rule in x-kubernetes-validations: which word a refusal has. */
const RULE_FIELDS: Readonly<Record<string, number>> = { reason: 28 };
/** ValidatingAdmissionPolicy v1. */
const ADMISSION_SINCE = 30;

/** "v1.27.3", "1.27" or "1.27+". Undefined: it is none. */
export function minorVersion(version: string): number | undefined {
  const [, minor] = /^v?1\.(\d+)/.exec(version) ?? [];
  return minor === undefined ? undefined : Number(minor);
}

/** @param minor of Kubernetes 1 */
export function forKubernetes(objects: readonly Manifest[], minor: number): readonly Manifest[] {
  return objects
    .filter(({ kind }) => minor >= ADMISSION_SINCE || !kind.startsWith('ValidatingAdmissionPolicy'))
    .map((object) => (object.kind === 'CustomResourceDefinition' ? (known(object, minor, false) as Manifest) : object));
}

/** @param isRule directly in a rule of x-kubernetes-validations */
function known(value: unknown, minor: number, isRule: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => known(item, minor, isRule));
  if (typeof value !== 'object' || value === null) return value;
  const since = isRule ? RULE_FIELDS : SCHEMA_FIELDS;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => minor >= (since[key] ?? 0))
      .map(([key, part]) => [key, known(part, minor, key === 'x-kubernetes-validations')]),
  );
}
