/** `tortie controller` as processes, against the lab's API server: who leads, what it answers, what it does when it ends. */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { customResourceDefinitions } from '../../src/api/crds/index.js';
import type { JsonObject } from '../../src/apiserver/json.js';
import { ApiClient } from '../apiserver/api-client.js';

const CLI = new URL('../../src/cli.js', import.meta.url).pathname;
const FAST = ['--lease-duration', '3', '--renew-deadline', '2', '--retry-period', '0.3'];

interface State {
  readonly isLeader: boolean;
  readonly leader: string;
  readonly waitingServices: readonly string[];
}

describe('tortie controller', function () {
  this.timeout(60_000);
  const directory = mkdtempSync(join(tmpdir(), `tortie-controller-${process.pid}-`));
  const children = new Map<string, ChildProcess>();
  const ports = new Map<string, number>();
  let api: ApiClient;

  before(async () => {
    api = await ApiClient.start();
    for (const definition of customResourceDefinitions)
      await api.post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', definition as unknown as JsonObject);
    await api.send('POST', '/api/v1/namespaces', { metadata: { name: 'tortie-system' } });
    await api.send('POST', '/apis/projectcalico.org/v3/ippools', {
      metadata: { name: 'lb' },
      spec: { cidr: '198.51.100.0/30', allowedUses: ['LoadBalancer'] },
    });
    writeFileSync(
      join(directory, 'kubeconfig'),
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'lab', cluster: { server: api.url, 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'lab', user: {} }],
        contexts: [{ name: 'lab', context: { cluster: 'lab', user: 'lab' } }],
        'current-context': 'lab',
      }),
    );
  });
  after(async () => {
    for (const child of children.values()) await end(child, 'SIGKILL');
    await api.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const end = async (child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<number | null> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const closed = once(child, 'close');
    child.kill(signal);
    return ((await closed) as [number | null])[0];
  };

  /** Resolves once it says where it listens. */
  async function start(identity: string, ...more: readonly string[]): Promise<void> {
    const argv = ['controller', '--kubeconfig', join(directory, 'kubeconfig'), '--identity', identity];
    const child = spawn(process.execPath, [CLI, ...argv, '--health', '127.0.0.1:0', ...FAST, ...more], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    children.set(identity, child);
    await new Promise<void>((resolve, reject) => {
      let text = '';
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const port = /"health":(\d+)/.exec(text)?.[1];
        if (port === undefined) return;
        ports.set(identity, Number(port));
        resolve();
      });
      child.once('close', () => reject(new Error(text)));
    });
  }

  const ask = (identity: string, path: string): Promise<Response> =>
    fetch(`http://127.0.0.1:${ports.get(identity)}${path}`);
  const stateOf = async (identity: string): Promise<State> => (await (await ask(identity, '/state')).json()) as State;
  const until = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    for (let left = 400; left > 0; left--) {
      if (await holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`It never came true: ${what}`);
  };
  const service = async (name: string): Promise<void> => {
    await api.send('POST', '/api/v1/namespaces/default/services', {
      metadata: { name },
      spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
    });
  };
  const ingressOf = async (name: string): Promise<string> => {
    const { body } = await api.send('GET', `/api/v1/namespaces/default/services/${name}`);
    return JSON.stringify(
      (body as { status?: { loadBalancer?: { ingress?: { ip: string }[] } } }).status?.loadBalancer?.ingress?.map(
        ({ ip }) => ip,
      ) ?? [],
    );
  };

  it('leads alone, and gives a Service its address', async () => {
    await start('first');
    await until('it leads', async () => (await stateOf('first')).isLeader);
    await start('second');
    await until('the second is ready', async () => (await ask('second', '/readyz')).status === 200);
    await service('web');
    await until('web has an address', async () => (await ingressOf('web')) === '["198.51.100.0"]');
    expect(await stateOf('second')).to.deep.equal({ isLeader: false, leader: 'first', waitingServices: [] });
    expect((await ask('first', '/livez')).status).to.equal(200);
    expect((await ask('first', '/nothing')).status).to.equal(404);
  });

  it('hands over when it ends, and its successor goes on from the statuses', async () => {
    expect(await end(children.get('first'), 'SIGTERM')).to.equal(0);
    await until('the second leads', async () => (await stateOf('second')).isLeader);
    await service('next');
    await until('next has an address', async () => (await ingressOf('next')) === '["198.51.100.1"]');
    expect(await ingressOf('web')).to.equal('["198.51.100.0"]');
  });

  it('is succeeded when it is killed', async () => {
    await start('third');
    await end(children.get('second'), 'SIGKILL');
    await until('the third leads', async () => (await stateOf('third')).isLeader);
    await service('last');
    await until('last has an address', async () => (await ingressOf('last')) === '["198.51.100.2"]');
  });

  it('says in a dry run what it would do, beside whoever leads', async () => {
    await end(children.get('third'), 'SIGTERM');
    await start('dry', '--dry-run');
    await service('dry');
    await until('it has seen the Service', async () => (await ask('dry', '/readyz')).status === 200);
    expect((await stateOf('dry')).isLeader).to.equal(true);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await ingressOf('dry')).to.equal('[]');
  });
});
