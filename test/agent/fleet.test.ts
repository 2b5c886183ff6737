/** A host without Kubernetes, by its commands alone: Redis, objects from a file, the agent, a network namespace as a workload. */
import { expect } from 'chai';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually } from '../apiserver/api-client.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
const HOST = `ttf${process.pid}`;
const WORKLOAD = `${HOST}w`;
const PORT = 6399;

const run = (program: string, ...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env });
  return { status, stdout, stderr };
};
const ok = (program: string, ...args: readonly string[]): string => {
  const { status, stdout, stderr } = run(program, ...args);
  expect(status, `${program} ${args.join(' ')}: ${stdout}${stderr}`).to.equal(0);
  return stdout;
};
const env = { ...process.env, TORTIE_DATASTORE: `redis://127.0.0.1:${PORT}`, NODE_NAME: 'host1' };

const OBJECTS = `
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods}
spec: {cidr: 10.99.0.0/24, blockSize: 28}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: pods6}
spec: {cidr: "fd00:99::/112"}
---
apiVersion: projectcalico.org/v3
kind: IPPool
metadata: {name: odd}
spec: {cidr: 10.98.0.0/24, blocksize: 28}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: shut}
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}
`;

describe('agent: a fleet without Kubernetes', function () {
  this.timeout(120_000);
  const children: ChildProcess[] = [];
  let directory: string;
  let said = '';

  const inside = (program: string, ...args: readonly string[]): readonly [string, ...string[]] => [
    'ip',
    'netns',
    'exec',
    HOST,
    program,
    ...args,
  ];
  const tortie = (...args: readonly string[]) => run(...inside(process.execPath, CLI, ...args));
  const start = (...args: readonly string[]): ChildProcess => {
    const [program = '', ...rest] = inside(args[0] ?? '', ...args.slice(1));
    const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += String(chunk)));
    children.push(child);
    return child;
  };
  async function until(what: RegExp): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!what.test(said)) {
      if (Date.now() > deadline || children.some(({ exitCode }) => exitCode !== null))
        throw new Error(`no ${what}: ${said.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-fleet-'));
    for (const name of ['run', 'state', 'redis']) mkdirSync(join(directory, name));
    writeFileSync(join(directory, 'objects.yaml'), OBJECTS);
    for (const name of [HOST, WORKLOAD]) ok('ip', 'netns', 'add', name);
    ok('ip', '-n', HOST, 'link', 'set', 'lo', 'up');
    ok('ip', '-n', HOST, 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
    for (const name of ['up0', 'up1']) ok('ip', '-n', HOST, 'link', 'set', name, 'up');
    ok('ip', '-n', HOST, 'address', 'add', '192.0.2.10/24', 'dev', 'up0');
    ok('ip', '-n', HOST, 'route', 'add', 'default', 'via', '192.0.2.1');
  });
  after(async () => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    for (const name of [HOST, WORKLOAD]) run('ip', 'netns', 'del', name);
    rmSync(directory, { recursive: true, force: true });
  });

  it('gives a network namespace addresses, routes and policy, and takes them back', async () => {
    start(
      'redis-server',
      '--port',
      String(PORT),
      '--bind',
      '127.0.0.1',
      '--dir',
      join(directory, 'redis'),
      '--appendonly',
      'yes',
    );
    await until(/Ready to accept connections/);
    const applied = tortie('apply', '-f', join(directory, 'objects.yaml'));
    expect(applied.status).to.equal(1);
    expect(applied.stderr).to.contain('unknown field "spec.blocksize"');
    expect(applied.stdout.trim().split('\n')).to.deep.equal([
      'ippool.projectcalico.org/pods created',
      'ippool.projectcalico.org/pods6 created',
      'networkpolicy.networking.k8s.io/shut in namespace default created',
    ]);
    const dirs = ['--run-dir', join(directory, 'run')];
    start(process.execPath, CLI, 'agent', ...dirs, '--state-dir', join(directory, 'state'), '--log-format', 'text');
    await until(/The node serves pods/);
    const node = JSON.parse(tortie('get', 'nodes', 'host1', '-o', 'json').stdout) as { readonly status: unknown };
    expect(JSON.stringify(node.status)).to.contain('192.0.2.10');

    const netns = ['--netns', `/run/netns/${WORKLOAD}`];
    const added = tortie('workload', 'add', 'web', ...netns, '--label', 'app=web', ...dirs);
    expect(added.status, added.stderr).to.equal(0);
    const addresses = added.stdout.trim().split('\n');
    expect(addresses[0]).to.match(/^10\.99\.0\.\d+$/);
    expect(addresses[1]).to.match(/^fd00:99::/);
    expect(tortie('workload', 'add', 'web', ...netns, '--label', 'app=web', ...dirs).stdout).to.equal(added.stdout);
    const shown = ok('ip', '-n', WORKLOAD, '-brief', 'address', 'show', 'dev', 'eth0');
    for (const address of addresses) expect(shown).to.contain(address);
    expect(tortie('get', 'pods', '-o', 'json').stdout).to.contain(`"ip": "${addresses[0]}"`);
    const [four = ''] = addresses;
    expect(ok('ip', '-n', HOST, 'route', 'show', four)).to.contain('proto 171');

    const removed = tortie('workload', 'delete', 'web', ...dirs);
    expect(removed.status, removed.stderr).to.equal(0);
    // The kernel takes interfaces away in its own time.
    await eventually('the end of the interface', () => !ok('ip', '-n', WORKLOAD, '-brief', 'link').includes('eth0'));
    expect(tortie('get', 'pods').stderr).to.contain('No pods found');
    const again = tortie('workload', 'delete', 'web', ...dirs);
    expect([again.status, again.stderr]).to.deep.equal([1, 'Cannot delete workload "default/web": there is none\n']);
  });
});
