/** How this node is called: the name that the kubelet registers, and what to say when the API server knows no node of ours. */
import { UserError } from '../errors.js';

/** As the kubelet names its node after the host (k8s.io/component-helpers/node/util GetHostname). @throws UserError for an empty name */
export function nodeNameOf(host: string): string {
  const name = host.trim().toLowerCase();
  if (name === '') throw new UserError('Cannot name this node: the host has no name; expected --node or NODE_NAME', 2);
  return name;
}

/** A sentence when there is no node of this name, with those that may be meant; undefined when there is. */
export function strangeNodeName(node: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  if (names.includes(node)) return undefined;
  const near = names.filter((name) => isNear(name, node)).sort();
  const meant =
    near.length === 0 ? '' : `; did you mean ${near.map((name) => `"${name}"`).join(' or ')} (--node, NODE_NAME)?`;
  return `The API server knows no node "${node}"${meant}`;
}

/** Apart by case, by white space, or by the domain behind the host's name. */
function isNear(a: string, b: string): boolean {
  const [one, other] = [a.trim().toLowerCase(), b.trim().toLowerCase()];
  return one === other || one.startsWith(`${other}.`) || other.startsWith(`${one}.`);
}
