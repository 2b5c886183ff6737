/** manifests/base/node-guard.yaml: what an agent may write of IPAMBlocks and NodeAddresses, by its expressions. */
import { expect } from 'chai';
import { Environment } from '@marcbachmann/cel-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

interface Guard {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly variables: readonly { readonly name: string; readonly expression: string }[];
    readonly validations: readonly { readonly expression: string }[];
  };
}

const root = join(fileURLToPath(new URL('.', import.meta.url)), '../../..');
const guards = parseAllDocuments(readFileSync(join(root, 'manifests/base/node-guard.yaml'), 'utf8')).map(
  (document) => document.toJS() as Guard,
);

/** Of the agent of node "a". */
function isAdmitted(resource: string, operation: 'CREATE' | 'UPDATE', object: unknown, oldObject: unknown): boolean {
  const guard = guards.find(
    ({ kind, metadata }) => kind.endsWith('Policy') && metadata.name === `${resource}.tortie.dev`,
  );
  if (guard === undefined) throw new Error(`there is no guard of ${resource}`);
  const context = {
    request: { operation, userInfo: { extra: { 'authentication.kubernetes.io/node-name': ['a'] } } },
    object,
    oldObject,
    variables: {} as Record<string, unknown>,
  };
  const environment = new Environment({ unlistedVariablesAreDyn: true });
  for (const { name, expression } of guard.spec.variables)
    context.variables[name] = environment.evaluate(expression, context);
  return guard.spec.validations.every(({ expression }) => environment.evaluate(expression, context) === true);
}

const loan = (address: string, node: string) => ({ address, node });
const block = (node: string, more = {}) => ({ spec: { cidr: '10.0.0.0/30', pool: 'p', node, ...more } });

const UPDATES: readonly (readonly [boolean, string, unknown, unknown])[] = [
  [true, 'offers of its own', block('a'), block('a', { offers: ['10.0.0.3'] })],
  [true, 'takes a vacant block', block('b', { vacant: true }), block('a')],
  [false, "takes another's block", block('b'), block('a')],
  [false, "takes another's block that says it is not vacant", block('b', { vacant: false }), block('a')],
  [false, "gives another's block away", block('b'), block('c')],
  [true, 'borrows', block('b', { offers: ['10.0.0.3'] }), block('b', { loans: [loan('10.0.0.3', 'a')] })],
  [
    true,
    'borrows beside another',
    block('b', { loans: [loan('10.0.0.2', 'c')] }),
    block('b', { loans: [loan('10.0.0.2', 'c'), loan('10.0.0.3', 'a')] }),
  ],
  [false, 'borrows for another', block('b'), block('b', { loans: [loan('10.0.0.3', 'c')] })],
  [
    false,
    "makes another's loan a third's",
    block('b', { loans: [loan('10.0.0.3', 'c')] }),
    block('b', { loans: [loan('10.0.0.3', 'd')] }),
  ],
  [true, 'gives back', block('b', { loans: [loan('10.0.0.3', 'a')] }), block('b', { loans: [] })],
  [
    true,
    "hands a deleted Node's block to who has borrowed",
    block('gone', { loans: [loan('10.0.0.3', 'c')] }),
    block('c', { loans: [] }),
  ],
];

describe('manifests: the guard of blocks', () => {
  for (const [isAllowed, what, before, after] of UPDATES)
    it(`${isAllowed ? 'admits' : 'refuses'} an agent that ${what}`, () => {
      expect(isAdmitted('ipamblocks', 'UPDATE', after, before)).to.equal(isAllowed);
    });

  it('admits an agent that claims for its node, and for no other', () => {
    expect(isAdmitted('ipamblocks', 'CREATE', block('a'), undefined)).to.equal(true);
    expect(isAdmitted('ipamblocks', 'CREATE', block('b'), undefined)).to.equal(false);
  });

  it("lets an agent write its own node's NodeAddresses, and no other", () => {
    expect(isAdmitted('nodeaddresses', 'UPDATE', { metadata: { name: 'a' } }, {})).to.equal(true);
    expect(isAdmitted('nodeaddresses', 'UPDATE', { metadata: { name: 'b' } }, {})).to.equal(false);
  });
});
