/** Kubernetes objects out of files, as `kubectl get -o json` and `-o yaml` write them: lists, lists of lists, several documents. */
import { readFile } from 'node:fs/promises';
import { kinds, type KindName, type ObjectOf } from './api/kinds.js';
import type { KubeObject } from './api/meta.js';
import { messageOf, UserError } from './errors.js';
import { parseKubectlYaml } from './kubectl-yaml.js';

/** Every one, with its apiVersion, kind, name and a spec. `-` reads `stdin`. @throws UserError */
export async function readObjects(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<readonly KubeObject[]> {
  const found: KubeObject[] = [];
  for (const file of files) {
    const from = file === '-' ? 'standard input' : file;
    for (const value of parseKubectlYaml(await readText(file, stdin), from)) collect(value, from, undefined, found);
  }
  return found;
}

/** The same, by kind. @throws UserError */
export async function readObjectFiles(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<<K extends KindName>(kind: K) => readonly ObjectOf[K][]> {
  const byKind = new Map<KindName | undefined, KubeObject[]>();
  for (const object of await readObjects(files, stdin)) {
    const kind = kindOf(object);
    const known = byKind.get(kind);
    if (known === undefined) byKind.set(kind, [object]);
    else known.push(object);
  }
  return <K extends KindName>(kind: K) => (byKind.get(kind) ?? []) as unknown as readonly ObjectOf[K][];
}

const rows = new Map<string, KindName>(
  (Object.keys(kinds) as KindName[]).map((name) => [`${kinds[name].group}/${kinds[name].kind}`, name] as const),
);

/** Which row of the table an object is of, in whatever version; undefined: none. */
export const kindOf = ({ apiVersion = '', kind = '' }: KubeObject): KindName | undefined =>
  rows.get(`${apiVersion.includes('/') ? (apiVersion.split('/')[0] ?? '') : ''}/${kind}`);

type ReadObject = Partial<KubeObject> & { readonly items?: unknown };

/** Items of a typed list ("PodList") carry no kind of their own. */
function collect(value: unknown, from: string, listed: ReadObject | undefined, into: KubeObject[]): void {
  if (value === null || value === undefined) return;
  if (typeof value !== 'object' || Array.isArray(value))
    throw new UserError(`Cannot read ${from}: expected Kubernetes objects`);
  const object = value as ReadObject;
  const kind = object.kind ?? listed?.kind?.replace(/List$/, '');
  const apiVersion = object.apiVersion ?? listed?.apiVersion;
  if (Array.isArray(object.items)) {
    for (const item of object.items) collect(item, from, object.kind === 'List' ? undefined : object, into);
    return;
  }
  if (kind === undefined || apiVersion === undefined)
    throw new UserError(`Cannot read ${from}: an object has no apiVersion and kind`);
  if (typeof object.metadata?.name !== 'string')
    throw new UserError(`Cannot read ${from}: metadata.name of a ${kind} is missing; expected a text`);
  const spec = (object as { spec?: unknown }).spec;
  into.push({ spec: {}, ...object, apiVersion, kind, ...(spec === null ? { spec: {} } : {}) } as unknown as KubeObject);
}

/** A file's text; `-` is standard input. @throws UserError */
export async function readText(file: string, stdin: AsyncIterable<Buffer | string>): Promise<string> {
  try {
    if (file !== '-') return await readFile(file, 'utf8');
    const chunks: Buffer[] = [];
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw new UserError(`Cannot read ${file}: ${messageOf(error)}`);
  }
}
