/** Objects that a user names: kinds by any of their names, objects out of files. */
import { apiVersionOf, kinds, type KindName } from '../api/kinds.js';
import type { KubeObject } from '../api/meta.js';
import { UserError } from '../errors.js';
import { parseKubectlYaml } from '../kubectl-yaml.js';
import { readText } from '../object-files.js';

export interface GivenObject {
  readonly kind: KindName;
  readonly object: KubeObject;
  /** The file, for messages. */
  readonly from: string;
}

/** Calico's and Kubernetes' NetworkPolicies share a name: without a group Kubernetes' are meant, as with kubectl. */
const kindNames = Object.keys(kinds) as readonly KindName[];

/** "ippool", "IPPools", "networkpolicies.projectcalico.org". @throws UserError */
export function kindOf(text: string): KindName {
  const [name = '', ...group] = text.toLowerCase().split('.');
  const found = kindNames.find(
    (each) =>
      [kinds[each].plural, kinds[each].kind.toLowerCase()].includes(name) &&
      (group.length === 0 || kinds[each].group === group.join('.')),
  );
  if (found !== undefined) return found;
  throw new UserError(
    `Cannot look for "${text}": expected one of ${[...new Set(kindNames.map((each) => kinds[each].plural))].sort().join(', ')}`,
    2,
  );
}

/** "ippool.projectcalico.org/blue", as kubectl says it. */
export function displayName(
  kind: KindName,
  { namespace, name }: { readonly namespace?: string; readonly name: string },
): string {
  const { group, kind: singular } = kinds[kind];
  const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
  return `${singular.toLowerCase()}${group === '' ? '' : `.${group}`}/${name}${where}`;
}

/**
 * Every object of these files; `-` is standard input. What cannot be used is told to `onProblem` and stops nothing.
 * @param namespace of those that name none
 */
export async function readObjects(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
  namespace: string,
  onProblem: (sentence: string) => void,
): Promise<readonly GivenObject[]> {
  const found: GivenObject[] = [];
  for (const file of files) {
    const from = file === '-' ? 'standard input' : file;
    for (const value of parseKubectlYaml(await readText(file, stdin), from))
      for (const item of itemsOf(value)) {
        const given = givenOf(item, from, namespace);
        if (typeof given === 'string') onProblem(given);
        else if (given !== undefined) found.push(given);
      }
  }
  return found;
}

type Unchecked = Readonly<Record<string, unknown>>;

const itemsOf = (value: unknown): readonly unknown[] =>
  isMapping(value) && Array.isArray(value['items']) ? value['items'].flatMap(itemsOf) : [value];

const isMapping = (value: unknown): value is Unchecked =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function givenOf(value: unknown, from: string, namespace: string): GivenObject | string | undefined {
  if (value === null || value === undefined) return undefined;
  if (!isMapping(value))
    return `Cannot use an object of ${from}: expected a mapping with apiVersion, kind and metadata`;
  const { apiVersion, kind: kindText, metadata } = value;
  const name = isMapping(metadata) ? metadata['name'] : undefined;
  if (typeof apiVersion !== 'string' || typeof kindText !== 'string' || typeof name !== 'string' || name === '')
    return `Cannot use an object of ${from}: expected apiVersion, kind and metadata.name, each a text`;
  const kind = kindNames.find((each) => apiVersionOf(kinds[each]) === apiVersion && kinds[each].kind === kindText);
  if (kind === undefined)
    return `Cannot use ${kindText} "${name}" of ${from}: nothing here reads a ${apiVersion} ${kindText}`;
  const object = value as unknown as KubeObject;
  if (!kinds[kind].namespaced || object.metadata.namespace !== undefined) return { kind, object, from };
  return { kind, object: { ...object, metadata: { ...object.metadata, namespace } }, from };
}
