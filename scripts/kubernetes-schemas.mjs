/**
 * Writes test/fixtures/kubernetes/VERSION.json: what API servers of these versions know of the kinds in manifests/, from the OpenAPI
 * document of Kubernetes' own Go module (api/openapi-spec/swagger.json), without descriptions. `node scripts/kubernetes-schemas.mjs`; needs
 * Go for the download.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSIONS = ['1.21.14', '1.27.16', '1.37.2'];
const KINDS = [
  'Namespace',
  'ServiceAccount',
  'ConfigMap',
  'Secret',
  'Service',
  'ClusterRole',
  'ClusterRoleBinding',
  'Role',
  'RoleBinding',
  'DaemonSet',
  'Deployment',
  'PodDisruptionBudget',
  'CustomResourceDefinition',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
];
/** What the check goes by. */
const KEYWORDS = ['type', 'format', 'properties', 'items', 'additionalProperties', 'required', '$ref', 'enum'];
const PREFIX = '#/definitions/';
const folder = join(dirname(fileURLToPath(import.meta.url)), '../test/fixtures/kubernetes');

function documentOf(version) {
  const answer = execFileSync('go', ['mod', 'download', '-json', `k8s.io/kubernetes@v${version}`], {
    encoding: 'utf8',
  });
  return JSON.parse(readFileSync(join(JSON.parse(answer).Dir, 'api/openapi-spec/swagger.json'), 'utf8'));
}

function trimmed(schema) {
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => KEYWORDS.includes(key))
      .map(([key, value]) => {
        if (key === '$ref') return [key, value.slice(PREFIX.length)];
        if (key === 'properties')
          return [key, Object.fromEntries(Object.entries(value).map(([name, part]) => [name, trimmed(part)]))];
        return [
          key,
          (key === 'items' || key === 'additionalProperties') && typeof value === 'object' ? trimmed(value) : value,
        ];
      }),
  );
}

function schemasOf({ definitions }) {
  const kinds = {};
  const schemas = {};
  const add = (name) => {
    if (schemas[name] !== undefined) return;
    schemas[name] = trimmed(definitions[name]);
    for (const [, reference] of JSON.stringify(schemas[name]).matchAll(/"\$ref":"([^"]*)"/g)) add(reference);
  };
  for (const [name, { 'x-kubernetes-group-version-kind': served = [] }] of Object.entries(definitions))
    for (const { group, version, kind } of served.length === 1 ? served : [])
      if (KINDS.includes(kind)) {
        kinds[`${group === '' ? '' : `${group}/`}${version} ${kind}`] = name;
        add(name);
      }
  return { kinds, schemas };
}

mkdirSync(folder, { recursive: true });
for (const version of VERSIONS) {
  const { kinds, schemas } = schemasOf(documentOf(version));
  const lines = Object.entries(schemas).map(
    ([name, schema]) => `    ${JSON.stringify(name)}: ${JSON.stringify(schema)}`,
  );
  const text = `{\n  "version": "${version}",\n  "kinds": ${JSON.stringify(kinds)},\n  "schemas": {\n${lines.join(',\n')}\n  }\n}\n`;
  writeFileSync(join(folder, `${version.split('.').slice(0, 2).join('.')}.json`), text);
}
