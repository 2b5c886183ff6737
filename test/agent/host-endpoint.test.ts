/** A host endpoint that names nothing but an address, enforced by the real agent: with packets, from a machine beside the node. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { BenchNode, NODE } from '../../bench/node/node.js';
import { PROBER } from '../../src/lab/tortie-argv.js';
import { ip, nameOf, ScratchNamespaces, until } from '../dataplane/scratch-namespaces.js';

const CALICO = '/apis/projectcalico.org/v3';
const PORT = 8080;

describe('agent: host endpoints by address', function () {
  this.timeout(90_000);
  const scratch = new ScratchNamespaces('tahep');
  const directory = mkdtempSync(join(tmpdir(), 'tortie-host-endpoint-'));
  let node: BenchNode;
  let server: ChildProcess;
  let outside: string;
  let netns: string;

  before(async () => {
    [netns, outside] = [scratch.create(), scratch.create()];
    ip(netns, 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'wire', 'netns', nameOf(outside));
    for (const [place, device, last] of [
      [netns, 'uplink', 1],
      [outside, 'wire', 2],
    ] as const) {
      ip(place, 'addr', 'add', `192.0.2.${last}/24`, 'dev', device);
      ip(place, 'addr', 'add', `2001:db8::${last}/64`, 'dev', device, 'nodad');
      ip(place, 'link', 'set', device, 'up');
    }
    server = spawn(PROBER, ['serve', '--name', 'host', '--netns', netns, '--udp', String(PORT)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (server.stdout !== null) await once(server.stdout, 'data');
    node = await BenchNode.start({ netns, directory, policyBackend: 'auto' }, [
      [
        {
          path: '/api/v1/nodes',
          object: {
            apiVersion: 'v1',
            kind: 'Node',
            metadata: { name: NODE },
            status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
          },
        },
        {
          path: '/apis/projectcalico.org/v3/ippools',
          object: {
            apiVersion: 'projectcalico.org/v3',
            kind: 'IPPool',
            metadata: { name: 'pods' },
            spec: { cidr: '10.65.0.0/24' },
          },
        },
        hostEndpoint('v4', ['192.0.2.1']),
        globalPolicy('nothing', 99, []),
      ],
    ]);
  });

  after(async () => {
    server.kill('SIGKILL');
    await node.stop();
    scratch.removeAll();
    rmSync(directory, { recursive: true });
  });

  const hostEndpoint = (name: string, expectedIPs: readonly string[]) => ({
    path: `${CALICO}/hostendpoints`,
    object: {
      apiVersion: 'projectcalico.org/v3',
      kind: 'HostEndpoint',
      metadata: { name, labels: { host: 'yes' } },
      spec: { node: NODE, expectedIPs },
    },
  });
  const globalPolicy = (name: string, order: number, ingress: readonly object[]) => ({
    path: `${CALICO}/globalnetworkpolicies`,
    object: {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name },
      spec: { selector: "host == 'yes'", order, types: ['Ingress'], ingress },
    },
  });
  const answers = (address: string): boolean => {
    const printed = execFileSync(PROBER, ['probe', '--timeout', '300'], {
      encoding: 'utf8',
      input: `x ${outside} udp - ${address} ${PORT}\n`,
    });
    return printed.includes('\tallow\t');
  };

  it('holds it from the start, and a policy opens it', async () => {
    await until('the node to be closed', () => !answers('192.0.2.1') && !answers('2001:db8::1'));
    const policy = globalPolicy('open', 1, [{ action: 'Allow', protocol: 'UDP', destination: { ports: [PORT] } }]);
    await node.api.create(policy.path, policy.object);
    await until('the node to be open', () => answers('192.0.2.1') && answers('2001:db8::1'));
    await node.api.patch(`${policy.path}/open`, { spec: { ingress: [] } });
    await until('the node to be closed again', () => !answers('192.0.2.1'));
  });

  it('finds the interface when the address moves to one', async () => {
    ip(netns, 'addr', 'del', '192.0.2.1/24', 'dev', 'uplink');
    ip(netns, 'addr', 'add', '192.0.2.7/24', 'dev', 'uplink');
    await until("the interface to be nobody's", () => answers('192.0.2.7'));
    const { path, object } = hostEndpoint('moved', ['192.0.2.9']);
    await node.api.create(path, object);
    ip(netns, 'addr', 'add', '192.0.2.9/32', 'dev', 'uplink');
    await until('the interface to be closed', () => !answers('192.0.2.7') && !answers('192.0.2.9'));
  });
});
