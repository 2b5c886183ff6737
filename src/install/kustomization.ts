/**
 * What `kubectl kustomize` makes of the folders in manifests/, so that nothing but this build is needed to install it: resources, and
 * components that delete objects by group and kind. Whatever else a kustomization says is refused by name; no file here says it.
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { isManifest, type Manifest } from './manifest.js';

interface Kustomization {
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
  readonly patches?: readonly {
    readonly target?: { readonly group?: string; readonly kind?: string };
    readonly patch?: string;
  }[];
}

const FILES = ['kustomization.yaml', 'Kustomization'];
const UNDERSTOOD = ['apiVersion', 'kind', 'resources', 'components', 'patches'];

/** All objects of a folder, in the order in which it names them. @throws Error that names the file */
export function loadKustomization(folder: string): readonly Manifest[] {
  return applyTo(folder, []);
}

function applyTo(folder: string, before: readonly Manifest[]): readonly Manifest[] {
  const file = FILES.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (file === undefined) throw new Error(`Cannot read "${folder}": expected ${FILES.join(' or ')} in it`);
  const kustomization = parse(readFileSync(file, 'utf8')) as Kustomization;
  const unknown = Object.keys(kustomization).filter((key) => !UNDERSTOOD.includes(key));
  if (unknown.length > 0) throw new Error(`Cannot read "${file}": ${unknown.join(', ')} is not understood here`);
  const { resources = [], components = [], patches = [] } = kustomization;
  let objects = [...before, ...resources.flatMap((path) => resourcesAt(join(folder, path)))];
  for (const component of components) objects = [...applyTo(join(folder, component), objects)];
  for (const { target, patch = '' } of patches) {
    const { $patch: directive } = parse(patch) as { readonly $patch?: string };
    if (directive !== 'delete' || target?.kind === undefined)
      throw new Error(`Cannot read "${file}": expected patches that delete a kind`);
    objects = objects.filter(
      ({ kind, apiVersion }) =>
        kind !== target.kind || (target.group !== undefined && !apiVersion.startsWith(`${target.group}/`)),
    );
  }
  return objects;
}

function resourcesAt(path: string): readonly Manifest[] {
  if (statSync(path).isDirectory()) return loadKustomization(path);
  return parseAllDocuments(readFileSync(path, 'utf8')).map((document) => {
    const object: unknown = document.toJS();
    if (!isManifest(object)) throw new Error(`Cannot read "${path}" in ${dirname(path)}: expected objects`);
    return object;
  });
}
