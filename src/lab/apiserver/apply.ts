import type { Cluster, Target, WriteOptions } from './cluster.js';
import type { JsonObject } from './json.js';
import { ApiError } from './api-error.js';
import type { PatchResult } from './patch.js';
export function applyObject(_cluster: Cluster, _target: Target, _applied: JsonObject, _options: WriteOptions): PatchResult {
  throw new ApiError(415, 'UnsupportedMediaType', 'server-side apply: not yet');
}
