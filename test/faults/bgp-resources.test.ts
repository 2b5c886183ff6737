/**
 * What users write, in one rack: whatever is odd about an object, the rest of the node's BGP stands and goes on changing, what
 * cannot be done is named in NodeStatus for as long as it lasts, and what can be done is. Each row was a fault once.
 */
import { expect } from 'chai';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { soon, useRack } from '../lab/rack-fixture.js';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly [key: string]: unknown;
}

const calico = (kind: string, name: string, spec: object): Manifest => ({
  apiVersion: 'projectcalico.org/v3',
  kind,
  metadata: { name },
  spec,
});
const peer = (name: string, spec: object): Manifest => calico('BGPPeer', name, spec);

interface Row {
  readonly what: string;
  readonly objects?: readonly Manifest[];
  /** Of an object that the rack has: what is changed, and what puts it back. */
  readonly patch?: { readonly of: readonly string[]; readonly with: object; readonly undo: object };
  /** In the messages of node1's conditions while the object is there, and not after. */
  readonly says?: RegExp;
  /** What the conditions of a user's object say while it is there, and not after. */
  readonly tells?: { readonly of: readonly string[]; readonly text: RegExp };
  readonly holds?: (view: LabView) => Promise<unknown>;
}

const DEFAULT = ['bgpconfiguration', 'default'] as const;
const TOR1 = ['bgppeer', 'node1-tor1-ipv4'] as const;
const patchOf = (of: readonly string[], spec: Readonly<Record<string, unknown>>): NonNullable<Row['patch']> => ({
  of,
  with: { spec },
  undo: { spec: Object.fromEntries(Object.keys(spec).map((key) => [key, null])) },
});

const summary = (view: LabView, node = 'node1'): Promise<string> => view.output(node, 'tortie', 'bgp', 'summary');
const routesAt = (view: LabView, tor: string, ...words: readonly string[]): Promise<string> =>
  view.output(tor, 'birdc', 'show', 'route', ...words);

const rows: readonly Row[] = [
  {
    what: "a Node object left over with this node's address",
    objects: [
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: 'left-over', annotations: { 'projectcalico.org/IPv4Address': '10.0.0.1/32' } },
      },
    ],
    says: /left-over/,
  },
  {
    what: 'a peer of all nodes that is one of them',
    objects: [peer('one-of-us', { peerIP: '10.0.0.1', asNumber: 64512 })],
    holds: async (view) =>
      soon('node2 has a session with the peer, node1 none with itself', async () => {
        const [own, other] = [await summary(view), await summary(view, 'node2')];
        return !/^one-of-us\s/m.test(own) && /^one-of-us\s.*Established/m.test(other);
      }),
  },
  {
    what: 'a link-local peer without its interface',
    objects: [peer('no-zone', { node: 'node1', peerIP: 'fe80::1', asNumber: 65001 })],
    says: /fe80::1/,
  },
  {
    what: 'a link-local peer with its interface',
    objects: [peer('with-zone', { node: 'node1', peerIP: 'fe80::1%eth0', asNumber: 65001 })],
    holds: async (view) => soon('bgpd has the peer', async () => /^with-zone\s/m.test(await summary(view))),
  },
  {
    what: 'a filter that names a range from 28 to 24',
    objects: [
      calico('BGPFilter', 'upside-down', {
        exportV4: [{ action: 'Accept', matchOperator: 'In', cidr: '10.65.0.0/16', prefixLength: { min: 28, max: 24 } }],
      }),
      peer('upside-down', { node: 'node1', peerIP: '192.0.2.77', asNumber: 65077, filters: ['upside-down'] }),
    ],
    says: /upside-down/,
  },
  {
    what: 'a filter that does not exist',
    patch: patchOf(TOR1, { filters: ['nowhere'] }),
    says: /nowhere/,
    tells: { of: TOR1, text: /On node1: .*nowhere/ },
    holds: (view) => established(view, 'node1-tor1-ipv4'),
  },
  {
    what: 'a filter of pods alone, on the first peer by name',
    objects: [
      calico('BGPFilter', 'only-pods', {
        exportV4: [{ action: 'Accept', matchOperator: 'In', cidr: '10.65.0.0/16' }, { action: 'Reject' }],
      }),
    ],
    patch: patchOf(TOR1, { filters: ['only-pods'] }),
    holds: async (view) => {
      await soon("tor1 no longer hears node1's loopback from it", async () => {
        const routes = await routesAt(view, 'tor1', 'protocol', 'node1_4');
        return routes.includes('10.65.') && !routes.includes('10.0.0.1/32');
      });
      await established(view, 'node1-tor1-ipv4');
    },
  },
  {
    what: 'a restart time of two hours for the mesh',
    patch: patchOf(DEFAULT, { nodeMeshMaxRestartTime: '2h' }),
    says: /nodeMeshMaxRestartTime/,
    tells: { of: DEFAULT, text: /On node\d: .*"2h"/ },
  },
  {
    what: "a peer with the name of one of the mesh's",
    objects: [peer('mesh-node2-v4', { node: 'node1', peerIP: '192.0.2.78', asNumber: 65078 })],
    holds: async (view) =>
      soon('both are there', async () => {
        const text = await summary(view);
        return (
          text.includes('mesh-node2-v4') && (await hasPeer(view, '192.0.2.78')) && (await hasPeer(view, '10.0.0.2'))
        );
      }),
  },
  {
    what: 'BFD on a peer and on the mesh',
    patch: patchOf(TOR1, { bfd: {} }),
    holds: async (view) =>
      soon('bgpd watches the peer by BFD', async () =>
        /BFD/i.test(await view.output('node1', 'tortie', 'bgp', 'neighbor', 'node1-tor1-ipv4')),
      ),
  },
  {
    what: 'ranges of Services that nothing announces yet',
    patch: patchOf(DEFAULT, { serviceExternalIPs: [{ cidr: '192.0.2.128/25' }] }),
    says: /serviceExternalIPs/,
  },
  {
    what: 'a peer a router away',
    objects: [peer('far-router', { node: 'node1', peerIP: '10.0.255.2', asNumber: 65002 })],
    holds: async (view) =>
      soon('it is tried, not held for being far', async () => {
        const line = (await summary(view)).split('\n').find((one) => one.startsWith('far-router ')) ?? '';
        return line !== '' && !line.includes('multihop');
      }),
  },
  {
    what: 'a peer that is reached by way of a gateway',
    objects: [peer('by-way', { node: 'node1', peerIP: '198.51.100.9', asNumber: 65079, reachableBy: '10.1.1.2' })],
    holds: async (view) =>
      soon('the kernel has the way', async () =>
        (await view.output('node1', 'ip', 'route', 'show', '198.51.100.9')).includes('via 10.1.1.2'),
      ),
  },
];

const hasPeer = async (view: LabView, address: string): Promise<boolean> => (await statusText(view)).includes(address);

/** All of node1's NodeStatus. */
const statusText = (view: LabView): Promise<string> => view.kubectl(['get', 'nodestatus', 'node1', '-o', 'json']);

async function messages(view: LabView): Promise<string> {
  const { status } = JSON.parse(await statusText(view)) as {
    readonly status?: { readonly conditions?: readonly { readonly message?: string }[] };
  };
  return (status?.conditions ?? []).map(({ message }) => message ?? '').join('\n');
}

const established = (view: LabView, name: string): Promise<unknown> =>
  soon(`${name} is established`, async () => new RegExp(`^${name}\\s.*Established`, 'm').test(await summary(view)));

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
        for (const object of objects) await view.kubectl(['delete', object.kind.toLowerCase(), object.metadata.name]);
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
});
