/**
 * Writes manifests/crds/*.yaml from the definitions here: `node dist/src/api/crds/write-manifests.js [FOLDER]`. A test
 * holds that what is checked in is what this writes.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { customResourceDefinitions, type CustomResourceDefinition } from './index.js';

const HEADER = '# Written by src/api/crds/write-manifests.ts; change the definitions there.\n';

/** File name and text of one definition. */
export const manifestOf = (definition: CustomResourceDefinition): { readonly name: string; readonly text: string } =>
  // Equal parts are written out each time: kubectl reads anchors, people do not.
  ({
    name: `${definition.metadata.name}.yaml`,
    text: HEADER + stringify(definition, { lineWidth: 140, aliasDuplicateObjects: false }),
  });

/**
 * All files of manifests/crds by name: the definitions, and what "kubectl apply -k" reads, under that one of its names which
 * "kubectl apply -f" passes over.
 */
export function crdManifests(): ReadonlyMap<string, string> {
  const files = customResourceDefinitions.map(manifestOf);
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: files.map(({ name }) => name).sort(),
  };
  return new Map([
    ...files.map(({ name, text }): [string, string] => [name, text]),
    ['Kustomization', HEADER + stringify(kustomization)],
  ]);
}

function main(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of crdManifests()) writeFileSync(join(folder, name), text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv[2] ?? 'manifests/crds');
