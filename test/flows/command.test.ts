/** `tortie flows`, `tortie policy replay` and `suggest` as a person runs them, on an agent's socket and on files. */
import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { parseAllDocuments } from 'yaml';
import { flowListener } from '../../src/agent/flow-listener.js';
import { FlowLoop, type FlowKernel } from '../../src/agent/flow-loop.js';
import { Cluster } from '../../src/cluster/cluster.js';
import type { FlowListener } from '../../src/dataplane/flow-events.js';
import { createLogger } from '../../src/log.js';
import { requestOverUnixSocket } from '../../src/unix-http.js';
import { begins, clusterEvents, ends, networkPolicy, PODS, testNode } from './world.js';

interface Answer {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function tortie(...args: readonly string[]): Promise<Answer> {
  const child = spawn(process.execPath, ['dist/src/cli.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, stdout, stderr };
}

describe('tortie flows', function () {
  this.timeout(60_000);
  let directory: string;
  let loop: FlowLoop;
  let server: Server;
  let kernel: FlowListener | undefined;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-flows-'));
    const cluster = new Cluster(['pods', 'nodes', 'namespaces'], ['services']);
    for (const { namespace, name, labels } of PODS)
      cluster.upsert('pods', { metadata: { namespace, name, labels }, spec: { containers: [] } });
    const source: FlowKernel = {
      open: (listener) => {
        kernel = listener;
        return { missing: ['this kernel reports nothing'], drain: () => undefined, close: () => undefined };
      },
      lingering: () => () => 0,
      unreported: () => 0,
    };
    loop = new FlowLoop({
      node: 'n1',
      stateDir: join(directory, 'state'),
      settings: { days: 1, bytes: 1_000_000 },
      kernel: source,
      engine: testNode().engine,
      cluster,
      needServices: () => undefined,
      log: createLogger('test', { level: 'error' }),
    });
    loop.start();
    server = createServer(flowListener('n1', loop, (_, response) => response.writeHead(404).end()));
    server.listen(join(directory, 'agent.sock'));
    await once(server, 'listening');
    const talk = { from: '10.65.0.1', to: '10.65.0.10', port: 5432 };
    for (let id = 0; id < 3; id++) kernel?.onConnection(begins({ ...talk, id, sourcePort: 1_000 + id }));
    kernel?.onConnection(ends({ ...talk, id: 0 }, 1_500, 2_000_000));
    kernel?.onLost('connections', 4);
  });
  after(() => {
    server.close();
    server.closeAllConnections();
    loop.stop();
    rmSync(directory, { recursive: true });
  });

  const ask = (...args: readonly string[]): Promise<Answer> => tortie('flows', '--run-dir', directory, ...args);

  it('shows sums, and what they lack', async () => {
    const { code, stdout, stderr } = await ask('--to', 'shop/db-0');
    expect(code).to.equal(0);
    expect(stdout).to.match(
      /shop\/web-7d9-a +shop\/db-0 +5432\/TCP +allowed +3 +1\.50k +2\.00M +egress allowed: no policy/,
    );
    expect(stderr).to.include('since the agent of n1 started: 4 events of connections were dropped');
    expect((await ask('--verdict', 'denied')).stdout).to.equal('No flows\n');
  });

  it('follows', async () => {
    const child = spawn(process.execPath, ['dist/src/cli.js', 'flows', '-f', '--run-dir', directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const heard = once(child.stdout, 'data');
    const timer = setInterval(
      () => kernel?.onConnection(begins({ from: '10.65.0.1', to: '10.65.1.1', id: 77, sourcePort: 4242 })),
      50,
    );
    const [line] = (await heard) as [Buffer];
    clearInterval(timer);
    child.kill();
    expect(line.toString()).to.match(/n1 allowed shop\/web-7d9-a port 4242 -> other\/x 80\/TCP: begun; egress allowed/);
  });

  it('says what it cannot use, and that nobody answers', async () => {
    expect(await ask('--since', 'noon')).to.deep.include({ code: 2 });
    const { code, stderr } = await tortie('flows', '--run-dir', join(directory, 'nowhere'));
    expect(code).to.equal(1);
    expect(stderr).to.include('is the agent running?');
    // The agent checks for itself: not only `tortie` asks.
    const socketPath = join(directory, 'agent.sock');
    for (const [path, method, status, said] of [
      ['/v1/flows?since=noon', 'GET', 400, 'Cannot use --since'],
      [`/v1/flows?policy=${'x'.repeat(2_000)}`, 'GET', 400, 'Cannot use --policy'],
      ['/v1/flows', 'DELETE', 405, 'expected GET'],
    ] as const) {
      const answer = await requestOverUnixSocket(socketPath, method, path);
      expect(answer.status, path).to.equal(status);
      expect(JSON.stringify(answer.body), path).to.include(said);
    }
  });

  it('says so where the agent records none', async () => {
    const off = createServer(flowListener('n1', undefined, (_, response) => response.writeHead(404).end()));
    const runDir = join(directory, 'off');
    mkdirSync(runDir);
    off.listen(join(runDir, 'agent.sock'));
    await once(off, 'listening');
    const { code, stderr } = await tortie('flows', '--run-dir', runDir);
    off.close();
    off.closeAllConnections();
    expect(code).to.equal(1);
    expect(stderr).to.include('--flows off');
  });

  it('judges and suggests from a file', async () => {
    const file = join(directory, 'flows.json');
    const { stdout } = await ask('-o', 'json');
    writeFileSync(file, stdout);
    const again = await tortie('flows', '--file', file, '--from', 'shop', '-o', 'compact');
    expect(again.stdout).to.include('n1 allowed shop/web-7d9-a -> shop/db-0 5432/TCP: 3 begun, 1 ended');
    const base = join(directory, 'base.json');
    const items = clusterEvents().flatMap((event) =>
      event.type === 'upsert' ? [{ apiVersion: 'v1', kind: event.kind, ...event.object }] : [],
    );
    writeFileSync(base, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    const change = join(directory, 'change.json');
    const policy = networkPolicy('shop', 'closed', { podSelector: { matchLabels: { app: 'db' } }, ingress: [] });
    if (policy.type !== 'upsert') throw new Error('A policy comes');
    writeFileSync(
      change,
      JSON.stringify({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', ...policy.object }),
    );
    const replayed = await tortie('policy', 'replay', '-f', change, '--base', base, '--flows', file);
    expect(replayed.code, replayed.stderr).to.equal(1);
    expect(replayed.stdout).to.match(/closed +shop +ingress +1 +3 +end of tier default/);
    const suggested = await tortie('policy', 'suggest', 'shop', '--flows', file);
    expect(suggested.code, suggested.stderr).to.equal(0);
    const names = parseAllDocuments(suggested.stdout).map(
      (document) => (document.toJS() as { readonly metadata: { readonly name: string } }).metadata.name,
    );
    expect(names).to.deep.equal(['db-0', 'web-7d9-a']);
    const suggestion = join(directory, 'suggestion.yaml');
    writeFileSync(suggestion, suggested.stdout);
    expect(await tortie('policy', 'replay', '-f', suggestion, '--base', base, '--flows', file)).to.deep.include({
      code: 0,
    });
    writeFileSync(file, '{"type":"flow"}\n');
    const broken = await tortie('flows', '--file', file);
    expect(broken.code).to.equal(1);
    expect(broken.stderr).to.include('Cannot read line 1 of');
  });
});
