import { expect } from 'chai';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { listenInNamespace } from '../../src/dataplane/netns.js';
import { nameOf, ScratchNamespaces } from '../dataplane/scratch-namespaces.js';

const CLI = fileURLToPath(new URL('../../src/cli.js', import.meta.url));
/** What a process manager gives it before it kills. */
const PATIENCE = 30_000;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const hang: Answer = () => {};
/** A server with one node and one pool, that never answers a write. */
const readOnly: Answer = ({ method, url = '' }, response) => {
  if (method !== 'GET' || url.includes('watch=')) return;
  const items = url.includes('/ippools')
    ? [{ metadata: { name: 'v4', uid: 'p', resourceVersion: '1' }, spec: { cidr: '10.65.0.0/16' } }]
    : url.includes('/nodes')
      ? [{ metadata: { name: 'node1', uid: 'n', resourceVersion: '1' } }]
      : [];
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: '1' }, items }));
};

/** A real process, told to end while it does this or that. */
describe('agent, told to end', function () {
  this.timeout(120_000);
  const namespaces = new ScratchNamespaces('tstop');
  let directory: string;
  let node: string;
  let server: Server | undefined;
  let agent: ChildProcess | undefined;
  let log: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tortie-stop-'));
    node = namespaces.create();
    log = '';
  });
  afterEach(() => {
    agent?.kill('SIGKILL');
    server?.closeAllConnections();
    server?.close();
    server = undefined;
    namespaces.removeAll();
    rmSync(directory, { recursive: true, force: true });
  });

  const serve = async (answer: Answer): Promise<void> => {
    server = createServer(answer);
    server.listen({ fd: listenInNamespace(node, '127.0.0.1', 6443) });
    await once(server, 'listening');
  };
  const start = (before = '', backend = 'nft'): ChildProcess => {
    const kubeconfig = join(directory, 'kubeconfig');
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'x',
        contexts: [{ name: 'x', context: { cluster: 'x', user: 'x' } }],
        clusters: [{ name: 'x', cluster: { server: 'http://127.0.0.1:6443', 'insecure-skip-tls-verify': true } }],
        users: [{ name: 'x', user: {} }],
      }),
    );
    const argv = [
      ...['agent', '--node', 'node1', '--kubeconfig', kubeconfig, '--log-format', 'json', '--log-level', 'debug'],
      ...['--run-dir', join(directory, 'run'), '--state-dir', join(directory, 'state'), '--policy-backend', backend],
    ];
    const script = `${before}\nexec "$@"`;
    agent = spawn('ip', ['netns', 'exec', nameOf(node), 'bash', '-ec', script, 'bash', process.execPath, CLI, ...argv]);
    agent.stdout?.on('data', (chunk) => (log += String(chunk)));
    agent.stderr?.on('data', (chunk) => (log += String(chunk)));
    return agent;
  };
  const says = async (what: string | RegExp): Promise<void> => {
    const end = Date.now() + PATIENCE;
    while (typeof what === 'string' ? !log.includes(what) : !what.test(log)) {
      if (Date.now() > end) throw new Error(`The agent never said ${String(what)}: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const ends = async (process: ChildProcess): Promise<number | null> => {
    const timeout = setTimeout(() => process.kill('SIGKILL'), PATIENCE);
    const [code] = process.exitCode === null ? await once(process, 'exit') : [process.exitCode];
    clearTimeout(timeout);
    return code as number | null;
  };

  it('ends while there is no API server', async () => {
    const process = start();
    await says('Started');
    process.kill('SIGTERM');
    expect(await ends(process), log).to.equal(0);
  });

  it('ends while the API server hangs', async () => {
    await serve(hang);
    const process = start();
    await says('Started');
    process.kill('SIGTERM');
    expect(await ends(process), log).to.equal(0);
  });

  it('ends while a claim hangs', async () => {
    let posts = 0;
    await serve((request, response) => {
      if (request.method === 'POST') posts++;
      readOnly(request, response);
    });
    const process = start();
    await says('The node serves pods');
    for (let i = 0; i < 1_000 && posts === 0; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(posts, log).to.be.above(0);
    process.kill('SIGTERM');
    expect(await ends(process), log).to.equal(0);
  });

  it('ends while the first write of policy hangs', async () => {
    await serve(readOnly);
    const real = ['/usr/sbin/iptables-nft-restore', '/sbin/iptables-nft-restore'].find((path) => existsSync(path));
    if (real === undefined) throw new Error('No iptables-nft-restore here');
    const binary = realpathSync(real);
    const copy = join(directory, 'real');
    const fake = join(directory, 'fake');
    const mark = join(directory, 'asked');
    copyFileSync(binary, copy);
    chmodSync(copy, 0o755);
    writeFileSync(
      fake,
      `#!/bin/bash\ncase "$0 $*" in *restore*--noflush*) touch ${mark}; sleep 100;; esac\nexec -a "$0" ${copy} "$@"\n`,
    );
    chmodSync(fake, 0o755);
    // `ip netns exec` has a mount namespace of its own.
    const process = start(`mount --bind ${fake} ${binary}`);
    for (let i = 0; i < 2_000 && !existsSync(mark); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(existsSync(mark), log).to.equal(true);
    process.kill('SIGTERM');
    expect(await ends(process), log).to.equal(0);
  });

  it('ends by itself when it cannot start: a damaged journal, a socket that cannot be made', async () => {
    mkdirSync(join(directory, 'state'), { recursive: true });
    writeFileSync(join(directory, 'state', 'ipam.journal'), 'nonsense\n{}\n');
    const damaged = start();
    expect(await ends(damaged), log).to.equal(1);
    expect(log).to.include('Cannot open the address journal');

    rmSync(join(directory, 'state'), { recursive: true });
    writeFileSync(join(directory, 'run'), 'a file');
    log = '';
    const blocked = start();
    expect(await ends(blocked), log).to.equal(1);
    expect(log).to.include('Cannot listen on');
    expect(execFileSync('ip', ['netns', 'pids', nameOf(node)], { encoding: 'utf8' })).to.equal('');
  });
});
