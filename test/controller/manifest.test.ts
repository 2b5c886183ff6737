/** manifests/base/controller.yaml grants what the controller does, and no more. */
import { expect } from 'chai';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kinds, type KindName } from '../../src/api/kinds.js';
import { CONTROLLER_LEASE } from '../../src/cluster/controller-lease.js';
import { CONTROLLER_KINDS } from '../../src/controller/controller.js';
import { listAt, textAt, type Json } from '../../src/apiserver/json.js';
import { loadManifests } from '../../src/apiserver/manifests.js';

const MANIFESTS = fileURLToPath(new URL('../../../manifests', import.meta.url));
/** Wherever in the folder it is kept. */
const FILE =
  readdirSync(MANIFESTS, { recursive: true, encoding: 'utf8' }).find((name) => /(^|\/)controller\.yaml$/.test(name)) ??
  '';

const grantsOf = (kind: 'ClusterRole' | 'Role'): readonly string[] =>
  loadManifests(join(MANIFESTS, FILE))
    .filter((object) => textAt(object, 'kind') === kind)
    .flatMap((role) => listAt(role, 'rules'))
    .flatMap((rule: Json) =>
      listAt(rule, 'apiGroups').flatMap((group) =>
        listAt(rule, 'resources').flatMap((resource) =>
          listAt(rule, 'verbs').map((verb) =>
            [verb, [group, resource].filter((part) => part !== '').join('/'), ...listAt(rule, 'resourceNames')].join(
              ' ',
            ),
          ),
        ),
      ),
    )
    .sort();

const resource = (kind: KindName): string =>
  [kinds[kind].group, kinds[kind].plural].filter((part) => part !== '').join('/');

describe('manifests: the controller', () => {
  it('may read what it watches, write what it says, and clear up', () => {
    const reads = CONTROLLER_KINDS.flatMap((kind) => ['list', 'watch'].map((verb) => `${verb} ${resource(kind)}`));
    expect(grantsOf('ClusterRole')).to.have.members([
      ...reads,
      // One at a time, before it is written or its remains go.
      'get nodes',
      'get services',
      'get tortie.dev/ipamblocks',
      'get apps/statefulsets',
      'get kubevirt.io/virtualmachines',
      'update services/status',
      'create events.k8s.io/events',
      'update events.k8s.io/events',
      'update tortie.dev/ipamblocks',
      'delete tortie.dev/ipamblocks',
      'delete tortie.dev/nodeaddresses',
      ...['list', 'delete'].map((verb) => `${verb} tortie.dev/nodestatuses`),
    ]);
  });

  it('may hold one Lease of its namespace', () =>
    expect(grantsOf('Role')).to.have.members([
      'create coordination.k8s.io/leases',
      ...['get', 'update'].map((verb) => `${verb} coordination.k8s.io/leases ${CONTROLLER_LEASE}`),
    ]));
});
