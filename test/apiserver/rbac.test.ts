/** manifests/base/rbac.yaml grants what the agent does, and no more than it names. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { AGENT_KINDS, LATER_KINDS } from '../../src/agent/agent-options.js';
import { kinds } from '../../src/api/kinds.js';
import { listAt, textAt, type Json, type JsonObject } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';
import { ApiClient } from './api-client.js';
import { Kubectl } from './kubectl-run.js';

const FILE = fileURLToPath(new URL('../../../manifests/base/rbac.yaml', import.meta.url));
const NAMESPACE = fileURLToPath(new URL('../../../manifests/base/namespace.yaml', import.meta.url));
const objects = loadManifests(FILE);

const rulesOf = (kind: string): readonly Json[] =>
  listAt(
    objects.find((object) => textAt(object, 'kind') === kind),
    'rules',
  );

function grants(rules: readonly Json[], group: string, resource: string, verb: string): boolean {
  return rules.some(
    (rule) =>
      listAt(rule, 'apiGroups').includes(group) &&
      listAt(rule, 'resources').includes(resource) &&
      listAt(rule, 'verbs').includes(verb),
  );
}

describe('manifests/base/rbac.yaml', () => {
  for (const name of [...AGENT_KINDS, ...LATER_KINDS])
    it(`lets the agent list and watch ${name}`, () => {
      const { group, plural } = kinds[name];
      // Secrets are read in one namespace only.
      const rules = name === 'secrets' ? rulesOf('Role') : rulesOf('ClusterRole');
      for (const verb of ['list', 'watch']) expect(grants(rules, group, plural, verb), verb).to.equal(true);
    });

  it('lets the agent claim and give back blocks, and report', () => {
    const rules = rulesOf('ClusterRole');
    for (const [resource, verbs] of [
      ['ipamblocks', ['get', 'create', 'delete']],
      ['nodestatuses', ['get', 'create']],
      ['nodestatuses/status', ['update']],
    ] as const)
      for (const verb of verbs)
        expect(grants(rules, 'tortie.dev', resource, verb), `${verb} ${resource}`).to.equal(true);
  });

  it('lets the agent write events, and count them', () => {
    for (const verb of ['create', 'update'])
      expect(grants(rulesOf('ClusterRole'), 'events.k8s.io', 'events', verb), verb).to.equal(true);
  });

  it('grants nothing on secrets cluster-wide, and no wildcard', () => {
    for (const rule of rulesOf('ClusterRole')) {
      expect(listAt(rule, 'resources')).not.to.include('secrets');
      for (const part of ['apiGroups', 'resources', 'verbs']) expect(listAt(rule, part)).not.to.include('*');
    }
  });

  it('applies with kubectl', async () => {
    const api = await ApiClient.start();
    const kubectl = new Kubectl('kubectl', api.url);
    try {
      const { code, stdout, stderr } = await kubectl.run(['apply', '-f', NAMESPACE, '-f', FILE]);
      expect(code, stderr).to.equal(0);
      expect(stdout.trim().split('\n')).to.have.length(objects.length + 1);
      const bound = (await api.get('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/tortie-agent'))
        .body as JsonObject;
      expect(textAt(bound, 'roleRef', 'name')).to.equal('tortie-agent');
    } finally {
      kubectl.dispose();
      await api.close();
    }
  });
});
