/** Kubernetes objects out of files, as `kubectl get -o json` and `-o yaml` write them: lists, lists of lists, several documents. */
import { readFile } from 'node:fs/promises';
import { kinds, type KindName, type ObjectOf } from './api/kinds.js';
import type { KubeObject } from './api/meta.js';
import { messageOf, UserError } from './errors.js';
import { parseKubectlYaml } from './kubectl-yaml.js';

/** `-` reads `stdin`. @throws UserError */
export async function readObjectFiles(
  files: readonly string[],
  stdin: AsyncIterable<Buffer | string>,
): Promise<<K extends KindName>(kind: K) => readonly ObjectOf[K][]> {
  const found = new Map<string, KubeObject[]>();
  for (const file of files) {
    const from = file === '-' ? 'standard input' : file;
    for (const value of parseKubectlYaml(await readText(file, stdin), from)) collect(value, from, undefined, found);
  }
  return <K extends KindName>(kind: K) =>
    (found.get(`${kinds[kind].group}/${kinds[kind].kind}`) ?? []) as unknown as readonly ObjectOf[K][];
}

type ReadObject = Partial<KubeObject> & { readonly items?: unknown };

/** Items of a typed list ("PodList") carry no kind of their own. */
function collect(value: unknown, from: string, listed: ReadObject | undefined, into: Map<string, KubeObject[]>): void {
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
  const key = `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}`;
  const whole = { spec: {}, ...object, ...(spec === null ? { spec: {} } : {}) } as unknown as KubeObject;
  into.set(key, [...(into.get(key) ?? []), whole]);
}

async function readText(file: string, stdin: AsyncIterable<Buffer | string>): Promise<string> {
  try {
    if (file !== '-') return await readFile(file, 'utf8');
    const chunks: Buffer[] = [];
    for await (const chunk of stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString('utf8');
  } catch (error) {
    throw new UserError(`Cannot read ${file}: ${messageOf(error)}`);
  }
}
