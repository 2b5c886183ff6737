/**
 * What the roles of agent and controller grant is what their code asks for: each call is granted, and each grant has a call. Read from
 * the sources, so that a call that no test makes counts, too.
 */
import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { AGENT_KINDS, LATER_KINDS } from '../../src/agent/agent-options.js';
import { STATUS_KINDS } from '../../src/agent/object-status.js';
import { kinds, type KindName } from '../../src/api/kinds.js';
import { CONTROLLER_KINDS } from '../../src/controller/controller.js';
import { loadKustomization } from '../../src/install/kustomization.js';
import { packageFile } from '../../src/lab/tortie-argv.js';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** Verbs of RBAC that a method of Datastore needs, on the object or on its status. */
const METHODS: Readonly<Record<string, readonly (readonly [verb: string, part: string])[]>> = {
  watch: [
    ['list', ''],
    ['watch', ''],
  ],
  list: [['list', '']],
  get: [['get', '']],
  getForeign: [['get', '']],
  create: [['create', '']],
  replace: [['update', '']],
  replaceStatus: [['update', '/status']],
  applyStatus: [['patch', '/status']],
  delete: [['delete', '']],
};
/** The datastore itself, what hands the calls of others on, and what is never asked of Kubernetes: it has its Nodes from kubelets. */
const PASSED_ON = /^src\/(datastore\/|controller\/dry-run\.ts$|agent\/node-registration\.ts$)/;
const ROOT = packageFile('.');
const base = loadKustomization(packageFile('manifests/base'));

/** Source files that a process loads, by their imports. */
function sourcesOf(entry: string): readonly string[] {
  const found = new Set<string>();
  const open = [join(ROOT, entry)];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (found.has(path) || !existsSync(path)) continue;
    found.add(path);
    for (const [, specifier = ''] of readFileSync(path, 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)\.js'/g))
      open.push(join(dirname(path), `${specifier}.ts`));
  }
  return [...found];
}

const permissions = (method: string, kind: KindName): readonly string[] => {
  const { group, plural } = kinds[kind];
  return (METHODS[method] ?? []).map(([verb, part]) => `${verb} ${group}/${plural}${part}`);
};

/** `datastore.METHOD('KIND'`, and the calls whose kind is a variable: there must be a row below for each of those. */
function calledBy(entry: string): { readonly named: ReadonlySet<string>; readonly variable: readonly string[] } {
  const named = new Set<string>();
  const variable: string[] = [];
  for (const path of sourcesOf(entry)) {
    const name = relative(ROOT, path);
    if (PASSED_ON.test(name)) continue;
    const calls = /\bdatastore\s*\.(\w+)(?:<[^>]*>)?\(\s*('(\w+)'|[^,)\s]*)/g;
    for (const [, method = '', argument, kind = ''] of readFileSync(path, 'utf8').matchAll(calls))
      if (!(method in METHODS))
        throw new Error(`${name}: "${method}" is no method of a datastore that this test knows`);
      else if (kind in kinds) for (const each of permissions(method, kind as KindName)) named.add(each);
      else variable.push(`${name} ${method}(${argument})`);
  }
  return { named, variable: [...new Set(variable)].sort() };
}

function grantedTo(account: string): ReadonlySet<string> {
  const rules = base
    .filter(({ kind, metadata }) => (kind === 'ClusterRole' || kind === 'Role') && metadata.name === account)
    .flatMap((object) => object['rules'] as readonly Rule[]);
  return new Set(
    rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    ),
  );
}

const every = (method: string, of: readonly KindName[]): readonly string[] =>
  of.flatMap((kind) => permissions(method, kind));

/** What commands ask for that people run in the agent's container, by its token: `kubectl exec ... -c agent -- tortie doctor`. */
const asksInContainer = ['src/doctor/cluster-facts.ts', 'src/ipam/read.ts'].flatMap((file) =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/\b(?:list|ofKind)\('(\w+)'/g)].flatMap(([, kind = '']) =>
    permissions('list', kind as KindName),
  ),
);

const PROCESSES = [
  {
    account: 'tortie-agent',
    entry: 'src/agent/main.ts',
    variable: {
      'src/agent/agent.ts watch(kind)': every('watch', AGENT_KINDS),
      'src/agent/object-status.ts applyStatus(kind)': every('applyStatus', STATUS_KINDS),
      'src/agent/object-status.ts get(kind)': every('get', STATUS_KINDS),
      'src/cluster/on-demand-watch.ts watch(kind)': every('watch', LATER_KINDS),
    },
    others: asksInContainer,
  },
  {
    account: 'tortie-controller',
    entry: 'src/controller/main.ts',
    variable: {
      'src/controller/controller.ts watch(kind)': every('watch', CONTROLLER_KINDS),
      'src/controller/kept-owners.ts getForeign(resource)': [
        'get apps/statefulsets',
        'get kubevirt.io/virtualmachines',
      ],
    },
    others: [],
  },
] as const satisfies readonly {
  account: string;
  entry: string;
  variable: Readonly<Record<string, readonly string[]>>;
  others: readonly string[];
}[];

describe('the roles of manifests/base', () => {
  for (const { account, entry, variable, others } of PROCESSES) {
    const called = calledBy(entry);
    const used = new Set([...called.named, ...Object.values(variable).flat(), ...others]);
    const granted = grantedTo(account);

    it(`${account}: the test knows each call whose kind is a variable`, () =>
      expect(called.variable).to.deep.equal(Object.keys(variable).sort()));

    it(`${account}: each call of its code is granted`, () =>
      expect([...used].filter((each) => !granted.has(each)).sort()).to.deep.equal([]));

    it(`${account}: each grant has a call in its code`, () =>
      expect([...granted].filter((each) => !used.has(each)).sort()).to.deep.equal([]));
  }
});
