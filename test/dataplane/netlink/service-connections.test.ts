/** Stale tracked connections of Services, as the engine names them, in a kernel's table. Needs root. */
import { expect } from 'chai';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isStale, ServicesEngine, type ServiceKubeObject } from '@tortie/services';
import { NetlinkSocket } from '../../../src/dataplane/netlink/netlink-socket.js';
import { forgetStaleConnections } from '../../../src/dataplane/netlink/service-connections.js';
import { inNamespace } from '../../../src/dataplane/netns.js';
import { exec, ScratchNamespaces } from '../scratch-namespaces.js';

const service = (spec: object = {}): ServiceKubeObject => ({
  metadata: { namespace: 'kube-system', name: 'dns' },
  ...{
    spec: {
      type: 'NodePort',
      clusterIPs: ['10.96.0.10', 'fd00:96::a'],
      externalIPs: ['198.51.100.1'],
      ports: [
        { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30_053 },
        { name: 'dns-tcp', protocol: 'TCP', port: 53 },
      ],
      ...spec,
    },
  },
});

const slices = (hosts: readonly number[], serving = true): readonly ServiceKubeObject[] =>
  ([4, 6] as const).map((family) => ({
    metadata: { namespace: 'kube-system', name: `dns-${family}`, labels: { 'kubernetes.io/service-name': 'dns' } },
    ...{
      addressType: `IPv${family}`,
      ports: [
        { name: 'dns', protocol: 'UDP', port: 5353 },
        { name: 'dns-tcp', protocol: 'TCP', port: 5353 },
      ],
      endpoints: hosts.map((host) => ({
        addresses: [family === 4 ? `10.65.0.${host}` : `fd00:65::${host}`],
        conditions: { ready: serving, serving },
      })),
    },
  }));

interface Flow {
  readonly protocol?: 'udp' | 'tcp';
  readonly to: string;
  readonly port: number;
  /** Who answers; the destination itself when absent. */
  readonly by?: string;
}

describe('stale connections of Services', () => {
  const namespaces = new ScratchNamespaces('tstale');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-stale-'));
  let node: string;
  let socket: NetlinkSocket;
  let engine: ServicesEngine;

  const tell = (...objects: readonly ServiceKubeObject[]): void => {
    for (const object of objects)
      engine.apply({ type: 'upsert', kind: object.metadata?.labels ? 'EndpointSlice' : 'Service', object });
  };
  beforeEach(() => {
    node = namespaces.create();
    socket = inNamespace(node, () => new NetlinkSocket({ family: 'netfilter' }));
    engine = new ServicesEngine({ nodeName: 'n1' });
    tell(service(), ...slices([1, 2]));
    engine.takeStaleDatagrams();
  });
  afterEach(() => socket.close());
  after(() => {
    namespaces.removeAll();
    rmSync(directory, { recursive: true });
  });

  let sourcePort = 1_000;
  const insert = (...flows: readonly Flow[]): void => {
    const lines = flows.map(({ protocol = 'udp', to, port, by }) => {
      const client = to.includes(':') ? '2001:db8::9' : '203.0.113.9';
      const from = ++sourcePort;
      const tcp = protocol === 'tcp' ? ' --state ESTABLISHED' : '';
      return (
        `-I -p ${protocol} -s ${client} -d ${to} -r ${by ?? to} -q ${client} --sport ${from} --dport ${port} ` +
        `--reply-port-src ${by === undefined ? port : 5353} --reply-port-dst ${from} -t 600${tcp}`
      );
    });
    const file = join(directory, 'flows');
    writeFileSync(file, `${lines.join('\n')}\n`);
    exec(node, 'conntrack', '-R', file);
  };
  /** "udp 10.96.0.10:53 by 10.65.0.1" of everything that is left. */
  const left = (): readonly string[] =>
    (['ipv4', 'ipv6'] as const)
      .flatMap((family) => exec(node, 'conntrack', '-L', '-f', family).split('\n'))
      .filter((line) => line !== '')
      .map((line) => {
        const [, to, by] = [...line.matchAll(/(?:src|dst)=(\S+)/g)].map((match) => match[1]);
        return `${line.split(/\s+/)[0]} ${to}:${/dport=(\d+)/.exec(line)?.[1]} by ${by}`;
      })
      .sort();
  const forget = async (): Promise<number | undefined> => {
    const stale = engine.takeStaleDatagrams();
    if (stale === undefined) return undefined;
    return forgetStaleConnections(socket, (connection) =>
      isStale(stale, connection, (address) => address === '192.0.2.1'),
    );
  };

  const FLOWS: readonly Flow[] = [
    { to: '10.96.0.10', port: 53, by: '10.65.0.1' },
    { to: '10.96.0.10', port: 53, by: '10.65.0.2' },
    { to: 'fd00:96::a', port: 53, by: 'fd00:65::1' },
    { to: '198.51.100.1', port: 53, by: '10.65.0.1' },
    { to: '192.0.2.1', port: 30_053, by: '10.65.0.1' },
    // Not the node's: somebody else's port of the same number.
    { to: '198.51.100.77', port: 30_053, by: '10.65.0.1' },
    { to: '203.0.113.1', port: 53 },
    { protocol: 'tcp', to: '10.96.0.10', port: 53, by: '10.65.0.1' },
  ];

  it('go with their endpoint, from every address and the NodePort; TCP and everybody else stay', async () => {
    insert(...FLOWS);
    tell(...slices([2]));
    expect(await forget()).to.equal(4);
    expect(left()).to.deep.equal([
      'tcp 10.96.0.10:53 by 10.65.0.1',
      'udp 10.96.0.10:53 by 10.65.0.2',
      'udp 198.51.100.77:30053 by 10.65.0.1',
      'udp 203.0.113.1:53 by 203.0.113.1',
    ]);
  });

  it('stay while their endpoint serves, ready or not, and nobody walks for a new one', async () => {
    tell(...slices([1, 2, 3]));
    expect(await forget()).to.equal(undefined);
  });

  it('of a former NodePort go, and a program of the node that has the port keeps its own', async () => {
    insert({ to: '192.0.2.1', port: 30_053, by: '10.65.0.1' }, { to: '192.0.2.1', port: 30_053 });
    tell(service({ type: 'ClusterIP', ports: [{ name: 'dns', protocol: 'UDP', port: 53 }] }));
    expect(await forget()).to.equal(1);
    expect(left()).to.deep.equal(['udp 192.0.2.1:30053 by 192.0.2.1']);
  });

  it('that went through untranslated go when there is an endpoint at last', async () => {
    tell(...slices([]));
    await forget();
    insert({ to: '10.96.0.10', port: 53 }, { to: '10.96.0.11', port: 53 });
    tell(...slices([1]));
    expect(await forget()).to.equal(1);
    expect(left()).to.deep.equal(['udp 10.96.0.11:53 by 10.96.0.11']);
  });

  it('of a Service that is deleted go', async () => {
    insert({ to: '10.96.0.10', port: 53, by: '10.65.0.1' });
    engine.apply({ type: 'delete', kind: 'Service', namespace: 'kube-system', name: 'dns' });
    expect(await forget()).to.equal(1);
    expect(left()).to.deep.equal([]);
  });
});
