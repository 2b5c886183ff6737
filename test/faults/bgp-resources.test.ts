/**
 * What users write, in one rack: whatever is odd about an object, the rest of the node's BGP stands and goes on changing, what
 * cannot be done is named in NodeStatus for as long as it lasts, and what can be done is. Each row was a fault once.
 */
import { expect } from 'chai';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { soon, useRack } from '../lab/rack-fixture.js';
import {
  calico,
  configureBird,
  DEFAULT,
  established,
  messages,
  peer,
  routesAt,
  rows,
  statusText,
  summary,
  type Manifest,
} from './bgp-rows.js';

const namespaceOf = ({ metadata }: Manifest): readonly string[] =>
  typeof metadata['namespace'] === 'string' ? ['-n', metadata['namespace']] : [];

describe('faults: what users write about BGP', function () {
  this.timeout(180_000);
  const rack = useRack('tfau');
  let canaries = 0;

  /** A later change reaches bgpd, and every session with a router stands. */
  async function goesOn(view: LabView): Promise<void> {
    const name = `canary-${++canaries}`;
    await view.kubectl(
      ['apply', '-f', '-'],
      JSON.stringify(peer(name, { node: 'node1', peerIP: `192.0.2.${canaries}`, asNumber: 65100 })),
    );
    await soon(`${name} reaches bgpd`, async () => new RegExp(`^${name}\\s`, 'm').test(await summary(view)));
    for (const tor of ['tor1', 'tor2'])
      for (const family of [4, 6]) await established(view, `node1-${tor}-ipv${family}`);
    await view.kubectl(['delete', 'bgppeer', name]);
  }

  const conditionsOf = (view: LabView, of: readonly string[]): Promise<string> =>
    view.kubectl(['get', ...of, '-o', 'jsonpath={.status.conditions[*].message}']);

  for (const { what, objects = [], patch, says, tells, holds } of rows)
    it(`${what}: the rest stands and goes on`, async () => {
      const view = rack();
      try {
        for (const object of objects) await view.kubectl(['apply', '-f', '-'], JSON.stringify(object));
        if (patch !== undefined)
          await view.kubectl(['patch', ...patch.of, '--type=merge', '-p', JSON.stringify(patch.with)]);
        if (says !== undefined) await soon(`NodeStatus names ${says}`, async () => says.test(await messages(view)));
        if (tells !== undefined)
          await soon(`the object names ${tells.text}`, async () => tells.text.test(await conditionsOf(view, tells.of)));
        await holds?.(view);
        await goesOn(view);
        if (says !== undefined) expect(await messages(view), 'named for as long as it lasts').to.match(says);
      } finally {
        if (patch !== undefined)
          await view.kubectl(['patch', ...patch.of, '--type=merge', '-p', JSON.stringify(patch.undo)]);
        for (const object of objects)
          await view.kubectl(['delete', object.kind.toLowerCase(), object.metadata.name, ...namespaceOf(object)]);
      }
      if (says !== undefined)
        await soon(`NodeStatus no longer names ${says}`, async () => !says.test(await messages(view)));
      if (tells !== undefined && patch !== undefined)
        await soon(
          `the object no longer names ${tells.text}`,
          async () => !tells.text.test(await conditionsOf(view, tells.of)),
        );
    });

  it('a pool that is not exported: its pods run, and no router hears of them', async () => {
    const view = rack();
    const pool = calico('IPPool', 'silent', {
      cidr: '10.76.0.0/24',
      blockSize: 26,
      assignmentMode: 'Manual',
      disableBGPExport: true,
    });
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'hush',
        namespace: 'default',
        annotations: { 'cni.projectcalico.org/ipv4pools': '["silent"]' },
      },
      spec: { nodeName: 'node1', terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'x' }] },
    };
    await view.kubectl(['apply', '-f', '-'], JSON.stringify(pool));
    try {
      await view.kubectl(['apply', '-f', '-'], JSON.stringify(pod));
      await soon('the pod has an address of the pool', async () =>
        (await view.kubectl(['get', 'pod', 'hush', '-o', 'jsonpath={.status.podIP}'])).startsWith('10.76.0.'),
      );
      await soon('node1 has the block', async () => (await statusText(view)).includes('10.76.0.'));
      await goesOn(view);
      for (const tor of ['tor1', 'tor2']) expect(await routesAt(view, tor), tor).to.not.contain('10.76.0.');
    } finally {
      await view.kubectl(['delete', 'pod', 'hush', '--ignore-not-found', '--wait=true', '--timeout=30s']);
      await view.kubectl(['delete', 'ippool', 'silent']);
    }
  });

  // The last: the rack is another afterwards.
  it('a reflector in the cluster tells its router the blocks of all nodes, and only those', async () => {
    const view = rack();
    const blocks = await blocksOf(view);
    expect(blocks).to.have.length(3);
    await view.kubectl(['patch', ...DEFAULT, '--type=merge', '-p', '{"spec":{"nodeToNodeMeshEnabled":false}}']);
    await view.kubectl(['label', 'node', 'node1', 'rr=true']);
    await view.kubectl(['annotate', 'node', 'node1', 'projectcalico.org/RouteReflectorClusterID=192.0.2.255']);
    await view.kubectl(
      ['apply', '-f', '-'],
      JSON.stringify(peer('leaf-to-rr', { nodeSelector: '!has(rr)', peerSelector: 'has(rr)' })),
    );
    // Nodes 2 and 3 have no sessions with routers: the fabric knows their loopbacks otherwise.
    for (const node of ['node2', 'node3'])
      await view.kubectl([
        'delete',
        'bgppeer',
        ...['tor1', 'tor2'].flatMap((tor) => [4, 6].map((family) => `${node}-${tor}-ipv${family}`)),
      ]);
    await configureBird(
      view,
      'tor1',
      'protocol static nodes { ipv4; route 10.0.0.2/32 via 10.1.1.5; route 10.0.0.3/32 via 10.1.1.7; }',
    );
    for (const node of [2, 3]) {
      const way = ['via', `10.1.1.${2 * node}`, 'src', `10.0.0.${node}`];
      await view.output(`node${node}`, 'ip', 'route', 'replace', '10.0.0.1/32', ...way);
    }
    await soon('node1 has sessions with its clients', async () => {
      const text = await summary(view);
      return [2, 3].every((node) => new RegExp(`^leaf-to-rr-node${node}-v4\\s.*Established`, 'm').test(text));
    });
    await soon('tor1 hears all blocks from node1', async () => {
      const routes = await routesAt(view, 'tor1', 'protocol', 'node1_4');
      return blocks.every((block) => routes.includes(block));
    });
    expect(await routesAt(view, 'tor1', 'protocol', 'node1_4'), 'what tor2 has told').to.not.match(
      /10\.0\.255\.2|0\.0\.0\.0/,
    );
  });
});

async function blocksOf(view: LabView): Promise<readonly string[]> {
  const text = await view.kubectl(['get', 'ipamblocks', '-o', 'jsonpath={.items[*].spec.cidr}']);
  return text.split(' ').filter((cidr) => cidr.startsWith('10.65.'));
}
