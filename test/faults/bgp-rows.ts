/** What users write about BGP that was a fault once: the objects, what has to be told, what has to hold. Run by bgp-resources.test.ts. */
import { expect } from 'chai';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BfdStatus } from 'node-bgp/bfd/contract';
import type { SpeakerConfig } from 'node-bgp/config';
import { labPaths } from '../../src/lab/state-dir.js';
import type { LabView } from '../../src/lab/tour/lab-view.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import { soon } from '../lab/rack-fixture.js';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly name: string };
  readonly [key: string]: unknown;
}

export const calico = (kind: string, name: string, spec: object): Manifest => ({
  apiVersion: 'projectcalico.org/v3',
  kind,
  metadata: { name },
  spec,
});
export const peer = (name: string, spec: object): Manifest => calico('BGPPeer', name, spec);

export interface Row {
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

export const DEFAULT = ['bgpconfiguration', 'default'] as const;
const TOR1 = ['bgppeer', 'node1-tor1-ipv4'] as const;
const patchOf = (of: readonly string[], spec: Readonly<Record<string, unknown>>): NonNullable<Row['patch']> => ({
  of,
  with: { spec },
  undo: { spec: Object.fromEntries(Object.keys(spec).map((key) => [key, null])) },
});

export const summary = (view: LabView, node = 'node1'): Promise<string> =>
  view.output(node, 'tortie', 'bgp', 'summary');
export const routesAt = (view: LabView, tor: string, ...words: readonly string[]): Promise<string> =>
  view.output(tor, 'birdc', 'show', 'route', ...words);

export const rows: readonly Row[] = [
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
    what: 'BFD on a peer',
    patch: patchOf(TOR1, { bfd: {} }),
    holds: async (view) =>
      soon('the session with the router is up', async () => (await bfdPeers(view)).join() === '10.1.1.2'),
  },
  {
    what: 'BFD on the mesh',
    patch: patchOf(DEFAULT, { nodeMeshBfd: {} }),
    holds: async (view) =>
      soon(
        'sessions with both nodes are up in both families',
        async () => (await bfdPeers(view)).join() === '10.0.0.2,10.0.0.3,fd00::2,fd00::3',
      ),
  },
  {
    what: 'a range of external addresses of Services that is never routed',
    patch: patchOf(DEFAULT, { serviceExternalIPs: [{ cidr: 'fe80::/64' }, { cidr: '192.0.2.0/25' }] }),
    says: /serviceExternalIPs\[0\]\.cidr is "fe80::\/64"/,
    holds: async (view) =>
      soon('the other range at the router', async () => (await routesAt(view, 'tor1')).includes('192.0.2.0/25')),
  },
  {
    what: 'a peer a router away',
    objects: [peer('far-router', { node: 'node1', peerIP: '10.0.255.2', asNumber: 65002 })],
    holds: async (view) => {
      const undo = await configureBird(
        view,
        'tor2',
        'protocol bgp far { local 10.0.255.2 as 65002; neighbor 10.0.0.1 as 64512; multihop; connect retry time 2;' +
          ' ipv4 { import all; export none; }; }',
      );
      try {
        await established(view, 'far-router');
        await soon('tor2 hears blocks over it', async () =>
          /10\.65\.\S+\/26/.test(await routesAt(view, 'tor2', 'protocol', 'far')),
        );
      } finally {
        await undo();
      }
    },
  },
  {
    what: 'a peer that is reached by way of a gateway',
    objects: [peer('by-way', { node: 'node1', peerIP: '198.51.100.9', asNumber: 65079, reachableBy: '10.1.1.2' })],
    holds: async (view) =>
      soon('the kernel has the way', async () =>
        (await view.output('node1', 'ip', 'route', 'show', '198.51.100.9')).includes('via 10.1.1.2'),
      ),
  },
  {
    what: "a Node object left over with another node's address, that sorts before it",
    objects: [
      {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: 'aaa-old',
          annotations: { 'projectcalico.org/IPv4Address': '10.0.0.2/32', 'projectcalico.org/ASNumber': '64999' },
        },
        spec: { unschedulable: true },
      },
    ],
    says: /aaa-old/,
    holds: (view) => established(view, 'mesh-node2-v4'),
  },
  {
    what: 'a password of 81 octets',
    objects: [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'long-key', namespace: 'tortie-system' },
        stringData: { key: 'x'.repeat(81) },
      },
      peer('long-key', {
        node: 'node1',
        peerIP: '192.0.2.81',
        asNumber: 65081,
        password: { secretKeyRef: { name: 'long-key', key: 'key' } },
      }),
    ],
    says: /BGPPeer\/long-key spec\.password\.secretKeyRef.* has 81 octets; expected 1 to 80/,
  },
  ...[11, 255].map(
    (numAllowedLocalASNumbers): Row => ({
      what: `its own AS ${numAllowedLocalASNumbers} times in a path`,
      patch: {
        of: TOR1,
        with: { spec: { numAllowedLocalASNumbers } },
        undo: { spec: { numAllowedLocalASNumbers: 1 } },
      },
      holds: (view) =>
        soon('bgpd allows it', async () =>
          (await configured(view)).peers?.some(({ allowLocalAs }) => allowLocalAs === numAllowedLocalASNumbers),
        ),
    }),
  ),
  {
    what: 'one range as that of two kinds of Services',
    patch: patchOf(DEFAULT, {
      serviceClusterIPs: [{ cidr: '10.96.0.0/16' }],
      serviceLoadBalancerIPs: [{ cidr: '10.96.0.0/16' }],
    }),
    holds: (view) =>
      soon('tor1 hears it from node1', async () =>
        (await routesAt(view, 'tor1', 'protocol', 'node1_4')).includes('10.96.0.0/16'),
      ),
  },
  {
    what: 'a community that has more than 16 bits',
    patch: patchOf(DEFAULT, {
      prefixAdvertisements: [{ cidr: '10.65.0.0/16', communities: ['65536:100', '64512:7'] }],
    }),
    says: /prefixAdvertisements\[0\]\.communities\[0\] is "65536:100"/,
    tells: { of: DEFAULT, text: /"65536:100"/ },
    holds: (view) =>
      soon('the other community is there', async () =>
        (await routesAt(view, 'tor1', 'all', 'protocol', 'node1_4')).includes('(64512,7)'),
      ),
  },
  {
    what: 'a filter of pods alone, on a peer that is not the first',
    objects: [
      calico('BGPFilter', 'only-pods', {
        exportV4: [{ action: 'Accept', matchOperator: 'In', cidr: '10.65.0.0/16' }, { action: 'Reject' }],
      }),
    ],
    patch: patchOf(['bgppeer', 'node1-tor2-ipv4'], { filters: ['only-pods'] }),
    holds: (view) =>
      soon("tor2 no longer hears node1's loopback from it", async () => {
        const routes = await routesAt(view, 'tor2', 'protocol', 'node1_4');
        return routes.includes('10.65.') && !routes.includes('10.0.0.1/32');
      }),
  },
  {
    what: 'a node that routers should send no Services to',
    patch: patchOf(DEFAULT, { serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }] }),
    holds: async (view) => {
      const label = 'node.kubernetes.io/exclude-from-external-load-balancers';
      const hears = async (node: number): Promise<boolean> =>
        (await routesAt(view, 'tor1', 'protocol', `node${node}_4`)).includes('198.51.100.0/24');
      await soon('tor1 hears the range from node2', () => hears(2));
      await view.kubectl(['label', 'node', 'node2', `${label}=true`]);
      try {
        await soon('node2 has withdrawn it', async () => !(await hears(2)));
        expect(await hears(1), 'node1').to.equal(true);
      } finally {
        await view.kubectl(['label', 'node', 'node2', `${label}-`]);
      }
    },
  },
  {
    what: 'a peer of pods, without the address that it needs',
    objects: [peer('to-workload', { node: 'node1', localWorkloadSelector: "app == 'bgp'", asNumber: 65010 })],
    says: /BGPPeer\/to-workload spec\.localWorkloadSelector/,
    tells: { of: ['bgppeer', 'to-workload'], text: /localWorkloadPeeringIPV4/ },
  },
];

const hasPeer = async (view: LabView, address: string): Promise<boolean> => (await statusText(view)).includes(address);

/** All of node1's NodeStatus; of a rack that has just come up it may not be there yet. */
export async function statusText(view: LabView): Promise<string> {
  const text = await view.kubectl(['get', 'nodestatus', 'node1', '-o', 'json', '--ignore-not-found']);
  return text === '' ? '{}' : text;
}

export async function messages(view: LabView): Promise<string> {
  const { status } = JSON.parse(await statusText(view)) as {
    readonly status?: { readonly conditions?: readonly { readonly message?: string }[] };
  };
  return (status?.conditions ?? []).map(({ message }) => message ?? '').join('\n');
}

export const established = (view: LabView, name: string): Promise<unknown> =>
  soon(`${name} is established`, async () => new RegExp(`^${name}\\s.*Established`, 'm').test(await summary(view)));

/** What bgpd of node1 answers. */
const ask = async <T>(view: LabView, path: string): Promise<T> => {
  const socket = join(labPaths(view.record.name).node('node1').run, 'bgpd.sock');
  return (await requestOverUnixSocket(socket, 'GET', path)).body as T;
};

const configured = (view: LabView): Promise<SpeakerConfig> => ask(view, '/v1/config');

/** Whom node1 has BFD sessions with that are up, in order. */
async function bfdPeers(view: LabView): Promise<readonly string[]> {
  const { sessions } = await ask<{ readonly sessions: readonly BfdStatus[] }>(view, '/v1/bfd');
  return sessions
    .filter(({ state }) => state === 'up')
    .map(({ config }) => config.peer)
    .sort();
}

/** A line more in a router's configuration; what takes it away again. */
export async function configureBird(view: LabView, tor: string, line: string): Promise<() => Promise<void>> {
  const file = join(labPaths(view.record.name).tor(tor), 'bird.conf');
  const before = await readFile(file, 'utf8');
  const configure = async (text: string): Promise<void> => {
    await writeFile(file, text);
    await view.output(tor, 'birdc', 'configure');
  };
  await configure(`${before}\n${line}\n`);
  return () => configure(before);
}
