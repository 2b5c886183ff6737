/** manifests/base/tier-guard.yaml: its expressions, with an authorizer that says what a table says. */
import { expect } from 'chai';
import { Environment } from '@marcbachmann/cel-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

interface Guard {
  readonly spec: {
    readonly matchConstraints: { readonly resourceRules: readonly { readonly resources: readonly string[] }[] };
    readonly variables: readonly { readonly name: string; readonly expression: string }[];
    readonly validations: readonly { readonly expression: string }[];
  };
}

/** Kubernetes' authorizer library, as far as the guard uses it. */
class Check {
  constructor(
    private readonly rights: readonly string[],
    readonly resourceName = '',
    readonly objectName = '',
  ) {}
  resource(resource: string): Check {
    return new Check(this.rights, resource, this.objectName);
  }
  named(name: string): Check {
    return new Check(this.rights, this.resourceName, name);
  }
  check(verb: string): Decision {
    return new Decision(this.rights.includes(`${verb} ${this.resourceName}/${this.objectName}`));
  }
}
class Decision {
  constructor(readonly isAllowed: boolean) {}
}

const root = join(fileURLToPath(new URL('.', import.meta.url)), '../../..');
const [guard] = parseAllDocuments(readFileSync(join(root, 'manifests/base/tier-guard.yaml'), 'utf8')).map(
  (document) => document.toJS() as Guard,
);

function isAdmitted(
  request: {
    readonly operation: string;
    readonly name: string;
    readonly namespace?: string;
    readonly resource: string;
  },
  [object, oldObject]: readonly [unknown, unknown],
  rights: readonly string[],
): boolean {
  const environment = new Environment({ unlistedVariablesAreDyn: true })
    .registerType('Check', Check)
    .registerType('Decision', Decision)
    .registerFunction('Check.group(string): Check', (check: Check) => check)
    .registerFunction('Check.resource(string): Check', (check: Check, name: string) => check.resource(name))
    .registerFunction('Check.namespace(string): Check', (check: Check) => check)
    .registerFunction('Check.name(string): Check', (check: Check, name: string) => check.named(name))
    .registerFunction('Check.check(string): Decision', (check: Check, verb: string) => check.check(verb))
    .registerFunction('Decision.allowed(): bool', (decision: Decision) => decision.isAllowed);
  const variables: Record<string, unknown> = {};
  const { resource, ...rest } = request;
  const context = {
    request: { ...rest, resource: { resource } },
    object,
    oldObject,
    variables,
    authorizer: new Check(rights),
  };
  const evaluate = (expression: string): unknown => environment.evaluate(expression, context) as unknown;
  for (const { name, expression } of guard?.spec.variables ?? []) variables[name] = evaluate(expression);
  return (guard?.spec.validations ?? []).every(({ expression }) => evaluate(expression) === true);
}

const inTier = (tier?: string) => ({ spec: tier === undefined ? {} : { tier } });
const create = { operation: 'CREATE', name: 'sec.web', namespace: 'shop', resource: 'networkpolicies' };

describe('manifests/base/tier-guard.yaml', () => {
  it('names its variables as CEL can: an API server refuses reserved words', () => {
    // The language definition of CEL, "Syntax": RESERVED and the literals.
    const reserved =
      /^(true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while)$/;
    for (const { name } of guard?.spec.variables ?? []) {
      expect(name).to.match(/^[_a-zA-Z][_a-zA-Z0-9]*$/);
      expect(name).to.not.match(reserved);
    }
  });

  const seen = 'get tiers/sec';
  const rows: readonly (readonly [title: string, rights: readonly string[], isAllowed: boolean])[] = [
    ['both rights', [seen, 'create tier.networkpolicies/sec.*'], true],
    ['the right on this policy alone', [seen, 'create tier.networkpolicies/sec.web'], true],
    ['no get on the tier', ['create tier.networkpolicies/sec.*'], false],
    ['no right on its policies', [seen], false],
    ['a right on another tier', [seen, 'create tier.networkpolicies/app.*'], false],
    ['another verb', [seen, 'update tier.networkpolicies/sec.*'], false],
    ['the right on another kind', [seen, 'create tier.globalnetworkpolicies/sec.*'], false],
  ];
  for (const [title, rights, isAllowed] of rows)
    it(`${title}: ${isAllowed ? 'admitted' : 'refused'}`, () =>
      expect(isAdmitted(create, [inTier('sec'), null], rights)).to.equal(isAllowed));

  it('no tier is the tier default', () => {
    const rights = ['get tiers/default', 'create tier.networkpolicies/default.*'];
    expect(isAdmitted(create, [inTier(), null], rights)).to.equal(true);
    expect(isAdmitted(create, [inTier(''), null], rights)).to.equal(true);
    expect(isAdmitted(create, [inTier(), null], [])).to.equal(false);
  });

  it('a policy that moves needs both tiers', () => {
    const update = { ...create, operation: 'UPDATE' };
    const own = ['get tiers/app', 'update tier.networkpolicies/app.*'];
    const both = [...own, seen, 'update tier.networkpolicies/sec.*'];
    expect(isAdmitted(update, [inTier('sec'), inTier('app')], own)).to.equal(false);
    expect(isAdmitted(update, [inTier('app'), inTier('sec')], own)).to.equal(false);
    expect(isAdmitted(update, [inTier('sec'), inTier('app')], both)).to.equal(true);
  });

  it('deleting asks for the tier that the policy is in', () => {
    const remove = { ...create, operation: 'DELETE' };
    expect(isAdmitted(remove, [null, inTier('sec')], [seen, 'delete tier.networkpolicies/sec.*'])).to.equal(true);
    expect(isAdmitted(remove, [null, inTier('sec')], [seen])).to.equal(false);
  });

  it('kube-* is for global policies alone, whatever rights there are', () => {
    const rights = ['networkpolicies', 'globalnetworkpolicies'].map((kind) => `create tier.${kind}/kube-admin.*`);
    const all = ['get tiers/kube-admin', ...rights];
    expect(isAdmitted(create, [inTier('kube-admin'), null], all)).to.equal(false);
    const { namespace: _namespace, ...global } = { ...create, resource: 'globalnetworkpolicies' };
    expect(isAdmitted(global, [inTier('kube-admin'), null], all)).to.equal(true);
  });

  it('holds every kind that names a tier', () =>
    expect(guard?.spec.matchConstraints.resourceRules[0]?.resources).to.have.members([
      'networkpolicies',
      'globalnetworkpolicies',
      'stagednetworkpolicies',
      'stagedglobalnetworkpolicies',
    ]));
});
