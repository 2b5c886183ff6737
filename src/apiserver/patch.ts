/**
 * PATCH in its four content types: JSON patch (RFC 6902), JSON merge patch (RFC 7386), strategic merge, server-side apply.
 * The first three make a new object from the stored one and go through the same door as an update.
 */
import { applyPatch, type Operation } from 'rfc6902';
import { messageOf } from '../errors.js';
import { parseKubectlYaml } from '../kubectl-yaml.js';
import { ApiError, badRequest, unsupportedMediaType } from './api-error.js';
import { applyObject } from './apply.js';
import { requireEntry, type Cluster, type Target, type WriteOptions } from './cluster.js';
import { decodeResource } from './decode-resource.js';
import { draft, isArray, isObject, type Json, type JsonObject } from './json.js';
import type { Entry } from './store.js';
import { strategicMerge } from './strategic-merge.js';
import { replace, type PatchResult } from './write.js';

export const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
] as const;

/** BOUNDED: as upstream (k8s.io/apiserver maxJSONPatchOperations). */
const MAX_JSON_PATCH_OPERATIONS = 10_000;

export function patchObject(
  cluster: Cluster,
  target: Target,
  contentType: string,
  body: string,
  options: WriteOptions,
): PatchResult {
  if (contentType === 'application/apply-patch+yaml' || contentType === 'application/apply-patch+cbor')
    return applyObject(cluster, target, parseAppliedObject(body), options);
  const current = requireEntry(cluster, target);
  const patched = patchedObject(target, current, contentType, parseJson(body));
  const decoded = decodeResource(target, patched, options);
  return { entry: replace(cluster, target, current, decoded, options), isCreated: false };
}

function patchedObject(target: Target, current: Entry, contentType: string, patch: Json): JsonObject {
  switch (contentType) {
    case 'application/json-patch+json':
      return jsonPatched(current, patch);
    case 'application/merge-patch+json':
      return mergePatch(current.object, requireObject(patch));
    case 'application/strategic-merge-patch+json':
      if (target.type.manner === 'structural')
        throw unsupportedMediaType(PATCH_TYPES.filter((type) => !type.includes('strategic')));
      return strategicMerge(target.type.schema, current.object, requireObject(patch));
    default:
      throw unsupportedMediaType(PATCH_TYPES);
  }
}

function jsonPatched(current: Entry, patch: Json): JsonObject {
  if (!isArray(patch)) throw badRequest('error decoding patch: expected a list of operations');
  if (patch.length > MAX_JSON_PATCH_OPERATIONS)
    throw new ApiError(
      413,
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`,
    );
  const copy = JSON.parse(current.text) as JsonObject;
  const errors = applyPatch(copy, patch as unknown as Operation[]).filter((error) => error !== null);
  const [first] = errors;
  if (first !== undefined)
    throw new ApiError(
      422,
      'Invalid',
      `the server rejected our request due to an error in our request: ${first.name}: ${first.message}`,
      {},
    );
  return requireObject(copy);
}

/** RFC 7386. */
export function mergePatch(original: JsonObject, patch: JsonObject): JsonObject {
  const result = draft(original);
  for (const [key, value] of Object.entries(patch)) {
    const before = result[key];
    if (value === null) delete result[key];
    else result[key] = isObject(value) ? mergePatch(isObject(before) ? before : {}, value) : value;
  }
  return result;
}

export function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${(error as Error).message}`);
  }
}

/** kubectl sends JSON under a YAML content type; people with curl send YAML. */
const parseAppliedObject = (text: string): JsonObject =>
  requireObject(text.trimStart().startsWith('{') ? parseJson(text) : parseYamlBody(text));

/** The API server reads YAML as kubectl does, with the same library. */
export function parseYamlBody(text: string): Json {
  let documents: readonly unknown[];
  try {
    documents = parseKubectlYaml(text, 'the body');
  } catch (error) {
    throw badRequest(`error decoding YAML: ${messageOf(error)}`);
  }
  return (documents[0] ?? null) as Json;
}

function requireObject(value: Json): JsonObject {
  if (!isObject(value)) throw badRequest('error decoding patch: expected a JSON object');
  return value;
}
