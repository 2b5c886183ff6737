/**
 * Reads parts of untrusted JSON by type. `null` is absence, as in Kubernetes; a part of the wrong type is a problem and
 * reads as absent, so that whoever reads goes on and collects the rest.
 */
import { wrongType, type Problem } from '../problem.js';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own properties only: keys come from users, and "constructor" is a fine label. */
export function own(object: JsonObject | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}

export function readObject(value: unknown, field: string, problems: Problem[]): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  if (isObject(value)) return value;
  problems.push(wrongType(field, value, 'an object'));
  return undefined;
}

/** An absent list is an empty list. */
export function readList(value: unknown, field: string, problems: Problem[]): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  problems.push(wrongType(field, value, 'an array'));
  return [];
}

export function readString(value: unknown, field: string, problems: Problem[]): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  problems.push(wrongType(field, value, 'a string'));
  return undefined;
}

export function readInteger(value: unknown, field: string, problems: Problem[]): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  problems.push(wrongType(field, value, 'an integer'));
  return undefined;
}

export function readBoolean(value: unknown, field: string, problems: Problem[]): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  problems.push(wrongType(field, value, 'a boolean'));
  return undefined;
}

/** Keys and values of a map of strings, in a Map so that no key can be a prototype's. */
export function readStringMap(value: unknown, field: string, problems: Problem[]): ReadonlyMap<string, string> {
  const map = new Map<string, string>();
  const object = readObject(value, field, problems);
  if (object === undefined) return map;
  for (const key of Object.keys(object)) {
    const text = object[key];
    if (typeof text === 'string') map.set(key, text);
    else problems.push(wrongType(`${field}[${key}]`, text, 'a string'));
  }
  return map;
}
