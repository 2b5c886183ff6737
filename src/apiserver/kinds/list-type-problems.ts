/**
 * What a CustomResourceDefinition may say about how its lists merge: the checks that a real API server makes of
 * x-kubernetes-list-type and x-kubernetes-list-map-keys
 * (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation, schema part), for one schema node.
 */
import { forbiddenField, invalidValue, notSupported, required, type Problem } from '../api-error.js';
import { at, isObject, listAt, objectAt, textAt, type JsonObject } from '../json.js';

const LIST_TYPES = ['atomic', 'set', 'map'];
const NOT_ATOMIC = 'must be atomic as item of a list with x-kubernetes-list-type=set';

export function listTypeProblems(schema: JsonObject, path: string): readonly Problem[] {
  const listType = textAt(schema, 'x-kubernetes-list-type');
  const keys = listAt(schema, 'x-kubernetes-list-map-keys').map(String);
  const found: Problem[] = [];
  if (listType === undefined) {
    if (keys.length > 0)
      found.push(required(`${path}.x-kubernetes-list-type`, 'must be map if x-kubernetes-list-map-keys is non-empty'));
    return found;
  }
  const type = textAt(schema, 'type');
  if (type !== 'array')
    found.push(
      type === undefined
        ? required(`${path}.type`, 'must be array if x-kubernetes-list-type is specified')
        : invalidValue(`${path}.type`, type, 'must be array if x-kubernetes-list-type is specified'),
    );
  if (!LIST_TYPES.includes(listType)) found.push(notSupported(`${path}.x-kubernetes-list-type`, listType, LIST_TYPES));
  if (keys.length > 0 && listType !== 'map')
    found.push(
      invalidValue(
        `${path}.x-kubernetes-list-type`,
        listType,
        'must be map if x-kubernetes-list-map-keys is non-empty',
      ),
    );
  if ((listType === 'set' || listType === 'map') && at(schema, 'items', 'nullable') === true)
    found.push(
      forbiddenField(`${path}.items.nullable`, `cannot be nullable when x-kubernetes-list-type is ${listType}`),
    );
  if (listType === 'set') found.push(...setProblems(schema, path));
  if (listType === 'map') found.push(...mapProblems(schema, keys, path));
  return found;
}

/** Items of a set are compared whole. (That no server-side apply of a set of objects works is another matter.) */
function setProblems(schema: JsonObject, path: string): readonly Problem[] {
  const items = objectAt(schema, 'items');
  const [listType, mapType] = [textAt(items, 'x-kubernetes-list-type'), textAt(items, 'x-kubernetes-map-type')];
  if (textAt(items, 'type') === 'array' && listType !== undefined && listType !== 'atomic')
    return [invalidValue(`${path}.items.x-kubernetes-list-type`, listType, NOT_ATOMIC)];
  if (textAt(items, 'type') === 'object' && mapType !== 'atomic')
    return [invalidValue(`${path}.items.x-kubernetes-map-type`, mapType ?? null, NOT_ATOMIC)];
  return [];
}

function mapProblems(schema: JsonObject, keys: readonly string[], path: string): readonly Problem[] {
  const keysPath = `${path}.x-kubernetes-list-map-keys`;
  if (keys.length === 0) return [required(keysPath, 'must not be empty if x-kubernetes-list-type is map')];
  const items = objectAt(schema, 'items');
  const type = textAt(items, 'type');
  if (type !== 'object')
    return [
      invalidValue(`${path}.items.type`, type ?? '', "must be object if parent array's x-kubernetes-list-type is map"),
    ];
  const found = keys.flatMap((key) => keyProblems(items, key, keys, path));
  if (new Set(keys).size < keys.length)
    found.push(invalidValue(keysPath, [...keys], 'must not contain duplicate entries'));
  return found;
}

function keyProblems(items: JsonObject, key: string, keys: readonly string[], path: string): Problem[] {
  const property = at(items, 'properties', key);
  if (!isObject(property))
    return [
      invalidValue(`${path}.x-kubernetes-list-map-keys`, [...keys], 'entries must all be names of item properties'),
    ];
  const here = `${path}.items.properties[${key}]`;
  const found: Problem[] = [];
  const type = textAt(property, 'type');
  if (type === 'array' || type === 'object')
    found.push(
      invalidValue(`${here}.type`, type, "must be a scalar type if parent array's x-kubernetes-list-type is map"),
    );
  if (!listAt(items, 'required').includes(key) && property['default'] === undefined)
    found.push(
      required(
        `${here}.default`,
        'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
      ),
    );
  if (property['nullable'] === true)
    found.push(
      forbiddenField(`${here}.nullable`, 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'),
    );
  return found;
}
