/** What `kubectl explain` says of each field: sentences by path, apart from the structure that they are about. */
import type { SchemaNode } from './schema-builders.js';

/** By path, "password.secretKeyRef.name"; what is in a list is named as if it stood alone. */
export type Words = Readonly<Record<string, string>>;

/** @throws Error for words of a property that there is not, or that has some already: both are slips of whoever writes a definition */
export function explained(words: Words, node: SchemaNode): SchemaNode {
  return Object.entries(words).reduce((described, [path, sentence]) => {
    const result = withWords(described, path.split('.'), sentence);
    if (result === undefined) throw new Error(`Cannot explain "${path}": expected a property without a description`);
    return result;
  }, node);
}

function withWords(node: SchemaNode, path: readonly string[], description: string): SchemaNode | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return node['description'] === undefined ? { ...node, description } : undefined;
  if (isNode(node['items'])) return changed(node, 'items', withWords(node['items'], path, description));
  const properties = node['properties'];
  const member = isNode(properties) ? properties[name] : undefined;
  if (!isNode(properties) || !isNode(member)) return undefined;
  return changed(node, 'properties', changed(properties, name, withWords(member, rest, description)));
}

/** In place, so that words do not change the order of properties. */
const changed = (node: SchemaNode, key: string, value: SchemaNode | undefined): SchemaNode | undefined =>
  value === undefined ? undefined : { ...node, [key]: value };

const isNode = (value: unknown): value is SchemaNode =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
