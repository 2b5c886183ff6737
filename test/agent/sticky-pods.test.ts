import { expect } from 'chai';
import { keepOf, parseKeptFor } from '../../src/agent/sticky-pods.js';
import type { Namespace, Pod } from '../../src/api/core.js';
import { trim } from '../../src/datastore/trim.js';

const podOf = (owner?: readonly [string, string, string], annotations: Record<string, string> = {}): Pod => {
  const [apiVersion = '', kind = '', name = ''] = owner ?? [];
  const ownerReferences = owner === undefined ? [] : [{ apiVersion, kind, name, uid: 'u', controller: true }];
  return trim('pods', {
    metadata: { name: 'web-0', namespace: 'shop', annotations, ownerReferences },
    spec: { containers: [] },
  });
};
const namespaceOf = (annotations: Record<string, string>): Namespace => ({ metadata: { name: 'shop', annotations } });
const SET = ['apps/v1', 'StatefulSet', 'web'] as const;
const MACHINE = ['kubevirt.io/v1', 'VirtualMachineInstance', 'vm1'] as const;
const NAMED = 'tortie.dev/keep-addresses';

describe('agent/sticky-pods', () => {
  it('keeps for a pod of a StatefulSet by its name, as long as its annotation says, or else its namespace', () => {
    expect(keepOf(podOf(SET), undefined, false, 'eth0')).to.equal(undefined);
    const namespace = namespaceOf({ [NAMED]: '2h' });
    expect(keepOf(podOf(SET), namespace, false, 'eth0')).to.deep.equal({
      keptFor: 'StatefulSet shop/web-0',
      seconds: 7200,
    });
    const own = podOf(SET, { [NAMED]: '30m' });
    expect(keepOf(own, namespace, false, 'net1')).to.deep.equal({
      keptFor: 'StatefulSet shop/web-0 net1',
      seconds: 1800,
    });
    expect(keepOf(podOf(SET, { [NAMED]: 'false' }), namespace, false, 'eth0')).to.equal(undefined);
  });

  it("keeps for a virtual machine by the machine's name, a day, where IPAMConfiguration says so", () => {
    expect(keepOf(podOf(MACHINE), undefined, false, 'eth0')).to.equal(undefined);
    expect(keepOf(podOf(MACHINE), undefined, true, 'eth0')).to.deep.equal({
      keptFor: 'VirtualMachine shop/vm1',
      seconds: 86_400,
    });
    expect(keepOf(podOf(MACHINE, { [NAMED]: 'false' }), undefined, true, 'eth0')).to.equal(undefined);
    expect(keepOf(podOf(SET), undefined, true, 'eth0'), 'no machine').to.equal(undefined);
  });

  it('keeps for a pod of nobody, and nothing for one that never comes again', () => {
    const namespace = namespaceOf({ [NAMED]: '90s' });
    expect(keepOf(podOf(), namespace, false, 'eth0')).to.deep.equal({ keptFor: 'Pod shop/web-0', seconds: 90 });
    for (const owner of [
      ['apps/v1', 'ReplicaSet', 'web'],
      ['apps/v1', 'DaemonSet', 'web'],
      ['example.org/v1', 'StatefulSet', 'web'],
    ] as const)
      expect(keepOf(podOf(owner), namespace, true, 'eth0'), owner.join()).to.equal(undefined);
  });

  for (const wrong of ['true', '', '0s', '-1h', '1.5h', '24', '169h', '10081m', '1d', '1h30m'])
    it(`refuses ${JSON.stringify(wrong)} by name`, () =>
      expect(() => keepOf(podOf(SET, { [NAMED]: wrong }), undefined, false, 'eth0')).to.throw(
        `Cannot use annotation tortie.dev/keep-addresses: it is ${JSON.stringify(wrong)}; expected how long, such as 30m or 24h`,
      ));

  it('reads again what it wrote', () => {
    expect(parseKeptFor('StatefulSet shop/web-0')).to.deep.equal({
      kind: 'StatefulSet',
      namespace: 'shop',
      name: 'web-0',
    });
    expect(parseKeptFor('VirtualMachine shop/vm1 net1')).to.deep.include({ kind: 'VirtualMachine', name: 'vm1' });
    for (const other of ['', 'Deployment a/b', 'Pod a', 'Pod a/b/c', 'Pod a/b c d'])
      expect(parseKeptFor(other), other).to.equal(undefined);
  });
});
