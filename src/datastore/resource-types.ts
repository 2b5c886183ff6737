/** What objects of each kind have to be, with their columns: the API's own kinds and those of our CustomResourceDefinitions. */
import { customResourceDefinitions } from '../api/crds/index.js';
import { kinds, type KindName } from '../api/kinds.js';
import { typesOf } from '../apiserver/crd-type.js';
import type { JsonObject } from '../apiserver/json.js';
import { builtInTypes } from '../apiserver/kinds/index.js';
import { Registry } from '../apiserver/registry.js';
import type { ResourceType } from '../apiserver/resource-type.js';

export const resourceTypes = new Registry([
  ...builtInTypes,
  ...customResourceDefinitions.flatMap((definition) => typesOf(definition as JsonObject)),
]);

export function resourceTypeOf(kind: KindName): ResourceType {
  const { group, version, plural } = kinds[kind];
  const type = resourceTypes.find(group, version, plural);
  if (type === undefined) throw new Error(`Kind ${kind} has no schema`);
  return type;
}
