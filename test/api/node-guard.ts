/** manifests/base/node-guard.yaml by its expressions: would an API server let the agent of a node write this? */
import { Environment } from '@marcbachmann/cel-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

export interface Guard {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly matchConstraints: {
      readonly resourceRules: readonly {
        readonly apiGroups: readonly string[];
        readonly operations: readonly string[];
        readonly resources: readonly string[];
      }[];
    };
    readonly matchConditions: readonly { readonly expression: string }[];
    readonly variables: readonly { readonly name: string; readonly expression: string }[];
    readonly validations: readonly { readonly expression: string }[];
  };
}

export interface AgentWrite {
  readonly node: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly object: unknown;
  readonly oldObject: unknown;
  /** The object's; default "x". */
  readonly name?: string;
}

const root = join(fileURLToPath(new URL('.', import.meta.url)), '../../..');

/** One for each resource that is held. */
export const NODE_GUARDS: readonly Guard[] = parseAllDocuments(
  readFileSync(join(root, 'manifests/base/node-guard.yaml'), 'utf8'),
)
  .map((document) => document.toJS() as Guard)
  .filter(({ kind }) => kind === 'ValidatingAdmissionPolicy');

const environment = new Environment({ unlistedVariablesAreDyn: true });

export function isAdmitted(resource: string, write: AgentWrite): boolean {
  const guard = NODE_GUARDS.find(({ metadata }) => metadata.name === `${resource}.tortie.dev`);
  if (guard === undefined) throw new Error(`there is no guard of ${resource}`);
  const { node, operation, object, oldObject, name = 'x' } = write;
  const context = {
    request: { operation, name, userInfo: { extra: { 'authentication.kubernetes.io/node-name': [node] } } },
    object,
    oldObject,
    variables: {} as Record<string, unknown>,
  };
  for (const variable of guard.spec.variables)
    context.variables[variable.name] = environment.evaluate(variable.expression, context);
  return guard.spec.validations.every(({ expression }) => environment.evaluate(expression, context) === true);
}

/** Is a matching request held at all? */
export const isHeldFor = (username: string): boolean =>
  NODE_GUARDS.every(({ spec }) =>
    spec.matchConditions.every(
      ({ expression }) => environment.evaluate(expression, { request: { userInfo: { username } } }) === true,
    ),
  );
