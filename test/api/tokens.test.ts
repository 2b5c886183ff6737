/**
 * Three tokens, those of two nodes' agents and the controller's, and a tenant without one: every write that manifests/base grants anybody,
 * against what holds it. A right that is new is refused here until it is said who may use it on whose objects.
 */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { kinds } from '../../src/api/kinds.js';
import { listAt, textAt, type Json } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { isAdmitted, isHeldFor, NODE_GUARDS, type AgentWrite } from './node-guard.js';

const manifests = ['rbac', 'controller'].flatMap((name) =>
  loadManifests(fileURLToPath(new URL(`../../../manifests/base/${name}.yaml`, import.meta.url))),
);
const texts = (rule: Json, field: string): readonly string[] => listAt(rule, field).map(String);
const rulesOf = (kind: string, name: string): readonly Json[] =>
  manifests
    .filter((object) => textAt(object, 'kind') === kind && textAt(object, 'metadata', 'name') === name)
    .flatMap((object) => listAt(object, 'rules'));

interface Write {
  readonly resource: string;
  readonly verb: string;
  readonly names: readonly string[];
}
const READING = new Set(['get', 'list', 'watch']);
const writesOf = (kind: string, name: string): readonly Write[] =>
  rulesOf(kind, name).flatMap((rule) =>
    texts(rule, 'apiGroups').flatMap((group) =>
      texts(rule, 'resources').flatMap((resource) =>
        texts(rule, 'verbs')
          .filter((verb) => !READING.has(verb))
          .map((verb) => ({ resource: `${resource}.${group}`, verb, names: texts(rule, 'resourceNames') })),
      ),
    ),
  );
const written = (kind: string, name: string): readonly string[] =>
  writesOf(kind, name)
    .map(({ resource, verb, names }) => `${verb} ${resource}${names.length === 0 ? '' : ` ${names.join(' ')}`}`)
    .sort();

const OPERATIONS: Readonly<Record<string, AgentWrite['operation']>> = {
  create: 'CREATE',
  update: 'UPDATE',
  patch: 'UPDATE',
  delete: 'DELETE',
};
const isGuarded = ({ resource, verb }: Write): boolean =>
  NODE_GUARDS.some(({ spec }) =>
    spec.matchConstraints.resourceRules.some(
      (rule) =>
        rule.operations.includes(OPERATIONS[verb] ?? '') &&
        rule.apiGroups.some((group) => rule.resources.some((one) => `${one}.${group}` === resource)),
    ),
  );

/** Every kind that Tortie or a cluster has, and every verb of RBAC. */
const RESOURCES: readonly string[] = [
  ...Object.values(kinds).map(({ plural, group }) => `${plural}.${group}`),
  ...[
    'statefulsets.apps',
    'deployments.apps',
    'virtualmachines.kubevirt.io',
    'pods/exec.',
    'pods/log.',
    'nodes/proxy.',
  ],
  ...['serviceaccounts/token.', 'persistentvolumes.', 'roles.rbac.authorization.k8s.io'],
  ...['clusterroles.rbac.authorization.k8s.io', 'tokenreviews.authentication.k8s.io', 'users.', 'groups.'],
];
const VERBS = 'get list watch create update patch delete deletecollection impersonate bind escalate approve sign'.split(
  ' ',
);

/** Verbs that the rules give an account on a resource, by any name. */
const verbsOn = (rules: readonly Json[], resource: string): string =>
  VERBS.filter((verb) =>
    rules.some(
      (rule) =>
        listAt(rule, 'resourceNames').length === 0 &&
        [verb, '*'].some((each) => texts(rule, 'verbs').includes(each)) &&
        texts(rule, 'apiGroups').some((group) =>
          texts(rule, 'resources').some((one) =>
            group === '*' || one === '*' ? true : `${one}.${group}` === resource,
          ),
        ),
    ),
  )
    .filter((verb) => READING.has(verb) || !Object.hasOwn(OPERATIONS, verb))
    .join(' ');

const CALICO =
  'ippools ipreservations ipamconfigurations bgpconfigurations bgppeers bgpfilters networkpolicies globalnetworkpolicies ' +
  'stagednetworkpolicies stagedglobalnetworkpolicies stagedkubernetesnetworkpolicies tiers networksets globalnetworksets hostendpoints';
const of = (group: string, plurals: string): readonly string[] =>
  plurals.split(' ').map((plural) => `${plural}.${group}`);
/** What each reads in the whole cluster; of what is not here nothing. */
const READS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'tortie-agent': {
    'get list watch': [
      ...of('', 'pods nodes'),
      ...of('policy.networking.k8s.io', 'clusternetworkpolicies adminnetworkpolicies baselineadminnetworkpolicies'),
      ...of('projectcalico.org', CALICO),
      ...of('tortie.dev', 'ipamblocks nodestatuses changes'),
    ],
    'list watch': [
      ...of('', 'namespaces services serviceaccounts'),
      ...['endpointslices.discovery.k8s.io', 'networkpolicies.networking.k8s.io'],
    ],
    'get list': ['nodeaddresses.tortie.dev'],
  },
  'tortie-controller': {
    'get list watch': [...of('', 'services nodes'), 'ipamblocks.tortie.dev'],
    'list watch': [...of('', 'namespaces pods'), ...of('projectcalico.org', 'ippools ipreservations')],
    list: ['nodestatuses.tortie.dev'],
    get: ['statefulsets.apps', 'virtualmachines.kubevirt.io'],
  },
};

describe('manifests: whose token reads what, every verb on every kind', () => {
  for (const [account, reads] of Object.entries(READS)) {
    const expected = (resource: string): string =>
      Object.entries(reads).find(([, resources]) => resources.includes(resource))?.[0] ?? '';

    it(`${account} reads this of the cluster, and may neither impersonate nor grant anything`, () => {
      for (const resource of Object.values(reads).flat()) expect(RESOURCES).to.include(resource);
      for (const resource of RESOURCES)
        expect(verbsOn(rulesOf('ClusterRole', account), resource), resource).to.equal(expected(resource));
    });

    it(`${account} reads in its own namespace the passwords of sessions if it is an agent, and leases by name`, () => {
      const own = rulesOf('Role', account);
      const secrets = account === 'tortie-agent' ? 'list watch' : '';
      for (const resource of RESOURCES)
        expect(verbsOn(own, resource), resource).to.equal(resource === 'secrets.' ? secrets : '');
      const named = own.filter((rule) => listAt(rule, 'resourceNames').length > 0);
      for (const rule of named) expect(texts(rule, 'resources')).to.deep.equal(['leases']);
    });
  }
});

describe('manifests: whose token writes what', () => {
  it('an agent writes in the cluster what a guard holds to its node, conditions, and events', () => {
    const others = writesOf('ClusterRole', 'tortie-agent').filter(
      (write) => !isGuarded(write) && write.resource !== 'events.events.k8s.io',
    );
    expect(others.length).to.be.above(0);
    for (const { resource, verb } of others) {
      // Of what users write; one elected agent does.
      expect(verb, resource).to.equal('patch');
      expect(resource).to.match(/^[a-z]+\/status\.(policy\.networking\.k8s\.io|projectcalico\.org)$/);
    }
  });

  it('in its own namespace it takes part in an election, by name', () => {
    expect(written('Role', 'tortie-agent')).to.deep.equal([
      'create leases.coordination.k8s.io',
      'update leases.coordination.k8s.io tortie-object-status',
    ]);
  });

  it('the controller writes this and no more', () => {
    expect(written('ClusterRole', 'tortie-controller')).to.deep.equal([
      'create events.events.k8s.io',
      'delete ipamblocks.tortie.dev',
      'delete nodeaddresses.tortie.dev',
      'delete nodestatuses.tortie.dev',
      'update events.events.k8s.io',
      'update ipamblocks.tortie.dev',
      'update services/status.',
    ]);
    expect(written('Role', 'tortie-controller')).to.deep.equal([
      'create leases.coordination.k8s.io',
      'update leases.coordination.k8s.io tortie-controller',
    ]);
  });

  it('the guards hold agents, and nobody else', () => {
    expect(isHeldFor('system:serviceaccount:tortie-system:tortie-agent')).to.equal(true);
    for (const name of ['system:serviceaccount:tortie-system:tortie-controller', 'system:admin', 'alice'])
      expect(isHeldFor(name), name).to.equal(false);
  });

  it('tenants get nothing: every role is bound to its service account alone, and added to no other role', () => {
    const bindings = manifests.filter((object) => /^(Cluster)?RoleBinding$/.test(textAt(object, 'kind') ?? ''));
    expect(bindings).to.have.length(4);
    for (const binding of bindings)
      expect(listAt(binding, 'subjects')).to.deep.equal([
        { kind: 'ServiceAccount', name: textAt(binding, 'roleRef', 'name'), namespace: 'tortie-system' },
      ]);
    expect(JSON.stringify(manifests)).not.to.contain('aggregate-to');
  });

  const block = (node: string) => ({ spec: { cidr: '10.0.0.0/30', pool: 'p', node } });
  const [own, ownName] = [block('a'), 'a'];
  for (const resource of ['ipamblocks', 'nodestatuses', 'nodeaddresses'])
    it(`${resource} of node a: its own agent makes, writes and deletes them, that of node b does not`, () => {
      for (const operation of ['CREATE', 'UPDATE', 'DELETE'] as const)
        for (const node of ['a', 'b']) {
          const changed = operation === 'UPDATE' ? { spec: { ...own.spec, vacant: true } } : own;
          const object = operation === 'DELETE' ? null : changed;
          const oldObject = operation === 'CREATE' ? null : own;
          const admitted = isAdmitted(resource, { node, operation, object, oldObject, name: ownName });
          expect(admitted, `${operation} by ${node}`).to.equal(node === 'a');
        }
    });

  it('an agent says how a Change goes, and confirms none', () => {
    const may = (before: string | undefined, after: string, node = 'a'): boolean => {
      const status = (phase: string | undefined) => (phase === undefined ? {} : { status: { phase } });
      return isAdmitted('changes', { node, operation: 'UPDATE', object: status(after), oldObject: status(before) });
    };
    expect(may(undefined, 'Trial')).to.equal(true);
    expect(may('Trial', 'Reverting')).to.equal(true);
    expect(may('Trial', 'Reverting', '')).to.equal(false);
    for (const [before, after] of [
      ['Trial', 'Confirming'],
      ['Trial', 'Confirmed'],
      ['Confirming', 'Reverting'],
      ['Confirmed', 'Trial'],
    ] as const)
      expect(may(before, after), `${before} to ${after}`).to.equal(false);
    expect(
      writesOf('ClusterRole', 'tortie-agent').filter(({ resource }) => resource.startsWith('changes')),
    ).to.deep.equal([{ resource: 'changes/status.tortie.dev', verb: 'update', names: [] }]);
  });

  it('a token that names no node writes nothing', () => {
    for (const resource of ['ipamblocks', 'nodestatuses', 'nodeaddresses', 'nodes'])
      for (const operation of ['CREATE', 'UPDATE', 'DELETE'] as const)
        if (resource !== 'nodes' || operation === 'UPDATE')
          expect(
            isAdmitted(resource, {
              ...{ node: '', operation, name: '' },
              object: operation === 'DELETE' ? null : { ...block(''), metadata: {}, status: {} },
              oldObject: operation === 'CREATE' ? null : { ...block(''), metadata: {}, status: {} },
            }),
            `${operation} ${resource}`,
          ).to.equal(false);
  });
});
