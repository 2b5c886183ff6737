/** Reads manifests: every object of the YAML files of a folder or of one file. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { JsonObject } from './json.js';

/** Files in the order of their names, documents in the order they stand. Throws with the file's name on bad YAML. */
export function loadManifests(path: string): readonly JsonObject[] {
  return filesAt(path).flatMap((file) =>
    parseAllDocuments(readFileSync(file, 'utf8')).flatMap((document) => {
      const [error] = document.errors;
      if (error !== undefined) throw new Error(`Cannot read manifest "${file}": ${error.message}`);
      const object = document.toJS() as JsonObject | null;
      return object === null ? [] : [object];
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
