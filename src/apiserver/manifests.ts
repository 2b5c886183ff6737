/** Reads manifests: every object of the YAML files of a folder or of one file. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseKubectlYaml } from '../kubectl-yaml.js';
import { isObject, type Json, type JsonObject } from './json.js';

/** Files in the order of their names, documents in the order they stand. Throws with the file's name on bad YAML. */
export function loadManifests(path: string): readonly JsonObject[] {
  return filesAt(path).flatMap((file) =>
    parseKubectlYaml(readFileSync(file, 'utf8'), file).flatMap((value) => {
      if (value !== null && !isObject(value as Json))
        throw new Error(`Cannot read manifest "${file}": expected objects`);
      return value === null ? [] : [value as JsonObject];
    }),
  );
}

function filesAt(path: string): readonly string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => /\.ya?ml$/.test(name))
    .sort()
    .map((name) => join(path, name));
}
