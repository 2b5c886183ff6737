/** seam: CEL rules of custom resources. */
import type { Problem } from './api-error.js';
import type { ApiObject } from './resource-type.js';
import type { Schema } from './schema.js';
export const checkRules = (_schema: Schema, _object: ApiObject, _old: ApiObject | undefined): readonly Problem[] => [];
